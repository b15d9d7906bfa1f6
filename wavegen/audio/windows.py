"""What a short window of sound amounts to: its level, its spectrum, whether it goes round."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from wavegen.audio import levels

WINDOW_SECONDS = 1.0
FULL_SCALE = 0.999  # a sample from here on counts as clipped: the outermost codes of mu-law
# A period from here on is a loop: below, it is a tone.
SHORTEST_LOOP_SECONDS = 0.04
LONGEST_LOOP_SECONDS = 0.33  # so that it comes three times in a window
_ALIKE = 0.97  # correlation of a window with itself a period later, from which on it repeats
# A tone repeats with its own period, a loop of tones with the loop's: it is to be less like
# itself after any shorter time, and half as far from sameness after its period. Of recordings of
# notes, music and speech hardly a window passes for a loop; of a synthesizer's unwavering chords
# a fifth does, and so does its deep vibrato.
_TONE = 0.98
_CLOSER = 0.5
_FINE_HZ = 32_000  # lags are as fine as this: half a sample aside, a bright tone is unlike itself
_SEGMENT_SECONDS = 0.032  # whose spectra are averaged


class Window(NamedTuple):
    """Some samples, described."""

    rms_dbfs: float  # -200 for digital silence
    flatness: float  # 0 (a tone) to 1 (white noise), of the half that is less flat
    clipped: float  # share of samples at full scale
    lowest: float
    highest: float
    loop_seconds: float  # period of what goes round, 0 where nothing does

    @property
    def is_silent(self) -> bool:
        """Whether a listener would hear nothing, or nothing but an offset."""
        return self.rms_dbfs < levels.SILENT_DBFS


def describe(
    samples: np.ndarray,  # [N] float32 in [-1, 1], N >= 1
    sample_rate: int,
) -> Window:
    """What the samples amount to; an offset is no sound and is left out of level and spectrum."""
    samples = np.asarray(samples, np.float64)
    moving = samples - samples.mean()
    rms_dbfs = float(levels.dbfs(np.mean(np.square(moving))))
    clipped = float(np.mean(np.abs(samples) >= FULL_SCALE))
    lowest, highest = float(samples.min()), float(samples.max())
    if rms_dbfs < levels.SILENT_DBFS:
        return Window(rms_dbfs, 0.0, clipped, lowest, highest, 0.0)
    # The spectrum of a click is flat as well, but noise goes on through both halves.
    flatness = min(_flatness(half, sample_rate) for half in np.array_split(moving, 2))
    loop = _loop_seconds(moving, sample_rate)
    return Window(rms_dbfs, flatness, clipped, lowest, highest, loop)


def _flatness(samples: np.ndarray, sample_rate: int) -> float:
    """Geometric over arithmetic mean of the power spectrum (Gray and Markel 1974, eq. 8).

    The spectrum is Welch's mean of many short ones, so that noise is flat indeed. 0 where there
    is nothing to be heard.
    """
    from scipy import signal

    if not len(samples) or levels.dbfs(np.var(samples)) < levels.SILENT_DBFS:
        return 0.0
    segment = min(len(samples), 2 ** round(math.log2(_SEGMENT_SECONDS * sample_rate)))
    _, power = signal.welch(samples, sample_rate, nperseg=segment)
    power = power[1:] + 1e-20  # without what the offset left
    return float(np.exp(np.mean(np.log(power))) / np.mean(power))


def _loop_seconds(samples: np.ndarray, sample_rate: int) -> float:
    """The period of the window, if it is that of a loop; 0 for tones and all else."""
    fine = max(1, round(_FINE_HZ / sample_rate))  # lags in a sample
    longest = min(math.ceil(LONGEST_LOOP_SECONDS * sample_rate), len(samples) // 3) * fine
    shortest = math.ceil(SHORTEST_LOOP_SECONDS * sample_rate) * fine
    if longest <= shortest:
        return 0.0
    alike = _alike(samples, longest, fine)
    # Near lag 0 every sound is like itself: a period is what comes after it was unlike.
    unlike = np.flatnonzero(alike < _ALIKE / 2)
    if not len(unlike):
        return 0.0
    tone, loop = alike[unlike[0] : shortest], alike[max(unlike[0], shortest) :]
    most, best = tone.max(initial=0.0), loop.max()
    if best < _ALIKE or most > _TONE or 1 - best > _CLOSER * (1 - most):
        return 0.0
    # Multiples of the period are as good, but for the rounding.
    period = len(alike) - len(loop) + np.argmax(loop >= best - 1e-3)
    return float(period / (fine * sample_rate))


def _alike(samples: np.ndarray, longest: int, fine: int) -> np.ndarray:  # [longest + 1]
    """Correlation of the samples with themselves, by lag in parts of a sample."""
    size = 2 ** math.ceil(math.log2(2 * len(samples)))
    power = np.square(np.abs(np.fft.rfft(samples, size)))
    products = np.fft.irfft(power, size * fine)[: longest + 1] * fine
    energy = np.concatenate([[0.0], np.cumsum(np.square(samples))])
    lags = np.arange(longest + 1) / fine
    ahead = energy[-1] - np.interp(lags, np.arange(len(energy)), energy)
    behind = np.interp(len(samples) - lags, np.arange(len(energy)), energy)
    return products / np.sqrt(np.maximum(ahead * behind, 1e-30))
