"""Steady noise taken out of a recording, as far as that harms nothing else.

Spectral subtraction of powers (Boll 1979, IEEE ASSP-27; Berouti et al. 1979, ICASSP) without
over-subtraction: the noise is learnt from the quietest stretch, gains are smoothed over time
and frequency and never fall below a floor, so that what is left of the noise stays a noise
and does not begin to ring.
"""

from __future__ import annotations

import math

import numpy as np

from wavegen.audio import levels

WINDOW_SECONDS = 0.064
QUIET_SECONDS = 0.3  # of the stretch that the noise is learnt from
QUIET_DB = 10.0  # the stretch lies so far below the recording, or it is no noise but the sound
FLOOR = 0.25  # the least gain: 12 dB down
_OVERLAP = 4  # windows that cover each sample
_PEAKS_HZ = 500.0  # the noise spectrum is a median over so much: partials that still sound fall out
_NOTHING_DBFS = -100.0  # frames below were never recorded, such as zeros put in front
_PIECE = 2048  # windows worked on at once: bounds the memory
_CONTEXT = 4  # windows beside a piece that its smoothed gains depend on


def denoise(
    samples: np.ndarray,  # [T] float32
    sample_rate: int,
) -> tuple[np.ndarray, float | None]:  # [T] float32, dBFS
    """Samples with less noise, and the level of the noise that was met.

    They come back as they were, with None, where no stretch is quiet enough to learn from.
    """
    start, noise_dbfs = _quietest(samples, sample_rate)
    if start is None:
        return samples, None
    size = 2 ** round(math.log2(WINDOW_SECONDS * sample_rate))
    quiet = samples[start : start + max(size, round(QUIET_SECONDS * sample_rate))]
    noise = _noise(quiet, size, sample_rate)
    return _subtract(samples, noise, size), round(noise_dbfs, 1)


def _quietest(samples: np.ndarray, sample_rate: int) -> tuple[int | None, float]:
    """Where the quietest stretch begins, in samples, and its level in dBFS."""
    frame = levels.frame_samples(sample_rate)
    powers = levels.frame_powers(samples, frame).astype(np.float64)[: len(samples) // frame]
    count = round(QUIET_SECONDS / levels.FRAME_SECONDS)
    if len(powers) < 2 * count:  # too short to hold a sound and a stretch without it
        return None, 0.0
    unheard = levels.dbfs(powers) < _NOTHING_DBFS
    sums = np.cumsum(np.append(0.0, powers))
    gaps = np.cumsum(np.append(0, unheard))
    means = (sums[count:] - sums[:-count]) / count
    means[gaps[count:] > gaps[:-count]] = math.inf
    start = int(np.argmin(means))
    if levels.dbfs(means[start]) > levels.dbfs(np.mean(powers)) - QUIET_DB:
        return None, 0.0
    return start * frame, float(levels.dbfs(means[start]))


def _window(size: int) -> np.ndarray:  # [size] float32
    """The root of a Hann window: applied twice, overlapping windows add up to _OVERLAP / 2."""
    return np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)).astype(np.float32)


def _noise(quiet: np.ndarray, size: int, sample_rate: int) -> np.ndarray:  # [size / 2 + 1]
    """The power of the noise in each band."""
    from scipy import ndimage

    windows = np.lib.stride_tricks.sliding_window_view(quiet, size)[:: size // _OVERLAP]
    power = np.mean(np.abs(np.fft.rfft(windows * _window(size))) ** 2, axis=0)
    return ndimage.median_filter(power, size=1 + round(_PEAKS_HZ * size / sample_rate))


def _subtract(samples: np.ndarray, noise: np.ndarray, size: int) -> np.ndarray:
    hop, window = size // _OVERLAP, _window(size)
    padded = np.pad(samples, (size, size + -len(samples) % hop))
    windows = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    out = np.zeros(len(padded), np.float32)
    for first in range(0, len(windows), _PIECE):
        before = min(first, _CONTEXT)
        piece = windows[first - before : first + _PIECE + _CONTEXT]
        spectra = np.fft.rfft(piece * window)
        spectra *= _gains(np.abs(spectra) ** 2, noise)
        made = np.fft.irfft(spectra[before : before + _PIECE], size) * window
        for place in range(_OVERLAP):  # windows of one place do not overlap each other
            rows = made[place::_OVERLAP].reshape(-1)
            start = (first + place) * hop
            out[start : start + len(rows)] += rows
    return out[size : size + len(samples)] / np.float32(_OVERLAP / 2)


def _gains(
    power: np.ndarray,  # [windows, bands]
    noise: np.ndarray,  # [bands]
) -> np.ndarray:  # [windows, bands] float32, FLOOR to 1
    """What of each band's amplitude is sound, from powers that are smoothed first."""
    share = 1 - noise / np.maximum(_smooth(power, 5, 3), 1e-20)
    return _smooth(np.sqrt(np.maximum(share, FLOOR**2)).astype(np.float32), 3, 3)


def _smooth(values: np.ndarray, num_windows: int, num_bands: int) -> np.ndarray:
    """Means over so many windows and bands around each."""
    from scipy import ndimage

    over_time = ndimage.uniform_filter1d(values, num_windows, axis=0, mode="nearest")
    return ndimage.uniform_filter1d(over_time, num_bands, axis=1, mode="nearest")
