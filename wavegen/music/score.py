"""What is played: notes in time."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from wavegen.errors import WavegenError


@dataclass(frozen=True, slots=True)  # a data set has millions
class Note:
    """One key held: times in seconds, MIDI pitch 0 to 127, velocity 1 to 127."""

    onset_seconds: float
    duration_seconds: float
    pitch: int
    velocity: int

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("pitch", self.pitch, 0, 127),
            ("velocity", self.velocity, 1, 127),
        ):
            if isinstance(value, bool) or not low <= value <= high or value != int(value):
                raise WavegenError(
                    f"a note's {name} is {value}", f"a whole number from {low} to {high}"
                )
        if not (math.isfinite(self.onset_seconds) and self.onset_seconds >= 0):
            raise WavegenError(f"a note starts at {self.onset_seconds} s", "0 s or later")
        if not (math.isfinite(self.duration_seconds) and self.duration_seconds > 0):
            raise WavegenError(f"a note lasts {self.duration_seconds} s", "more than 0 s")

    @property
    def end_seconds(self) -> float:
        """When the key is let go."""
        return self.onset_seconds + self.duration_seconds


@dataclass(frozen=True)
class Score:
    """Notes, in any order; they may overlap."""

    notes: tuple[Note, ...] = ()

    @property
    def duration_seconds(self) -> float:
        """From 0 to the end of the last note."""
        return max((note.end_seconds for note in self.notes), default=0.0)

    def later(self, seconds: float) -> Score:
        """The same notes, each so much later."""
        if not seconds:
            return self
        return Score(tuple(replace(n, onset_seconds=n.onset_seconds + seconds) for n in self.notes))
