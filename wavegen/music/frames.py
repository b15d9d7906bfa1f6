"""Notes per frame: what sounds, what starts, and the period of what began last."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from wavegen.music.score import Score

KEYS = 128  # MIDI pitches; the columns are KEYS sounding velocities, then KEYS onset velocities
# A time this close (in frames) to a frame's border counts as on it: 0.3 / 0.1 is not 3.
_ROUNDING = 1e-6


class Played(NamedTuple):
    """The notes of a score as arrays, sorted by onset, and the way to those that may sound."""

    onsets: np.ndarray  # [N] float64 seconds
    durations: np.ndarray  # [N] float64 seconds
    pitches: np.ndarray  # [N] int64
    velocities: np.ndarray  # [N] float64
    # Notes of like duration: the longest, their onsets, and their places in the arrays above.
    # A search among the onsets finds what may still sound, and one long note slows down none.
    classes: tuple[tuple[float, np.ndarray, np.ndarray], ...]


def played(score: Score) -> Played:
    """What `notes` and `periods` make of a score before they look at their frames.

    Worth keeping where they are called for one stretch of a score after the other.
    """
    table = np.array(
        [(n.onset_seconds, n.duration_seconds, n.pitch, n.velocity) for n in score.notes],
        np.float64,
    ).reshape(-1, 4)
    table = table[np.argsort(table[:, 0], kind="stable")]
    onsets, durations, pitches, velocities = table.T.copy()
    powers = np.frexp(durations)[1]  # of two: the longest of a class is at most twice the shortest
    alike = [np.flatnonzero(powers == power) for power in np.unique(powers)]
    classes = tuple((float(durations[at].max()), onsets[at], at) for at in alike)
    return Played(onsets, durations, pitches.astype(np.int64), velocities, classes)


def notes(
    score: Score | Played, num_frames: int, frame_seconds: float, start_frame: int = 0
) -> np.ndarray:  # [F, 2 * KEYS] float32
    """Velocity / 127 of each sounding key, then of each key that starts, in every frame.

    A key sounds in all frames that its interval touches, and starts in the one that holds
    its onset; where a key is struck again before it ends, the later note counts. Row 0 is
    the score's frame `start_frame`, which may be negative.
    """
    known = played(score) if isinstance(score, Score) else score
    begin, end = _span(num_frames, frame_seconds, start_frame)
    near = []
    for longest, onsets, places in known.classes:
        first, last = np.searchsorted(onsets, (begin - longest, end))
        near.append(places[first:last])
    heard = np.sort(np.concatenate(near)) if near else np.zeros(0, np.int64)
    out = np.zeros((1, num_frames, 2 * KEYS), np.float32)
    fill(
        out,
        np.zeros(len(heard), np.int64),
        known.onsets[heard] / frame_seconds,
        known.durations[heard] / frame_seconds,
        known.pitches[heard],
        known.velocities[heard],
        np.array([start_frame]),
    )
    return out[0]


def periods(
    score: Score | Played, num_frames: int, frame_seconds: float, start_frame: int = 0
) -> np.ndarray:  # [F] float32
    """Seconds in a period of the note that began last, in every frame; 0 before the first.

    It holds on after the note's end, for sounds ring on. Of notes that begin together the
    last one in the score counts. Row 0 is the score's frame `start_frame`.
    """
    known = played(score) if isinstance(score, Score) else score
    first, last = np.searchsorted(known.onsets, _span(num_frames, frame_seconds, start_frame))
    heard = slice(max(0, first - 1), last)  # also the last one that began before
    onsets = known.onsets[heard] / frame_seconds
    rows, starts = np.zeros(len(onsets), np.int64), np.array([start_frame])
    return last_periods(rows, onsets, known.pitches[heard], starts, num_frames)[0]


def ages(
    score: Score | Played, num_frames: int, frame_seconds: float, start_frame: int = 0
) -> np.ndarray:  # [F] float32
    """Seconds since the note of `periods` began, when each frame does; 0 before the first.

    In the frame that a note begins in: less than 0, or 0 where it begins with it.
    """
    known = played(score) if isinstance(score, Score) else score
    first, last = np.searchsorted(known.onsets, _span(num_frames, frame_seconds, start_frame))
    onsets = known.onsets[max(0, first - 1) : last] / frame_seconds
    rows, starts = np.zeros(len(onsets), np.int64), np.array([start_frame])
    return last_ages(rows, onsets, starts, num_frames)[0] * np.float32(frame_seconds)


def _span(num_frames: int, frame_seconds: float, start_frame: int) -> tuple[float, float]:
    """Seconds at which some frames begin and end, with a frame to spare for what is rounded."""
    first, last = start_frame - 1, start_frame + num_frames + 1
    return first * frame_seconds, last * frame_seconds


def last_periods(
    rows: np.ndarray,  # [N] the row of B that each note belongs to, rising
    onsets: np.ndarray,  # [N] in frames, rising within each row
    pitches: np.ndarray,  # [N]
    start_frames: np.ndarray,  # [B] the frame that is each row's first
    num_frames: int,
) -> np.ndarray:  # [B, F] float32
    """Those of several scores at once; see `periods`."""
    seconds = np.append(1 / (440.0 * 2.0 ** ((pitches - 69) / 12)), 0.0)
    return seconds[_last(rows, onsets, start_frames, num_frames)].astype(np.float32)


def last_ages(
    rows: np.ndarray,  # [N], see last_periods
    onsets: np.ndarray,  # [N] in frames, rising within each row
    start_frames: np.ndarray,  # [B]
    num_frames: int,
) -> np.ndarray:  # [B, F] float32, in frames
    """Those of several scores at once; see `ages`."""
    last = _last(rows, onsets, start_frames, num_frames)
    begun = np.append(onsets, np.inf)[last]
    ages = start_frames[:, None] + np.arange(num_frames) - begun
    return np.where(last < len(onsets), ages, 0).astype(np.float32)


def _last(
    rows: np.ndarray, onsets: np.ndarray, start_frames: np.ndarray, num_frames: int
) -> np.ndarray:  # [B, F] int64
    """Which note began last, in every frame: its place, or N where none has begun."""
    first = np.floor(onsets + _ROUNDING).astype(np.int64) - start_frames[rows]
    # All rows on one line, each num_frames long; what began before a row began at its start.
    begins = rows * num_frames + np.clip(first, 0, num_frames)
    here = np.arange(len(start_frames) * num_frames).reshape(-1, num_frames)
    begun = np.searchsorted(begins, here, side="right")  # [B, F] notes up to each frame
    earlier = np.searchsorted(rows, np.arange(len(start_frames)))[:, None]  # of other rows
    return np.where(begun > earlier, begun - 1, len(onsets))


def fill(
    out: np.ndarray,  # [B, F, 2 * KEYS] zeros, written to
    rows: np.ndarray,  # [N] the row of B that each note belongs to
    onsets: np.ndarray,  # [N] in frames
    durations: np.ndarray,  # [N] in frames
    pitches: np.ndarray,  # [N]
    velocities: np.ndarray,  # [N]
    start_frames: np.ndarray,  # [B] the frame that is each row's first
) -> None:
    """Writes the notes of several scores at once; see `notes`."""
    num_frames = out.shape[1]
    order = np.argsort(onsets, kind="stable")  # so that later notes overwrite earlier ones
    rows, pitches, velocities = rows[order], pitches[order], velocities[order] / 127
    onsets, durations = onsets[order], durations[order]
    first = np.floor(onsets + _ROUNDING).astype(np.int64)
    last = np.maximum(first + 1, np.ceil(onsets + durations - _ROUNDING).astype(np.int64))
    first, last = first - start_frames[rows], last - start_frames[rows]

    starts = (first >= 0) & (first < num_frames)
    out[rows[starts], first[starts], KEYS + pitches[starts]] = velocities[starts]

    begin, end = np.clip(first, 0, num_frames), np.clip(last, 0, num_frames)
    spans = end - begin
    event = np.repeat(np.arange(len(spans)), spans)
    within = np.arange(spans.sum()) - np.repeat(np.cumsum(spans) - spans, spans)
    out[rows[event], begin[event] + within, pitches[event]] = velocities[event]
