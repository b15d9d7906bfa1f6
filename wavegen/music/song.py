"""A song: what each instrument of a MIDI file plays, and how it is bent, balanced and placed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from wavegen.music.score import Note, Score


@dataclass(frozen=True, eq=False)
class Steps:
    """A controller over time: each value holds from its time on, until the next."""

    times: np.ndarray  # [N] float64 seconds, rising
    values: np.ndarray  # [N] float64
    default: float  # before the first

    def at(self, seconds: float | np.ndarray) -> np.ndarray:  # float64, shaped as `seconds`
        """The last value said at these times or before; of several at one time, the last."""
        said = np.searchsorted(self.times, seconds, side="right")
        if not len(self.values):
            return np.full(np.shape(said), self.default)[()]
        return np.where(said > 0, self.values[said - 1], self.default)[()]


@dataclass(frozen=True)
class Part:
    """One instrument of a song: the notes of one program, on one channel, in one track."""

    track: int  # number of the MIDI track, from 0
    channel: int  # 0 to 15
    program: int  # 0 to 127, see wavegen.music.programs
    name: str  # the track's, '' if it has none
    notes: tuple[Note, ...]  # sorted by onset
    bend_semitones: Steps  # added to the pitch of all that sounds
    gain: Steps  # amplitude, 1 where nothing is said, up to (127 / 100)^2
    pan: Steps  # -1 left, 1 right


@dataclass(frozen=True)
class Song:
    """All instruments of a MIDI file but its drums."""

    parts: tuple[Part, ...]  # in the order of track, channel, program
    num_drums: int = 0  # notes on channel 10, which are left out

    @classmethod
    def of(cls, notes: Iterable[Note], program: int = 0) -> Song:
        """A song of one instrument, which is not bent, and neither louder nor beside."""
        still = [Steps(np.zeros(0), np.zeros(0), value) for value in (0.0, 1.0, 0.0)]
        ordered = tuple(sorted(notes, key=lambda note: (note.onset_seconds, note.pitch)))
        return cls((Part(0, 0, program, "", ordered, *still),) if ordered else ())

    @property
    def duration_seconds(self) -> float:
        """From 0 to the end of the last note."""
        return max((note.end_seconds for part in self.parts for note in part.notes), default=0.0)

    def score(self) -> Score:
        """The notes of all parts as one score, sorted by onset, pitch and duration."""
        notes = [note for part in self.parts for note in part.notes]
        notes.sort(key=lambda note: (note.onset_seconds, note.pitch, note.duration_seconds))
        return Score(tuple(notes))
