"""Rainbowgrams: lightness is how loud, hue is the frequency, and nothing else is either."""

import tracemalloc

import numpy as np
import pytest

from wavegen.audio import constant_q
from wavegen.evaluation.figures import outlines, plots, rainbowgrams

RATE = 8000


def sine(hz, seconds=2.0, rate=RATE):
    return np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate).astype(np.float32)


def trace(samples, rate=RATE, **more):
    return rainbowgrams.trace([samples], rate, len(samples), **more)


@pytest.mark.parametrize("rate", [1000, 8000, 16_000, 44_100])
@pytest.mark.parametrize("hz", [110.0, 261.3])
def test_a_full_scale_sine_is_0_db_at_its_pitch_in_the_colour_of_its_frequency(hz, rate):
    found = trace(sine(hz, rate=rate), rate)
    middle = found.power.shape[1] // 2
    row = int(found.power[:, middle].argmax())
    pitch = 69 + 12 * np.log2(hz / 440)
    assert found.edges_pitch[row] <= pitch <= found.edges_pitch[row + 1]
    # Between two rows it is fainter: 0.3 dB at most, half a row from the middle of a Hann window.
    assert 10 * np.log10(found.power[row, middle]) == pytest.approx(0, abs=0.35)
    # Hz; a thousandth of what hue can tell, for windows cut off at a finite number of samples.
    assert found.hertz[row, middle] == pytest.approx(hz % found.frame_rate, abs=0.06)


def test_a_tone_that_trembles_runs_through_colours_and_a_steady_one_does_not():
    time = np.arange(2 * RATE) / RATE
    trembling = np.sin(2 * np.pi * 1000 * time + 5 * np.sin(2 * np.pi * 3 * time))  # ± 15 Hz

    def spread(samples):
        found = trace(samples)
        row = int(found.power.mean(axis=1).argmax())
        return np.ptp(found.hertz[row, 40:-40])  # away from where it begins and ends

    assert spread(sine(1010.0)) < 0.5
    assert spread(trembling) > 10


def test_blocks_of_any_size_give_what_one_gives():
    samples = np.random.default_rng(0).normal(0, 0.1, 700_000).astype(np.float32)
    cuts = np.sort(np.random.default_rng(1).integers(0, len(samples), 9))
    once = trace(samples)
    pieces = rainbowgrams.trace(np.split(samples, cuts), RATE, len(samples))
    # What is cut elsewhere is filtered elsewhere: 1e-4 of the loudest, far below what is drawn.
    np.testing.assert_allclose(pieces.power, once.power, atol=1e-4 * once.power.max())


def test_a_piece_is_drawn_as_it_is_in_the_whole():
    samples = np.tile(sine(440.0, 1.0), 70)
    whole = trace(samples)  # in several pieces
    level = outlines.level_db(whole.power)
    row = int(level.mean(axis=1).argmax())
    inner = slice(20, -20)
    assert np.ptp(level[row, inner]) < 0.01  # dB: no seam
    assert np.ptp(whole.hertz[row, inner]) < 0.01


@pytest.mark.parametrize("count", [1, 31, 2000, 70_001, 1_000_000])
def test_columns_are_bounded_and_reach_from_start_to_end(count):
    found = trace(np.zeros(count, np.float32), start_seconds=3.0)
    assert found.power.shape == found.hertz.shape
    assert found.power.shape[0] == constant_q.num_bins(RATE)
    assert found.power.shape[1] <= outlines.COLUMNS
    end = 3.0 + count / RATE
    assert found.edges_seconds[0] == 3.0
    assert 0 <= found.edges_seconds[-1] - end < found.column_seconds
    assert np.isfinite(found.hertz).all()


def test_memory_does_not_grow_with_the_sound():
    block = np.random.default_rng(0).normal(0, 0.1, 1 << 17).astype(np.float32)
    trace(block)  # what is imported and kept on the way is not counted

    def peak(blocks):
        tracemalloc.start()
        rainbowgrams.trace((block for _ in range(blocks)), RATE, blocks * len(block))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    # 0.5 and 1.3 million samples: were all columns kept, 12 MB more, of which half are the bound.
    assert peak(10) < peak(4) + 6e6


def luminance(srgb):
    """Linear light, by IEC 61966-2-1: what grey is made of."""
    linear = np.where(srgb > 0.04045, ((srgb + 0.055) / 1.055) ** 2.4, srgb / 12.92)
    return linear @ np.array([0.2126729, 0.7151522, 0.0721750])


def test_grey_rises_with_the_level_and_knows_no_hue():
    level, cycles = np.meshgrid(np.linspace(0, 1, 81), np.linspace(0, 1, 73), indexing="ij")
    grey = luminance(rainbowgrams.colours(level, cycles))
    assert np.ptp(grey, axis=1).max() < 1e-3  # a quarter of a step of 8 bits
    assert (np.diff(grey.mean(axis=1)) > 0).all()
    lightness = 116 * np.cbrt(grey[16:].mean(axis=1)) - 16  # equal steps to the eye
    np.testing.assert_allclose(lightness, rainbowgrams.BRIGHTEST * level[16:, 0], atol=0.05)


def test_hues_are_all_within_what_a_screen_shows_and_apart():
    level, cycles = np.meshgrid(np.linspace(0, 1, 41), np.linspace(0, 1, 73), indexing="ij")
    colours = rainbowgrams.colours(level, cycles)
    assert colours.min() >= 0
    assert colours.max() <= 1
    brightest = colours[-1]
    np.testing.assert_allclose(brightest[0], brightest[-1], atol=1e-12)  # a wheel
    assert np.linalg.norm(brightest[0] - brightest[36], axis=-1) > 0.3


def test_hue_is_seen_by_no_one_in_silence():
    silent = trace(np.zeros(RATE, np.float32))
    made = plots.figure([plots.Shown("", outlines.trace([np.zeros(RATE)], RATE, RATE), silent)])
    mesh = made.axes[1].collections[0]
    assert np.asarray(mesh.get_array()).max() == 0


def test_the_axis_names_the_octaves_and_begins_with_the_lowest_note():
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    found = trace(sine(440.0))
    rainbowgrams.draw(axes, found, lowest_pitch=50)
    named = {
        t.get_text(): place
        for t, place in zip(axes.get_yticklabels(), axes.get_yticks(), strict=True)
    }
    assert named["C4"] == 60
    assert axes.get_ylim() == (50, found.edges_pitch[-1])
