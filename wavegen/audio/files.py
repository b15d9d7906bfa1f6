"""Audio files: the only door to soundfile. Whatever libsndfile reads comes out mono.

Only `Frames`, which mastering reads by, keeps the channels.
"""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wavegen import __version__
from wavegen.audio import blocks, unreadable
from wavegen.errors import WavegenError

FORMATS = {"wav16": "PCM_16", "wav24": "PCM_24", "float32": "FLOAT"}  # of WAV files
LOWEST_RATE = 1000  # Hz
HIGHEST_RATE = 384_000  # Hz, of a corpus
MAX_PROVENANCE = 2000  # bytes of JSON; libsndfile writes longer WAV comments and cannot read them
_BLOCK = 1 << 16  # frames read at once; a header's claim is never allocated
_HEADER_BYTES = 4096  # no header is longer, but for pictures and the like
_ADD_PEAK_CHUNK = 0x1050  # libsndfile's SFC_SET_ADD_PEAK_CHUNK
_UPDATE_HEADER = 0x1060  # and its SFC_UPDATE_HEADER_NOW
_KIND = "a sound file such as WAV, FLAC, OGG, MP3 or AIFF"


@dataclass(frozen=True)
class AudioInfo:
    """What a file's header says; `provenance` is None where wavegen did not write the file."""

    sample_rate: int  # Hz
    channels: int
    frames: int  # samples of each channel, as announced; fewer may be there
    duration_seconds: float
    format: str  # such as "WAV PCM_16"
    provenance: dict[str, Any] | None


def info(path: str | Path) -> AudioInfo:
    """The header of a sound file."""
    with _open(Path(path)) as file:
        return _info(file)


def provenance(path: str | Path) -> dict[str, Any] | None:
    """How wavegen made this file; None where it did not, or did not say."""
    return info(path).provenance


def read(
    path: str | Path, sample_rate: int | None = None
) -> tuple[np.ndarray, int]:  # [num_samples] float32 in [-1, 1], Hz
    """A whole file as mono samples, at its own rate or resampled to `sample_rate`.

    Channels are averaged, and what then lies beyond full scale is clipped.
    """
    samples, facts = read_with_facts(path, sample_rate)
    return samples, sample_rate or facts["sample_rate"]


def read_with_facts(
    path: str | Path, sample_rate: int | None = None
) -> tuple[np.ndarray, dict[str, Any]]:
    """`read`'s samples, and the facts that `Blocks` met."""
    walked = Blocks(path, sample_rate)
    return np.concatenate(list(walked)), walked.facts


class Blocks:
    """A sound file of any length as blocks of mono samples, float32 in [-1, 1], in order.

    Together they are `read`'s samples. `facts` are there when the last block was given: own
    `sample_rate`, `channels`, `format`, `clipped` (samples at or beyond full scale, on any
    channel), `clipped_runs` (three or more equal ones in a row), and `missing_frames` where
    fewer were there than the header announces.
    """

    def __init__(self, path: str | Path, sample_rate: int | None = None) -> None:
        self.path = Path(path)
        self.sample_rate = sample_rate  # Hz; None for the file's own
        self.facts: dict[str, Any] = {}

    def __iter__(self) -> Iterator[np.ndarray]:
        with _open(self.path) as file:
            header = _info(file)
            own = header.sample_rate
            _refuse_rate(self.path, own)
            full_scale = blocks.FULL_SCALE
            if file.subtype in ("PCM_U8", "PCM_S8"):
                full_scale = blocks.FULL_SCALE_8_BITS
            mono = blocks.Mono(own, self.sample_rate or own, full_scale)
            for frames in _frames(file, self.path):
                yield mono.push(frames)
            yield mono.end()
        _refuse_empty(self.path, mono.num_frames)
        _refuse_not_finite(self.path, mono.not_finite, mono.num_frames)
        self.facts |= {
            "sample_rate": own,
            "channels": header.channels,
            "format": header.format,
            "clipped": mono.clipped,
            "clipped_runs": mono.clipped_runs,
        }
        if mono.num_frames < header.frames:
            self.facts["missing_frames"] = header.frames - mono.num_frames


class Frames:
    """A sound file of any length as blocks of its frames, [n, C] float32, in order.

    They come at the file's own rate with the channels it has, and beyond full scale where the
    file goes there. `sample_rate`, `channels` and `num_frames` are what the header says; as in
    `AudioInfo`, fewer frames may be there.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        header = info(path)
        _refuse_rate(self.path, header.sample_rate)
        self.sample_rate = header.sample_rate  # Hz
        self.channels = header.channels
        self.num_frames = header.frames
        self.provenance = header.provenance

    def __iter__(self) -> Iterator[np.ndarray]:
        num_frames = not_finite = 0
        with _open(self.path) as file:
            for block in _frames(file, self.path):
                num_frames += len(block)
                not_finite += int(np.count_nonzero(~np.isfinite(block)))
                if not not_finite:
                    yield block
        _refuse_empty(self.path, num_frames)
        _refuse_not_finite(self.path, not_finite, num_frames)


def decode(data: bytes, name: str) -> np.ndarray:  # [num_samples] float32
    """The mono samples of a sound file held in memory; errors call it `name`."""
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            return _mono(file)
    except soundfile.LibsndfileError as error:
        raise WavegenError(f"{name} is damaged: {error.error_string}", _KIND) from None


def write(
    path: str | Path,
    samples: np.ndarray,  # [T] or [T, C] float in [-1, 1]
    sample_rate: int,
    format: str = "wav16",
    provenance: dict[str, Any] | None = None,
) -> None:
    """A whole WAV (`wav16`, `wav24`, `float32`) or `flac` file, complete or not there at all."""
    channels = samples.shape[1] if samples.ndim == 2 else 1
    with whole(path, sample_rate, format, provenance, channels) as stream:
        stream.write(samples)


@contextmanager
def whole(
    path: str | Path,
    sample_rate: int,
    format: str = "wav16",
    provenance: dict[str, Any] | None = None,
    channels: int = 1,
) -> Iterator[WavStream]:
    """A stream whose file takes its place at `path` when all was written, and not before.

    It is a WAV of the format named, or a `flac` of 16 bits. What stood at `path` stays until
    then, and for good where the writing ends in an error.
    """
    path = Path(path)
    make_room(path)
    beside = path.with_name(path.name + ".partial")
    try:
        wav_format = "wav16" if format == "flac" else format
        with WavStream(beside, sample_rate, wav_format, provenance, channels) as stream:
            yield stream
        if format == "flac":
            convert_flac(beside, path)
        else:
            _rename(beside, path)
    finally:
        beside.unlink(missing_ok=True)


class WavStream:
    """A WAV that is written as it is made; what was written is readable after a kill.

    The same samples and provenance give the same bytes. Used as a context manager.
    """

    def __init__(
        self,
        path: str | Path,
        sample_rate: int,
        format: str = "wav16",
        provenance: dict[str, Any] | None = None,
        channels: int = 1,
    ) -> None:
        import soundfile

        if format not in FORMATS:
            raise WavegenError(f"there is no format '{format}'", "one of: " + ", ".join(FORMATS))
        self.path = Path(path)
        self._is_float = format == "float32"
        if provenance is not None:
            told(provenance)
        make_room(self.path)
        try:
            self._file = soundfile.SoundFile(
                self.path, "w", sample_rate, channels, FORMATS[format], format="WAV"
            )
        except soundfile.LibsndfileError as error:
            raise _unwritable(self.path, error.error_string) from None
        # The PEAK chunk of float files carries the time of day: equal sounds would differ.
        self._command(_ADD_PEAK_CHUNK)
        _sign(self._file, provenance)

    def write(
        self,
        samples: np.ndarray,  # [T], or [T, C] of C channels, float in [-1, 1]
    ) -> None:
        """Appends samples, clipped in whole-number formats; then they are in the file."""
        import soundfile

        samples = np.asarray(samples, np.float32)
        try:
            self._file.write(samples if self._is_float else np.clip(samples, -1.0, 1.0))
            self._command(_UPDATE_HEADER)  # by itself it lags behind in float files
            self._file.flush()
        except soundfile.LibsndfileError as error:
            # libsndfile calls whatever the system says a "System error".
            full = shutil.disk_usage(self.path.parent).free < _BLOCK
            raise _unwritable(
                self.path, "the disk is full" if full else error.error_string
            ) from None

    def _command(self, number: int) -> None:
        import soundfile

        soundfile._snd.sf_command(self._file._file, number, soundfile._ffi.NULL, 0)

    def close(self) -> None:
        """Ends the file."""
        self._file.close()

    def __enter__(self) -> WavStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def convert_flac(wav_path: str | Path, flac_path: str | Path) -> None:
    """A FLAC of a WAV that wavegen wrote, with its provenance: 16 bits if it has 16, else 24."""
    import soundfile

    wav_path, flac_path = Path(wav_path), Path(flac_path)
    make_room(flac_path)
    beside = flac_path.with_name(flac_path.name + ".flac-partial")
    try:
        with _open(wav_path) as wav:
            subtype = "PCM_16" if wav.subtype == "PCM_16" else "PCM_24"
            with soundfile.SoundFile(
                beside, "w", wav.samplerate, wav.channels, subtype, format="FLAC"
            ) as flac:
                _sign(flac, _info(wav).provenance)
                while len(block := wav.read(_BLOCK, dtype="int32", always_2d=True)):
                    flac.write(block)
        _rename(beside, flac_path)
    except soundfile.LibsndfileError as error:
        raise _unwritable(flac_path, error.error_string) from None
    finally:
        beside.unlink(missing_ok=True)


def make_room(path: Path) -> None:
    """Refuses a path that no file can be written to; makes the folders above it."""
    if path.is_dir():
        raise WavegenError(f"{path} is a folder", "the name of a file to write")
    nearest = next((above for above in path.parents if above.exists()), path.parent)
    if nearest.exists() and not nearest.is_dir():
        raise _unwritable(path, f"{nearest} is a file, not a folder")
    _attempt(path, lambda: path.parent.mkdir(parents=True, exist_ok=True))
    if not os.access(path.parent, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise _unwritable(path, "permission denied")


def _open(path: Path) -> Any:
    """The file, open for reading, or an error that says what it is instead."""
    import soundfile

    if path.is_dir():
        raise WavegenError(f"{path} is a folder", _KIND)
    if not path.is_file():
        raise WavegenError(f"{path} does not exist", _KIND)
    try:
        if path.stat().st_size == 0:
            raise WavegenError(f"{path} is empty: 0 bytes", _KIND)
        return soundfile.SoundFile(path)
    except soundfile.LibsndfileError as error:
        reason = unreadable.reason(path, error.error_string)
        raise WavegenError(f"{path} cannot be read as sound: {reason}", _KIND) from None
    except OSError as error:
        raise WavegenError(f"{path} cannot be read: {error.strerror}") from None


def _mono(file: Any) -> np.ndarray:  # [num_samples] float32
    """All that is left of an open file, its channels averaged."""
    parts: list[np.ndarray] = [np.zeros(0, np.float32)]
    while len(block := file.read(_BLOCK, dtype="float32", always_2d=True)):
        parts.append(block.mean(axis=1, dtype=np.float32))
    return np.concatenate(parts)


def _frames(file: Any, path: Path) -> Iterator[np.ndarray]:  # [n, C] float32 each, n > 0
    """What is left to be read of an open file."""
    import soundfile

    try:
        # A short block is the last: a file that is read in one needs no second look.
        num_frames = _BLOCK
        while num_frames == _BLOCK:
            block = file.read(_BLOCK, dtype="float32", always_2d=True)
            num_frames = len(block)
            if num_frames:
                yield block
    except soundfile.LibsndfileError as error:
        raise WavegenError(
            f"{path} is damaged or cut short: {unreadable.reason(path, error.error_string)}",
            "a whole file",
        ) from None


def _info(file: Any) -> AudioInfo:
    try:
        told = json.loads(file.comment)
    except (json.JSONDecodeError, UnicodeDecodeError):
        told = None
    ours = isinstance(told, dict) and file.software.startswith("wavegen")
    return AudioInfo(
        sample_rate=file.samplerate,
        channels=file.channels,
        frames=file.frames,
        duration_seconds=file.frames / file.samplerate,
        format=f"{file.format} {file.subtype}",
        provenance=told if ours else None,
    )


def _refuse_rate(path: Path, sample_rate: int) -> None:
    if sample_rate < LOWEST_RATE:
        raise WavegenError(f"{path} is at {sample_rate} Hz; at least {LOWEST_RATE} are needed")


def _refuse_empty(path: Path, num_frames: int) -> None:
    if not num_frames:
        size = path.stat().st_size
        beside = f", which announces none of its {size} bytes" if size > _HEADER_BYTES else ""
        raise WavegenError(f"{path} holds no samples, only a header{beside}", "at least one sample")


def _refuse_not_finite(path: Path, not_finite: int, num_frames: int) -> None:
    if not_finite:
        raise WavegenError(
            f"{path} has {not_finite} NaN or infinite samples of {num_frames}", "finite samples"
        )


def checked(
    path: Path, samples: np.ndarray, own_rate: int, sample_rate: int | None
) -> tuple[np.ndarray, dict[str, Any]]:
    """Samples as `Blocks` would give them, and the same facts but for the format.

    For sound that comes from no sound file; errors call it `path`.
    """
    if not len(samples):
        raise WavegenError(f"{path} holds no samples", "at least one sample")
    mono = blocks.Mono(own_rate, sample_rate or own_rate)
    given = np.concatenate([mono.push(samples[:, None].astype(np.float32)), mono.end()])
    _refuse_not_finite(path, mono.not_finite, mono.num_frames)
    counts = {"clipped": mono.clipped, "clipped_runs": mono.clipped_runs}
    return given, {"sample_rate": own_rate, "channels": 1, **counts}


def _sign(file: Any, provenance: dict[str, Any] | None) -> None:
    """Provenance into a file just opened: its strings must stand before the samples."""
    file.software = f"wavegen {__version__}"
    if provenance is not None:
        file.comment = told(provenance)


def told(provenance: dict[str, Any]) -> str:
    """What a file says of its making; WavegenError where that is too long."""
    text = json.dumps(provenance, sort_keys=True)
    if len(text) > MAX_PROVENANCE:
        raise WavegenError(
            f"the provenance of a WAV is {len(text)} bytes of JSON", f"at most {MAX_PROVENANCE}"
        )
    return text


def _rename(source: Path, target: Path) -> None:
    make_room(target)
    _attempt(target, lambda: os.replace(source, target))


def _attempt(path: Path, action: Callable[[], object]) -> None:
    try:
        action()
    except OSError as error:
        raise _unwritable(path, error.strerror or str(error)) from None


def _unwritable(path: Path, reason: str) -> WavegenError:
    return WavegenError(f"cannot write {path}: {reason}", "a place that can be written to")
