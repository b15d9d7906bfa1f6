"""Notes moved along when silence was cut out of their recording."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from wavegen.music.score import Note


def moved(notes: Sequence[Note], cleaned: dict[str, Any]) -> Sequence[Note]:
    """A recording's notes at their places in what `cleaning.clean` left of it.

    `cleaned` holds the facts that came with that.
    """
    kept = cleaned.get("kept_seconds")
    return move(notes, kept) if kept else notes


def move(
    notes: Sequence[Note],
    kept: Sequence[Sequence[float]],  # [start, end] in seconds, in order: all that is left
) -> tuple[Note, ...]:
    """Notes on the time line that the kept stretches make, put together.

    A note that begins in a cut begins where the sound goes on; one of which nothing is left
    goes too. What lies after the last stretch is cut from the notes as well.
    """
    made = []
    for note in notes:
        onset, end = (_place(time, kept) for time in (note.onset_seconds, note.end_seconds))
        if end > onset:
            made.append(
                dataclasses.replace(note, onset_seconds=onset, duration_seconds=end - onset)
            )
    return tuple(made)


def _place(time: float, kept: Sequence[Sequence[float]]) -> float:
    """How much of what is kept lies before a time."""
    return sum(min(time, end) - start for start, end in kept if start < time)
