import numpy as np
import pytest

from wavegen.audio import features
from wavegen.data import synthesis

TIMBRES = list(synthesis.TIMBRES)


def rms_db(samples):
    return 10 * np.log10(np.mean(np.square(samples, dtype=np.float64)))


def centroid(samples):
    power = np.abs(np.fft.rfft(samples)) ** 2
    return np.sum(np.arange(len(power)) * power) / power.sum()


@pytest.mark.parametrize("sample_rate", [8_000, 16_000])
@pytest.mark.parametrize("timbre", TIMBRES)
def test_every_timbre_is_in_tune(timbre, sample_rate):
    for pitch in (36, 43, 52, 60, 69, 77, 84):
        samples = synthesis.note(timbre, pitch, 25 if pitch % 2 else 127, 0.6, 0.1, sample_rate)
        hz = features.fundamental(samples, sample_rate, 50, 1300)
        assert abs(features.cents(hz, pitch)) < 20, pitch


@pytest.mark.parametrize("timbre", TIMBRES)
def test_a_harder_touch_is_louder_and_brighter(timbre):
    soft, medium, hard = (synthesis.note(timbre, 50, v, 1.0, 0.2, 16_000) for v in (25, 75, 127))
    assert rms_db(soft) < rms_db(medium) < rms_db(hard)
    assert centroid(soft) < centroid(medium) < centroid(hard)
    assert np.abs(hard).max() <= 0.9 + 1e-6


@pytest.mark.parametrize("timbre", TIMBRES)
def test_a_held_note_still_sounds_after_a_second_and_ends_after_its_release(timbre):
    samples = synthesis.note(timbre, 60, 100, 1.2, 0.25, 16_000)
    assert rms_db(samples[16_000:17_600]) > rms_db(samples[1600:3200]) - 30
    assert np.abs(samples[-16:]).max() < 1e-3
    assert len(samples) == 23_200


@pytest.mark.parametrize("timbre", TIMBRES)
def test_nothing_lies_above_what_the_rate_can_carry(timbre):
    samples = synthesis.note(timbre, 84, 127, 1.0, 0.2, 8000) * np.hanning(9600)
    power = np.abs(np.fft.rfft(samples)) ** 2
    limit = int(len(power) * synthesis.HIGHEST * 2) + 20
    assert power[limit:].sum() < 1e-4 * power.sum()


@pytest.mark.parametrize("timbre", TIMBRES)
def test_the_same_arguments_give_the_same_samples_and_another_seed_others(timbre):
    first, again, other = (
        synthesis.note(timbre, 60, 80, 0.2, 0.1, 8000, seed) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
