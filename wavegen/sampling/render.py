"""A score, note by note: each distinct note is generated once, placed, and mixed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from wavegen.audio import mulaw
from wavegen.model.network import Trained
from wavegen.music.score import Note, Score
from wavegen.sampling import sampler
from wavegen.sampling.sampler import Draws, Request

RELEASE_SECONDS = 0.3  # heard after a note's end
FADE_SECONDS = 0.02  # at the very end of a note, so that it cannot click
HEADROOM = 0.9  # peak of a mix that would have been louder


def render(
    trained: Trained,
    score: Score,
    label_ids: tuple[int, ...],
    draws: Draws,
    backend: str = "auto",
    progress: Callable[[float], None] = lambda seconds: None,
) -> np.ndarray:  # float32 [num_samples] in [-1, 1]
    """The mix of all notes of the score; equal notes (pitch, velocity, duration) sound equal.

    `progress` is told the seconds of note sound made so far, of one note of the batch.
    """
    rate = trained.config.audio.sample_rate
    kinds = sorted({(n.pitch, n.velocity, n.duration_seconds) for n in score.notes})
    takes = _takes(trained, kinds, label_ids, draws, backend, progress)
    total = max(
        (round(n.onset_seconds * rate) + len(takes[_kind(n)]) for n in score.notes), default=0
    )
    mix = np.zeros(total, np.float32)
    for note in score.notes:
        start, take = round(note.onset_seconds * rate), takes[_kind(note)]
        mix[start : start + len(take)] += take
    peak = np.abs(mix).max(initial=0.0)
    return mix * np.float32(HEADROOM / peak) if peak > HEADROOM else mix


def _kind(note: Note) -> tuple[int, int, float]:
    return note.pitch, note.velocity, note.duration_seconds


def _takes(
    trained: Trained,
    kinds: list[tuple[int, int, float]],
    label_ids: tuple[int, ...],
    draws: Draws,
    backend: str,
    progress: Callable[[float], None],
) -> dict[tuple[int, int, float], np.ndarray]:
    """One generated take of each kind of note, all of them in one batch."""
    if not kinds:
        return {}
    config = trained.config
    longest = max(duration for _, _, duration in kinds) + RELEASE_SECONDS
    num_frames = int(np.ceil(longest / config.frame_seconds))
    request = Request(
        num_frames=num_frames,
        scores=tuple(
            Score((Note(0.0, duration, pitch, velocity),)) for pitch, velocity, duration in kinds
        ),
        labels=np.tile(np.asarray(label_ids, np.int32), (len(kinds), 1)),
        streams=np.arange(len(kinds)),
    )
    blocks = []
    for block in sampler.stream(trained, request, draws, backend):
        blocks.append(block)
        progress(sum(b.shape[1] for b in blocks) / config.audio.sample_rate)
    sound = mulaw.decode(np.concatenate(blocks, axis=1), config.audio.n_codes)
    fade = max(1, round(FADE_SECONDS * config.audio.sample_rate))
    takes = {}
    for kind, take in zip(kinds, sound, strict=True):
        length = min(len(take), round((kind[2] + RELEASE_SECONDS) * config.audio.sample_rate))
        take = take[:length].copy()
        take[-fade:] *= np.linspace(1.0, 0.0, min(fade, length), dtype=np.float32)
        takes[kind] = take
    return takes
