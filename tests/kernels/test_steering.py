"""What holds a predictor to the sound asked for: its pitch, its level, its noise."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from wavegen_kernels import cases, predictor, steering, weights
from wavegen_kernels.generate import api
from wavegen_kernels.steering import Aim

W, A, N = 2048, 512, 128
PERIODS = np.array([9.1, 18.18, 36.4, 61.2])  # at 8 kHz: MIDI pitch 82, 69, 57 and 48


def tones(periods, cents=0.0, size=W):
    """Six harmonics each, as far as there are, a little off."""
    turns = np.arange(size) * 2 ** (cents / 1200) / np.asarray(periods)[:, None]
    k = np.arange(1, 7)[:, None, None]
    heard = k / np.asarray(periods)[:, None] < 0.45
    return 0.2 * (np.sin(2 * np.pi * k * turns) / k * heard).sum(axis=0)


def ringing(coefficients, period):
    """Where a prediction filter rings loudest near a period, in cents from it."""
    spectrum = 1 / np.abs(np.fft.rfft(np.concatenate([[1], -coefficients]), 2**16))
    low, high = (int(2**16 / period * 2 ** (c / 1200)) for c in (-600, 600))
    return 1200 * np.log2((low + np.argmax(spectrum[low:high])) * period / 2**16)


def test_an_anchor_of_zeros_and_levels_that_are_right_change_nothing():
    heard = tones(PERIODS) + 1e-3 * np.random.default_rng(0).normal(size=(4, W))
    aim = Aim(np.zeros((4, A)), steering.level(heard, np), np.zeros(4))
    fitted = predictor.fit(heard, N, 1.0, np)
    # Sums of as many numbers and some zeros, in another order.
    np.testing.assert_allclose(predictor.coefficients(heard, aim, N, 1.0, np), fitted, atol=1e-9)


def test_nothing_is_foretold_from_one_sound_in_the_other():
    """Two halves of a sound, one of them turned over, are fitted to as the sound itself is."""
    first, rest = np.split(tones([18.18], size=1200), [400], axis=1)
    ones = np.ones(800)
    fitted = [
        predictor.fit(rest, 8, 1.0, np, weights=ones, anchors=sign * first) for sign in (1, -1)
    ]
    np.testing.assert_allclose(*fitted, atol=1e-12)
    joined = predictor.fit(np.concatenate([-first, rest], 1), 8, 1.0, np, weights=np.ones(1200))
    assert np.abs(joined - fitted[0]).max() > 1e-3  # else there would be nothing to keep apart


@pytest.mark.parametrize("period", PERIODS)
def test_what_is_fitted_to_two_milliseconds_of_a_note_rings_at_its_pitch(period):
    heard = np.zeros((1, W))
    heard[:, W - 16 :] = tones([period], size=16)
    level = steering.level(heard, np)
    anchor = tones([period], size=A)
    anchor *= np.sqrt(1500 / (anchor**2).sum())
    found = predictor.coefficients(heard, Aim(anchor, level, np.zeros(1)), N, 1.0, np)[0]
    assert abs(ringing(found, period)) < 25


def test_an_anchor_is_as_loud_as_expected_or_as_what_is_heard():
    heard = tones(PERIODS)
    level, anchors = steering.level(heard, np), tones(PERIODS, size=A)
    for asked, loud in ((level + 2, level + 2), (level - 2, level)):
        found = steering.anchored(anchors, heard, asked, np)
        np.testing.assert_allclose(found, anchors * np.exp(loud / 2)[:, None])


@pytest.mark.parametrize("decibels", [-60, -10, -2, 2, 10, 60])
def test_a_sound_grows_or_fades_to_the_level_expected(decibels):
    heard = tones([18.18])
    level, sign, decibel = steering.level(heard, np), np.sign(decibels), np.log(10) / 10
    growth = steering.growth(heard, level + decibels * decibel, np)
    within = steering.growth(heard, level + sign * 2.9 * decibel, np)
    np.testing.assert_array_equal(within, 0)
    # Within the samples that a level is of, what is off by 15 dB or less is made good.
    over = growth * 2 * steering.level_samples(W) / decibel
    np.testing.assert_allclose(over, sign * min(max(abs(decibels) - 3, 0), 12), rtol=1e-6)


def test_what_is_foretold_of_a_growing_sound_grows_with_it():
    steady, g = tones([18.18]), 0.001
    growing = steady * np.exp(g * np.arange(W))
    fitted = predictor.fit(steady, N, 1.0, np)
    told = (fitted[0] * steady[0, ::-1][:N]).sum()
    grown = steering.grown(fitted, np.array([g]), np)
    assert (grown[0] * growing[0, ::-1][:N]).sum() == pytest.approx(told * np.exp(g * W))


def test_error_levels_stay_near_the_one_expected():
    errors = np.geomspace(1e-5, 1, 50)
    found = steering.bounded(errors, np.log(0.01), np)
    assert found.min() == pytest.approx(0.005)
    assert found.max() == pytest.approx(0.02)
    near = (errors > 0.005) & (errors < 0.02)
    np.testing.assert_array_equal(found[near], errors[near])


def test_numpy_and_jax_fit_alike():
    heard = tones(PERIODS, 55) + 0.01 * np.random.default_rng(1).normal(size=(4, W))
    aim = Aim(tones(PERIODS, size=A), np.full(4, -2.0), np.full(4, -4.0))
    exact = predictor.coefficients(heard, aim, 16, 1.0, np)
    single = Aim(*(jnp.asarray(each, jnp.float32) for each in aim))
    found = predictor.coefficients(jnp.asarray(heard, jnp.float32), single, 16, 1.0, jnp)
    # Float32 sums of thousands of numbers, which sixteen stages hand on.
    np.testing.assert_allclose(found, exact, atol=2e-3)


DEAF = dataclasses.replace(cases.CASES["tiny_steered"], n_codes=256, order=N, window=W, refit=64)
HOP, FRAMES = 64, 256  # two seconds at 8 kHz


def alone(is_steered, periods, level, given):
    """What the predictor makes by itself after `given` [B, T]: samples [B, FRAMES * HOP].

    The network adds nothing to what is foretold.
    """
    case = dataclasses.replace(DEAF, steered=is_steered)
    stack, B = cases.weights(case), len(periods)
    assert stack.predictor is not None
    linear = dataclasses.replace(
        stack.predictor,
        damping=1.0,
        shape=np.zeros_like(stack.predictor.shape),
        shape_bias=np.array([0, np.log(predictor.INITIAL_WIDTH)], np.float32),
    )
    silent = {name: np.zeros_like(getattr(stack, name)) for name in ("head2", "head2_bias")}
    stack = dataclasses.replace(stack, predictor=linear, **silent)
    amplitudes = weights.amplitudes(256)
    forced = np.full((B, FRAMES * HOP), -1)
    forced[:, : given.shape[1]] = np.abs(given[..., None] - amplitudes).argmin(axis=-1)
    anchors = tones(periods, size=A)
    anchors *= np.sqrt(1500 / (anchors**2).sum(axis=1))[:, None]
    each = (anchors[:, None], level[:, None], np.full((B, 1), np.log(3e-3)))
    aim = Aim(*(np.repeat(x.astype(np.float32), FRAMES, axis=1) for x in each))
    cond = np.zeros((B, FRAMES, *stack.gate_bias.shape), np.float32)
    _, codes = api.generate(
        stack, weights.initial_state(stack, B), cond, hop_length=HOP, seed=0,
        streams=np.arange(B), forced=forced, aim=aim if is_steered else None, backend="numba_cpu",
    )  # fmt: skip
    return amplitudes[np.asarray(codes)]


def distances(made, periods, level):
    """How far the last samples are off: cents of the strongest sound around, decibels."""
    last = made[:, -W:]
    spectrum = np.abs(np.fft.rfft(last * np.hanning(W), 2**17))
    places = 2**17 / periods
    found = [row[: int(4.5 * at)].argmax() for row, at in zip(spectrum, places, strict=True)]
    harmonic = np.maximum(np.rint(found / places), 1)
    cents = 1200 * np.log2(np.maximum(found, 1) / places / harmonic)
    return np.abs(cents), np.abs(steering.level(last, np) - level) * 10 / np.log(10)


def test_from_nothing_a_steered_predictor_makes_the_tone_asked_for():
    level = steering.level(tones(PERIODS), np)
    nothing = np.zeros((4, 0))
    cents, decibels = distances(alone(True, PERIODS, level, nothing), PERIODS, level)
    assert np.median(cents) < 10
    # 3 dB are left alone, and a level that is measured in 16 ms moves about.
    assert decibels.max() < 7
    _, decibels = distances(alone(False, PERIODS, level, nothing), PERIODS, level)
    assert decibels.min() > 7  # else there would be nothing to steer


def test_what_is_too_loud_fades_to_the_level_asked_for():
    begun = tones(PERIODS, size=64 * HOP)
    level = steering.level(tones(PERIODS), np) - np.log(10)  # 10 dB softer than it begins
    for is_steered in (False, True):
        _, decibels = distances(alone(is_steered, PERIODS, level, begun), PERIODS, level)
        assert (decibels.max() < 7) == is_steered
