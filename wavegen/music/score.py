"""What is played: notes in time."""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass, replace

from wavegen.errors import WavegenError

LEGATO_SECONDS = 0.05  # that a note may reach into the next one


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


def pitch_of(text: str) -> int:
    """The MIDI pitch that a number or a name says: 60, C4, c#4, Bb-1; C4 is 60."""
    if whole := re.fullmatch(r"([0-9]{1,3})(\.0*)?", text.strip()):  # 60.0: of a spreadsheet
        return int(whole[1])
    found = re.fullmatch(r"([A-Ga-g])(#|b|♯|♭)?(-?[0-9])", text.strip())
    if not found:
        raise WavegenError(f"'{text}' is no pitch", "a MIDI pitch or a name, such as 60 or C4")
    letter, sign, octave = found.groups()
    step = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}[letter.upper()]
    step += {"#": 1, "♯": 1, "b": -1, "♭": -1}.get(sign, 0)
    return 12 * (int(octave) + 1) + step


@dataclass(frozen=True)
class Score:
    """Notes, in any order; they may overlap."""

    notes: tuple[Note, ...] = ()

    @property
    def duration_seconds(self) -> float:
        """From 0 to the end of the last note."""
        return max((note.end_seconds for note in self.notes), default=0.0)

    @property
    def overlaps(self) -> bool:
        """Whether notes sound together, for longer than a legato has them."""
        notes = sorted(self.notes, key=lambda note: note.onset_seconds)
        ends = itertools.accumulate((note.end_seconds for note in notes), max)
        return any(
            end - note.onset_seconds > LEGATO_SECONDS
            for end, note in zip(ends, notes[1:], strict=False)
        )

    def later(self, seconds: float) -> Score:
        """The same notes, each so much later."""
        if not seconds:
            return self
        return Score(tuple(replace(n, onset_seconds=n.onset_seconds + seconds) for n in self.notes))
