"""How near a sound is to another in how loud it is, from moment to moment and in all.

Both take reference and estimate [T] in [-1, 1], of one length.
"""

from __future__ import annotations

import math

import numpy as np

from wavegen.audio import cleaning, levels, loudness
from wavegen.evaluation.metrics import waveforms
from wavegen.evaluation.metrics.measures import Measure, NotApplicable

FRAME_SECONDS = 0.025
_TOGETHER = 1 << 12  # frames that exist at one time


def loudness_distance_db(
    reference: np.ndarray,  # [T]
    estimate: np.ndarray,  # [T]
    sample_rate: int,
) -> Measure:
    """Mean absolute difference of levels in dB (RMS) of frames of 25 ms.

    A frame below -60 dBFS, which a listener takes for silence, counts as -60: silence is 0
    from silence, and at most 60 from sound.
    """
    if reason := waveforms.obstacle(reference, estimate):
        return reason
    frame = math.ceil(FRAME_SECONDS * sample_rate)
    total, count = 0.0, 0
    for r, e in waveforms.pieces(reference, estimate, frame * _TOGETHER):
        distances = np.abs(_levels_db(r, frame) - _levels_db(e, frame))
        total, count = total + float(distances.sum()), count + len(distances)
    return total / count


def loudness_difference_lu(
    reference: np.ndarray,  # [T]
    estimate: np.ndarray,  # [T]
    sample_rate: int,
) -> Measure:
    """Integrated loudness of the estimate less that of the reference, ITU-R BS.1770-4.

    Not applicable below 8000 Hz, and where either is below the gate of -70 LUFS.
    """
    if reason := waveforms.obstacle(reference, estimate):
        return reason
    if sample_rate < cleaning.LOWEST_LOUDNESS_RATE:
        return NotApplicable(f"no loudness is defined below {cleaning.LOWEST_LOUDNESS_RATE} Hz")
    lufs = [_lufs(samples, sample_rate) for samples in (reference, estimate)]
    for name, value in zip(("reference", "estimate"), lufs, strict=True):
        if not math.isfinite(value):
            gate = loudness.ABSOLUTE_GATE_LUFS
            return NotApplicable(f"the {name} is silent: all of it is below {gate:g} LUFS")
    return lufs[1] - lufs[0]


def _levels_db(samples: np.ndarray, frame: int) -> np.ndarray:
    return np.maximum(levels.dbfs(levels.frame_powers(samples, frame)), levels.SILENT_DBFS)


def _lufs(samples: np.ndarray, sample_rate: int) -> float:
    meter = loudness.Meter(sample_rate, channels=1)
    for start in range(0, len(samples), waveforms.PIECE_SAMPLES):
        meter.push(samples[start : start + waveforms.PIECE_SAMPLES, None])
    return meter.lufs
