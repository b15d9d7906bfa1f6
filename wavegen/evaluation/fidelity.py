"""How well a network plays what it is asked for: pitch, onsets and loudness of its renditions.

The recordings that asked for it are measured by the same meter, which so shows its own errors.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from wavegen.evaluation.metrics import loudness, measures, onsets, pitch
from wavegen.evaluation.metrics.measures import Measure, NotApplicable
from wavegen.evaluation.renditions import Rendition
from wavegen.music.score import Note, Score

SHORTEST_SECONDS = 0.15  # of a note whose pitch is measured
APART_SECONDS = 0.05  # a note that begins so soon after another one's end still hears its release
UNHEARD = NotApplicable("the model hears no notes")
ITSELF = NotApplicable("it is what the model's is measured from")
NEVER_ALONE = NotApplicable("no note sounds alone for long enough")


class Played(NamedTuple):
    """What the meter says of one sound that should play a score."""

    notes: list[dict[str, Measure]]  # of those that sound alone: pitch_cents, voiced_share
    onset_ms: Measure  # of a single note's attack, late (or, negative, early)
    timing: dict[str, Measure]  # onset_f_measure, onset_error_ms


def measure(renditions: Sequence[Rendition], sample_rate: int) -> dict[str, Any]:
    """The parts "model", "real" and "clips" of what an evaluation tells of generated sound."""
    made = [_played(each.generated, each.score, sample_rate) for each in renditions]
    real = [_played(each.real, each.score, sample_rate) for each in renditions]
    distances = [
        loudness.loudness_distance_db(each.real, each.generated, sample_rate) for each in renditions
    ]
    return {
        "model": _summary(made) | {"loudness_distance_db": measures.mean(distances)},
        "real": _summary(real) | {"loudness_distance_db": ITSELF},
        "clips": [
            {
                "name": each.name,
                "asked": each.asked,
                "seconds": len(each.generated) / sample_rate,
                **_clip(played),
                "loudness_distance_db": distance,
                "trouble": [str(trouble) for trouble in each.troubles],
            }
            for each, played, distance in zip(renditions, made, distances, strict=True)
        ],
    }


def _played(sound: np.ndarray, score: Score, sample_rate: int) -> Played:
    if not score.notes:
        return Played([], UNHEARD, {"onset_f_measure": UNHEARD, "onset_error_ms": UNHEARD})
    end = len(sound) / sample_rate
    notes = [
        pitch.of_note(
            sound, sample_rate, note.pitch, note.onset_seconds, min(note.end_seconds, end)
        )
        for note in _alone(score.notes, end)
    ]
    asked = np.array(sorted({note.onset_seconds for note in score.notes}))
    timing = onsets.against(asked, onsets.found(sound, sample_rate))
    several = NotApplicable("there are several notes")
    onset = onsets.of_note(sound, sample_rate, asked[0]) if len(score.notes) == 1 else several
    return Played(notes, onset, timing)


def _alone(notes: Iterable[Note], end_seconds: float) -> list[Note]:
    """The notes beside which no other sounds, and that last for long enough before the end."""
    notes = sorted(notes, key=lambda note: note.onset_seconds)
    return [
        note
        for note in notes
        if min(note.end_seconds, end_seconds) - note.onset_seconds >= SHORTEST_SECONDS
        and not any(
            other.onset_seconds < note.end_seconds
            and note.onset_seconds < other.end_seconds + APART_SECONDS
            for other in notes
            if other is not note
        )
    ]


def _summary(played: Sequence[Played]) -> dict[str, Measure]:
    notes = [note for each in played for note in each.notes]
    if not notes:
        nothing = NEVER_ALONE if any(each.onset_ms is not UNHEARD for each in played) else UNHEARD
        found: dict[str, Measure] = dict.fromkeys(pitch.SUMMARY, nothing)
    else:
        found = pitch.summary(notes)
    errors = [_error_ms(each) for each in played]
    return found | {
        "onset_error_ms": measures.median(errors),
        "onset_f_measure": measures.mean(each.timing["onset_f_measure"] for each in played),
    }


def _error_ms(played: Played) -> Measure:
    """Of a single note its attack's, which is known more exactly; else that of all onsets."""
    if isinstance(played.onset_ms, NotApplicable):
        return played.timing["onset_error_ms"]
    return abs(played.onset_ms)


def _clip(played: Played) -> dict[str, Measure]:
    nothing = UNHEARD if played.onset_ms is UNHEARD else NEVER_ALONE
    if not played.notes:
        return {"pitch_cents": nothing, "voiced_share": nothing, "onset_ms": played.onset_ms}
    return {
        "pitch_cents": measures.median(note["pitch_cents"] for note in played.notes),
        "voiced_share": measures.mean(note["voiced_share"] for note in played.notes),
        "onset_ms": played.onset_ms,
    }
