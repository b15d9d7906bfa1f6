"""Features of sounds: levels in dB, librosa's cepstra, and one vector a sound, whatever it is."""

import librosa
import numpy as np
import pytest

from wavegen.evaluation.metrics import features

RATE = 8000


def tone(hertz, seconds, level=0.5):
    return level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(0).normal(0, 0.1, RATE)


def vector(samples):
    return features.summary(features.mfcc(features.log_mel(samples, RATE)))


def test_a_tone_is_loudest_in_its_band_and_falls_as_it_is_made_quieter():
    loud, quiet = (features.log_mel(tone(1000, 0.5, level), RATE)[10] for level in (0.5, 0.05))
    centres = librosa.mel_frequencies(66, fmax=RATE / 2)[1:-1]
    assert abs(centres[loud.argmax()] - 1000) < 30  # half the distance of two bands there
    # 20 dB; the window's leakage and the filter are the same in both, but for float32.
    assert loud.max() - quiet.max() == pytest.approx(20, abs=1e-3)
    assert loud.min() == features.LOWEST_DB


def test_cepstra_are_those_of_librosa(noise):
    levels = features.log_mel(noise, RATE)
    theirs = librosa.feature.mfcc(S=levels.T, n_mfcc=features.NUM_COEFFICIENTS).T
    # The same transform of the same numbers, some hundreds of dB in float32.
    np.testing.assert_allclose(features.mfcc(levels), theirs, atol=1e-3)


def test_a_long_sound_is_measured_in_parts_as_in_one(noise, monkeypatch):
    whole = features.log_mel(noise, RATE)
    monkeypatch.setattr(features, "_FRAMES_AT_A_TIME", 7)
    assert len(whole) == 63  # 8000 samples in hops of 128
    # The same numbers, added in another order in float32, of up to 80 dB.
    np.testing.assert_allclose(features.log_mel(noise, RATE), whole, atol=1e-4)


@pytest.mark.parametrize("num_samples", [0, 1, 100, 4001])
@pytest.mark.parametrize("level", [0.0, 0.1, 1.0])
def test_every_sound_has_a_finite_vector_of_one_size(num_samples, level):
    found = vector(np.full(num_samples, level))
    assert found.shape == (features.NUM_FEATURES,)
    assert np.isfinite(found).all()


def test_a_sound_played_backwards_differs_in_its_course_alone():
    dying = tone(500, 1.024) * np.linspace(1, 0, 8192) ** 2  # whole frames
    here, back = vector(dying), vector(dying[::-1])
    course = features.NUM_SPANS
    assert here[-course] > 0 > here[-1]
    # Frames lie half a hop further back in the one than in the other: a dB or two as it dies.
    np.testing.assert_allclose(here[-course:], back[-course:][::-1], atol=16)
    assert np.abs(here - back)[-course:].max() > 10 * np.abs(here - back)[:20].max()


def test_a_vector_hardly_depends_on_how_long_a_steady_sound_lasts(noise):
    half, whole = vector(noise[:4096]), vector(np.tile(noise[:4096], 3))
    # Two frames of 32 reach into the silence around it, and two of 96; a spread of dB is left.
    np.testing.assert_allclose(half[:20], whole[:20], atol=6)
