"""Layout `synthetic`: notes of our own synthesiser; nothing is read from disk."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np

from wavegen.data import synthesis
from wavegen.data.layouts.recordings import Found, Recording
from wavegen.music.score import Note

HOLD_SECONDS = 1.0
RELEASE_SECONDS = 0.25
PITCHES = range(36, 85)
VELOCITIES = range(31, 128, 16)


def recognises(source: Path) -> bool:
    """Whether the source is the bare word `synthetic`, and no folder of that name."""
    return str(source) == "synthetic" and not source.exists()


def find(source: Path | None = None, exclude: tuple[Path, ...] = ()) -> Found:
    """Every timbre at every pitch and velocity, labelled `instrument`."""
    for timbre in synthesis.TIMBRES:
        for pitch in PITCHES:
            for velocity in VELOCITIES:
                yield Recording(
                    name=f"{timbre}-{pitch:03d}-{velocity:03d}",
                    load=functools.partial(_load, timbre, pitch, velocity),
                    labels={"instrument": timbre},
                    notes=(Note(0.0, HOLD_SECONDS, pitch, velocity),),
                )


def _load(
    timbre: str, pitch: int, velocity: int, sample_rate: int
) -> tuple[np.ndarray, dict[str, Any]]:
    samples = synthesis.note(timbre, pitch, velocity, HOLD_SECONDS, RELEASE_SECONDS, sample_rate)
    return samples, {"sample_rate": sample_rate, "channels": 1, "format": "synthetic", "clipped": 0}
