"""The tone that a steered predictor hears besides the past."""

import jax.numpy as jnp
import numpy as np
import pytest

from wavegen.model import anchor

PERIODS = jnp.array([7.3, 18.18, 61.2, 122.3])  # at 8 kHz: MIDI pitch 86, 69, 48 and 36
COUNT = 4096
RNG = np.random.default_rng(0)
STRENGTHS = jnp.asarray(RNG.uniform(-9, 0, (4, anchor.BANDS)), jnp.float32)


NONE = -20.0  # a noise of e^-20 of the level, and so no noise


def sounds(periods=PERIODS, count=COUNT, noise=NONE):
    noises = jnp.full(periods.shape, noise)
    return np.asarray(anchor.sounds(periods, STRENGTHS[: len(periods)], noises, count))


def test_an_anchor_sounds_at_the_harmonics_of_its_period_and_nowhere_else():
    spectra = np.abs(np.fft.rfft(sounds() * np.blackman(COUNT))) ** 2
    for row, period in zip(spectra, np.asarray(PERIODS), strict=True):
        bins = np.arange(row.size) * period / COUNT  # in harmonics
        is_near = np.abs(bins - np.rint(bins)) < 4 * period / COUNT  # the window's lobe, and a bin
        is_near &= bins > 0.5
        # Read along straight lines, the highest harmonics have images 50 dB below them.
        assert row[~is_near].sum() < 1e-4 * row.sum()


@pytest.mark.parametrize("count", [512, 4096])
def test_an_anchor_has_the_energy_of_so_many_samples_at_full_scale(count):
    found = (sounds(count=count) ** 2).sum(axis=1)
    # It ends within a period, of which the longest is a quarter of it.
    np.testing.assert_allclose(found, anchor.COUNTS, rtol=0.3)


def test_strengths_are_found_again_in_an_anchor_further_apart():
    found = np.asarray(anchor.strengths(jnp.asarray(sounds()), PERIODS))
    is_heard = np.asarray(anchor.heard(PERIODS))
    for row, asked, there in zip(found, np.asarray(STRENGTHS), is_heard, strict=True):
        asked = anchor.CONTRAST * asked
        shares = asked - np.log((np.exp(asked) * anchor.WIDTHS * there).sum())
        # Halfway between two harmonics the window leaves what is 1e-4 of the stronger one.
        np.testing.assert_allclose(row[there], shares[there], atol=0.15)


@pytest.mark.parametrize("noise", [-1.0, -0.5, 0.0, 3.0])
def test_an_anchor_is_the_noisier_the_more_noise_is_expected_and_at_every_frequency(noise):
    added = sounds(noise=noise) - sounds()
    found = (added**2).sum(axis=1) / anchor.COUNTS
    expected = np.exp(2 * anchor.NOISE_POWER * min(noise, 0))  # never louder than the tone
    # The rising tone ends and begins with a whole number of samples, not of periods.
    np.testing.assert_allclose(found, expected, rtol=0.02)
    spectrum = np.abs(np.fft.rfft(added, axis=1)) ** 2
    parts = spectrum[:, 1:].reshape(len(added), 16, -1).mean(axis=-1)
    np.testing.assert_allclose(parts, parts.mean(axis=1, keepdims=True).repeat(16, 1), rtol=0.1)


def test_no_note_no_anchor_and_no_harmonic_beyond_half_the_rate():
    periods = jnp.array([0.0, 2.1, 4.2])
    made = sounds(periods, noise=0.0)
    np.testing.assert_array_equal(made[0], 0)
    assert np.asarray(anchor.heard(periods)).sum(axis=1).tolist() == [0, 1, 2]
    assert np.isfinite(made).all()


def test_silence_has_the_faintest_strengths():
    found = anchor.strengths(jnp.zeros((4, 1024)), PERIODS)
    np.testing.assert_allclose(found, np.log(anchor.FAINTEST), rtol=1e-6)
