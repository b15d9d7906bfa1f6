"""The sampler: it draws what the network says, whoever shares the batch and however time is cut.

Most is asked in float32, which can be compared with the network's own logits; other
precisions are compared with the logits that the kernels themselves give for the same codes.
"""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.sampling.networks import FRAMES, NETWORKS, make, request_of, row
from wavegen.errors import BackendError, WavegenError
from wavegen.model import network
from wavegen.model.network import Inputs
from wavegen.music import frames
from wavegen.music.score import Note, Score
from wavegen.sampling import blocks, loop, sampler
from wavegen.sampling import request as requests
from wavegen.sampling.request import Draws
from wavegen_kernels import backends, random, weights
from wavegen_kernels.accelerator import stretches
from wavegen_kernels.generate import api

# float32 sums in another order: some hundred terms of order 1, 1e-7 each, with room to spare.
TOLERANCE = 2e-5
# Logits that differ by TOLERANCE move a cumulative probability by at most as much at the
# temperature 0.7 that is used here, times 2 for both ends: a draw nearer than this may go either
# way.
TIE = 1e-4


def inputs_of(trained, request, codes):
    """The same request as the network's sequence path hears it."""
    (whole,) = requests.stretches(trained.config, request, cuts=True, block=request.num_frames)
    valid = np.ones(whole.periods.shape, np.float32)
    return Inputs(
        codes, whole.notes, request.labels, valid, whole.periods, whole.ages, whole.acoustics
    )


def generate(trained, request, draws, precision="float32", backend="auto"):
    return sampler.generate(trained, request, draws, backend, precision)


def teacher_forced(trained, request, codes):
    """float64 [B, T, V]: what the network's own sequence path says of these codes."""
    inputs = inputs_of(trained, request, codes)
    return np.asarray(sequence_logits(trained.graphdef, trained.params, inputs), np.float64)


@partial(jax.jit, static_argnums=0)
def sequence_logits(graphdef, params, inputs):
    net = network.assemble(graphdef, params)
    return net.logits(inputs, net.initial_state(len(inputs.codes)))[0]


@partial(jax.jit, static_argnums=0)
def condition(graphdef, params, carry, inputs, before):
    return network.assemble(graphdef, params).condition(carry, inputs, before)


def cumulative(logits, draws):
    p = np.exp((logits - logits.max(axis=-1, keepdims=True)) / draws.temperature)
    return np.cumsum(p, axis=-1) / p.sum(axis=-1, keepdims=True)


def uniforms(request, draws, num_samples):
    return random.uniforms(draws.seed, request.streams[:, None], np.arange(num_samples)[None], np)


def by_the_kernels(trained, request, codes, precision):
    """float64 [B, T, V]: what the kernels say of these codes in a precision."""
    forced = dataclasses.replace(request, forced=codes)
    known = requests.stretches(trained.config, forced, cuts=True)
    rows = blocks.logits(trained, request.labels, known, "numba_cpu", [precision])
    return np.concatenate([each[precision] for each in rows], axis=1).astype(np.float64)


def margins(logits, request, draws):
    """[B, T]: how near each draw was to another outcome."""
    u = uniforms(request, draws, logits.shape[1])
    return np.abs(cumulative(logits, draws) - u[..., None]).min(axis=-1)


def assert_drawn_from_the_network(trained, request, draws):
    codes = generate(trained, request, draws)
    logits = teacher_forced(trained, request, codes)
    cdf = cumulative(logits, draws)
    u = uniforms(request, draws, codes.shape[1])
    expected = np.sum(cdf <= u[..., None], axis=-1)  # the first code whose share exceeds u
    other = expected != codes
    assert np.all(margins(logits, request, draws)[other] < TIE)
    assert other.mean() < 0.01  # ties are rare: 256 borders, each 2 * TIE wide, of [0, 1)
    assert len(np.unique(codes)) > 4  # it did draw


def assert_same_up_to_a_tie(trained, request, draws, codes, expected, precision="float32"):
    """Each stream is equal, or was so until a draw that could go either way."""
    near = margins(by_the_kernels(trained, request, expected, precision), request, draws)
    for b in range(len(codes)):
        differing = np.flatnonzero(codes[b] != expected[b])
        assert not differing.size or near[b, differing[0]] < TIE


@pytest.mark.parametrize("name", NETWORKS)
def test_every_code_was_drawn_from_the_networks_own_logits(name):
    trained = make(name)
    assert_drawn_from_the_network(trained, request_of(trained), Draws(5, 0.7))


def test_a_trained_checkpoint_draws_from_its_own_logits(trained):
    assert_drawn_from_the_network(trained, request_of(trained, frames=6), Draws(5, 0.7))


def test_a_trained_checkpoints_stepwise_logits_equal_its_teacher_forced_ones(trained):
    request, P = request_of(trained, batch=2, frames=8), trained.config.model.hop_length
    codes = generate(trained, request, Draws(1))
    whole = teacher_forced(trained, request, codes)
    assert whole.std() > 0.5  # random weights give 0.25: thirty steps have taught it something

    net, stack = (
        network.assemble(trained.graphdef, trained.params),
        loop.export(trained, "numba_cpu"),
    )
    step, carry = weights.initial_state(stack, 2), net.initial_carry(2)
    before = jnp.full((2, P), net.silence, jnp.int32)
    for f in range(8):
        now = jnp.asarray(codes[:, f * P : (f + 1) * P])
        notes = np.stack(
            [frames.notes(score, 1, trained.config.frame_seconds, f) for score in request.scores]
        )
        none, unheard = jnp.zeros((2, 1)), jnp.zeros((2, 1, 0))
        one = Inputs(now, notes, request.labels, jnp.ones((2, 1)), none, none, unheard)
        carry, cond, _ = condition(trained.graphdef, trained.params, carry, one, before)
        step, logits = api.logits(stack, step, cond, now, hop_length=P)
        # Trained logits are larger than those of random weights, and so is their rounding.
        atol = TOLERANCE * max(1, np.abs(whole).max())
        np.testing.assert_allclose(logits, whole[:, f * P : (f + 1) * P], atol=atol)
        before = now


def test_the_predictor_hears_periods_and_ages_of_the_notes_in_samples():
    """At 1000 Hz and frames of 8 ms; training hears the same, see tests/data."""
    score = Score((Note(0.016, 0.01, 69, 90), Note(0.05, 9.0, 57, 90)))
    periods = [0] * 2 + [1000 / 440] * 4 + [1000 / 220] * 64
    ages = [0] * 2 + [0, 8, 16, 24] + list(range(-2, 504, 8))  # the second one's from 50 ms on
    for name in ("periodic", "steered"):
        trained = make(name)
        few = request_of(trained, batch=1)
        request = dataclasses.replace(few, num_frames=70, scores=(score,))  # three blocks
        parts = list(requests.stretches(trained.config, request, cuts=True))
        heard = np.concatenate([part.periods for part in parts], axis=1)
        np.testing.assert_allclose(heard[0, :70], periods, rtol=1e-6)
    heard = np.concatenate([part.ages for part in parts], axis=1)
    np.testing.assert_allclose(heard[0, :70], ages, atol=1e-4)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_stream_does_not_depend_on_who_shares_the_batch(name, precision):
    trained, draws = make(name), Draws(7, 0.7)
    request = request_of(trained, batch=4)
    together = generate(trained, request, draws, precision)
    one = row(request, 3)
    alone = generate(trained, one, draws, precision)
    assert_same_up_to_a_tie(trained, one, draws, alone, together[3:], precision)
    assert np.any(together[2] != together[3])


@pytest.mark.parametrize("name", ["none", "notes and labels"])
def test_how_time_is_cut_into_blocks_changes_nothing(name, monkeypatch):
    trained, draws = make(name), Draws(7, 0.7)
    request = request_of(trained)
    whole = generate(trained, request, draws)
    for count in (1, 5):
        seconds = count * trained.config.frame_seconds
        monkeypatch.setattr(requests, "BLOCK_SECONDS", seconds)
        monkeypatch.setattr(blocks, "GLANCE_SECONDS", seconds)
        stream = sampler.stream(trained, request, draws, precision="float32")
        parts = [made.codes for made in stream]
        assert parts[0].shape == (3, count * 8)
        codes = np.concatenate(parts, axis=1)
        assert codes.shape == whole.shape
        assert_same_up_to_a_tie(trained, request, draws, codes, whole)


@pytest.mark.parametrize("name", ["none", "all"])
def test_a_primer_comes_back_and_is_gone_on_from_as_if_it_had_been_drawn(name):
    trained, draws, primer_length = make(name), Draws(2, 0.7), 21  # 21: not a whole frame
    request = request_of(trained)
    free = generate(trained, request, draws)
    primed = dataclasses.replace(request, forced=free[:, :primer_length])
    # The same program with the same numbers in it: equal bit for bit, no tie in between.
    np.testing.assert_array_equal(generate(trained, primed, draws), free)
    foreign = (free[:, :primer_length] + 100) % 256
    codes = generate(trained, dataclasses.replace(request, forced=foreign), draws)
    np.testing.assert_array_equal(codes[:, :primer_length], foreign)
    assert np.any(codes[:, primer_length:] != free[:, primer_length:])


@pytest.mark.parametrize(
    ("name", "backend"),
    [("none", "xla_scan"), ("all", "xla_scan"), ("all", "pallas_gpu"), ("none", "pallas_tpu")],
)
def test_backends_draw_the_same(name, backend):
    trained, draws = make(name), Draws(7, 0.7)
    request = dataclasses.replace(request_of(trained), forced=np.full((3, 5), 100, np.int32))
    codes = generate(trained, request, draws)
    with backends.interpreted():
        other = generate(trained, request, draws, backend=backend)
    assert codes.shape == other.shape == (3, FRAMES * 8)
    assert_same_up_to_a_tie(trained, request, draws, other, codes)


def test_more_streams_than_a_device_holds_are_refused_in_words(monkeypatch):
    monkeypatch.setattr(stretches, "memory", lambda: 2**12)
    trained = make("none")
    words = r"3 streams of this call want .* holds \d+ streams at once"
    with backends.interpreted(), pytest.raises(BackendError, match=words):
        generate(trained, request_of(trained), Draws(), backend="pallas_gpu")


@pytest.mark.parametrize("name", NETWORKS)
def test_the_kernels_logits_of_codes_that_are_there_are_the_networks(name):
    trained = make(name)
    request = request_of(trained)
    codes = np.random.default_rng(0).integers(0, 256, (3, FRAMES * 8)).astype(np.int32)
    expected = teacher_forced(trained, request, codes)
    found = by_the_kernels(trained, request, codes, "float32")
    # In a window of 40 samples what is foretold may grow by 12 dB in 4, and its rounding with it.
    atol = 5e-3 if name == "steered" else TOLERANCE
    np.testing.assert_allclose(found, expected, atol=atol)


def test_temperature_0_takes_the_likeliest_whatever_the_seed():
    trained = make("all")
    request = request_of(trained)
    codes = generate(trained, request, Draws(0, 0.0))
    np.testing.assert_array_equal(codes, generate(trained, request, Draws(1, 0.0)))
    logits = teacher_forced(trained, request, codes)
    chosen = np.take_along_axis(logits, codes[..., None].astype(np.int64), axis=-1)[..., 0]
    # Two codes as likely as each other, but for the rounding of the two paths.
    assert np.all(chosen > logits.max(axis=-1) - 2 * TOLERANCE)


def test_the_same_seed_draws_the_same_and_another_draws_other_codes():
    trained = make("notes and labels")
    request = request_of(trained)
    first = generate(trained, request, Draws(4))
    np.testing.assert_array_equal(first, generate(trained, request, Draws(4)))
    assert np.any(first != generate(trained, request, Draws(5)))


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**32}, "seed is 4294967296"),
        ({"temperature": -0.1}, "temperature is -0.1"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"temperature": float("inf")}, "temperature is inf"),
        ({"top_k": -1}, "top-k is -1"),
        ({"top_p": 0.0}, "top-p is 0.0"),
        ({"top_p": 1.1}, "top-p is 1.1"),
    ],
)
def test_settings_that_mean_nothing_are_refused_in_words(setting, words):
    with pytest.raises(WavegenError, match=rf"^{words}\n  wanted: "):
        Draws(**setting)


@pytest.mark.parametrize(
    ("backend", "precision", "words"),
    [
        ("xla_scam", "auto", "no backend 'xla_scam'; did you mean 'xla_scan'"),
        ("xla_scan", "bfloat16", "'xla_scan' cannot run here: it computes in float32 only"),
        ("auto", "bfloat61", "no precision 'bfloat61'; did you mean 'bfloat16'"),
    ],
)
def test_what_cannot_run_is_refused_before_anything_is_made(backend, precision, words):
    trained = make("none")
    with pytest.raises(BackendError, match=words):
        sampler.stream(trained, request_of(trained), Draws(), backend, precision)


def test_a_network_is_exported_once_a_place(trained):
    on_host = loop.export(trained, "numba_cpu")
    assert loop.export(trained, "numba_cpu") is on_host
    assert loop.export(trained, "xla_scan") is not on_host
    assert isinstance(on_host.gate, np.ndarray)
