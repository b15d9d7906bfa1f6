"""Samples on disk while a corpus is made: shards that only grow, and a journal of them.

Samples go to a shard first, then a line to the journal. So after a kill the journal tells
how much of the shards is whole, and the work goes on from there.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from wavegen.data import lock

MAX_SAMPLES = 2**28  # of a shard; a longer recording has a shard of its own
JOURNAL = "journal.jsonl"
SPOOL = "spool"  # folder of what is not yet in a shard
DTYPE = np.dtype("<i2")
_BLOCK = 1 << 20  # samples copied at once
_LINES = 1000  # of a journal read at once: these share the texts of their keys, half of all memory


def path_of(folder: Path, split: str, shard: int) -> Path:
    """Where a shard lies."""
    return folder / split / f"samples-{shard:05d}.npy"


def header(num_samples: int) -> bytes:
    """A .npy header; numpy pads it, so that it is equally long for every number of samples."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": DTYPE.str, "fortran_order": False, "shape": (num_samples,)}
    )
    return buffer.getvalue()


HEADER_BYTES = len(header(0))


class Store:
    """The unfinished corpus in `folder`; `entries` are the journal's, in order.

    A journal whose fingerprint differs, or that does not name `names` in their order,
    belongs to other work and is started over.
    """

    def __init__(self, folder: Path, fingerprint: str, names: list[str]) -> None:
        self.folder = folder
        found, self.entries, size = read_journal(folder / JOURNAL)
        if found != fingerprint or [e["name"] for e in self.entries] != names[: len(self.entries)]:
            self.entries = []
            _empty(folder)
            first = (json.dumps({"fingerprint": fingerprint}) + "\n").encode()
            (folder / JOURNAL).write_bytes(first)
            size = len(first)
        self._ends = self._cut_to_journal()  # split -> (shard, samples in it)
        self._journal = (folder / JOURNAL).open("r+b")
        self._journal.truncate(size)
        self._journal.seek(size)

    def add(self, entry: dict[str, Any], split: str, samples: np.ndarray | Path | None) -> None:
        """Keeps samples, or those in a file, which goes; journals the entry in any case."""
        if isinstance(samples, Path):
            count = samples.stat().st_size // DTYPE.itemsize
            entry |= self.append(split, count, _blocks(samples, 0, count))
            samples.unlink()
        elif samples is not None:
            entry |= self.append(split, len(samples), [samples])
        self._journal.write((json.dumps(entry) + "\n").encode())
        self._journal.flush()
        self.entries.append(entry)

    def append(
        self,
        split: str,
        num_samples: int,
        blocks: Iterable[np.ndarray],  # int16, num_samples in all
    ) -> dict[str, Any]:
        """Samples at the end of a split; returns their `split`, `shard`, `offset`, `length`."""
        shard, end = self._ends.get(split, (0, 0))
        if end and end + num_samples > MAX_SAMPLES:
            shard, end = shard + 1, 0
        path = path_of(self.folder, split, shard)
        path.parent.mkdir(exist_ok=True)
        with path.open("ab") as file:
            if end == 0:
                file.truncate(0)
                file.write(header(0))
            for block in blocks:
                file.write(block.astype(DTYPE, copy=False).tobytes())
        self._ends[split] = shard, end + num_samples
        return {"split": split, "shard": shard, "offset": end, "length": num_samples}

    def move(self, entry: dict[str, Any], split: str) -> dict[str, Any]:
        """The samples of an entry once more, in another split; returns what `append` does."""
        path = path_of(self.folder, entry["split"], entry["shard"])
        blocks = stored(path, entry["offset"], entry["length"])
        return self.append(split, entry["length"], blocks)

    def patch_headers(self) -> None:
        """Gives every shard its true header."""
        for path in self.folder.glob("*/samples-*.npy"):
            num_samples = (path.stat().st_size - HEADER_BYTES) // DTYPE.itemsize
            with path.open("r+b") as file:
                file.write(header(num_samples))

    def close(self) -> None:
        """Lets go of the journal; what it holds stays for another run."""
        # A full disk fails a second time here, at the line that it has failed at before.
        with contextlib.suppress(OSError):
            self._journal.close()

    def _cut_to_journal(self) -> dict[str, tuple[int, int]]:
        """Removes what was written after the last journal line; returns the ends."""
        sizes: dict[Path, int] = {}
        ends: dict[str, tuple[int, int]] = {}
        for entry in self.entries:
            if "shard" in entry:
                end = entry["offset"] + entry["length"]
                ends[entry["split"]] = entry["shard"], end
                path = path_of(self.folder, entry["split"], entry["shard"])
                sizes[path] = HEADER_BYTES + end * DTYPE.itemsize
        for path in self.folder.glob("*/*"):
            if path in sizes:
                with path.open("r+b") as file:
                    file.truncate(sizes[path])
            else:
                path.unlink()
        return ends


def stored(path: Path, offset: int, num_samples: int) -> Iterator[np.ndarray]:
    """int16 samples of a shard, from the sample `offset` on, block by block."""
    return _blocks(path, HEADER_BYTES + offset * DTYPE.itemsize, num_samples)


def digest() -> Any:
    """A hash that takes int16 samples in blocks: what `digest` of an entry was made by."""
    return hashlib.blake2b(digest_size=16)


def _blocks(path: Path, start: int, num_samples: int) -> Iterator[np.ndarray]:
    for done in range(0, num_samples, _BLOCK):
        count = min(_BLOCK, num_samples - done)
        yield np.fromfile(path, DTYPE, count, offset=start + done * DTYPE.itemsize)


def _empty(folder: Path) -> None:
    """Leaves nothing in a folder but the lock."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != lock.FILE:
            path.unlink()


def read_journal(path: Path) -> tuple[str, list[dict[str, Any]], int]:
    """Its fingerprint, its entries, and bytes up to the end of the last whole line.

    The fingerprint is empty where there is no journal, or none that can be read.
    """
    entries, size = [], 0
    try:
        with path.open("rb") as file:
            # A torn last line is dropped.
            while lines := [x for x in itertools.islice(file, _LINES) if x.endswith(b"\n")]:
                entries += json.loads(b"[" + b",".join(lines) + b"]")
                size += sum(map(len, lines))
        return entries.pop(0)["fingerprint"], entries, size
    except (FileNotFoundError, ValueError, LookupError, TypeError):
        return "", [], 0
