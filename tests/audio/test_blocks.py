import numpy as np
import pytest
import soundfile

from wavegen.audio import blocks, files, levels
from wavegen.errors import WavegenError


def noise(num_frames, channels=1):
    random = np.random.default_rng(0)
    return (0.3 * random.standard_normal((num_frames, channels))).astype(np.float32)


def mono_of(frames, own_rate, sample_rate, size):
    mono = blocks.Mono(own_rate, sample_rate)
    made = [mono.push(frames[i : i + size]) for i in range(0, len(frames), size)]
    return np.concatenate([*made, mono.end()]), mono


@pytest.mark.parametrize(
    ("own_rate", "sample_rate"), [(44_100, 16_000), (8000, 16_000), (11_025, 8000), (8000, 8000)]
)
@pytest.mark.parametrize("size", [1, 700, 4096])
def test_blocks_of_any_size_give_the_samples_of_one(own_rate, sample_rate, size):
    frames = noise(9001, 2)
    whole, _ = mono_of(frames, own_rate, sample_rate, len(frames))
    made, _ = mono_of(frames, own_rate, sample_rate, size)
    np.testing.assert_array_equal(made, whole)
    assert len(whole) == int(np.ceil(9001 * sample_rate / own_rate))


def test_a_resampled_tone_is_that_tone():
    time = np.arange(44_100) / 44_100
    tone = 0.5 * np.sin(2 * np.pi * 440 * time)
    made, _ = mono_of(tone[:, None].astype(np.float32), 44_100, 16_000, 1000)
    wanted = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    # Away from the ends, which ring; the rest is the stop band of soxr's high quality, 100 dB.
    np.testing.assert_allclose(made[500:-500], wanted[500:-500], atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_clipping_is_counted_on_every_channel_and_across_blocks(size):
    frames = noise(100, 2) / 4
    frames[10, 0] = 1.0  # a peak
    frames[20:23, 0] = 1.0  # a clipped wave
    frames[20:22, 1] = 1.0  # two are no run
    frames[40:47, 1] = -1.0  # one run, not five
    frames[60:64, 0] = (1.2, 1.3, 1.4, 1.5)  # beyond full scale, but not flat
    _, mono = mono_of(frames, 8000, 8000, size)
    assert (mono.clipped, mono.clipped_runs) == (1 + 3 + 2 + 7 + 4, 2)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "FLOAT"])
def test_full_scale_is_what_the_format_can_hold(tmp_path, subtype):
    time = np.arange(8000) / 8000
    soundfile.write(
        tmp_path / "a.wav", np.clip(2 * np.sin(2 * np.pi * 50 * time), -1, 1), 8000, subtype
    )
    _, facts = files.read_with_facts(tmp_path / "a.wav")
    assert facts["clipped_runs"] == 100  # 50 periods, both ways
    assert 5000 < facts["clipped"] < 5600  # two thirds of each


def test_a_recording_with_one_bad_sample_is_counted_to_its_end_and_gives_nothing_more(tmp_path):
    samples = np.full(200_000, 0.5)
    samples[[70_000, 199_999]] = np.nan, np.inf
    soundfile.write(tmp_path / "a.wav", samples, 8000, "FLOAT")
    walked, given = files.Blocks(tmp_path / "a.wav"), []
    with pytest.raises(WavegenError, match="2 NaN or infinite samples of 200000"):
        given.extend(walked)
    assert 0 < sum(map(len, given)) < 70_000
    assert np.isfinite(np.concatenate(given)).all()


def test_a_file_can_be_walked_again(tmp_path):
    soundfile.write(tmp_path / "a.wav", noise(150_000, 2), 44_100, "FLOAT")
    walked = files.Blocks(tmp_path / "a.wav", 16_000)
    first, second = np.concatenate(list(walked)), np.concatenate(list(walked))
    np.testing.assert_array_equal(first, second)
    assert walked.facts["clipped_runs"] == 0


@pytest.mark.parametrize("size", [1, 79, 80, 81, 1000, 4321])
def test_levels_do_not_depend_on_how_samples_come(size):
    samples = noise(4321)[:, 0]
    samples[1000:3000] = 0
    found = levels.Levels(8000)
    for i in range(0, len(samples), size):
        found.add(samples[i : i + size])
    facts = found.facts()
    power = np.mean(np.square(samples, dtype=np.float64))
    assert facts["peak"] == round(float(np.abs(samples).max()), 5)
    assert facts["rms_dbfs"] == pytest.approx(10 * np.log10(power), abs=0.006)  # two digits
    assert facts["dc_offset"] == pytest.approx(samples.mean(), abs=1e-5)
    # 25 frames of 80 samples, less those that reach over an edge.
    assert facts["silence"] == pytest.approx(24 * 80 / 4321, abs=80 / 4321)


def test_a_last_frame_that_is_not_whole_is_silent_or_not_too():
    found = levels.Levels(8000)
    found.add(np.zeros(90, np.float32))
    assert found.facts()["silence"] == 1
    assert found.rms_dbfs == -200


@pytest.mark.parametrize("size", [1, 7, 100, 5000])
def test_blocks_cut_anew_are_of_one_size_and_hold_the_same(size):
    frames = noise(1000, 2)
    parts = [frames[:3], frames[3:3], frames[3:500], frames[500:]]
    made = list(blocks.recut(parts, size))
    assert {len(block) for block in made[:-1]} <= {size}
    assert len(made) == -(-1000 // size)
    np.testing.assert_array_equal(np.concatenate(made), frames)


def test_mono_is_spread_over_channels_and_stereo_stays():
    mono, both = noise(100), noise(100, 2)
    np.testing.assert_array_equal(next(blocks.spread([mono], 2)), np.hstack([mono, mono]))
    np.testing.assert_array_equal(next(blocks.spread([both], 2)), both)


@pytest.mark.parametrize("size", [1, 700, 9001])
def test_resampling_keeps_the_channels_apart_whatever_the_cuts(size):
    frames = noise(9001, 2)
    parts = (frames[i : i + size] for i in range(0, 9001, size))
    made = np.concatenate(list(blocks.resample(parts, 44_100, 16_000)))
    left = np.concatenate(list(blocks.resample([frames[:, :1]], 44_100, 16_000)))
    np.testing.assert_array_equal(made[:, :1], left)
    assert len(made) == round(9001 * 16_000 / 44_100)
