import math

import numpy as np
import pytest

from wavegen.audio import features


def sine(hz, sample_rate, seconds=1.0):
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(int(seconds * sample_rate)) / sample_rate)


@pytest.mark.parametrize("sample_rate", [8_000, 16_000, 44_100])
@pytest.mark.parametrize("pitch", [33, 60, 84])
def test_a_sine_measures_within_five_cents(pitch, sample_rate):
    samples = sine(features.midi_hz(pitch), sample_rate)
    hz = features.fundamental(samples, sample_rate, 40, 1300)
    assert abs(features.cents(hz, pitch)) < 5


def test_the_loud_part_counts_and_not_the_tail():
    samples = np.concatenate([sine(220, 16_000), 0.01 * sine(330, 16_000, 3.0)])
    assert features.fundamental(samples, 16_000, 50, 1000) == pytest.approx(220, rel=0.01)


@pytest.mark.parametrize("samples", [np.zeros(0), np.zeros(8000), np.full(100, np.nan)])
def test_silence_has_no_fundamental(samples):
    assert math.isnan(features.fundamental(samples, 16_000, 50, 1000))


def test_concert_pitch_is_440_hz_and_a_semitone_100_cents():
    assert features.midi_hz(69) == 440
    assert features.cents(features.midi_hz(70), 69) == pytest.approx(100)
