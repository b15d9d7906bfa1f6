"""A set of sounds beside a set of real ones, and beside what was trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

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
    """
    limit = MOST_SECONDS * sample_rate
    made = _Part(generated, _chosen(len(generated), MOST_SOUNDS, seed), limit)
    held = _Part(real, _chosen(len(real), MOST_SOUNDS, seed), limit)
    past = _Part(known, _chosen(len(known), MOST_KNOWN, seed), limit)
    levels = [[features.log_mel(sound, sample_rate) for sound in part] for part in (held, made)]
    cepstra = [[features.mfcc(each) for each in part] for part in levels]
    measures = {"frechet_mfcc": _frechet(*cepstra), "frechet_log_mel": _frechet(*levels)}
    if embed is not None:
        embedded = [[embed(sound, sample_rate) for sound in part] for part in (held, made)]
        measures["frechet_embedding"] = _frechet(*embedded)
    past_cepstra = (features.mfcc(features.log_mel(sound, sample_rate)) for sound in past)
    held_vectors, made_vectors, past_vectors = _vectors(*cepstra, past_cepstra)
    measures |= bins.compare(held_vectors, made_vectors, seed)
    measures["nearest_within"] = neighbours.within(made_vectors)
    beside, nearest = _beside_known(made, made_vectors, past, past_vectors)
    named = (("real sounds", held), ("generated sounds", made), ("recordings trained on", past))
    remarks = [remark for name, part in named for remark in part.remarks(name)]
    return Sets(measures | beside, nearest, remarks)


@dataclass(frozen=True)
class _Part:
    """Those of a set that are looked at, as far as they are."""

    whole: Sounds
    places: np.ndarray  # in `whole`
    most_samples: int

    def __len__(self) -> int:
        return len(self.places)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self.at(place) for place in range(len(self)))

    def at(self, place: int) -> np.ndarray:
        return self.whole[int(self.places[place])][: self.most_samples]

    def remarks(self, name: str) -> Iterator[str]:
        if len(self) < len(self.whole):
            yield f"Of {len(self.whole):,} {name}, {len(self):,} were looked at."
        num_long = sum(len(self.whole[int(place)]) > self.most_samples for place in self.places)
        if num_long:
            yield f"Of {num_long:,} {name}, the first {MOST_SECONDS} seconds were looked at."


def _chosen(num: int, most: int, seed: int) -> np.ndarray:
    """Places of those that are looked at, in order."""
    if num <= most:
        return np.arange(num)
    return np.sort(np.random.default_rng(seed).choice(num, most, replace=False))


def _frechet(real: list[np.ndarray], generated: list[np.ndarray]) -> Measure:
    if not real or not generated:
        return NotApplicable(f"there are no {'generated' if real else 'real'} sounds")
    return frechet.distance(np.concatenate(real), np.concatenate(generated))


def _vectors(*sets: Iterable[np.ndarray]) -> list[np.ndarray]:  # each [N, K]
    """Of the cepstra of three sets, a vector a sound, scaled alike by the last that has any."""
    summed = [np.array([features.summary(cepstra) for cepstra in part]) for part in sets]
    held, made, past = (part.reshape(len(part), features.NUM_FEATURES) for part in summed)
    base = past if len(past) else held
    spread = base.std(axis=0) if len(base) else np.ones(features.NUM_FEATURES)
    return [part / np.maximum(spread, _LEAST_SPREAD) for part in (held, made, past)]


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
