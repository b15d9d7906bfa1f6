"""A set of sounds beside a set of real ones, and beside what was trained on."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from wavegen.evaluation.metrics import bins, features, frechet, neighbours
from wavegen.evaluation.metrics.measures import Measure, NotApplicable

MOST_SOUNDS = 256  # of a set
MOST_KNOWN = 1024  # recordings that were trained on
MOST_SECONDS = 30  # of a sound, from its start
_LEAST_SPREAD = 1.0  # dB; what varies less is not blown up to count as much as the rest

Embed = Callable[[np.ndarray, int], np.ndarray]  # samples [T], sample_rate -> [F, D]


class Sounds(Protocol):
    """A list of sounds, each [T] in [-1, 1]; or what reads the one that is wanted, from disk."""

    def __len__(self) -> int: ...

    def __getitem__(self, place: int, /) -> np.ndarray: ...


@dataclass(frozen=True)
class Sets:
    """What a comparison of sets comes to."""

    measures: dict[str, Measure]  # by the names of `words.METRICS`
    nearest: list[tuple[int, float] | None]  # of each generated sound: place in known, distance
    remarks: list[str]  # what was left out, in sentences


def compare(
    generated: Sounds,
    real: Sounds,
    known: Sounds,
    sample_rate: int,
    *,
    seed: int = 0,
    embed: Embed | None = None,
    progress: Callable[[float, float], None] = lambda done, total: None,
) -> Sets:
    """Distances of the generated set from the real one, its variety, and how much it copies.

    `known` are recordings that were trained on, or none. `embed` makes frames of a network's
    features, for `frechet_embedding`. Vectors of sounds are divided by the spread that each of
    their numbers has over `known`, or over `real` where nothing is known: `nearest_within` and
    `nearest_known` count in such spreads. All figures depend on how many sounds there are and
    how long they are: what a perfect model gets is seen with real sounds that were held back
    in the place of `generated`, as many and as long.

    Of larger sets the seed chooses MOST_SOUNDS and MOST_KNOWN; of a long sound the first
    MOST_SECONDS are looked at. The remarks say where that was so. Samples must be finite.
    `progress` is told how many sounds were looked at and how many there are.
    """
    asked = {"seed": seed, "embed": embed, "progress": progress}
    return compare_each([generated], real, known, sample_rate, **asked)[0]


def compare_each(
    several: Sequence[Sounds],
    real: Sounds,
    known: Sounds,
    sample_rate: int,
    *,
    seed: int = 0,
    embed: Embed | None = None,
    progress: Callable[[float, float], None] = lambda done, total: None,
) -> list[Sets]:
    """`compare` for several generated sets; what they are compared with is looked at once."""
    limit = MOST_SECONDS * sample_rate
    held, *made = (
        _Part(each, _chosen(len(each), MOST_SOUNDS, seed), limit) for each in (real, *several)
    )
    past = _Part(known, _chosen(len(known), MOST_KNOWN, seed), limit)
    done, total = itertools.count(1), len(held) + len(past) + sum(map(len, made))

    def levels(part: _Part) -> Iterator[np.ndarray]:
        for sound in part:
            yield features.log_mel(sound, sample_rate)
            progress(next(done), total)

    def frames(part: _Part) -> _Frames:
        mel = list(levels(part))
        embedded = [embed(sound, sample_rate) for sound in part] if embed else None
        return _Frames([features.mfcc(each) for each in mel], mel, embedded)

    past_vectors = _summaries(features.mfcc(each) for each in levels(past))
    held_frames = frames(held)
    held_vectors = _summaries(held_frames.mfcc)
    scale = _spread(past_vectors if len(past) else held_vectors)
    found = []
    for part in made:
        own = frames(part)
        vectors = _summaries(own.mfcc) / scale
        measures = _frechets(held_frames, own)
        measures |= bins.compare(held_vectors / scale, vectors, seed)
        measures["nearest_within"] = neighbours.within(vectors)
        beside, nearest = _beside_known(part, vectors, past, past_vectors / scale)
        named = (("real sounds", held), ("generated sounds", part), ("sounds trained on", past))
        remarks = [remark for name, each in named for remark in each.remarks(name)]
        found.append(Sets(measures | beside, nearest, remarks))
    return found


class _Frames(NamedTuple):
    """Features of the sounds of a set, each [F, D]."""

    mfcc: list[np.ndarray]
    log_mel: list[np.ndarray]
    embedding: list[np.ndarray] | None


@dataclass
class _Part:
    """Those of a set that are looked at, as far as they are."""

    whole: Sounds
    places: np.ndarray  # in `whole`
    most_samples: int
    num_cut: int = 0  # counted whenever they are gone through

    def __len__(self) -> int:
        return len(self.places)

    def __iter__(self) -> Iterator[np.ndarray]:
        self.num_cut = 0
        for place in self.places:
            sound = self.whole[int(place)]
            self.num_cut += len(sound) > self.most_samples
            yield sound[: self.most_samples]

    def at(self, place: int) -> np.ndarray:
        return self.whole[int(self.places[place])][: self.most_samples]

    def remarks(self, name: str) -> Iterator[str]:
        if len(self) < len(self.whole):
            yield f"Of {len(self.whole):,} {name}, {len(self):,} were looked at."
        if self.num_cut:
            yield f"Of {self.num_cut:,} {name}, the first {MOST_SECONDS} seconds were looked at."


def _chosen(num: int, most: int, seed: int) -> np.ndarray:
    """Places of those that are looked at, in order."""
    if num <= most:
        return np.arange(num)
    return np.sort(np.random.default_rng(seed).choice(num, most, replace=False))


def _frechets(real: _Frames, generated: _Frames) -> dict[str, Measure]:
    found: dict[str, Measure] = {}
    for name, one, other in zip(_Frames._fields, real, generated, strict=True):
        if one is None or other is None:
            continue
        if one and other:
            measure = frechet.distance(np.concatenate(one), np.concatenate(other))
        else:
            measure = NotApplicable(f"there are no {'generated' if one else 'real'} sounds")
        found[f"frechet_{name}"] = measure
    return found


def _summaries(cepstra: Iterable[np.ndarray]) -> np.ndarray:  # [N, K]
    """A vector a sound."""
    vectors = [features.summary(each) for each in cepstra]
    return np.array(vectors).reshape(len(vectors), features.NUM_FEATURES)


def _spread(vectors: np.ndarray) -> np.ndarray:  # [N, K] to [K]
    spread = vectors.std(axis=0) if len(vectors) else np.ones(features.NUM_FEATURES)
    return np.maximum(spread, _LEAST_SPREAD)


def _beside_known(
    made: _Part, made_vectors: np.ndarray, past: _Part, past_vectors: np.ndarray
) -> tuple[dict[str, Measure], list[tuple[int, float] | None]]:
    """`nearest_known` and `copies`, and for each sound the nearest one with its distance."""
    nearest: list[tuple[int, float] | None] = [None] * len(made.whole)
    if not len(made) or not len(past):
        reason = "nothing is known that was trained on" if len(made) else "there are no sounds"
        none = NotApplicable(reason)
        return {"nearest_known": none, "copies": none}, nearest
    places, distances = neighbours.nearest(made_vectors, past_vectors)
    for sound, place, distance in zip(made.places, places[:, 0], distances[:, 0], strict=True):
        nearest[sound] = int(past.places[place]), float(distance)
    likely = ((past.at(place) for place in row) for row in places)
    return {
        "nearest_known": float(np.median(distances[:, 0])),
        "copies": neighbours.copies(made, likely),
    }, nearest
