"""What a layout finds, and which layout a source has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from wavegen.audio.files import Blocks
from wavegen.errors import WavegenError
from wavegen.music.score import Note

# At the rate asked for: a file in blocks, however long it is, or what is made,
# [num_samples] float32 mono and facts for the report
Load = Callable[[int], Blocks | tuple[np.ndarray, dict[str, Any]]]

# Endings of sound files. Others are counted, not opened; of these, what libsndfile cannot
# read is dropped with a reason, so that nobody wonders where a folder of .m4a went.
SUFFIXES = frozenset(
    f".{ending}"
    for ending in (
        *("wav", "wave", "rf64", "w64", "flac", "ogg", "oga", "opus", "mp3", "mp2", "aif", "aiff"),
        *("aifc", "au", "snd", "caf", "sf", "voc", "m4a", "mp4", "aac", "wma"),
    )
)

# What data sets call their splits, and what a corpus calls them.
SPLITS = {
    "train": "train",
    "training": "train",
    "valid": "valid",
    "validation": "valid",
    "test": "test",
}


@dataclass(frozen=True)
class Recording:
    """One recording, not yet read; it can be sent to another process."""

    name: str
    load: Load
    path: Path | None = None  # None where it is made, not read
    split: str | None = None  # the data set's own, if it has one
    labels: dict[str, str] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True)
class Dropped:
    """A file or entry that cannot be used, and why, in words."""

    name: str
    reason: str


@dataclass(frozen=True)
class Ignored:
    """A file that is no sound at all, such as a text; only counted."""

    name: str


Found = Iterator[Recording | Dropped | Ignored]


def attempt(name: str, root: Path, make: Callable[[], Recording]) -> Recording | Dropped:
    """What `make` makes, or, where it raises WavegenError, why not; paths counted from `root`."""
    try:
        return make()
    except WavegenError as error:
        return Dropped(name, error.came.replace(f"{root}/", "") if root.name else error.came)


def split_of(word: str) -> str:
    """A corpus's name for a data set's split; WavegenError where it is none."""
    if word not in SPLITS:
        raise WavegenError(f"its split is '{word}'", "one of: " + ", ".join(SPLITS))
    return SPLITS[word]
