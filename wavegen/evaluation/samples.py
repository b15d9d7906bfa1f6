"""What a network sounds like while it learns: the same few things asked for again and again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from wavegen.audio import mulaw
from wavegen.config import Config
from wavegen.data import batches
from wavegen.data.batches import Batch
from wavegen.data.corpus import Corpus, Split
from wavegen.model.network import Trained
from wavegen.music.score import Note, Score
from wavegen.sampling import health, precision, sampler
from wavegen.sampling.request import Draws, Request

PARTS = 4  # notes, or voices, in one sound
HELD = 0.75  # share of its part that a note is held
DRAWS = Draws(seed=0, temperature=0.95)


class Part(NamedTuple):
    """A stretch of sound, and what it is."""

    title: str
    samples: np.ndarray  # [T] float32 in [-1, 1]


@dataclass(frozen=True)
class Sound:
    """What a network made: its parts follow each other."""

    parts: list[Part]
    followed: Part | None  # the recording that a network was given to follow
    backend: str

    @property
    def samples(self) -> np.ndarray:  # [T] float32
        """All parts in one."""
        return np.concatenate([part.samples for part in self.parts])

    @property
    def story(self) -> dict[str, Any]:
        """What a file of it says of its making, beside the draws."""
        titles = [part.title for part in self.parts]
        like = self.followed.title if self.followed else None
        return {"backend": self.backend, "precision": "float32", "parts": titles, "like": like}

    @property
    def trouble(self) -> str | None:
        """What is wrong with it, in words, or None."""
        return health.verdict(health.Level().add(self.samples))


def make(trained: Trained, corpus: Corpus, seconds: float) -> Sound:
    """About so many seconds of sound; a function of its arguments, drawn by DRAWS.

    A network that hears notes plays some of those that it learns from, from the lowest to the
    highest, each with the labels of its recording. One that hears labels alone goes through
    them. One that follows a recording is given a held-back one, and any other plays freely.
    """
    config = trained.config
    split = _source(corpus, config)
    items = _items(split, config, seconds)
    part_seconds = seconds / len(items)
    num_frames = max(1, round(part_seconds / config.frame_seconds))
    asked = batches.stretch(split, items, config, trained.vocabulary, 0, num_frames)
    scores, titles = _scores(split, items, config, part_seconds)
    request = Request(
        num_frames=num_frames,
        scores=scores,
        labels=asked.labels,
        streams=np.arange(len(items)),
        acoustics=asked.acoustics if config.conditioner.acoustic else None,
    )
    backend = precision.choose(trained, precision="float32").backend
    codes = sampler.generate(trained, request, DRAWS, backend, "float32")
    sounds = mulaw.decode(codes, config.audio.n_codes)
    titles = [", ".join([*t, *_named(trained, asked, row)]) for row, t in enumerate(titles)]
    parts = [Part(title or "free", sound) for title, sound in zip(titles, sounds, strict=True)]
    followed = None
    if config.conditioner.acoustic:
        heard = mulaw.decode(asked.codes[0], config.audio.n_codes)
        followed = Part(split.names[items[0]], heard)
    return Sound(parts, followed, backend)


def _source(corpus: Corpus, config: Config) -> Split:
    """Where notes, labels or the recording to follow are taken from."""
    valid = corpus.splits.get("valid")
    if config.conditioner.acoustic and valid is not None and valid.num_items:
        return valid
    return corpus.splits["train"]


def _items(split: Split, config: Config, seconds: float) -> np.ndarray:
    """The recordings whose notes, labels or acoustic signals are asked for."""
    if config.conditioner.acoustic:
        wanted = round(seconds * config.audio.sample_rate)
        return np.argmax(np.minimum(split.lengths, wanted), keepdims=True)
    if "notes" in config.conditioner.signals:
        having = np.flatnonzero(np.diff(split.note_start))
        order = having[np.argsort(split.pitch[split.note_start[having]], kind="stable")]
    elif config.conditioner.labels:
        order = np.lexsort(split.label_ids.T[::-1])
    else:
        return np.zeros(1, np.int64)
    places = np.linspace(0, len(order) - 1, min(PARTS, len(order)))
    return order[places.round().astype(int)]


def _scores(
    split: Split, items: np.ndarray, config: Config, seconds: float
) -> tuple[tuple[Score, ...], list[list[str]]]:
    """What each part plays, and how it is called."""
    if "notes" not in config.conditioner.signals:
        return (Score(),) * len(items), [[] for _ in items]
    played = [split.score(int(item)) for item in items]
    if config.conditioner.acoustic:
        return tuple(played), [[] for _ in items]
    first = [score.notes[0] for score in played]
    notes = [Note(0.0, HELD * seconds, note.pitch, note.velocity) for note in first]
    titles = [[f"pitch {note.pitch}", f"velocity {note.velocity}"] for note in notes]
    return tuple(Score((note,)) for note in notes), titles


def _named(trained: Trained, asked: Batch, row: int) -> list[str]:
    """The labels of a part, by their names."""
    values = [trained.vocabulary.labels[name] for name in trained.config.conditioner.labels]
    ids = asked.labels[row]
    return [known[i] for known, i in zip(values, ids, strict=True) if i >= 0]
