import math

import numpy as np
import pyloudnorm
import pytest

from wavegen.audio import cleaning, loudness
from wavegen.errors import WavegenError

RATES = [8000, 11_025, 16_000, 44_100]  # at 11025 Hz a step of 0.1 s is no whole one


def music(seconds, rate, channels=1):
    """Noise whose level goes up and down, so that both gates have something to do."""
    count = round(seconds * rate)
    time = np.arange(count) / rate
    noise = np.random.default_rng(0).standard_normal((count, channels))
    return (0.1 * noise * 10 ** (-2 * np.sin(time) ** 2)[:, None]).astype(np.float32)


def lufs(samples, rate, size=4096):
    meter = loudness.Meter(rate, samples.shape[1])
    for start in range(0, len(samples), size):
        meter.push(samples[start : start + size])
    assert meter.num_samples == len(samples)
    return meter.lufs


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("seconds", [0.4, 0.449, 0.451, 1.0, 3.33, 7.06])
def test_it_is_pyloudnorms_loudness_of_the_whole(rate, channels, seconds):
    samples = music(seconds, rate, channels)
    whole = pyloudnorm.Meter(rate).integrated_loudness(samples.astype(np.float64))
    # Sums of 1e5 squares in another order: 1e5 * 2^-53 of a power, 5e-11 dB.
    assert lufs(samples, rate) == pytest.approx(whole, abs=1e-9)


@pytest.mark.parametrize("size", [1, 79, 1600, 100_000])
def test_it_does_not_depend_on_the_cuts(size):
    samples = music(1.7, 8000, 2)
    assert lufs(samples, 8000, size) == pytest.approx(lufs(samples, 8000), abs=1e-9)  # as above


def test_a_full_scale_sine_is_as_loud_as_the_standard_says():
    time = np.arange(5 * 48_000) / 48_000
    sine = np.sin(2 * np.pi * 997 * time)[:, None].astype(np.float32)
    # BS.1770-4: -3.01 LUFS; pyloudnorm's filters stand 0.03 dB beside the standard's there.
    assert lufs(sine, 48_000) == pytest.approx(-3.01, abs=0.05)


def test_twice_the_amplitude_is_six_decibels_more():
    samples = music(2, 16_000)
    # No block comes near the absolute gate, and a factor of two is exact.
    assert lufs(2 * samples, 16_000) - lufs(samples, 16_000) == pytest.approx(
        20 * math.log10(2), abs=1e-9
    )


def test_silence_between_the_sounds_does_not_count():
    samples = music(2, 8000)
    gap = np.zeros((8000 * 3, 1), np.float32)
    parted = np.concatenate([samples, gap, samples])
    # The blocks over the edges of the gap count with less than they hold.
    assert lufs(parted, 8000) == pytest.approx(lufs(np.tile(samples, (2, 1)), 8000), abs=0.5)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("count", [1, 7, 3199])
def test_what_is_shorter_than_a_block_is_heard_in_a_loop(channels, count):
    samples = music(0.4, 8000, channels)[:count]
    looped = np.tile(samples, (math.ceil(3200 / count), 1))[:3200]
    assert lufs(samples, 8000, 100) == pytest.approx(lufs(looped, 8000), abs=1e-9)  # as above
    if channels == 1:
        assert lufs(samples, 8000) == cleaning.loudness(samples[:, 0], 8000)


@pytest.mark.parametrize(("shape", "level"), [((0, 2), 0), ((9000, 2), 0), ((9000, 1), 1e-6)])
def test_what_is_below_the_gate_has_no_loudness(shape, level):
    assert lufs(np.full(shape, level, np.float32), 8000) == -math.inf


def test_a_rate_without_loudness_is_refused_in_words():
    with pytest.raises(WavegenError, match="8000 Hz or more"):
        loudness.Meter(7999, 1)


def test_what_goes_through_a_measure_stays_and_is_measured():
    samples = music(1, 8000, 2)
    measure = loudness.Measure(8000, 2)
    np.testing.assert_array_equal(np.concatenate(list(measure.through([samples]))), samples)
    peak = 20 * math.log10(np.abs(samples).max())
    wanted = {"seconds": 1.0, "peak_dbfs": peak, "lufs": lufs(samples, 8000)}
    assert measure.facts() == pytest.approx(wanted, abs=1e-9)
    assert loudness.Measure(4000, 1).facts() == {
        "seconds": 0, "peak_dbfs": -math.inf, "lufs": None,
    }  # fmt: skip
