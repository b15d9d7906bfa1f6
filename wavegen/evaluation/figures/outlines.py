"""A sound of any length as a few thousand points and columns: what a picture of it can show."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from wavegen.audio import files
from wavegen.errors import WavegenError

DYNAMIC_RANGE_DB = 80.0
WINDOW_SECONDS = 0.064  # partials apart, onsets still sharp
LONG_WINDOW_SECONDS = 0.128  # so that low notes a tone apart are two lines
COLUMNS = 900  # of the spectrogram at most; a figure has a pixel for each
POINTS = 4000  # of the waveform, each with its lowest and its highest sample
_SMALLEST_FFT, _LARGEST_FFT = 64, 4096
_BLOCK = 1 << 16  # samples looked at in one go
_FAINTEST = 1e-10  # power beside a full-scale sine's; where nothing is louder, it is silence


@dataclass(frozen=True)
class Outline:
    """What a figure shows of a stretch of sound.

    Column f stands for the samples [f * column_samples, (f + 1) * column_samples), and so do
    the points of the waveform that fall into it, which are of one size.
    """

    sample_rate: int  # Hz
    start_seconds: float  # where the stretch begins in its recording
    num_samples: int
    column_samples: int
    low: np.ndarray  # [N] the lowest sample of each point
    high: np.ndarray  # [N] and the highest
    power: np.ndarray  # [bins, F] mean over the column; a full-scale sine has 1

    @property
    def end_seconds(self) -> float:
        """Where the stretch ends."""
        return self.start_seconds + self.num_samples / self.sample_rate

    @property
    def point_seconds(self) -> np.ndarray:  # [N]
        """The middle of each point of the waveform."""
        points_per_column = len(self.low) // self.power.shape[1]
        step = self.column_samples / points_per_column / self.sample_rate
        return self.start_seconds + (np.arange(len(self.low)) + 0.5) * step

    @property
    def edges_seconds(self) -> np.ndarray:  # [F + 1]
        """The borders of the columns."""
        column_seconds = self.column_samples / self.sample_rate
        return self.start_seconds + np.arange(self.power.shape[1] + 1) * column_seconds

    @property
    def edges_khz(self) -> np.ndarray:  # [bins + 1]
        """The borders of the rows; half a row below 0, and above half the sample rate."""
        bins = self.power.shape[0]
        return (np.arange(bins + 1) - 0.5) * self.sample_rate / (2 * (bins - 1)) / 1000

    @property
    def level_db(self) -> np.ndarray:  # [bins, F]
        """Level below the loudest place; silence is far below."""
        return level_db(self.power)


class Stretch(NamedTuple):
    """A part of a sound file that is about to be read."""

    blocks: Iterable[np.ndarray]  # of [n] samples in [-1, 1], in order
    sample_rate: int  # Hz
    num_samples: int  # as many as the file's header announces, at most
    start_seconds: float


def level_db(power: np.ndarray) -> np.ndarray:  # [bins, F], both
    """Level below the loudest place, in [-DYNAMIC_RANGE_DB, 0]; silence is all at the bottom."""
    loudest = max(float(power.max()), _FAINTEST)
    quiet = 10 ** (-DYNAMIC_RANGE_DB / 10) * loudest
    return 10 * np.log10(np.maximum(power, quiet) / loudest)


def read(
    path: Path,
    start_seconds: float = 0.0,
    seconds: float | None = None,  # None: to the end
    window_seconds: float = WINDOW_SECONDS,
    progress: Callable[[float, float], None] = lambda done, total: None,  # seconds
) -> Outline:
    """The outline of a sound file or of a stretch of it, its channels averaged.

    Raises WavegenError where it cannot be read, or ends before the stretch begins.
    """
    found = trace(*stretch(path, start_seconds, seconds, progress), window_seconds)
    if not found.num_samples:  # its header announces more than is there
        raise WavegenError(f"{path} ends before {start_seconds:g} s", "an earlier start")
    return found


def stretch(
    path: Path,
    start_seconds: float = 0.0,
    seconds: float | None = None,  # None: to the end
    progress: Callable[[float, float], None] = lambda done, total: None,  # seconds
) -> Stretch:
    """A sound file's samples from a start on, its channels averaged; read as they are asked for.

    Raises WavegenError where the file cannot be read, or ends before the stretch begins.
    """
    header = files.info(path)
    rate = header.sample_rate
    if header.frames and not 0 <= start_seconds < header.duration_seconds:
        raise WavegenError(
            f"{path} lasts {header.duration_seconds:.3f} s, the start is {start_seconds:g} s",
            "a start from 0 s to before its end",
        )
    if seconds is not None and not seconds > 0:
        raise WavegenError(f"a stretch of {seconds:g} s", "more than 0 s")
    first = int(start_seconds * rate)
    there = max(1, header.frames - first)
    count = there if seconds is None else round(min(max(1.0, seconds * rate), there))
    end = first + count
    told = lambda place: progress(place / rate, end / rate)
    return Stretch(_cut(files.Blocks(path), first, end, told), rate, count, first / rate)


def trace(
    blocks: Iterable[np.ndarray],  # of [n] samples in [-1, 1], in order
    sample_rate: int,
    num_samples: int,
    start_seconds: float = 0.0,
    window_seconds: float = WINDOW_SECONDS,
) -> Outline:
    """The outline of a sound that comes in blocks; its memory does not grow with the sound.

    `num_samples` is how many are announced: columns and points are as wide as these ask for.
    A column is the mean power of all Hann windows within it, however long it is.
    """
    n_fft = _power_of_two(np.clip(window_seconds * sample_rate, _SMALLEST_FFT, _LARGEST_FFT))
    fine = (n_fft // 16, n_fft // 8)
    hop = next((hop for hop in fine if num_samples <= hop * COLUMNS), n_fft // 4)
    column = hop * max(1, -(-num_samples // (hop * COLUMNS)))
    points = min(hop, _power_of_two(max(1, POINTS * column // max(1, num_samples))))
    beside = (n_fft - hop) // 2
    told, lows, highs, powers = 0, [], [], []
    for samples, own in columns(blocks, column, beside):
        told += own
        middle = samples[beside : len(samples) - beside].reshape(-1, column // points)
        lows.append(middle.min(axis=1))
        highs.append(middle.max(axis=1))
        powers.append(_power(samples, n_fft, hop, column))
    return Outline(
        sample_rate,
        start_seconds,
        told,
        column,
        np.concatenate(lows),
        np.concatenate(highs),
        np.concatenate(powers, axis=1),
    )


def _power_of_two(number: float) -> int:
    """The largest that is not above the number, which is 1 or more."""
    return 1 << (int(number).bit_length() - 1)


def _cut(
    blocks: Iterable[np.ndarray],
    first: int,
    end: int,
    heard: Callable[[int], None],  # is told how many samples were read
) -> Iterator[np.ndarray]:
    """The samples [first, end); what comes after them is not read."""
    place = 0
    for block in blocks:
        yield block[max(0, first - place) : max(0, end - place)]
        place += len(block)
        heard(place)
        if place >= end:
            return


def columns(
    blocks: Iterable[np.ndarray],
    column: int,
    beside: int,
    least: int = 1,  # samples of a piece, unless it is the last
) -> Iterator[tuple[np.ndarray, int]]:
    """Whole columns with what windows hear before and after them; how many samples are new.

    Around the sound there is silence. The last column may end in some.
    """
    rest = np.zeros(beside, np.float32)
    for block in blocks:
        for start in range(0, len(block), _BLOCK):
            piece = np.asarray(block[start : start + _BLOCK], np.float32)
            rest = np.concatenate([rest, piece])
            ready = (len(rest) - 2 * beside) // column * column
            if ready >= least:
                yield rest[: ready + 2 * beside], ready
                rest = rest[ready:]
    own = len(rest) - beside
    whole = column * max(1, -(-own // column))
    yield np.pad(rest, (0, whole - own + beside)), own


def _power(
    samples: np.ndarray,  # [T], whole columns and what windows hear beside them
    n_fft: int,
    hop: int,
    column: int,
) -> np.ndarray:  # [bins, F] float32
    import librosa

    found = librosa.stft(samples, n_fft=n_fft, hop_length=hop, center=False)
    power = (np.abs(found) * (4 / n_fft)) ** 2  # a sine's peak is a quarter of the Hann window
    return power.reshape(len(power), -1, column // hop).mean(axis=2)
