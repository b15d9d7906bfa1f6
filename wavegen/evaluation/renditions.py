"""Renditions: what a network makes of what held-back recordings ask for, beside these."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from wavegen.audio import mulaw
from wavegen.data import batches
from wavegen.data.corpus import Split
from wavegen.model.network import Trained
from wavegen.music.score import Score
from wavegen.sampling import health, sampler
from wavegen.sampling.health import Trouble
from wavegen.sampling.request import Draws, Request

BATCH = 8  # made side by side


class Rendition(NamedTuple):
    """A recording, or its beginning, and what the network makes of its notes and labels."""

    name: str  # of the recording
    labels: dict[str, str]
    score: Score  # what sounds in it; empty where the network hears no notes
    real: np.ndarray  # [T] float32 in [-1, 1]
    generated: np.ndarray  # [T] float32 in [-1, 1]
    troubles: list[Trouble]

    @property
    def asked(self) -> str:
        """What was asked for, in words."""
        notes = self.score.notes
        told = [f"{len(notes)} notes"]
        if len(notes) == 1:
            told = [f"pitch {notes[0].pitch}, velocity {notes[0].velocity}"]
        named = [f"{label} {value}" for label, value in self.labels.items()]
        return ", ".join(told * bool(notes) + named) or "anything"


def make(
    trained: Trained,
    recordings: Split,
    items: np.ndarray,  # [N] of the split
    seconds: float,  # of each at most
    draws: Draws,
    backend: str,
    precision: str,
    progress: Callable[[float, float], None] = lambda done, total: None,
) -> Iterator[Rendition]:
    """A rendition of each item, in order: its first `seconds`, drawn by stream number i.

    A network that hears notes plays those of the recording, one that hears labels is given
    them, one that follows a recording follows it; one that hears none of these plays freely.
    `progress` is told the seconds of sound that are made and that there will be.
    """
    rate = trained.config.audio.sample_rate
    lengths = np.minimum(recordings.lengths[items], max(1, round(seconds * rate)))
    done = 0
    for start in range(0, len(items), BATCH):
        here = slice(start, start + BATCH)
        yield from _batch(
            trained, recordings, items[here], lengths[here], start, draws, backend, precision,
            lambda samples, done=done: progress((done + samples) / rate, lengths.sum() / rate),
        )  # fmt: skip
        done += int(lengths[here].sum())


def _batch(
    trained: Trained,
    recordings: Split,
    items: np.ndarray,  # [B]
    lengths: np.ndarray,  # [B] samples
    first: int,  # number of the first stream
    draws: Draws,
    backend: str,
    precision: str,
    progress: Callable[[int], None],
) -> Iterator[Rendition]:
    config = trained.config
    request = _request(trained, recordings, items, lengths, first)
    codes, entropies, made = [], [], 0
    for block in sampler.stream(trained, request, draws, backend, precision, measures=True):
        codes.append(block.codes)
        entropies.append(block.measured[..., 1])
        made += block.codes.shape[1]
        progress(int(np.minimum(lengths, made).sum()))
    sounds = mulaw.decode(np.concatenate(codes, axis=1), config.audio.n_codes)
    unsure = np.concatenate(entropies, axis=1)
    for row, (item, length) in enumerate(zip(items, lengths, strict=True)):
        sound, score = sounds[row, :length], request.scores[row]
        yield Rendition(
            recordings.names[item],
            _named(trained, request.labels[row]),
            score,
            recordings.read(int(item))[:length].astype(np.float32) / mulaw.INT16_FULL_SCALE,
            sound,
            _troubles(trained, score, sound, unsure[row, :length]),
        )


def _request(
    trained: Trained, recordings: Split, items: np.ndarray, lengths: np.ndarray, first: int
) -> Request:
    """What the recordings ask for, as far as the network hears it."""
    config, rate = trained.config, trained.config.audio.sample_rate
    num_frames = -(-int(lengths.max()) // config.model.hop_length)
    asked = batches.stretch(recordings, items, config, trained.vocabulary, 0, num_frames)
    scores = [Score()] * len(items)
    if "notes" in config.conditioner.signals:
        played = zip(items, lengths / rate, strict=True)
        scores = [_begun(recordings.score(int(item)), end) for item, end in played]
    return Request(
        num_frames=num_frames,
        scores=tuple(scores),
        labels=asked.labels,
        streams=np.arange(first, first + len(items)),
        acoustics=asked.acoustics if config.conditioner.acoustic else None,
    )


def _begun(score: Score, end_seconds: float) -> Score:
    """The notes that begin before the end."""
    return Score(tuple(note for note in score.notes if note.onset_seconds < end_seconds))


def _named(trained: Trained, ids: np.ndarray) -> dict[str, str]:
    """The labels of a recording that the network knows."""
    known = [trained.vocabulary.labels[name] for name in trained.config.conditioner.labels]
    named = zip(trained.config.conditioner.labels, known, ids, strict=True)
    return {name: values[i] for name, values, i in named if i >= 0}


def _troubles(
    trained: Trained, score: Score, sound: np.ndarray, entropies: np.ndarray
) -> list[Trouble]:
    """Signs that the sound has collapsed."""
    audio = trained.config.audio
    sounding = health.sounding(score) if score.notes else None
    watch = health.Watch(audio.sample_rate, audio.n_codes, trained.heard, sounding)
    watch.add(sound, entropies)
    watch.end()
    return watch.troubles
