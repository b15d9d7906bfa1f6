import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from wavegen.audio import files
from wavegen.errors import WavegenError

DATA = Path(__file__).parents[2].parent / "shared" / "data"
PROVENANCE = {"run": "runs/öl", "seed": 3, "step": 12_000, "settings": {"temperature": 0.95}}
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"no recordings at {DATA}")


@pytest.fixture
def samples():
    return (0.5 * np.sin(np.arange(9000) / 10)).astype(np.float32)


@pytest.mark.parametrize("format", ["wav16", "wav24", "float32", "flac"])
def test_what_is_written_is_read_back_with_its_provenance(tmp_path, samples, format):
    path = tmp_path / "new" / "folders" / "a.snd"
    files.write(path, samples, 16_000, format, PROVENANCE)
    back, rate = files.read(path)
    assert rate == 16_000
    step = {"float32": 0.0, "wav24": 2**-22}.get(format, 2**-14)  # two steps of the format
    np.testing.assert_allclose(back, samples, atol=step, rtol=0)
    assert files.provenance(path) == PROVENANCE
    assert [file.name for file in path.parent.iterdir()] == ["a.snd"]


@pytest.mark.parametrize("format", ["wav16", "wav24", "float32"])
def test_equal_sounds_give_equal_bytes_at_any_time(tmp_path, samples, format):
    files.write(tmp_path / "a.wav", samples, 16_000, format, PROVENANCE)
    time.sleep(1.1)  # the PEAK chunk that must not be there counts seconds
    files.write(tmp_path / "b.wav", samples, 16_000, format, PROVENANCE)
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


@pytest.mark.parametrize("format", ["wav16", "wav24", "float32"])
def test_a_stream_can_be_read_while_it_is_written(tmp_path, samples, format):
    with files.WavStream(tmp_path / "a.wav", 8000, format, PROVENANCE) as stream:
        for count in (100, 200, 300):
            stream.write(samples[:100])
            assert files.info(tmp_path / "a.wav").frames == count
            assert files.provenance(tmp_path / "a.wav") == PROVENANCE


def test_a_stream_that_is_killed_keeps_what_was_written(tmp_path):
    path = tmp_path / "a.wav"
    code = (
        "import os, signal, numpy\n"
        "from wavegen.audio import files\n"
        f"stream = files.WavStream({str(path)!r}, 8000, 'float32')\n"
        "stream.write(numpy.full(500, 0.25, 'f4'))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = str(Path(__file__).parents[2])
    killed = subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": root})
    assert killed.returncode == -signal.SIGKILL
    np.testing.assert_array_equal(files.read(path)[0], np.full(500, 0.25, np.float32))


@pytest.mark.parametrize("format", ["wav16", "wav24", "flac"])
def test_whole_number_formats_clip_instead_of_wrapping(tmp_path, format):
    files.write(tmp_path / "a", np.array([2.0, -2.0] * 50), 8000, format)
    back, _ = files.read(tmp_path / "a")
    np.testing.assert_allclose(back[:2], [1, -1], atol=2**-14, rtol=0)


@pytest.mark.parametrize("format", ["wav16", "wav24", "float32", "flac"])
def test_provenance_of_the_greatest_size_is_read_back(tmp_path, samples, format):
    told = {"": "x" * (files.MAX_PROVENANCE - len('{"": ""}'))}
    files.write(tmp_path / "a", samples, 8000, format, told)
    assert files.provenance(tmp_path / "a") == told
    with pytest.raises(WavegenError, match="at most 2000"):
        files.WavStream(tmp_path / "b", 8000, provenance={"": told[""] + "x"})
    assert not (tmp_path / "b").exists()


def test_a_wav_of_another_program_has_no_provenance(tmp_path, samples):
    soundfile.write(tmp_path / "a.wav", samples, 8000)
    assert files.provenance(tmp_path / "a.wav") is None


def test_float_samples_beyond_full_scale_are_clipped_and_counted(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.array([4.0, 0.5, -3.0]), 8000, subtype="FLOAT")
    samples, facts = files.read_with_facts(tmp_path / "a.wav")
    np.testing.assert_array_equal(samples, [1.0, 0.5, -1.0])
    assert facts["clipped"] == 2


def test_reading_resamples_and_keeps_the_duration(tmp_path, samples):
    files.write(tmp_path / "a.wav", samples, 8000)
    resampled, rate = files.read(tmp_path / "a.wav", 16_000)
    assert (rate, len(resampled), resampled.dtype) == (16_000, 18_000, np.float32)


def test_channels_are_averaged(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.tile([0.5, -0.25], (100, 1)), 8000, subtype="FLOAT")
    np.testing.assert_array_equal(files.read(tmp_path / "a.wav")[0], np.full(100, 0.125))


@pytest.mark.parametrize("place", ["folder", "file/a.wav", "file/deeper/a.wav"])
def test_a_path_that_cannot_be_written_is_refused_before_any_work(tmp_path, place):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(WavegenError, match=r"folder|cannot write"):
        files.WavStream(tmp_path / place, 8000)
    with pytest.raises(WavegenError, match=r"folder|cannot write"):
        files.write(tmp_path / place, np.zeros(9), 8000)


def test_an_unknown_format_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(WavegenError, match="wav16, wav24, float32"):
        files.WavStream(tmp_path / "a.wav", 8000, "mp3")


@pytest.mark.parametrize("format", ["wav16", "wav24", "float32", "flac"])
def test_two_channels_are_written_and_come_back_as_frames(tmp_path, samples, format):
    both = np.stack([samples, -samples / 2], axis=1)
    files.write(tmp_path / "a", both, 16_000, format, PROVENANCE)
    frames = files.Frames(tmp_path / "a")
    assert (frames.sample_rate, frames.channels, frames.num_frames) == (16_000, 2, 9000)
    assert frames.provenance == PROVENANCE
    step = {"float32": 0.0, "wav24": 2**-22}.get(format, 2**-14)  # two steps of the format
    for _ in range(2):  # they can be walked again
        back = np.concatenate(list(frames))
        assert back.dtype == np.float32
        np.testing.assert_allclose(back, both, atol=step, rtol=0)


def test_frames_keep_what_lies_beyond_full_scale(tmp_path):
    sound = np.array([[4.0, 0.5], [-3.0, 0.25]])
    soundfile.write(tmp_path / "a.wav", sound, 8000, subtype="FLOAT")
    np.testing.assert_array_equal(np.concatenate(list(files.Frames(tmp_path / "a.wav"))), sound)


def test_frames_that_are_not_finite_are_counted_and_refused(tmp_path):
    sound = np.full((200_000, 2), 0.5)
    sound[[70_000, 199_999], 1] = np.nan, np.inf
    soundfile.write(tmp_path / "a.wav", sound, 8000, "FLOAT")
    given = []
    with pytest.raises(WavegenError, match="2 NaN or infinite samples of 200000"):
        given.extend(files.Frames(tmp_path / "a.wav"))
    assert 0 < sum(map(len, given)) < 70_000


@pytest.mark.parametrize("format", ["wav16", "flac"])
def test_what_stood_there_stays_until_all_is_written(tmp_path, samples, format):
    files.write(tmp_path / "a", samples, 8000)
    before = (tmp_path / "a").read_bytes()

    def stopped():
        with files.whole(tmp_path / "a", 8000, format) as stream:
            stream.write(samples[:100])
            assert (tmp_path / "a").read_bytes() == before
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert (tmp_path / "a").read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a"]
    with files.whole(tmp_path / "a", 8000, format, channels=2) as stream:
        stream.write(np.zeros((50, 2)))
    assert files.info(tmp_path / "a").frames == 50


@needs_data
def test_every_format_reads():
    formats = DATA / "formats"
    expected = json.loads((formats / "manifest.json").read_text())
    assert expected
    for path in sorted(formats.glob("*/*")):
        samples, rate = files.read(path, 16_000)
        about = files.info(path)
        assert rate == 16_000
        assert len(samples) == pytest.approx(about.duration_seconds * rate, abs=2)
        assert np.abs(samples).max() > 0.01, path


@needs_data
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("zero_bytes.wav", "empty: 0 bytes"),
        ("zero_frames.wav", "no samples"),
        ("text.wav", "cannot be read as sound"),
        ("git_lfs_pointer.wav", "git lfs pull"),
        ("html_error_page.wav", "a web page"),
        ("data_size_0_streaming.wav", "announces none of its 32044 bytes"),
        ("flac_header_only.flac", "after its header"),
        ("sample_rate_0.wav", "a sample rate of 0"),
        ("bits_0.wav", "not known, or is wrong"),
        ("dir_named.wav", "is a folder"),
        ("not_there.wav", "does not exist"),
        ("float_nan.wav", "10 NaN"),
        ("float_inf.wav", "NaN or infinite"),
        ("rate_1.wav", "at 1 Hz; at least 1000"),
        ("flac_truncated.flac", "damaged"),
        ("flac_corrupt_middle.flac", "damaged"),
        ("mp3_id3_only.mp3", "no sound"),
    ],
)
def test_an_odd_file_is_refused_in_words_that_name_it(name, words):
    with pytest.raises(WavegenError, match=words) as refused:
        files.read(DATA / "odd" / name)
    assert name in str(refused.value)


@needs_data
@pytest.mark.parametrize("name", ["data_size_ffffffff.wav", "data_size_too_big.wav"])
def test_a_header_that_claims_too_much_gives_what_is_there(name):
    samples, _ = files.read(DATA / "odd" / name)
    assert len(samples) == 16_000
