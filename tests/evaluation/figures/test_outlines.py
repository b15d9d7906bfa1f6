"""Outlines: however long a sound is, no peak is lost and everything stays at its time."""

import tracemalloc

import numpy as np
import pytest
import soundfile

from wavegen.audio import files
from wavegen.errors import WavegenError
from wavegen.evaluation.figures import outlines

RATE = 8000
LENGTHS = (1, 31, 2000, 70_001, 3_000_000)  # samples: below a column, and above all columns


def trace(samples, rate=RATE, **more):
    return outlines.trace([samples], rate, len(samples), **more)


def noise(count):
    return np.random.default_rng(0).uniform(-0.5, 0.5, count).astype(np.float32)


@pytest.mark.parametrize("count", LENGTHS)
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_click_of_one_sample_is_kept_at_its_height_and_time(count, sign):
    samples = 0.1 * noise(count)
    place = 2 * count // 3
    samples[place] = sign
    found = trace(samples)
    peaks = found.high if sign > 0 else found.low
    point = int(np.argmax(sign * peaks))
    assert peaks[point] == sign
    step = found.column_samples * found.power.shape[1] / len(peaks)  # samples of a point
    assert abs(found.point_seconds[point] * RATE - (place + 0.5)) <= step / 2


@pytest.mark.parametrize("count", LENGTHS)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_a_click_is_loudest_in_its_column(count, share):
    samples, place = np.zeros(count, np.float32), int(share * count)
    samples[place] = 1.0
    found = trace(samples)
    loudest = int(np.argmax(found.power.sum(axis=0)))
    own = np.searchsorted(found.edges_seconds * RATE, place, side="right") - 1
    # On the border of two columns, it may sound louder in the other one.
    assert abs(loudest - own) <= 1


@pytest.mark.parametrize("count", LENGTHS)
def test_columns_and_points_are_bounded_and_reach_from_start_to_end(count):
    found = trace(np.zeros(count, np.float32), start_seconds=3.0)
    bins, columns = found.power.shape
    assert columns <= outlines.COLUMNS
    assert found.num_samples == count
    assert found.edges_seconds[0] == 3.0
    assert 0 <= found.edges_seconds[-1] - found.end_seconds < found.column_samples / RATE
    assert len(found.low) == len(found.high) == len(found.point_seconds) >= min(count, 2000)
    assert len(found.low) <= max(2 * outlines.POINTS, found.column_samples)
    assert len(found.edges_khz) == bins + 1


@pytest.mark.parametrize("count", LENGTHS)
def test_blocks_of_any_size_give_what_one_gives(count):
    samples = noise(count)
    cuts = np.sort(np.random.default_rng(1).integers(0, count + 1, 40))  # some blocks are empty
    once = trace(samples)
    pieces = outlines.trace(np.split(samples, cuts), RATE, count)
    np.testing.assert_array_equal(pieces.low, once.low)
    np.testing.assert_array_equal(pieces.high, once.high)
    # A window's transform may round otherwise where others are transformed beside it.
    np.testing.assert_allclose(pieces.power, once.power, rtol=1e-4, atol=1e-10)
    assert pieces.num_samples == once.num_samples == count


def test_a_full_scale_sine_has_power_1_in_its_row():
    time = np.arange(RATE) / RATE
    found = trace(np.sin(2 * np.pi * 1000 * time))  # 1000 Hz is the middle of a row
    column = found.power[:, found.power.shape[1] // 2]
    row = int(column.argmax())
    assert found.edges_khz[row] <= 1.0 <= found.edges_khz[row + 1]
    assert column[row] == pytest.approx(1.0, rel=1e-4)  # float32 of a sum of 512 products


@pytest.mark.parametrize("count", LENGTHS)
def test_silence_is_as_dark_as_can_be(count):
    level = trace(np.zeros(count, np.float32)).level_db
    assert level.max() == pytest.approx(-outlines.DYNAMIC_RANGE_DB)


def test_the_loudest_place_is_0_db_however_faint():
    level = trace(1e-3 * noise(RATE)).level_db
    assert level.max() == 0
    assert level.min() >= -outlines.DYNAMIC_RANGE_DB


def test_memory_does_not_grow_with_the_sound():
    block = noise(1 << 16)
    outlines.trace([block], RATE, len(block))  # what is imported on the way is not counted

    def peak(blocks):
        tracemalloc.start()
        outlines.trace((block for _ in range(blocks)), RATE, blocks * len(block))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    # 1.6 and 6.5 million samples: if they were kept, 20 MB more.
    assert peak(100) < peak(25) + 5e6


@pytest.fixture
def wav(tmp_path):
    """Ten seconds of noise with a known place for each sample, and the file that holds it."""
    samples = noise(10 * RATE)
    files.write(tmp_path / "noise.wav", samples, RATE, "float32")
    return tmp_path / "noise.wav", samples


def test_a_stretch_of_a_file_is_the_outline_of_its_samples(wav):
    path, samples = wav
    found = outlines.read(path, 8.25, 1.5)
    expected = trace(samples[66_000:78_000], start_seconds=8.25)
    assert (found.start_seconds, found.end_seconds) == (8.25, 9.75)
    np.testing.assert_array_equal(found.high, expected.high)
    np.testing.assert_array_equal(found.power, expected.power)


def test_a_stretch_that_goes_on_after_the_end_is_cut_there(wav):
    for seconds in (None, 100.0, float("inf")):
        assert outlines.read(wav[0], 9.0, seconds).end_seconds == 10.0


def test_a_stretch_is_at_least_a_sample(wav):
    assert outlines.read(wav[0], 9.99999, 1e-9).num_samples == 1


def test_what_is_read_is_told(wav):
    told = []
    outlines.read(wav[0], 1.0, 2.0, progress=lambda done, total: told.append((done, total)))
    assert told[-1][0] >= 3.0
    assert {total for _, total in told} == {3.0}


@pytest.mark.parametrize("start", [10.0, 1e9, -1.0, float("nan")])
def test_a_start_outside_the_sound_is_refused(wav, start):
    with pytest.raises(WavegenError, match=r"lasts 10\.000 s"):
        outlines.read(wav[0], start)


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
def test_a_stretch_of_no_length_is_refused(wav, seconds):
    with pytest.raises(WavegenError, match="a stretch of"):
        outlines.read(wav[0], 0.0, seconds)


def test_files_without_samples_or_with_nan_or_a_rate_of_8_hz_are_refused(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(0), RATE)
    with pytest.raises(WavegenError, match="holds no samples"):
        outlines.read(path)
    soundfile.write(path, np.r_[np.zeros(RATE), np.nan], RATE, "FLOAT")
    with pytest.raises(WavegenError, match="1 NaN"):
        outlines.read(path)
    soundfile.write(path, np.zeros(9), 8)
    with pytest.raises(WavegenError, match="8 Hz"):
        outlines.read(path)
