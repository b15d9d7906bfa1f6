"""Properties of the network: causal, chunkable, and the same as the sampling loop."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from wavegen.config import ACOUSTIC, Conditioner, Config, Model, Predictor, Training, Vocabulary
from wavegen.model import anchor, conditioner, network
from wavegen.model.network import Inputs
from wavegen_kernels import weights
from wavegen_kernels.generate import api

VOCABULARY = Vocabulary(labels={"instrument": ("bell", "organ"), "room": ("hall",)})
SMALL = Model(
    residual_channels=8, skip_channels=12, head_channels=10, layers_per_cycle=3,
    dilation_cycles=2, kernel_size=2, hop_length=4,
)  # fmt: skip
FULL = Conditioner(
    signals=("notes", "past"), labels=("instrument", "room"), hidden_channels=6, signal_channels=5
)
# float32 sums in another order: some hundred terms of order 1, 1e-7 each, with room to spare.
TOLERANCE = 2e-5


def make(model=SMALL, conditioner=FULL):
    config = Config(model=model, conditioner=conditioner, training=Training(crop_samples=16))
    graphdef, params = network.create(config, VOCABULARY, seed=0)
    return config, network.assemble(graphdef, params)


# Compiled as a whole: one operation after the other, they would be compiled one by one.
@partial(nnx.jit, static_argnums=3)
def logits_of(net, inputs, state, context_frames=0):
    return net.logits(inputs, state, context_frames)


@nnx.jit
def condition(net, carry, inputs, before):
    return net.condition(carry, inputs, before)


def inputs_of(config, batch=2, frames=9, seed=0):
    rng = np.random.default_rng(seed)
    P = config.model.hop_length
    has_notes = "notes" in config.conditioner.signals
    notes = (rng.random((batch, frames, 256)) < 0.02) * rng.random((batch, frames, 256))
    width = sum(ACOUSTIC[name] for name in config.conditioner.acoustic)
    return Inputs(
        codes=jnp.asarray(rng.integers(0, 256, (batch, frames * P)), jnp.int32),
        notes=jnp.asarray(notes if has_notes else notes[..., :0], jnp.float32),
        labels=jnp.asarray(rng.integers(-1, 1, (batch, len(config.conditioner.labels))), jnp.int32),
        valid=jnp.ones((batch, frames)),
        # Some of no note, some too short for a predictor's taps, some beyond its window.
        periods=jnp.asarray(np.maximum(rng.uniform(-3, 14, (batch, frames)), 0), jnp.float32),
        ages=jnp.asarray(rng.uniform(0, 60, (batch, frames)), jnp.float32),
        acoustics=jnp.asarray(rng.normal(0, 1, (batch, frames, width)), jnp.float32),
    )


CONDITIONERS = {
    "none": Conditioner(),
    "notes": Conditioner(signals=("notes",), hidden_channels=6, signal_channels=5),
    "past": Conditioner(signals=("past",), hidden_channels=6, signal_channels=5),
    "sound": Conditioner(
        signals=("f0_loudness", "mfcc", "mel"), hidden_channels=6, signal_channels=5
    ),
    "all": FULL,
    "all, gru": dataclasses.replace(FULL, cell="gru"),
}


MODELS = {
    "plain": SMALL,
    "predictor": dataclasses.replace(SMALL, predictor=Predictor(order=3, window=12, refit=2)),
    "periodic": dataclasses.replace(
        SMALL, predictor=Predictor(order=4, follows="notes", window=12)
    ),
    "steered": dataclasses.replace(
        SMALL, predictor=Predictor(order=4, window=64, refit=2, steered=True)
    ),
    "three taps": dataclasses.replace(SMALL, kernel_size=3),
}
PAIRS = [
    *((name, "plain") for name in CONDITIONERS),
    ("all", "predictor"),
    ("notes", "periodic"),
    ("notes", "steered"),
    ("all", "three taps"),
]


@pytest.mark.parametrize(("name", "model"), PAIRS[:-1])
def test_future_codes_never_change_earlier_logits(name, model):
    config, net = make(MODELS[model], CONDITIONERS[name])
    inputs = inputs_of(config)
    state = net.initial_state(2)
    before, _ = logits_of(net, inputs, state)
    at = 17
    changed = inputs._replace(codes=inputs.codes.at[:, at].add(1) % 256)
    after, _ = logits_of(net, changed, state)
    np.testing.assert_array_equal(before[:, : at + 1], after[:, : at + 1])
    assert not np.allclose(before[:, at + 1], after[:, at + 1])


@pytest.mark.parametrize("kernel_size", [2, 3])
def test_the_receptive_field_is_exactly_what_the_config_says(kernel_size):
    model = dataclasses.replace(SMALL, kernel_size=kernel_size)
    config, net = make(model, Conditioner())
    far = config.model.receptive_field
    inputs = inputs_of(config, batch=1, frames=(far + 8) // 4 + 1)
    base, _ = logits_of(net, inputs, net.initial_state(1))
    at = 3
    changed = inputs._replace(codes=inputs.codes.at[:, at].add(100) % 256)
    moved = np.abs(logits_of(net, changed, net.initial_state(1))[0] - base).max(axis=(0, 2))
    heard = np.flatnonzero(moved)
    assert heard.min() == at + 1
    assert heard.max() == at + far


@pytest.mark.parametrize(("name", "model"), PAIRS[:-1])
def test_chunks_equal_one_pass(name, model):
    config, net = make(MODELS[model], CONDITIONERS[name])
    inputs, P = inputs_of(config, frames=9), config.model.hop_length
    whole, end = logits_of(net, inputs, net.initial_state(2))
    state, parts = net.initial_state(2), []
    for first, last in ((0, 2), (2, 3), (3, 9)):
        part = Inputs(
            inputs.codes[:, first * P : last * P],
            inputs.notes[:, first:last],
            inputs.labels,
            inputs.valid[:, first:last],
            inputs.periods[:, first:last],
            inputs.ages[:, first:last],
            inputs.acoustics[:, first:last],
        )
        logits, state = logits_of(net, part, state)
        parts.append(logits)
    # A chunk may be conditioned in another order of sums; a fit that is held to what follows from
    # that gives on the difference a few times as large.
    tolerance = 3e-4 if model == "steered" else TOLERANCE
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, atol=tolerance)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=tolerance), state, end)


@pytest.mark.parametrize(("name", "model"), PAIRS)
def test_stepwise_logits_equal_the_networks(name, model):
    config, net = make(MODELS[model], CONDITIONERS[name])
    inputs, P = inputs_of(config), config.model.hop_length
    whole, _ = logits_of(net, inputs, net.initial_state(2))

    stack = net.wavenet.export()
    step, carry = weights.initial_state(stack, 2), net.initial_carry(2)
    before = jnp.full((2, P), net.silence, jnp.int32)
    for f in range(9):
        codes, here = inputs.codes[:, f * P : (f + 1) * P], slice(f, f + 1)
        one = Inputs(
            codes,
            inputs.notes[:, here],
            inputs.labels,
            inputs.valid[:, here],
            inputs.periods[:, here],
            inputs.ages[:, here],
            inputs.acoustics[:, here],
        )
        carry, cond, expected = condition(net, carry, one, before)
        if cond is None:
            cond = jnp.zeros((2, 1, *stack.gate_bias.shape))
        linear = config.model.predictor
        periods = one.periods if linear.is_periodic else None
        aim = net.aim(one.periods, expected)
        step, logits = api.logits(stack, step, cond, codes, hop_length=P, periods=periods, aim=aim)
        # The foretold sample is right to some 1e-7 of full scale; where nothing is heard yet, the
        # base distribution is as steep as one in 1e-5.
        # What a steered one expects of the sound follows from sums in another order, too.
        atol = 2e-2 if linear.is_steered else 5e-3 if linear.order else TOLERANCE
        np.testing.assert_allclose(logits, whole[:, f * P : (f + 1) * P], atol=atol)
        before = codes


def test_a_window_needs_nothing_but_its_receptive_field():
    config, net = make(conditioner=Conditioner())
    inputs, P = inputs_of(config, frames=12), config.model.hop_length
    whole, _ = logits_of(net, inputs, net.initial_state(2))
    first, X = 3 * P, 1  # a window that starts in the middle, with a frame of context before it
    window = inputs._replace(codes=inputs.codes[:, first - X * P :], valid=inputs.valid[:, 2:])
    logits, _ = logits_of(net, window, net.initial_state(2), X)
    lead = config.model.receptive_field
    np.testing.assert_allclose(logits[:, lead:], whole[:, first + lead :], atol=TOLERANCE)


def test_context_before_a_recordings_start_leaves_no_memory():
    config, net = make()
    inputs, P, X = inputs_of(config, frames=6), config.model.hop_length, 3
    whole, _ = logits_of(net, inputs, net.initial_state(2))
    rng = np.random.default_rng(1)
    padded = Inputs(
        jnp.concatenate([jnp.full((2, X * P), net.silence, jnp.int32), inputs.codes], axis=1),
        jnp.concatenate([jnp.asarray(rng.random((2, X, 256)), jnp.float32), inputs.notes], axis=1),
        inputs.labels,
        jnp.concatenate([jnp.zeros((2, X)), inputs.valid], axis=1),
        jnp.concatenate([jnp.zeros((2, X)), inputs.periods], axis=1),
        jnp.concatenate([jnp.zeros((2, X)), inputs.ages], axis=1),
        jnp.concatenate([jnp.ones((2, X, inputs.acoustics.shape[2])), inputs.acoustics], axis=1),
    )
    logits, _ = logits_of(net, padded, net.initial_state(2), X)
    np.testing.assert_allclose(logits, whole, atol=TOLERANCE)


def test_an_unknown_label_is_heard_as_nothing():
    _, net = make(conditioner=Conditioner(labels=("instrument",), hidden_channels=4))
    assert net.conditioner is not None
    known, unknown = net.conditioner.labels[0](jnp.asarray([1, -1]))
    assert np.any(known)
    assert not np.any(unknown)


def test_every_parameter_has_a_gradient():
    config, _ = make()
    graphdef, params = network.create(config, VOCABULARY, seed=0)
    inputs = inputs_of(config)._replace(labels=jnp.zeros((2, 2), jnp.int32))

    def total(params):
        net = network.assemble(graphdef, params)
        return jnp.sum(logits_of(net, inputs, net.initial_state(2))[0] ** 2)

    gradient = jax.grad(total)(params)
    still = [
        jax.tree_util.keystr(path)
        for path, leaf in jax.tree_util.tree_leaves_with_path(gradient)
        if not np.any(leaf)
    ]
    assert still == []


@pytest.mark.parametrize("name", ["past", "all"])
def test_the_past_enters_at_zero_and_what_is_asked_for_at_full_scale(name):
    config, net = make(conditioner=CONDITIONERS[name])
    inputs, params = inputs_of(config), nnx.state(net, nnx.Param)

    def cond(params, codes, notes):
        net = nnx.merge(graphdef, params)
        net.conditioner.from_cell[...] *= 1.0 if config.conditioner.signals == ("past",) else 0.0
        heard = inputs._replace(codes=codes, notes=notes)
        state = net.initial_state(2)
        return net.condition(state.carry, heard, codes)[1]

    graphdef = nnx.graphdef(net)
    usual = cond(params, inputs.codes, inputs.notes)
    np.testing.assert_array_equal(usual, cond(params, 255 - inputs.codes, inputs.notes))
    if name == "past":
        assert not np.any(usual)
    else:
        moved = cond(params, inputs.codes, jnp.roll(inputs.notes, 7, axis=-1))
        assert np.std(moved - usual) > 0.1
    # It can be let in: the gradient that opens it is there from the first step.
    loss = lambda params: jnp.sum(cond(params, inputs.codes, inputs.notes) * 0.1)
    gradient = jax.grad(loss)(params)["conditioner"]["from_signals"][...]
    at = 5 * (name == "all")
    assert np.abs(gradient[at : at + 5]).min() > 0


def test_strays_are_what_was_expected_less_what_the_samples_are():
    """A tone of 20 dB below full scale that begins with the sixth frame."""
    model = dataclasses.replace(
        SMALL, hop_length=8, predictor=Predictor(order=4, window=256, refit=8, steered=True)
    )
    config, net = make(model, CONDITIONERS["notes"])
    P, F, X, period = 8, 40, 5, 16.0
    inputs = inputs_of(config, batch=1, frames=F)
    tone = 0.1 * np.sin(2 * np.pi * np.arange(F * P) / period) * (np.arange(F * P) >= X * P)
    amplitudes = weights.amplitudes(net.wavenet.n_codes)
    codes = np.abs(tone[:, None] - amplitudes).argmin(axis=1)[None]
    inputs = inputs._replace(
        codes=jnp.asarray(codes, jnp.int32),
        periods=jnp.full((1, F), period),
        ages=jnp.zeros((1, F)),
    )
    state = net.initial_state(1)
    _, _, expected = condition(net, state.carry, inputs, jnp.zeros((1, F * P), jnp.int32))
    hidden, _ = net.hidden(inputs, state, X)
    assert hidden.strays is not None
    found = jax.tree.map(lambda a, b: np.asarray(a[:, -b.shape[1] :] - b), expected, hidden.strays)
    sound = np.concatenate([np.full(256, amplitudes[net.silence]), amplitudes[codes[0]]])
    for f in range(F):
        before = sound[: 256 + f * P][-16:]
        level = np.log(np.mean(before**2) + 1e-7)
        assert found.levels[0, f] == pytest.approx(level, abs=1e-3)
    assert found.levels[0, -1] == pytest.approx(np.log(0.1**2 / 2), abs=0.3)  # 16 samples of it
    errors = np.asarray(
        net.foretell(
            jnp.concatenate([state.codes, inputs.codes], axis=1), (F - X) * P, state.errors,
            inputs.periods[:, X:], jax.tree.map(lambda x: x[:, X:], expected),
        )[2]
    )  # fmt: skip
    noises = np.log(errors).reshape(-1, P).mean(axis=1)
    np.testing.assert_allclose(found.noises[0], noises, atol=1e-3)
    # A sine has one harmonic, of all of its power; the first band is it. Told from 128 samples.
    told = range(X, F - 128 // P + 1)
    assert all(found.strengths[0, f, 0] == pytest.approx(0.0, abs=0.05) for f in told)
    assert all(found.strengths[0, f, 1] < -3 for f in told)
    assert not np.asarray(hidden.strays.strengths)[0, F - 128 // P + 1 :].any()
    beyond = ~np.asarray(anchor.heard(jnp.array(period)))
    assert not np.asarray(hidden.strays.strengths)[..., beyond].any()


def test_a_clock_stays_at_the_ends_of_its_scales():
    """Ages beyond 1,024 frames of 4 samples, periods beyond 8 octaves above 2 samples."""
    clock = conditioner.Clock(4, 7, rngs=nnx.Rngs(0))
    ages, periods = jnp.array([[4096.0, 1e5, 1e7]]), jnp.array([[512.0, 700.0, 5000.0]])
    found = clock(periods, ages)
    assert np.ptp(found, axis=-1).min() > 0.1
    for other in (found[:, 1], found[:, 2]):
        np.testing.assert_allclose(other, found[:, 0], atol=1e-2)  # log2(1 + x), not log2(x)


def test_a_clock_tells_how_long_a_frame_waits_for_its_note():
    """The later in its first frame a note begins, the less is heard of its age."""
    clock = conditioner.Clock(64, 7, rngs=nnx.Rngs(0))
    found = np.asarray(clock(jnp.full((1, 5), 40.0), jnp.array([[-63.0, -32.0, 0.0, 1.0, 64.0]])))
    steps = np.abs(np.diff(found[0], axis=0)).max(axis=-1)
    assert min(steps[0], steps[1], steps[3]) > 0.05
    assert steps[2] < 0.3 * steps[3]  # no jump at 0


def test_the_noise_of_an_aim_is_to_its_tone_as_the_error_is_to_the_level():
    """An error level is an amplitude, a level is a power."""
    model = dataclasses.replace(
        SMALL, predictor=Predictor(order=16, window=256, refit=4, steered=True)
    )
    _, net = make(model, CONDITIONERS["notes"])
    periods, levels = jnp.full((1, 3), 20.0), jnp.array([[-6.0, -6.0, -2.0]])
    noises = jnp.array([[-3.0, -4.0, -1.5]])
    expected = conditioner.Expected(levels, noises, jnp.zeros((1, 3, anchor.BANDS)))
    aim = net.aim(periods, expected)
    assert aim is not None
    shares = jnp.array([[0.0, -1.0, -0.5]])
    asked = anchor.sounds(periods, expected.strengths, shares, aim.anchors.shape[-1])
    np.testing.assert_allclose(aim.anchors, asked, rtol=1e-5, atol=1e-6)
