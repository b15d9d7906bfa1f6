"""A generation that stops and goes on is one that never stopped, and so is one from a recording."""

import dataclasses

import numpy as np
import pytest

from tests.sampling.networks import NETWORKS, make, request_of
from wavegen.curves import Curve
from wavegen.model import network
from wavegen.music.score import Note, Score
from wavegen.sampling import blocks, loop, sampler
from wavegen.sampling import request as requests
from wavegen.sampling import state as states
from wavegen.sampling.request import Draws
from wavegen_kernels import weights

P = 8
DRAWS = Draws(3, 0.8)


def stream(trained, request, *, draws=DRAWS, backend="numba_cpu", precision="float32", **more):
    return list(sampler.stream(trained, request, draws, backend, precision, **more))


def state_of(made):
    """The state after all of it."""
    assert made[-1].state is not None
    return made[-1].state


def codes_of(made):
    return np.concatenate([block.codes for block in made], axis=1)


@pytest.mark.parametrize(
    ("name", "backend"),
    [*((name, "numba_cpu") for name in NETWORKS), ("past", "xla_scan"), ("periodic", "xla_scan")],
)
def test_going_on_from_a_state_gives_the_codes_of_one_long_run(name, backend):
    trained = make(name)
    request = request_of(trained, frames=80)  # a block of conditioning is 31 frames
    whole = codes_of(stream(trained, request, backend=backend))
    for frames in (1, 40, 62):
        part = dataclasses.replace(request, num_frames=frames)
        made = stream(trained, part, backend=backend, keeps=True)
        state = state_of(made)
        assert state.num_samples == frames * P
        more = codes_of(stream(trained, request, backend=backend, state=state))
        np.testing.assert_array_equal(codes_of(made), whole[:, : frames * P])
        np.testing.assert_array_equal(more, whole[:, frames * P :])


def test_a_state_can_be_of_any_sample_and_is_not_spent_by_going_on():
    trained = make("notes and labels")
    request = request_of(trained, frames=80)
    whole = codes_of(stream(trained, request))
    state = state_of(stream(trained, dataclasses.replace(request, num_frames=40), keeps=True))
    for num_samples in (40 * P, 40 * P - 3, 31 * P + 1, 40 * P):
        more = codes_of(stream(trained, request, state=state.upto(num_samples)))
        np.testing.assert_array_equal(more, whole[:, num_samples:])


def test_a_state_is_kept_after_every_block():
    trained = make("past")
    request = request_of(trained, frames=40)
    whole, done = codes_of(stream(trained, request)), 0
    for made in stream(trained, request, keeps=True):
        done += made.codes.shape[1]
        assert state_of([made]).num_samples == done
    for made in stream(trained, request, keeps=True)[5::13]:
        more = codes_of(stream(trained, request, state=made.state))
        np.testing.assert_array_equal(more, whole[:, state_of([made]).num_samples :])


def test_what_is_asked_without_end_goes_on_as_what_is_asked_with_one():
    trained = make("all")
    request = request_of(trained, frames=70)
    whole, endless = codes_of(stream(trained, request)), []
    unlimited = dataclasses.replace(request, num_frames=None)
    for made in sampler.stream(trained, unlimited, DRAWS, "numba_cpu", "float32"):
        endless.append(made.codes)
        if sum(codes.shape[1] for codes in endless) >= whole.shape[1]:
            break
    np.testing.assert_array_equal(np.concatenate(endless, axis=1)[:, : whole.shape[1]], whole)


def test_a_temperature_that_changes_is_heard_frame_by_frame():
    trained = make("none")
    request, seconds = request_of(trained, frames=50), trained.config.frame_seconds
    falling = Curve((10 * seconds, 11 * seconds), (1.0, 0.0))
    codes = codes_of(stream(trained, request, draws=Draws(3, falling)))
    warm = codes_of(stream(trained, request, draws=Draws(3, 1.0)))
    np.testing.assert_array_equal(codes[:, : 11 * P], warm[:, : 11 * P])
    forced = dataclasses.replace(request, forced=codes[:, : 11 * P])
    cold = codes_of(stream(trained, forced, draws=Draws(9, 0.0)))
    np.testing.assert_array_equal(codes, cold)


def test_a_curve_goes_on_where_a_generation_went_on():
    trained = make("notes and labels")
    request, draws = request_of(trained, frames=80), Draws(3, Curve((0, 0.6), (0.2, 1.5)))
    whole = codes_of(stream(trained, request, draws=draws))
    part = dataclasses.replace(request, num_frames=40)
    state = stream(trained, part, draws=draws, keeps=True)[-1].state
    more = codes_of(stream(trained, request, draws=draws, state=state))
    np.testing.assert_array_equal(more, whole[:, 40 * P :])


def primed(trained, request, monkeypatch, samples=160):
    """The state after hearing the request's codes in parallel, in blocks of so many samples."""
    monkeypatch.setattr(states, "PRIMED_SAMPLES", samples)
    frames = states.primed_frames(trained.config, request.forced)
    assert frames * P == request.forced.shape[1] // samples * samples > 0
    return states.prime(trained, request, frames)


def through_the_loop(trained, request, frames):
    """The same state by the loop over samples."""
    start = blocks.initial(trained, len(request.scores))
    kernel = blocks._drawing(trained, request.streams, DRAWS, "numba_cpu", "float32", False)
    before = loop.Memory(states.kept(start.step), start.carry, start.last)
    known = dataclasses.replace(request, num_frames=frames, forced=request.forced[:, : frames * P])
    # Blocks that end with the primer: of a longer one the conditioner would have heard on.
    parts = requests.stretches(trained.config, known, cuts=True, block=10)
    return list(loop.walk(trained, request.labels, parts, kernel, before, "numba_cpu"))[-1][1]


@pytest.mark.parametrize("name", NETWORKS)
def test_hearing_a_primer_in_parallel_leaves_the_state_of_the_loop(name, monkeypatch):
    trained = make(name)
    request = request_of(trained, frames=80)
    codes = np.random.default_rng(1).integers(0, 256, (3, 500)).astype(np.int32)
    request = dataclasses.replace(request, forced=codes)
    state = primed(trained, request, monkeypatch)
    expected = through_the_loop(trained, request, state.frame)
    assert int(state.step.time) == int(expected.step.time) == state.frame * P == 480
    np.testing.assert_array_equal(state.step.codes, expected.step.codes)
    np.testing.assert_array_equal(state.last, expected.last)
    # float32 sums in another order, as in test_sampler; the predictor's fit is steeper.
    np.testing.assert_allclose(state.step.queues, expected.step.queues, atol=1e-4)
    np.testing.assert_allclose(state.step.heard, expected.step.heard, atol=1e-7)
    np.testing.assert_allclose(state.step.errors, expected.step.errors, rtol=1e-3, atol=1e-6)
    for found, wanted in zip(state.carry, expected.carry, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_a_primer_is_heard_at_any_place_in_a_queue(monkeypatch):
    """Queues of 3, 6 and 12 activations, none of which divides the samples before."""
    trained = make("none")
    model = dataclasses.replace(trained.config.model, kernel_size=4)
    config = dataclasses.replace(trained.config, model=model)
    graphdef, params = network.create(config, trained.vocabulary, seed=0)
    trained = dataclasses.replace(trained, config=config, graphdef=graphdef, params=params)
    codes = np.random.default_rng(1).integers(0, 256, (3, 200)).astype(np.int32)
    request = dataclasses.replace(request_of(trained, frames=40), forced=codes)
    state = primed(trained, request, monkeypatch)
    expected = through_the_loop(trained, request, state.frame)
    # float32 sums in another order.
    np.testing.assert_allclose(state.step.queues, expected.step.queues, atol=1e-4)


def test_only_what_stands_fixed_in_every_stream_is_heard_at_once(monkeypatch):
    monkeypatch.setattr(states, "PRIMED_SAMPLES", 160)
    forced = np.zeros((2, 500), np.int32)
    forced[1, 170:] = -1
    assert states.primed_frames(make("none").config, forced) * P == 160
    assert states.primed_frames(make("none").config, None) == 0


@pytest.mark.parametrize("differs", ["codes", "acoustics", "labels"])
def test_streams_that_hear_another_primer_are_heard_apart(differs, monkeypatch):
    trained = make("sound" if differs == "acoustics" else "notes and labels")
    request = request_of(trained, frames=40)
    assert request.acoustics is not None
    codes = np.random.default_rng(1).integers(0, 256, (3, 160)).astype(np.int32)
    request = dataclasses.replace(
        request,
        scores=(Score(),) * 3,
        forced=codes if differs == "codes" else codes[[0, 0, 0]],
        acoustics=request.acoustics if differs == "acoustics" else request.acoustics[[0, 0, 0]],
        labels=np.array([[1, 0], [0, 0], [1, -1]], np.int32)
        if differs == "labels"
        else request.labels[[0, 0, 0]],
    )
    state = primed(trained, request, monkeypatch)
    expected = through_the_loop(trained, request, state.frame)
    # float32 sums in another order, as above.
    np.testing.assert_allclose(state.step.queues, expected.step.queues, atol=1e-4)
    assert np.any(state.step.queues[:, 0] != state.step.queues[:, 1])


@pytest.mark.parametrize("same", [True, False])
def test_streams_that_hear_the_same_primer_are_heard_once(same, monkeypatch):
    trained = make("notes and labels")
    codes = np.random.default_rng(1).integers(0, 256, (3, 160)).astype(np.int32)
    request = dataclasses.replace(
        request_of(trained, frames=40),
        forced=codes[[0, 0, 0]],
        labels=np.array([[1, 0]] * 3, np.int32),
        scores=(Score(), Score(), Score((Note(9.0 if same else 0.01, 1.0, 60, 90),))),
    )
    rows = []
    hear = states._hear
    monkeypatch.setattr(
        states, "_hear", lambda g, p, i, s: rows.append(len(i.codes)) or hear(g, p, i, s)
    )
    state = primed(trained, request, monkeypatch)
    assert set(rows) == {1 if same else 3}
    expected = through_the_loop(trained, request, state.frame)
    np.testing.assert_allclose(state.step.queues, expected.step.queues, atol=1e-4)


def test_what_a_generation_begins_with_comes_back_whole(monkeypatch):
    monkeypatch.setattr(states, "PRIMED_SAMPLES", 160)
    trained = make("all")
    codes = np.random.default_rng(1).integers(0, 256, (3, 333)).astype(np.int32)
    request = dataclasses.replace(request_of(trained, frames=60), forced=codes)
    made = stream(trained, request, measures=True, keeps=True)
    assert made[0].codes.shape == (3, 320)
    whole = codes_of(made)
    assert whole.shape == (3, 480)
    np.testing.assert_array_equal(whole[:, :333], codes)
    measured = np.concatenate([block.measured for block in made], axis=1)
    assert np.isnan(measured[:, :333]).all()
    assert np.isfinite(measured[:, 333:]).all()
    state = stream(trained, dataclasses.replace(request, num_frames=50), keeps=True)[-1].state
    np.testing.assert_array_equal(codes_of(stream(trained, request, state=state)), whole[:, 400:])


def test_the_measures_are_those_of_the_kernels_own_logits():
    trained = make("notes and labels")
    request = request_of(trained, frames=20)
    made = stream(trained, request, measures=True)
    codes = codes_of(made)
    measured = np.concatenate([block.measured for block in made], axis=1)
    known = requests.stretches(
        trained.config, dataclasses.replace(request, forced=codes), cuts=True
    )
    rows = blocks.logits(trained, request.labels, known, "numba_cpu", ["float32"])
    logits = np.concatenate([each["float32"] for each in rows], axis=1).astype(np.float64)
    logp = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    drawn = np.take_along_axis(logp, codes[..., None].astype(np.int64), axis=-1)[..., 0]
    # float32 sums of 256 terms.
    np.testing.assert_allclose(measured[..., 0], drawn, atol=1e-4)
    np.testing.assert_allclose(measured[..., 1], -(np.exp(logp) * logp).sum(axis=-1), atol=1e-4)


def test_a_share_of_1_is_the_label_and_half_of_each_lies_between(monkeypatch):
    trained = make("notes and labels")
    request = request_of(trained, batch=2, frames=10)
    by_id = dataclasses.replace(request, labels=np.array([[1, 0], [0, -1]], np.int32))
    shares = np.array([[0, 1, 1], [1, 0, 0]], np.float32)  # bell, organ; hall
    by_share = dataclasses.replace(request, labels=shares)
    np.testing.assert_array_equal(
        codes_of(stream(trained, by_id)), codes_of(stream(trained, by_share))
    )
    heard = []
    drawing = blocks._drawing

    def listening(*given):
        kernel = drawing(*given)
        return lambda *given: heard.append(np.array(given[1][0])) or kernel(*given)

    monkeypatch.setattr(blocks, "_drawing", listening)
    quiet = dataclasses.replace(request, scores=(Score(), Score()))
    conds = []
    for row in ([1, 0, 1], [0, 1, 1], [0.5, 0.5, 1]):
        heard.clear()
        stream(trained, dataclasses.replace(quiet, labels=np.array([row] * 2, np.float32)))
        conds.append(np.concatenate(heard))
    assert np.abs(conds[0] - conds[1]).max() > 0.1
    between = np.abs(conds[2] - (conds[0] + conds[1]) / 2).max()
    # All that is not linear on the way is the cell, whose output is a part of what comes out.
    assert between < 0.5 * np.abs(conds[0] - conds[1]).max()


def test_no_memory_is_empty_and_nothing_is_made_before_it():
    trained = make("none")
    state = blocks.initial(trained, 2)
    assert state.num_samples == 0
    first = weights.initial_state(loop.export(trained, "numba_cpu"), 2)
    np.testing.assert_array_equal(state.step.queues, first.queues)
