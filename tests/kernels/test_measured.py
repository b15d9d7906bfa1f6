"""How likely the drawn codes were, and how open the draws: against float64, in every backend."""

import dataclasses

import numpy as np
import pytest

from wavegen_kernels import backends, cases, weights
from wavegen_kernels.generate import api, numba_cpu

B, F, P = 2, 3, 8
EPS = float(np.finfo(np.float32).eps)
STREAMS = np.array([4, 11])
pytestmark = pytest.mark.usefixtures("interpreted")


def ways():
    """Backends and precisions; one that cannot run here says why."""
    for name in backends.NAMES:
        for precision in backends.PRECISIONS:
            if precision == "float32" or name == "numba_cpu":
                with backends.interpreted():
                    reason = backends.unavailable_reason(name, precision)
                mark = pytest.mark.skipif(reason is not None, reason=str(reason))
                way = {"backend": name, "precision": precision}
                yield pytest.param(way, marks=mark, id=f"{name}-{precision}")


WAYS = list(ways())
COMPILED_ANEW = ("xla_scan", "pallas_gpu", "pallas_tpu")  # whose programs round each in their way
SETTINGS = {
    "plain": {},
    "cold": {"temperature": 0.5},
    "greedy": {"temperature": 0.0},
    "top_k": {"top_k": 3},
    "top_p": {"top_p": 0.5},
    "per_frame": {
        "temperature": np.array([[0.0, 1.0, 0.7], [1.3, 1.0, 0.0]]),
        "top_k": np.array([[3, 0, 9], [0, 1, 40]]),
        "top_p": np.array([[0.5, 1.0, 0.9], [1.0, 0.3, 0.6]]),
    },
}


def problem(name, frames=F):
    case = cases.CASES[name]
    cond = cases.conditioning(case, B, frames, seed=2)
    return cases.weights(case, seed=1), cond, cases.asked(case, B, frames, seed=3)


def call(function, stack, cond, state=None, **given):
    state = weights.initial_state(stack, B) if state is None else state
    state, *found = function(stack, state, cond, hop_length=P, seed=5, streams=STREAMS, **given)
    return state, *(np.asarray(each) for each in found)


def exact(stack, cond, codes, asked, way):
    """What is to be measured of codes, in float64 from the logits of the same backend."""
    state = weights.initial_state(stack, B)
    _, logits = api.logits(stack, state, cond, codes, hop_length=P, **asked, **way)
    logits = np.asarray(logits, np.float64)
    log_p = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    of_codes = np.take_along_axis(log_p, codes[..., None], axis=-1)[..., 0]
    return np.stack([of_codes, -(np.exp(log_p) * log_p).sum(axis=-1)], axis=-1)


def tolerance(way, size: np.ndarray | float = 0.0):
    """Nats that measured numbers of some size may be off."""
    # Of W, a sum of 256 weights: 4e-7 the weights, 1e-6 adding them up; of ln W as much again.
    # Then two differences are rounded. The logits of numba_cpu are the same bits in both programs;
    # those of XLA another program rounds otherwise, by up to 1e-5, and ln p has two of them.
    return 2e-6 + EPS * np.abs(size) + (2e-5 if way["backend"] in COMPILED_ANEW else 0)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("name", ["tiny_odd", "tiny_foretold", "tiny_periodic", "tiny_steered"])
def test_measured_is_the_likelihood_and_entropy_of_the_untouched_logits(way, settings, name):
    stack, cond, asked = problem(name)
    given = {**asked, **settings, **way}
    _, codes, measured = call(api.generate_measured, stack, cond, **given)
    assert measured.shape == (B, F * P, 2)
    assert measured.dtype == np.float32
    expected = exact(stack, cond, codes, asked, way)
    assert (np.abs(measured - expected) <= tolerance(way, expected)).all()
    assert measured[..., 1].std() > 0.02  # distributions differ by a thousand tolerances and more


@pytest.mark.parametrize("way", WAYS)
def test_measured_holds_for_a_shape_that_is_used_and_streams_of_one_thread(way, monkeypatch):
    monkeypatch.setattr(numba_cpu, "threads", lambda: 1)
    stack, cond, asked = problem("small", frames=1 if way["backend"] == "reference" else 6)
    _, codes, measured = call(api.generate_measured, stack, cond, **way)
    expected = exact(stack, cond, codes, asked, way)
    assert (np.abs(measured - expected) <= tolerance(way, expected)).all()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("settings", [{}, SETTINGS["per_frame"]], ids=["plain", "per_frame"])
@pytest.mark.parametrize(
    "name", ["tiny_three_taps", "tiny_foretold", "tiny_periodic", "tiny_steered"]
)
def test_to_measure_changes_no_bit_of_codes_and_state(way, settings, name):
    stack, cond, asked = problem(name)
    given = {**asked, **settings, **way}
    state, codes = call(api.generate, stack, cond, **given)
    again, same, _ = call(api.generate_measured, stack, cond, **given)
    np.testing.assert_array_equal(same, codes)
    # Of an interpreted kernel XLA makes another program, which rounds a product and a sum as one.
    rounding = 3e-7 if way["backend"].startswith("pallas") else 0
    for field in dataclasses.fields(state):
        found, expected = (np.asarray(getattr(each, field.name)) for each in (again, state))
        np.testing.assert_allclose(found, expected, rounding, rounding)


@pytest.mark.parametrize("way", WAYS)
def test_settings_do_not_change_what_is_measured_of_given_codes(way):
    stack, cond, _ = problem("tiny_cycles")
    _, codes, expected = call(api.generate_measured, stack, cond, **SETTINGS["per_frame"], **way)
    for settings in SETTINGS.values():
        forced = {"forced": codes, **settings, **way}
        _, same, measured = call(api.generate_measured, stack, cond, **forced)
        np.testing.assert_array_equal(same, codes)
        if way["backend"] in COMPILED_ANEW:  # one program filters and one does not
            assert np.abs(measured - expected).max() <= tolerance(way)
        else:
            np.testing.assert_array_equal(measured, expected)


@pytest.mark.parametrize("way", WAYS)
def test_chunks_measure_the_same_as_one_pass(way):
    stack, cond, _ = problem("tiny_foretold", frames=6)
    _, _, whole = call(api.generate_measured, stack, cond, **way)
    for frames in (1, 4):
        state, parts = None, []
        for first in range(0, 6, frames):
            part = cond[:, first : first + frames]
            state, _, measured = call(api.generate_measured, stack, part, state, **way)
            parts.append(measured)
        found = np.concatenate(parts, axis=1)
        if way["backend"].startswith("pallas"):  # interpreted, a program for each number of frames
            assert np.abs(found - whole).max() <= tolerance(way)
        else:
            np.testing.assert_array_equal(found, whole)


def headless(name, bias):
    """Weights whose logits are `bias`, whatever was heard."""
    stack = cases.weights(cases.CASES[name], seed=1)
    bias = np.resize(np.asarray(bias, np.float32), stack.n_codes)
    return dataclasses.replace(stack, head2=np.zeros_like(stack.head2), head2_bias=bias)


# 64 and 256 codes; and 100, which are not whole vectors.
ODD = dataclasses.replace(cases.CASES["tiny_odd"], name="100_codes", n_codes=100)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("level", [0.0, 200.0, -200.0])
@pytest.mark.parametrize("name", ["tiny_odd", "tiny_cycles", "100_codes"])
def test_a_uniform_distribution_has_the_entropy_of_its_codes(way, level, name, monkeypatch):
    monkeypatch.setitem(cases.CASES, ODD.name, ODD)
    stack = headless(name, level)
    cond = cases.conditioning(cases.CASES[name], B, F)
    _, _, measured = call(api.generate_measured, stack, cond, **way)
    nats = np.log(stack.n_codes)
    # All logits are equal, so nothing is lost in them: rounding of W, of ln W and of the result.
    np.testing.assert_allclose(
        measured, np.stack([-nats, nats]) * np.ones((B, F * P, 1)), atol=2e-6
    )


@pytest.mark.parametrize("way", WAYS)
def test_a_certain_distribution_has_none_and_what_cannot_be_stays_finite(way):
    bias = np.full(64, -200.0)
    bias[20] = 200.0
    stack, cond = headless("tiny_odd", bias), cases.conditioning(cases.CASES["tiny_odd"], B, F)
    forced = np.full((B, F * P), -1)
    forced[:, ::2] = 7
    _, codes, measured = call(api.generate_measured, stack, cond, forced=forced, **way)
    np.testing.assert_array_equal(codes[:, 1::2], 20)
    # W is 1 to a rounding of its largest weight.
    np.testing.assert_allclose(measured[:, 1::2, 0], 0, atol=2 * EPS)
    np.testing.assert_allclose(measured[..., 1], 0, atol=2 * EPS)
    # e^-400 is no float32, but its logarithm is one.
    np.testing.assert_allclose(measured[:, ::2, 0], -400, rtol=EPS)


@pytest.mark.parametrize("way", WAYS)
def test_logits_as_large_as_two_hundred_give_no_nan(way):
    spread = np.random.default_rng(0).uniform(-200, 200, 64)
    spread[[3, 9]] = 200  # two equals at the top: one bit each, and ln 2 of entropy
    stack, cond = headless("tiny_odd", spread), cases.conditioning(cases.CASES["tiny_odd"], B, F)
    codes = np.resize(np.arange(64), (B, F * P))
    _, _, measured = call(api.generate_measured, stack, cond, forced=codes, **way)
    bias = stack.head2_bias.astype(np.float64)
    log_p = bias - 200 - np.log(np.exp(bias - 200).sum())
    entropy = -(np.exp(log_p) * log_p).sum()
    # Two roundings of numbers up to 400.
    np.testing.assert_allclose(measured[..., 0], log_p[codes], atol=400 * EPS)
    np.testing.assert_allclose(measured[..., 1], entropy, atol=2e-6)
