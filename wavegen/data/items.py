"""One split of a corpus on disk: items.npz beside the shards of samples."""

from __future__ import annotations

import contextlib
import mmap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from wavegen.config import Vocabulary
from wavegen.data import shards
from wavegen.music.score import Note, Score

FILE = "items.npz"
_TAKES_ADVICE = hasattr(mmap, "MADV_WILLNEED")  # not Windows


@dataclass(frozen=True, eq=False)
class Split:
    """The recordings of one split; samples stay on disk until they are read."""

    name: str
    vocabulary: Vocabulary  # the corpus's; `label_ids` are places in it
    names: tuple[str, ...]
    shard: np.ndarray  # [N] int32: which of `samples` a recording lies in
    offset: np.ndarray  # [N] int64: its first sample there
    lengths: np.ndarray  # [N] int64 samples
    label_ids: np.ndarray  # [N, number of labels] int32, in `vocabulary`'s order; -1: none
    note_start: np.ndarray  # [N + 1] int64: recording i has notes note_start[i] to [i + 1]
    onset_seconds: np.ndarray  # [number of notes] float64
    note_seconds: np.ndarray  # [number of notes] float64: how long each is held
    pitch: np.ndarray  # [number of notes] uint8
    velocity: np.ndarray  # [number of notes] uint8
    samples: tuple[np.ndarray, ...]  # memory-mapped int16, one a shard

    @property
    def num_items(self) -> int:
        """How many recordings there are."""
        return len(self.lengths)

    def read(self, i: int) -> np.ndarray:  # [num_samples] int16
        """Recording i, memory-mapped; a sample v stands for v / 32767."""
        start = self.offset[i]
        return self.samples[self.shard[i]][start : start + self.lengths[i]]

    def expect(self, i: int, start: int, stop: int) -> None:
        """Has the system read samples `start` to `stop` of recording i, as far as there are any.

        It does so in the background. Untold, it reads each place when it is first touched,
        and may read megabytes around it that nobody asked for.
        """
        shard = self.samples[self.shard[i]]
        start, stop = max(0, start), min(stop, int(self.lengths[i]))
        # What was computed from a map is still called one, but has no place in a file.
        is_mapped = isinstance(shard, np.memmap) and shard.offset is not None
        if not (_TAKES_ADVICE and is_mapped and start < stop):
            return
        origin = cast(np.memmap, shard).offset + int(self.offset[i]) * shard.itemsize
        first, end = origin + start * shard.itemsize, origin + stop * shard.itemsize
        first -= first % mmap.PAGESIZE
        with contextlib.suppress(OSError):  # it need not take advice
            cast(mmap.mmap, shard.base).madvise(mmap.MADV_WILLNEED, first, end - first)

    def score(self, i: int) -> Score:
        """The notes of recording i."""
        notes = range(self.note_start[i], self.note_start[i + 1])
        return Score(
            tuple(
                Note(
                    float(self.onset_seconds[n]),
                    float(self.note_seconds[n]),
                    int(self.pitch[n]),
                    int(self.velocity[n]),
                )
                for n in notes
            )
        )

    def only(
        self,
        items: np.ndarray,  # [M]
    ) -> Split:
        """The split that these recordings are, in this order."""
        start = self.note_start
        of_item = [np.arange(int(start[i]), int(start[i + 1])) for i in items]
        notes = np.concatenate([np.zeros(0, np.int64), *of_item])
        ends = np.cumsum([0, *(len(each) for each in of_item)])
        by_item = ("shard", "offset", "lengths", "label_ids")
        by_note = ("onset_seconds", "note_seconds", "pitch", "velocity")
        return replace(
            self,
            names=tuple(self.names[i] for i in items),
            note_start=ends,
            **{name: getattr(self, name)[items] for name in by_item},
            **{name: getattr(self, name)[notes] for name in by_note},
        )


def vocabulary_of(
    entries: Sequence[dict[str, Any]],  # of each recording: labels
    notes: Sequence[Sequence[Note]],  # of each recording
) -> Vocabulary:
    """All that recordings hold, sorted."""
    labels: dict[str, set[str]] = {}
    for entry in entries:
        for name, value in entry["labels"].items():
            labels.setdefault(name, set()).add(value)
    return Vocabulary(
        labels={name: tuple(sorted(labels[name])) for name in sorted(labels)},
        pitches=tuple(sorted({note.pitch for played in notes for note in played})),
        velocities=tuple(sorted({note.velocity for played in notes for note in played})),
    )


def write(
    folder: Path,
    entries: Sequence[dict[str, Any]],  # of each recording: name, labels, shard, offset, length
    notes: Sequence[Sequence[Note]],  # of each recording
    vocabulary: Vocabulary,
) -> None:
    """Writes items.npz for recordings whose samples lie in the shards of `folder`."""
    ids = [{value: i for i, value in enumerate(v)} for v in vocabulary.labels.values()]
    label_ids = [
        [ids[k].get(entry["labels"].get(name, ""), -1) for k, name in enumerate(vocabulary.labels)]
        for entry in entries
    ]
    counts = [len(played) for played in notes]
    played = [note for each in notes for note in each]
    # Names end in NUL, which no file name holds; an array of texts would pad all to the longest.
    names = "".join(entry["name"] + "\0" for entry in entries).encode("utf-8", "surrogatepass")
    np.savez(
        folder / FILE,
        names=np.frombuffer(names, np.uint8),
        shard=np.array([entry["shard"] for entry in entries], np.int32),
        offset=np.array([entry["offset"] for entry in entries], np.int64),
        lengths=np.array([entry["length"] for entry in entries], np.int64),
        label_ids=np.array(label_ids, np.int32).reshape(len(entries), len(ids)),
        note_start=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        onset_seconds=np.array([note.onset_seconds for note in played], np.float64),
        note_seconds=np.array([note.duration_seconds for note in played], np.float64),
        pitch=np.array([note.pitch for note in played], np.uint8),
        velocity=np.array([note.velocity for note in played], np.uint8),
    )


def open_split(path: Path, name: str, vocabulary: Vocabulary, count: int) -> Split:
    """The split `name` of the corpus at `path`, which has `count` recordings.

    ValueError, TypeError or KeyError where it is damaged.
    """
    # numpy leaves a damaged file open if it opened it itself.
    with (path / name / FILE).open("rb") as file, np.load(file, allow_pickle=False) as stored:
        arrays = {key: stored[key] for key in stored.files}
    names = arrays.pop("names").tobytes().decode("utf-8", "surrogatepass").split("\0")[:-1]
    num_shards = int(arrays["shard"].max(initial=-1)) + 1
    samples = tuple(
        np.load(shards.path_of(path, name, shard), mmap_mode="r") for shard in range(num_shards)
    )
    split = Split(name=name, vocabulary=vocabulary, names=tuple(names), samples=samples, **arrays)
    _check(split, count)
    return split


def _check(split: Split, count: int) -> None:
    if split.num_items != count:
        raise ValueError(f"{split.name} has {split.num_items} recordings; {count} were announced")
    sizes = np.array([len(shard) for shard in split.samples], np.int64)
    ends = split.offset + split.lengths
    if (split.lengths < 1).any() or (split.offset < 0).any() or (ends > sizes[split.shard]).any():
        raise ValueError(f"items of {split.name} lie outside of its samples")
    expected = (split.num_items, len(split.vocabulary.labels))
    if split.label_ids.shape != expected or len(split.names) != split.num_items:
        raise ValueError(f"labels or names of {split.name} are not those of its items")
    known = [len(values) for values in split.vocabulary.labels.values()]
    if (split.label_ids < -1).any() or (split.label_ids >= np.array(known, int)).any():
        raise ValueError(f"items of {split.name} have labels that the manifest does not name")
    counts = {len(a) for a in (split.onset_seconds, split.note_seconds, split.pitch)}
    if counts != {len(split.velocity)} or split.note_start[-1] != len(split.velocity):
        raise ValueError(f"notes of {split.name} are not whole")
