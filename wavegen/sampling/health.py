"""What generated sound amounts to, and whether it is a sound at all."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

SILENT_DBFS = -60.0  # quieter than the quantisation noise of 8-bit mu-law speech


class Level(NamedTuple):
    """Level of some samples in [-1, 1], gathered while they are made."""

    peak: float = 0.0
    energy: float = 0.0  # sum of squares
    num_samples: int = 0
    lowest: float = math.inf
    highest: float = -math.inf

    def add(self, samples: np.ndarray) -> Level:
        """The level with more samples taken in."""
        if not samples.size:
            return self
        return Level(
            max(self.peak, float(np.abs(samples).max())),
            self.energy + float(np.square(samples, dtype=np.float64).sum()),
            self.num_samples + samples.size,
            min(self.lowest, float(samples.min())),
            max(self.highest, float(samples.max())),
        )

    @property
    def rms_dbfs(self) -> float:
        """Root mean square in dB of full scale; -inf for digital silence."""
        power = self.energy / max(1, self.num_samples)
        return 10 * math.log10(power) if power > 0 else -math.inf

    @property
    def peak_dbfs(self) -> float:
        """Peak in dB of full scale."""
        return 20 * math.log10(self.peak) if self.peak > 0 else -math.inf


def verdict(level: Level) -> str | None:
    """What is wrong with the sound, in words, or None."""
    if level.num_samples and level.lowest == level.highest:
        return "every sample has the same value: this is silence"
    if level.rms_dbfs < SILENT_DBFS:
        return f"almost silent ({level.rms_dbfs:.0f} dBFS RMS)"
    return None
