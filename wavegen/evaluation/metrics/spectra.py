"""How near a sound is to another in its short-time spectra; where waves lie does not count.

All take reference and estimate [T] in [-1, 1], of one length, and reckon in float64, some
frames at a time. The windows are those of Hann, around every hop-th sample.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np

from wavegen.evaluation.metrics import waveforms
from wavegen.evaluation.metrics.measures import Measure, NotApplicable

WINDOW_SECONDS = 0.032  # of the log-spectral and the MFCC distance
LEAST_FFT = 512  # so that at low rates, too, every mel band holds a bin
LOWEST_POWER = 1e-10  # -100 dB below a sine at full scale: what is lower counts as this
MEL_BANDS = 40
CEPSTRA = slice(1, 13)  # coefficient 0 is the level, which is measured by itself
CHUNK_SAMPLES = 1 << 17  # transformed together: 1 MiB, which caches can hold


class Frames(NamedTuple):
    """How sound is cut; in samples."""

    fft: int
    hop: int
    window: int


# In samples at any rate, as the paper has them (for speech at 24 kHz) and all after it.
RESOLUTIONS = (Frames(1024, 120, 600), Frames(2048, 240, 1200), Frames(512, 50, 240))
_LEAST_MAGNITUDE_SQUARED = 1e-8  # under its logarithms, of spectra that are not scaled


def log_spectral_distance_db(
    reference: np.ndarray,  # [T]
    estimate: np.ndarray,  # [T]
    sample_rate: int,
) -> Measure:
    """Distance of levels in dB: root mean square over the bins, mean over the frames.

    Gray and Markel 1976, Distance measures for speech processing, of spectra in windows of 32 ms.
    What is more than 100 dB below a sine at full scale counts as that, so that silence is
    finitely far from sound.
    """
    if reason := waveforms.obstacle(reference, estimate):
        return reason
    cut = _frames(sample_rate)
    lowest = LOWEST_POWER * _sine_power(cut)
    total, count = 0.0, 0
    for r, e in _both(reference, estimate, cut, "constant"):
        levels = 10 * np.log10(np.maximum(r, lowest) / np.maximum(e, lowest))
        total += float(np.sqrt(np.mean(np.square(levels), axis=1)).sum())
        count += len(levels)
    return total / count


def multi_resolution_stft(
    reference: np.ndarray,  # [T]
    estimate: np.ndarray,  # [T]
) -> Measure:
    """Spectral convergence and mean distance of log magnitudes, added; mean of three windows.

    Yamamoto et al. 2020, arXiv 1910.11480, its auxiliary loss; auraloss's MultiResolutionSTFTLoss
    as it comes. The windows are so many samples at any rate, as there: numbers of sounds at
    different rates do not compare. Not applicable to what is no longer than half a window.
    """
    if reason := waveforms.obstacle(reference, estimate):
        return reason
    half = max(cut.window for cut in RESOLUTIONS) // 2
    if len(reference) <= half:  # too little to mirror at the edges
        return NotApplicable(f"more than half a window is wanted, {half} samples")
    if not np.any(reference) and np.any(estimate):
        return waveforms.SILENT
    return sum(_stft_distance(reference, estimate, cut) for cut in RESOLUTIONS) / len(RESOLUTIONS)


def mfcc_distance(
    reference: np.ndarray,  # [T]
    estimate: np.ndarray,  # [T]
    sample_rate: int,
) -> Measure:
    """Euclidean distance of mel cepstra 1 to 12, mean over the frames: timbre, without level.

    Davis and Mermelstein 1980, of 40 bands in dB in windows of 32 ms; bands and transform are
    librosa's (Slaney's mel scale, orthonormal DCT-II). 1 is a difference of 1 dB in one
    coefficient. A band more than 100 dB below a sine at full scale counts as that.
    """
    import librosa
    from scipy import fft

    if reason := waveforms.obstacle(reference, estimate):
        return reason
    cut = _frames(sample_rate)
    bands = librosa.filters.mel(
        sr=sample_rate, n_fft=cut.fft, n_mels=MEL_BANDS, norm=None, dtype=np.float64
    ).T
    lowest = LOWEST_POWER * _sine_power(cut)
    total, count = 0.0, 0
    for r, e in _both(reference, estimate, cut, "constant"):
        levels = 10 * np.log10(np.maximum(r @ bands, lowest) / np.maximum(e @ bands, lowest))
        cepstra = np.asarray(fft.dct(levels, norm="ortho"))[:, CEPSTRA]
        total += float(np.linalg.norm(cepstra, axis=1).sum())
        count += len(levels)
    return total / count


def _stft_distance(reference: np.ndarray, estimate: np.ndarray, cut: Frames) -> float:
    """Spectral convergence and mean distance of log magnitudes, at one resolution."""
    energy = error = logs = 0.0
    count = 0
    for powers in _both(reference, estimate, cut, "reflect"):
        r, e = (np.maximum(power, _LEAST_MAGNITUDE_SQUARED) for power in powers)
        energy += float(r.sum())
        logs += float(np.abs(np.log(r / e)).sum()) / 2  # of magnitudes, not of powers
        error += float(np.square(np.sqrt(r) - np.sqrt(e)).sum())
        count += r.size
    return math.sqrt(error / energy) + logs / count


def _frames(sample_rate: int) -> Frames:
    """Windows of some 32 ms, an even number of samples, four to overlap."""
    window = 2 * math.ceil(WINDOW_SECONDS * sample_rate / 2)
    fft = max(LEAST_FFT, 2 ** math.ceil(math.log2(window)))
    return Frames(fft, window // 4, window)


def _sine_power(cut: Frames) -> float:
    """What a sine at full scale has in its bin."""
    return (cut.window / 4) ** 2  # half the sum of the window, squared


def _both(
    reference: np.ndarray,  # [T]
    estimate: np.ndarray,  # [T]
    cut: Frames,
    edges: Literal["constant", "reflect"],
) -> Iterator[tuple[np.ndarray, np.ndarray]]:  # [F, fft // 2 + 1] each
    first, second = (_powers(samples, cut, edges) for samples in (reference, estimate))
    return zip(first, second, strict=True)


def _powers(
    samples: np.ndarray,  # [T]
    cut: Frames,
    edges: Literal["constant", "reflect"],  # zeros beyond the samples, or their mirror image
) -> Iterator[np.ndarray]:  # [F, fft // 2 + 1]
    """Power spectra around samples 0, hop, 2 hop and so on, a chunk of frames at a time."""
    from scipy import signal

    window = signal.get_window("hann", cut.window)
    padded = np.pad(samples, cut.window // 2, mode=edges)
    framed = np.lib.stride_tricks.sliding_window_view(padded, cut.window)[:: cut.hop]
    together = CHUNK_SAMPLES // cut.fft
    for first in range(0, len(framed), together):
        spectrum = np.fft.rfft(framed[first : first + together] * window, cut.fft)
        yield np.square(spectrum.real) + np.square(spectrum.imag)
