"""What a layout finds, and which layout a source has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from wavegen.audio.files import Blocks
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
