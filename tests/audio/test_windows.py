"""A window of sound is described as it is heard: its level, its spectrum, whether it goes round."""

import math

import numpy as np
import pytest

from wavegen.audio import windows

RATES = (8000, 16_000, 44_100)


def noise(rate, seconds=1.0, level=0.1, seed=0):
    drawn = np.random.default_rng(seed).normal(0, level, round(seconds * rate))
    return np.clip(drawn, -1, 1).astype(np.float32)


def partials(rate, pairs, seconds=1.0, decay=0.0):
    """A sum of sines: (Hz, amplitude) each, with phases of their own."""
    time = np.arange(round(seconds * rate)) / rate
    waves = [a * np.sin(2 * np.pi * hz * time + i * i) for i, (hz, a) in enumerate(pairs)]
    return (0.1 * np.exp(-decay * time) * np.sum(waves, axis=0)).astype(np.float32)


def rich(rate, hz, decay=0.0, stretch=0.0, loudest=1):
    """A tone whose partials reach 3 kHz; those of a stiff string lie ever further apart."""
    count = int(3000 / hz)
    return partials(
        rate,
        [
            (k * hz * math.sqrt(1 + stretch * k * k), 1 / max(1, k / loudest))
            for k in range(1, count)
        ],
        decay=decay,
    )


@pytest.mark.parametrize("rate", RATES)
def test_a_sine_is_as_loud_as_it_is_and_has_no_flat_spectrum(rate):
    found = windows.describe(partials(rate, [(440, 10)]), rate)
    assert found.rms_dbfs == pytest.approx(10 * math.log10(0.5), abs=1e-3)  # of whole periods
    assert found.flatness < 0.001
    assert found.clipped < 0.1  # the crest of a sine is this near for 3 % of its time
    assert (found.lowest, found.highest) == pytest.approx((-1, 1), abs=0.01)  # between samples


def test_an_offset_is_no_sound():
    sound = partials(8000, [(440, 1)])
    moved, plain = windows.describe(sound + np.float32(0.3), 8000), windows.describe(sound, 8000)
    assert moved.rms_dbfs == pytest.approx(plain.rms_dbfs, abs=1e-3)  # float32 at 0.3
    # Of its spectrum, what rounding to float32 at 0.3 adds, 150 dB down, has a floor of its own.
    assert moved.flatness == pytest.approx(plain.flatness, abs=1e-6)
    assert moved.highest - plain.highest == pytest.approx(0.3, abs=1e-6)
    constant = windows.describe(np.full(8000, 0.3, np.float32), 8000)
    assert constant.is_silent
    assert (constant.rms_dbfs, constant.flatness, constant.loop_seconds) == (-200, 0, 0)


@pytest.mark.parametrize(("level", "silent"), [(0.0, True), (0.0009, True), (0.0011, False)])
def test_what_lies_below_minus_60_dbfs_is_silence(level, silent):
    assert windows.describe(noise(8000, level=level), 8000).is_silent == silent


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("level", [0.01, 0.1, 0.5])
def test_white_noise_has_a_flat_spectrum_at_any_level(rate, level):
    for seed in range(5):
        # Of the half of a window, from 30 to 60 spectra are averaged: 1/30 of variance costs
        # 1/60 of the geometric mean. Half again for two halves, and for clipping at 0.5.
        assert windows.describe(noise(rate, level=level, seed=seed), rate).flatness > 0.95


@pytest.mark.parametrize("place", [0.0, 0.3, 0.5, 0.9, 0.9999])
def test_a_click_in_silence_is_no_noise(place):
    sound = np.zeros(8000, np.float32)
    sound[int(place * 8000)] = 0.5
    sound[int(place * 8000) + 1 :] = 0.0001  # a floor far below what is heard
    assert windows.describe(sound, 8000).flatness < 0.01


def test_noise_has_to_go_on_through_the_window():
    sound = noise(8000)
    sound[4000:] = partials(8000, [(440, 1)], 0.5)
    assert windows.describe(sound, 8000).flatness < 0.01


@pytest.mark.parametrize("rate", RATES)
def test_a_piece_that_comes_again_and_again_is_a_loop_of_its_length(rate):
    drawing = np.random.default_rng(0)
    tune = np.concatenate([rich(rate, hz, decay=6) for hz in (220, 294, 349)])
    for number in range(30):
        length = int(drawing.uniform(0.05, 0.3) * rate)
        source = (noise(rate, 3), tune)[number % 2]
        # Of the tune, a piece across two of its notes: one of a single note is a tone.
        start = rate - length // 2
        found = windows.describe(np.resize(source[start : start + length], rate), rate)
        # The first lag that is as good as the best may be a hair before it.
        assert found.loop_seconds == pytest.approx(length / rate, abs=0.0005)


def test_a_loop_may_differ_a_little_each_time_but_not_much():
    piece = noise(8000, 0.1)
    loop = np.resize(piece, 8000)
    assert windows.describe(loop + noise(8000, level=0.01, seed=1), 8000).loop_seconds > 0
    assert windows.describe(loop + noise(8000, level=0.05, seed=1), 8000).loop_seconds == 0


@pytest.mark.parametrize("rate", RATES)
def test_low_notes_are_tones_however_bright(rate):
    for hz in np.linspace(25.5, 60, 24):
        for stretch, loudest in ((0, 1), (1e-4, 1), (0, 100)):
            sound = rich(rate, hz, decay=1, stretch=stretch, loudest=loudest)
            assert windows.describe(sound, rate).loop_seconds == 0, (hz, stretch, loudest)


@pytest.mark.parametrize("rate", RATES)
def test_a_tone_in_noise_is_no_loop(rate):
    for seed, hz in enumerate(np.geomspace(60, 1000, 12)):
        tone = rich(rate, hz)
        # A correlation of 0.975 after every period, short or long.
        sound = tone + noise(rate, level=tone.std() * math.sqrt(1 / 0.975 - 1), seed=seed)
        assert windows.describe(sound, rate).loop_seconds == 0, hz


@pytest.mark.parametrize("rate", RATES)
def test_tones_vibrato_and_noise_are_no_loops(rate):
    for hz in np.geomspace(60, 3000, 24):
        octaves = [(k * hz, 1 / k) for k in (1, 2, 3, 4, 8) if k * hz < 3500]
        for decay in (0, 1, 10):
            assert windows.describe(partials(rate, octaves, decay=decay), rate).loop_seconds == 0
    time = np.arange(rate) / rate
    cents_30 = 440 * (2 ** (30 / 1200) - 1) / 6  # each way, six times a second
    vibrato = np.sin(2 * np.pi * 440 * time + cents_30 * np.sin(2 * np.pi * 6 * time))
    assert windows.describe(0.1 * vibrato, rate).loop_seconds == 0
    assert windows.describe(noise(rate), rate).loop_seconds == 0


def test_loudness_changes_neither_spectrum_nor_loop():
    for sound in (noise(8000), np.resize(noise(8000, 0.1), 8000), rich(8000, 220, decay=3)):
        loud, soft = windows.describe(sound, 8000), windows.describe(0.1 * sound, 8000)
        assert soft.rms_dbfs == pytest.approx(loud.rms_dbfs - 20, abs=1e-4)  # float32 of 0.1
        # What is rounded in float32 lies 150 dB down, below every spectrum here.
        assert soft.flatness == pytest.approx(loud.flatness, abs=1e-6)
        assert soft.loop_seconds == loud.loop_seconds


def test_samples_at_full_scale_are_counted():
    sound = partials(8000, [(440, 1)])
    assert windows.describe(sound, 8000).clipped == 0
    sound[:400], sound[400:600] = 1, -1
    assert windows.describe(sound, 8000).clipped == 600 / 8000


@pytest.mark.parametrize("rate", RATES)
def test_sounds_of_any_length_are_described(rate):
    for length in (1, 2, 3, 10, 100, rate // 10, rate // 8, rate // 3, 2 * rate):
        for sound in (noise(rate, 2)[:length], np.zeros(length, np.float32)):
            found = windows.describe(sound, rate)
            assert np.isfinite(found).all()
            assert 0 <= found.flatness <= 1
            assert found.loop_seconds <= length / rate / 3
