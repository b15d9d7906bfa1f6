"""Sound into a pipe: WAV or raw samples, to a file that cannot be rewound, such as stdout."""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from typing import Any, BinaryIO

import numpy as np

from wavegen import __version__
from wavegen.audio import files
from wavegen.errors import WavegenError

BITS = {"wav16": 16, "wav24": 24, "float32": 32, "pcm16": 16}  # of a sample, by format
_WHOLE, _FLOAT = 1, 3  # WAV's codes for samples that are whole numbers, and for floats
_UNTIL_THE_END = 0xFFFFFFFF  # a size that ffmpeg, SoX, aplay and libsndfile read past


class PipeStream:
    """A sound that is sent as it is made, with the methods and the samples of `files.WavStream`.

    Formats: WAV (`wav16`, `wav24`, `float32`), or `pcm16`: little-endian samples of 16 bits and
    no header. The header tells the length where `num_samples`, of each channel, is given. Where
    it is not, or where 4 GiB do not hold them, readers go on to the end of the pipe; those that
    stop at 4 GiB (SoX does) take longer sounds as `pcm16`.

    A reader that leaves is no mistake: BrokenPipeError comes through, from here or from any
    method, and the caller may end without a word. All else, such as a full disk, is a
    WavegenError.
    """

    def __init__(
        self,
        file: BinaryIO,
        sample_rate: int,
        format: str = "wav16",
        *,
        provenance: dict[str, Any] | None = None,
        channels: int = 1,
        num_samples: int | None = None,
    ) -> None:
        if format not in BITS:
            raise WavegenError(f"there is no format '{format}'", "one of: " + ", ".join(BITS))
        self._file = file
        self._format = format
        self._channels = channels
        self._left = num_samples  # that the header tells of and are still to come
        self._odd = (num_samples or 0) * channels * BITS[format] // 8 % 2  # bytes, as 24 bits may
        if format != "pcm16":
            self._put(_header(sample_rate, format, provenance, channels, num_samples))

    def write(
        self,
        samples: np.ndarray,  # [T], or [T, C] of C channels, float in [-1, 1]
    ) -> None:
        """Sends samples, clipped in whole-number formats; then the reader has them."""
        assert samples.shape[1:] == (self._channels,) or (samples.ndim, self._channels) == (1, 1)
        if self._left is not None:
            assert len(samples) <= self._left, (len(samples), self._left)
            self._left -= len(samples)
        self._put(_encode(samples, BITS[self._format]))

    def close(self) -> None:
        """Ends the sound; the file stays open."""
        if self._left == 0 and self._odd:
            self._put(b"\0")  # a chunk of a WAV is of an even number of bytes

    def _put(self, data: bytes) -> None:
        try:
            rest = memoryview(data)
            while rest:  # where Python does not buffer stdout, not all may be taken at once
                rest = rest[self._file.write(rest) :]
            self._file.flush()
        except OSError as error:
            _give_up(self._file)
            if isinstance(error, BrokenPipeError):
                raise
            raise WavegenError(
                f"the sound cannot be written any further: {error.strerror or error}",
                "a reader, or a disk with room",
            ) from None

    def __enter__(self) -> PipeStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _encode(
    samples: np.ndarray,  # float
    bits: int,
) -> bytes:
    """Samples as libsndfile encodes them for `files.WavStream`: to 32 bits, of which the top stay.

    So 16 and 24 bits are rounded downwards.
    """
    samples = np.asarray(samples, np.float32).reshape(-1)
    if bits == 32:
        return samples.astype("<f4").tobytes()
    scaled = np.rint(np.clip(samples, -1.0, 1.0) * 2.0**31).astype(np.int64)
    whole = np.minimum(scaled, 2**31 - 1).astype("<i4")
    return whole.view(np.uint8).reshape(-1, 4)[:, 4 - bits // 8 :].tobytes()


def _header(
    sample_rate: int,
    format: str,
    provenance: dict[str, Any] | None,
    channels: int,
    num_samples: int | None,
) -> bytes:
    """All that stands before the samples of a WAV."""
    bits = BITS[format]
    frame_bytes = channels * bits // 8
    code = _FLOAT if format == "float32" else _WHOLE
    rate_bytes = sample_rate * frame_bytes
    fmt = struct.pack("<HHIIHH", code, channels, sample_rate, rate_bytes, frame_bytes, bits)
    told = b"INFO" + _chunk(b"ISFT", f"wavegen {__version__}\0".encode())
    if provenance is not None:
        told += _chunk(b"ICMT", files.told(provenance).encode() + b"\0")
    num_samples = _UNTIL_THE_END if num_samples is None else num_samples
    chunks = _chunk(b"fmt ", fmt if code == _WHOLE else fmt + b"\0\0")  # of no further facts
    if code == _FLOAT:
        chunks += _chunk(b"fact", struct.pack("<I", min(num_samples, _UNTIL_THE_END)))
    chunks += _chunk(b"LIST", told)
    data_bytes = num_samples * frame_bytes
    riff_bytes = len(b"WAVE") + len(chunks) + 8 + data_bytes + data_bytes % 2
    if riff_bytes > _UNTIL_THE_END:
        data_bytes = riff_bytes = _UNTIL_THE_END
    start = b"RIFF" + struct.pack("<I", riff_bytes) + b"WAVE"
    return start + chunks + b"data" + struct.pack("<I", data_bytes)


def _chunk(name: bytes, content: bytes) -> bytes:
    """A chunk of a WAV, of an even number of bytes."""
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def _give_up(file: BinaryIO) -> None:
    """Lets go of what the file still holds back: Python would fail on it once more as it ends."""
    with suppress(OSError):  # a file that is none of the system's has nothing to be undone
        number = file.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)
