import io
import os
import subprocess
import sys
import tracemalloc
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile

from wavegen.audio import files
from wavegen.audio.pipe import PipeStream
from wavegen.errors import WavegenError

ROOT = Path(__file__).parents[2]
PROVENANCE = {"run": "runs/öl", "seed": 3, "settings": {"temperature": 0.95}}
WAVS = ["wav16", "wav24", "float32"]


def piped(samples, format, sizes=(100, 1, 900), **more):
    """All bytes of a stream that was given the samples in blocks, the last one of all the rest."""
    file = io.BytesIO()
    with PipeStream(file, 16_000, format, **more) as stream:
        for block in np.split(samples, np.cumsum(sizes)):
            stream.write(block)
    return file.getvalue()


def awkward_samples():
    """Noise, and the values where roundings differ: full scale, beyond it, and next to nothing."""
    noise = np.random.default_rng(0).uniform(-1.1, 1.1, 5000)
    tiny = np.ldexp([1.0, -1.0], np.arange(-60, 1)[:, None]).ravel()
    steps = (np.arange(-8, 8)[:, None] + [0, 0.25, 0.5, 0.75]).ravel()
    edges = [1.0, -1.0, 2.0, -2.0, 0.0, -0.0, 1 - 2**-24, 2**-24 - 1]
    return np.concatenate([noise, tiny, steps / 2**15, steps / 2**23, edges]).astype(np.float32)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("known", [True, False], ids=["length known", "length unknown"])
@pytest.mark.parametrize("format", WAVS)
def test_samples_are_those_of_a_wav_file_bit_for_bit(tmp_path, format, known, channels):
    samples = awkward_samples()
    shaped = samples if channels == 1 else samples.reshape(-1, 2)
    with files.WavStream(tmp_path / "a.wav", 16_000, format, channels=channels) as stream:
        stream.write(shaped)
    length = len(shaped) if known else None
    data = piped(shaped, format, channels=channels, num_samples=length)
    (tmp_path / "b.wav").write_bytes(data)
    dtype = "float32" if format == "float32" else "int32"
    expected, rate = soundfile.read(tmp_path / "a.wav", dtype=dtype)
    got, got_rate = soundfile.read(tmp_path / "b.wav", dtype=dtype)
    assert got_rate == rate == 16_000
    assert got.tobytes() == expected.tobytes()  # -0.0 too


def test_raw_samples_are_those_of_the_wav_and_nothing_else():
    samples = awkward_samples()
    raw, wav = piped(samples, "pcm16"), piped(samples, "wav16")
    assert len(raw) == 2 * len(samples)
    assert wav.endswith(b"\xff\xff\xff\xff" + raw)  # the size of the samples, which is not known


@pytest.mark.parametrize("format", ["wav16", "wav24"])
@pytest.mark.parametrize("known", [True, False])
def test_python_reads_what_a_pipe_holds(format, known):
    samples = np.linspace(-1, 1, 1001, dtype=np.float32)  # of 24 bits, an odd number of bytes
    data = piped(samples, format, num_samples=len(samples) if known else None)
    with wave.open(io.BytesIO(data)) as file:
        assert (file.getframerate(), file.getnchannels()) == (16_000, 1)
        assert len(file.readframes(2000)) == len(samples) * file.getsampwidth()


@pytest.mark.parametrize("format", WAVS)
def test_a_known_length_gives_the_sizes_of_a_file_that_is_whole(format):
    samples = np.zeros(1001, np.float32)
    data = piped(samples, format, num_samples=len(samples))
    assert int.from_bytes(data[4:8], "little") == len(data) - 8
    assert len(data) % 2 == 0
    assert soundfile.SoundFile(io.BytesIO(data)).frames == len(samples)


@pytest.mark.parametrize("format", WAVS)
def test_a_sound_of_more_than_4_gib_has_a_header_of_unknown_length(format):
    long, unknown = io.BytesIO(), io.BytesIO()
    PipeStream(long, 48_000, format, num_samples=2**32)
    PipeStream(unknown, 48_000, format)
    assert long.getvalue() == unknown.getvalue()


@pytest.mark.parametrize("format", WAVS)
def test_provenance_is_read_back(tmp_path, format):
    path = tmp_path / "a.wav"
    path.write_bytes(piped(np.zeros(2000, np.float32), format, provenance=PROVENANCE))
    assert files.provenance(path) == PROVENANCE
    with pytest.raises(WavegenError, match="at most 2000"):
        PipeStream(io.BytesIO(), 16_000, format, provenance={"": "x" * 2000})


def test_a_listener_has_each_block_when_it_was_written():
    reader, writer = os.pipe()
    os.set_blocking(reader, False)  # a block that is held back reads as None
    with open(reader, "rb", buffering=0) as heard, open(writer, "wb") as file:
        stream = PipeStream(file, 8000, "wav16")
        assert (heard.read(1 << 16) or b"").startswith(b"RIFF")
        for value in (0.5, -0.5):
            stream.write(np.full(10, value))
            assert heard.read(1 << 16) == np.full(10, value * 2**15, "<i2").tobytes()
        stream.close()
        assert not file.closed


def test_what_a_file_takes_in_part_is_sent_on():
    class Narrow(io.BytesIO):
        def write(self, data):
            return super().write(data[:7])

    file = Narrow()
    with PipeStream(file, 16_000) as stream:
        stream.write(awkward_samples())
    assert file.getvalue() == piped(awkward_samples(), "wav16")


@pytest.mark.slow
def test_memory_does_not_grow_with_what_was_written():
    block = np.zeros(16, np.float32)
    with open(os.devnull, "wb") as nowhere:
        stream = PipeStream(nowhere, 16_000, "wav24")
        tracemalloc.start()
        stream.write(block)
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        for _ in range(100_000):
            stream.write(block)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak - before < 16_384  # a byte kept of each write would be 100 000


def python(program, buffered, **more):
    code = f"import sys, numpy as np\nfrom wavegen.audio.pipe import PipeStream\n{program}"
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "" if buffered else "1",
    }
    return subprocess.Popen(
        [sys.executable, "-c", code], stderr=subprocess.PIPE, env=environment, **more
    )


ENDLESS = """
stream = PipeStream(sys.stdout.buffer, 16_000, "wav16")
try:
    while True:
        stream.write(np.zeros(4000, np.float32))
except BrokenPipeError:
    sys.exit(7)
"""


@pytest.mark.parametrize("buffered", [True, False])
def test_a_reader_that_leaves_can_be_taken_quietly(buffered):
    with python(ENDLESS, buffered, stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        assert program.stdout.read(4) == b"RIFF"
        program.stdout.close()
        assert program.stderr.read() == b""
        assert program.wait() == 7


@pytest.mark.parametrize("buffered", [True, False])
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full here")
def test_a_full_disk_is_told_in_words_and_once(buffered):
    with open("/dev/full", "wb") as full, python(ENDLESS, buffered, stdout=full) as program:
        assert program.stderr is not None
        told = program.stderr.read().decode()
        assert program.wait() == 1
    assert "WavegenError: the sound cannot be written any further: No space left" in told
    assert "Exception ignored" not in told  # Python, as it empties its buffers at the end


@pytest.mark.parametrize("format", ["flac", "mp3"])
def test_an_unknown_format_is_refused_with_the_known_ones(format):
    with pytest.raises(WavegenError, match="wav16, wav24, float32, pcm16"):
        PipeStream(io.BytesIO(), 8000, format)
