"""How near a sound is to another, sample by sample.

All take reference and estimate [T] in [-1, 1], of one length, and reckon in float64.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from wavegen.evaluation.metrics.measures import Measure, NotApplicable

SAME = NotApplicable("they are the same")
SILENT = NotApplicable("the reference is silent")
CONSTANT = NotApplicable("the reference is constant")
PIECE_SAMPLES = 1 << 20  # looked at together: an hour is never held in float64
# A share of energy that float64 cannot tell from none, once a mean or a gain was taken out.
_RESOLUTION = 1e-25


def obstacle(
    reference: np.ndarray,  # [T]
    estimate: np.ndarray,  # [T]
) -> NotApplicable | None:
    """Why nothing can be measured of them, if so. Raises ValueError where their shapes differ."""
    if reference.ndim != 1 or reference.shape != estimate.shape:
        raise ValueError(f"two sounds of one length: {reference.shape} and {estimate.shape}")
    if not len(reference):
        return NotApplicable("there are no samples")
    if not (np.isfinite(reference).all() and np.isfinite(estimate).all()):
        return NotApplicable("there are NaN or infinite samples")
    return None


def pieces(
    reference: np.ndarray,  # [T]
    estimate: np.ndarray,  # [T]
    size: int = PIECE_SAMPLES,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:  # [size] each, the last may be shorter
    """Both sounds in float64, piece by piece."""
    for start in range(0, len(reference), size):
        piece = slice(start, start + size)
        yield reference[piece].astype(np.float64), estimate[piece].astype(np.float64)


def mse(
    reference: np.ndarray,  # [T]
    estimate: np.ndarray,  # [T]
) -> Measure:
    """Mean of the squared differences: 0 to 4."""
    if reason := obstacle(reference, estimate):
        return reason
    return sum(_energy(e - r) for r, e in pieces(reference, estimate)) / len(reference)


def psnr_db(
    reference: np.ndarray,  # [T]
    estimate: np.ndarray,  # [T]
) -> Measure:
    """Peak signal-to-noise ratio in dB, the peak being full scale (1.0), whatever is reached."""
    error = mse(reference, estimate)
    return error if isinstance(error, NotApplicable) else _decibels(1.0, error)


def snr_db(
    reference: np.ndarray,  # [T]
    estimate: np.ndarray,  # [T]
) -> Measure:
    """Energy of the reference over that of the difference, in dB; 0 for an estimate of silence.

    auraloss's SNRLoss(zero_mean=False) is its negative.
    """
    if reason := obstacle(reference, estimate):
        return reason
    signal = noise = 0.0
    for r, e in pieces(reference, estimate):
        signal, noise = signal + _energy(r), noise + _energy(e - r)
    return _decibels(signal, noise) if signal else SILENT


def si_sdr_db(
    reference: np.ndarray,  # [T]
    estimate: np.ndarray,  # [T]
) -> Measure:
    """Scale-invariant signal-to-distortion ratio in dB: neither gain nor offset counts.

    Le Roux et al. 2019, arXiv 1811.02508; unlike there the means are taken off first, as
    auraloss does, whose SISDRLoss is its negative.
    """
    if reason := obstacle(reference, estimate):
        return reason
    means = [float(np.mean(samples, dtype=np.float64)) for samples in (reference, estimate)]
    energy, common, heard = 0.0, 0.0, 0.0
    for r, e in pieces(reference, estimate):
        heard += _energy(e)
        r, e = r - means[0], e - means[1]
        energy, common = energy + _energy(r), common + float(r @ e)
    if energy <= _RESOLUTION * (energy + len(reference) * means[0] ** 2):
        return CONSTANT if means[0] else SILENT
    gain = common / energy
    signal = gain**2 * energy
    if signal <= _RESOLUTION * heard:
        return NotApplicable("nothing of the reference is in the estimate")
    noise = 0.0
    for r, e in pieces(reference, estimate):
        noise += _energy((e - means[1]) - gain * (r - means[0]))
    if noise <= _RESOLUTION * heard:
        return NotApplicable("they are the same but for a gain")
    return _decibels(signal, noise)


def _energy(samples: np.ndarray) -> float:
    return float(samples @ samples)


def _decibels(signal: float, noise: float) -> Measure:
    return 10 * (math.log10(signal) - math.log10(noise)) if noise else SAME
