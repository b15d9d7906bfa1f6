"""How loud a recording is, measured block by block in one pass."""

from __future__ import annotations

import math

import numpy as np

FRAME_SECONDS = 0.01  # of which each is silent or not
QUIETEST_DBFS = -80.0  # RMS; a recording below is silence to a model
SILENT_DBFS = -60.0  # RMS; a frame below is silence to a listener


class Levels:
    """Peak, RMS, offset and share of silence of the samples that were added."""

    def __init__(self, sample_rate: int) -> None:
        self.num_samples = 0
        self.peak = 0.0  # 0 to 1
        self._frame = frame_samples(sample_rate)
        self._sum = 0.0
        self._power = 0.0  # sum of squares, of whole frames
        self._silent = 0  # samples in silent frames
        self._rest = np.zeros(0, np.float32)  # less than a frame, not yet counted

    def add(
        self,
        samples: np.ndarray,  # [n] float32
    ) -> None:
        """Takes the next block."""
        if not len(samples):
            return
        self.num_samples += len(samples)
        self.peak = max(self.peak, float(samples.max()), -float(samples.min()))
        self._sum += float(samples.sum())
        if len(self._rest):
            samples = np.concatenate([self._rest, samples])
        whole = len(samples) // self._frame * self._frame
        powers = frame_powers(samples[:whole], self._frame)
        self._power += float(powers.sum(dtype=np.float64)) * self._frame
        self._silent += int(np.count_nonzero(dbfs(powers) < SILENT_DBFS)) * self._frame
        self._rest = samples[whole:].copy()

    @property
    def rms_dbfs(self) -> float:
        """RMS in dB relative to full scale; -200 for nothing but zeros."""
        rest = float(np.sum(np.square(self._rest, dtype=np.float64)))
        return float(dbfs((self._power + rest) / max(1, self.num_samples)))

    def facts(self) -> dict[str, float]:
        """`peak`, `rms_dbfs`, `dc_offset` (mean sample) and `silence` (share below -60 dBFS)."""
        silent = self._silent
        if len(self._rest) and dbfs(frame_powers(self._rest, self._frame)[0]) < SILENT_DBFS:
            silent += len(self._rest)
        count = max(1, self.num_samples)
        return {
            "peak": round(self.peak, 5),
            "rms_dbfs": round(self.rms_dbfs, 2),
            "dc_offset": round(self._sum / count, 5),
            "silence": round(silent / count, 4),
        }


def frame_samples(sample_rate: int) -> int:
    """Samples of a frame."""
    return math.ceil(FRAME_SECONDS * sample_rate)


def frame_powers(
    samples: np.ndarray,  # [T] float32
    frame: int,
) -> np.ndarray:  # [ceil(T / frame)] float32
    """The mean square of each frame; the last may be shorter."""
    whole = len(samples) // frame * frame
    frames = samples[:whole].reshape(-1, frame)
    powers = np.einsum("ij,ij->i", frames, frames) / np.float32(frame)
    if whole == len(samples):
        return powers
    return np.append(powers, np.mean(np.square(samples[whole:]), dtype=np.float32))


def dbfs(power: np.ndarray | np.floating | float) -> np.ndarray:
    """Mean squares in dB relative to full scale, no lower than -200."""
    return 10 * np.log10(np.maximum(power, 1e-20))
