"""How high a sound is, moment by moment: how soon it repeats itself, and how well."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

# Four of the longest periods in a frame: fewer, and partials that lie beside their places, as
# those of low piano strings do, no longer average out; more, and a glide blurs.
_PERIODS_IN_FRAME = 4

# A parabola finds the top of a cosine of eight points a period to within 2 cents; likeness is
# read so finely that the shortest period has that many, and what lies above it a few.
_POINTS_IN_SHORTEST_PERIOD = 8
_POINTS_IN_SAMPLE = 3

# The first repeat counts that is nearly as good as the best; McLeod and Wyvill's k, for which
# they name 0.8 to 1.0. Higher slips an octave down, lower an octave up.
_NEARLY_AS_GOOD = 0.9

# So that an hour fits into memory, and these into a cache.
_FRAMES_AT_ONCE = 32


@dataclass(frozen=True)
class Periods:
    """Frame f is heard around the moment f * hop_seconds; the frames cover the sound."""

    hz: np.ndarray  # [F] float64, 1 / period; 0 where nothing repeats
    clarity: np.ndarray  # [F] 0 to 1: the share of the energy that repeats
    level_db: np.ndarray  # [F] mean square around the moment, re full scale; -200 in silence
    hop_seconds: float


def measured(
    samples: np.ndarray,  # [T] float
    sample_rate: int,
    low_hz: float,
    high_hz: float,
    hop_seconds: float = 0.01,
) -> Periods:
    """The periods of a sound, by its normalised square difference function.

    McLeod and Wyvill 2005, "A smarter way to find pitch", sections 4 to 6. librosa's yin says
    nothing of how well a sound repeats, and leaves out part of the energy, which costs it high
    notes; its pyin takes a second for a note. A `high_hz` beyond what the rate can carry is
    lowered; a sound shorter than four periods of `low_hz` is measured as one frame, whose
    longest period is half of it. Samples must be finite.
    """
    samples = np.asarray(samples, np.float64)
    samples = samples - samples.mean() if len(samples) else samples
    hop = max(1, round(hop_seconds * sample_rate))
    moments = np.arange(0, len(samples), hop)
    length = min(len(samples), math.ceil(_PERIODS_IN_FRAME * sample_rate / low_hz))
    longest = min(math.ceil(sample_rate / low_hz), length // 2)
    high_hz = min(high_hz, sample_rate / 2)
    level_db = _levels(samples, moments, math.ceil(sample_rate / low_hz))
    hz, clarity = np.zeros(len(moments)), np.zeros(len(moments))
    if longest > sample_rate / high_hz:
        # The frames at the ends lie within the sound: padding repeats nothing.
        starts = np.clip(moments - length // 2, 0, len(samples) - length)
        for at in range(0, len(starts), _FRAMES_AT_ONCE):
            some = slice(at, at + _FRAMES_AT_ONCE)
            frames = samples[starts[some, None] + np.arange(length)]
            hz[some], clarity[some] = _repeats(frames, sample_rate, longest, high_hz)
    return Periods(hz, clarity, level_db, hop / sample_rate)


def _repeats(
    frames: np.ndarray,  # [F, T]
    sample_rate: int,
    longest: int,
    high_hz: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Hz and clarity of each frame: of the first repeat that is nearly as good as the best."""
    enough = math.ceil(_POINTS_IN_SHORTEST_PERIOD * high_hz / sample_rate)
    finer = max(enough, _POINTS_IN_SAMPLE)
    alike = _alikeness(frames - frames.mean(1, keepdims=True), longest, finer)
    inner = alike[:, 1:-1]
    is_peak = np.zeros(alike.shape, bool)
    is_peak[:, 1:-1] = (inner > alike[:, :-2]) & (inner >= alike[:, 2:])
    # Everything is like itself at once: a repeat comes after a moment of being unlike.
    is_peak &= np.logical_or.accumulate(alike < 0, axis=1)
    is_peak[:, : int(finer * sample_rate / high_hz)] = False
    best = np.where(is_peak, alike, 0).max(1, keepdims=True)
    is_peak &= (alike >= _NEARLY_AS_GOOD * best) & (best > 0)
    # Ripples of high partials lie on its slopes: until the next moment of being unlike.
    first = is_peak.argmax(1)[:, None]
    is_over = np.logical_or.accumulate((alike < 0) & (np.arange(alike.shape[1]) > first), axis=1)
    peak = np.where(is_peak & ~is_over, alike, 0).argmax(1).clip(1, alike.shape[1] - 2)
    before, at, after = (np.take_along_axis(alike, peak[:, None] + i, 1)[:, 0] for i in (-1, 0, 1))
    bend = np.minimum(before - 2 * at + after, -1e-12)  # a peak bends downwards
    period = (peak + (before - after) / (2 * bend)) / finer
    found = is_peak.any(1)
    hz = np.divide(sample_rate, period, out=np.zeros(len(frames)), where=found)
    return hz, np.where(found, np.minimum(at, 1), 0)


def _alikeness(
    frames: np.ndarray,  # [F, T]
    longest: int,
    finer: int,
) -> np.ndarray:  # [F, (longest + 1) * finer]
    """How alike a frame and itself are, -1 to 1, after lags of 0, 1/finer, 2/finer ... samples."""
    length = frames.shape[1]
    size = 2 ** math.ceil(math.log2(2 * length))  # of which transforms are fast
    power = np.abs(np.fft.rfft(frames, size)) ** 2
    # More points than the spectrum has: the autocorrelation between the samples.
    products = finer * np.fft.irfft(power, finer * size)[:, : (longest + 1) * finer]
    energy = np.pad(np.cumsum(frames**2, axis=1), ((0, 0), (1, 0)))
    lags = np.arange(longest + 2)
    both = energy[:, length - lags] + energy[:, -1:] - energy[:, lags]
    points = np.arange((longest + 1) * finer) / finer
    whole = points.astype(int)
    both = both[:, whole] + (points - whole) * (both[:, whole + 1] - both[:, whole])
    return np.divide(2 * products, both, out=np.zeros_like(products), where=both > 1e-12)


def _levels(samples: np.ndarray, moments: np.ndarray, width: int) -> np.ndarray:
    """Mean square in dB of `width` samples around each moment, or of those that there are."""
    energy = np.pad(np.cumsum(samples**2), (1, 0))
    first = np.maximum(moments - width // 2, 0)
    last = np.minimum(moments + width // 2 + 1, len(samples))
    return 10 * np.log10(np.maximum((energy[last] - energy[first]) / (last - first), 1e-20))
