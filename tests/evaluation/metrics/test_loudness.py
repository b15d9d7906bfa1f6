"""Loudness beside loudness: decibels of a gain, none for silence, and pyloudnorm's units."""

import math

import numpy as np
import pyloudnorm
import pytest

from wavegen.evaluation.metrics import loudness, waveforms
from wavegen.evaluation.metrics.measures import NotApplicable

RATE = 8000
FRAME = 200  # samples in 25 ms
ROUNDING = 1e-6  # dB; a short last frame is summed in float32


@pytest.fixture(scope="module")
def noise():
    """Two sounds, three seconds and a bit more, so that the last frame is short."""
    return np.random.default_rng(0).uniform(-0.1, 0.1, (2, 3 * RATE + 50)).astype(np.float32)


def test_a_gain_is_its_decibels(noise):
    doubled = 2 * noise[0]  # exact
    found = loudness.loudness_distance_db(noise[0], doubled, RATE)
    assert found == pytest.approx(20 * math.log10(2), abs=ROUNDING)
    found = loudness.loudness_difference_lu(noise[0], doubled, RATE)
    # No block comes near a gate.
    assert found == pytest.approx(20 * math.log10(2), abs=1e-9)
    back = loudness.loudness_difference_lu(doubled, noise[0], RATE)
    assert back == pytest.approx(-20 * math.log10(2), abs=1e-9)


def test_each_frame_counts_alike():
    reference = np.repeat([0.1, 0.1, 0.01, 0.01], FRAME)
    estimate = np.repeat([0.01, 0.1, 0.01, 0.0316], FRAME)
    # Two frames are right; the first is 20 dB off, the last 20 log10(3.16).
    expected = (20 + 20 * math.log10(3.16)) / 4
    found = loudness.loudness_distance_db(reference, estimate, RATE)
    assert found == pytest.approx(expected, abs=1e-9)  # rounding of a logarithm


def test_the_sign_of_a_wave_and_its_place_in_a_frame_do_not_count(noise):
    assert loudness.loudness_distance_db(noise[0], -noise[0], RATE) == 0
    turned = np.concatenate(
        [frame[::-1] for frame in np.split(noise[0], range(FRAME, 24_050, FRAME))]
    )
    # The same squares in another order.
    assert loudness.loudness_distance_db(noise[0], turned, RATE) == pytest.approx(0, abs=ROUNDING)


def test_silence_is_none_from_itself_and_at_most_sixty_decibels_from_sound(noise):
    silence, hiss = np.zeros_like(noise[0]), noise[1] / 1000  # below -60 dBFS
    loud = np.tile([1.0, -1.0], len(silence) // 2)
    assert loudness.loudness_distance_db(silence, silence, RATE) == 0
    assert loudness.loudness_distance_db(silence, hiss, RATE) == 0
    assert loudness.loudness_distance_db(loud, silence, RATE) == 60
    assert loudness.loudness_distance_db(silence, loud, RATE) == 60


def test_pieces_do_not_matter(noise, monkeypatch):
    whole = loudness.loudness_distance_db(*noise, sample_rate=RATE)
    assert whole != 0
    monkeypatch.setattr(loudness, "_TOGETHER", 7)
    found = loudness.loudness_distance_db(*noise, sample_rate=RATE)
    assert found == pytest.approx(whole, rel=1e-12)  # sums of float64 in another order


@pytest.mark.parametrize("rate", [8000, 16_000, 44_100])
def test_the_difference_is_pyloudnorms(noise, rate, monkeypatch):
    monkeypatch.setattr(waveforms, "PIECE_SAMPLES", 1000)
    swell = (noise[1] * np.linspace(0, 3, len(noise[1]))).astype(np.float32)
    quiet, loud = (
        pyloudnorm.Meter(rate).integrated_loudness(samples.astype(np.float64))
        for samples in (noise[0], swell)
    )
    found = loudness.loudness_difference_lu(noise[0], swell, rate)
    # Sums of 1e5 squares in another order: 1e5 * 2^-53 of a power, 5e-11 dB.
    assert found == pytest.approx(loud - quiet, abs=1e-9)
    assert abs(loud - quiet) > 1


@pytest.mark.parametrize("count", [0, 1, 100, 3000])
def test_short_sounds_have_a_number_or_a_reason(noise, count):
    reference, estimate = noise[:, :count]
    distance = loudness.loudness_distance_db(reference, estimate, RATE)
    difference = loudness.loudness_difference_lu(reference, estimate, RATE)
    assert isinstance(distance, NotApplicable) == (count == 0)
    assert isinstance(difference, NotApplicable) == (count == 0)


def test_what_is_below_the_gate_has_no_loudness_to_compare(noise):
    silence = np.zeros_like(noise[0])
    for name, pair in {"reference": (silence, noise[0]), "estimate": (noise[0], silence)}.items():
        found = loudness.loudness_difference_lu(*pair, sample_rate=RATE)
        assert found == NotApplicable(f"the {name} is silent: all of it is below -70 LUFS")


def test_a_rate_without_loudness_is_told(noise):
    found = loudness.loudness_difference_lu(*noise, sample_rate=7999)
    assert found == NotApplicable("no loudness is defined below 8000 Hz")
    assert isinstance(loudness.loudness_distance_db(*noise, sample_rate=7999), float)


@pytest.mark.parametrize(
    "measure", [loudness.loudness_distance_db, loudness.loudness_difference_lu]
)
def test_what_cannot_be_compared_is_refused(noise, measure):
    with pytest.raises(ValueError, match="one length"):
        measure(noise[0], noise[0, 1:], RATE)
