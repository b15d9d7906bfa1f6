"""Excerpts of recordings, read when they are looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from wavegen.audio import mulaw
from wavegen.data.corpus import Split


@dataclass(frozen=True, eq=False)
class Excerpts(Sequence[np.ndarray]):
    """Pieces of a split's recordings, each [T] float32 in [-1, 1]."""

    recordings: Split
    places: tuple[tuple[int, int], ...]  # recording, first sample
    longest: int  # samples

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, number):  # type: ignore[no-untyped-def]
        item, start = self.places[number]
        samples = self.recordings.read(item)[start : start + self.longest]
        return samples.astype(np.float32) / mulaw.INT16_FULL_SCALE

    def name(self, number: int) -> str:
        """The recording's name."""
        return self.recordings.names[self.places[number][0]]

    def but(self, items: np.ndarray) -> Excerpts:
        """All of them but those that these recordings begin with."""
        left = (place for place in self.places if place[1] or place[0] not in items)
        return replace(self, places=tuple(left))

    def begins(self, items: np.ndarray) -> Excerpts:
        """Those that these recordings begin with, in this order."""
        return replace(self, places=tuple((int(item), 0) for item in items))


def spread(num_items: int, num: int) -> np.ndarray:  # [min(num_items, num)] int64
    """So many of the items, evenly spread over them; all where there are fewer."""
    return np.linspace(0, num_items - 1, min(num, num_items)).round().astype(np.int64)


def cut(recordings: Split, sample_rate: int, seconds: float) -> Excerpts:
    """Whole recordings, cut where they are longer than so many seconds.

    What is left at a recording's end counts where it is no shorter than half a piece.
    """
    longest = max(1, round(seconds * sample_rate))
    places = tuple(
        (item, start)
        for item, length in enumerate(recordings.lengths.tolist())
        for start in range(0, length, longest)
        if not start or length - start >= longest / 2
    )
    return Excerpts(recordings, places, longest)
