"""The piece that the demo plays: "Frère Jacques", as the round that it is."""

from __future__ import annotations

from dataclasses import replace

from wavegen.music.score import Note
from wavegen.music.song import Part, Song

BEAT_SECONDS = 0.42
ENTRY_BEATS = 8  # from one voice to the next
# Two bars each, sung twice: beats and semitones above C.
LINES = (
    ((1, 0), (1, 2), (1, 4), (1, 0)),
    ((1, 4), (1, 5), (2, 7)),
    ((0.5, 7), (0.5, 9), (0.5, 7), (0.5, 5), (1, 4), (1, 0)),
    ((1, 0), (1, -5), (2, 0)),
)
# General MIDI program, the C that it begins on, how often the tune is played.
VOICES = ((0, 72, 2), (24, 60, 2), (66, 48, 1), (43, 48, 1))
VELOCITY = 90
GAP_SECONDS = 0.03  # that a note ends before the next


def song() -> Song:
    """Piano, guitar, saxophone and bass, one after the other."""
    parts: list[Part] = []
    for place, (program, c, times) in enumerate(VOICES):
        notes = _tune(place * ENTRY_BEATS * BEAT_SECONDS, c, times)
        (part,) = Song.of(notes, program).parts
        parts.append(replace(part, track=place, channel=place))
    return Song(tuple(parts))


def _tune(begin_seconds: float, c: int, times: int) -> list[Note]:
    notes, at = [], begin_seconds
    for line in times * [line for line in LINES for _ in range(2)]:
        for beats, step in line:
            seconds = beats * BEAT_SECONDS
            notes.append(Note(at, seconds - GAP_SECONDS, c + step, VELOCITY))
            at += seconds
    return notes
