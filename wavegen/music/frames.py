"""Notes per frame: what sounds, what starts, and the period of what began last."""

from __future__ import annotations

import numpy as np

from wavegen.music.score import Score

KEYS = 128  # MIDI pitches; the columns are KEYS sounding velocities, then KEYS onset velocities
# A time this close (in frames) to a frame's border counts as on it: 0.3 / 0.1 is not 3.
_ROUNDING = 1e-6


def notes(
    score: Score, num_frames: int, frame_seconds: float, start_frame: int = 0
) -> np.ndarray:  # [F, 2 * KEYS] float32
    """Velocity / 127 of each sounding key, then of each key that starts, in every frame.

    A key sounds in all frames that its interval touches, and starts in the one that holds
    its onset; where a key is struck again before it ends, the later note counts. Row 0 is
    the score's frame `start_frame`, which may be negative.
    """
    out = np.zeros((1, num_frames, 2 * KEYS), np.float32)
    played = np.array(
        [(n.onset_seconds, n.duration_seconds, n.pitch, n.velocity) for n in score.notes],
        np.float64,
    ).reshape(-1, 4)
    onsets, durations = played[:, 0] / frame_seconds, played[:, 1] / frame_seconds
    pitches, rows = played[:, 2].astype(np.int64), np.zeros(len(played), np.int64)
    fill(out, rows, onsets, durations, pitches, played[:, 3], np.array([start_frame]))
    return out[0]


def periods(
    score: Score, num_frames: int, frame_seconds: float, start_frame: int = 0
) -> np.ndarray:  # [F] float32
    """Seconds in a period of the note that began last, in every frame; 0 before the first.

    It holds on after the note's end, for sounds ring on. Of notes that begin together the
    last one in the score counts. Row 0 is the score's frame `start_frame`.
    """
    onsets = np.array([n.onset_seconds / frame_seconds for n in score.notes], np.float64)
    pitches = np.array([n.pitch for n in score.notes], np.int64)
    order = np.argsort(onsets, kind="stable")
    rows, starts = np.zeros(len(order), np.int64), np.array([start_frame])
    return last_periods(rows, onsets[order], pitches[order], starts, num_frames)[0]


def last_periods(
    rows: np.ndarray,  # [N] the row of B that each note belongs to, rising
    onsets: np.ndarray,  # [N] in frames, rising within each row
    pitches: np.ndarray,  # [N]
    start_frames: np.ndarray,  # [B] the frame that is each row's first
    num_frames: int,
) -> np.ndarray:  # [B, F] float32
    """Those of several scores at once; see `periods`."""
    first = np.floor(onsets + _ROUNDING).astype(np.int64) - start_frames[rows]
    # After the periods of all notes comes that of none.
    seconds = np.append(1 / (440.0 * 2.0 ** ((pitches - 69) / 12)), 0.0)
    # All rows on one line, each num_frames long; what began before a row began at its start.
    begins = rows * num_frames + np.clip(first, 0, num_frames)
    here = np.arange(len(start_frames) * num_frames).reshape(-1, num_frames)
    begun = np.searchsorted(begins, here, side="right")  # [B, F] notes up to each frame
    earlier = np.searchsorted(rows, np.arange(len(start_frames)))[:, None]  # of other rows
    return seconds[np.where(begun > earlier, begun - 1, len(pitches))].astype(np.float32)


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
