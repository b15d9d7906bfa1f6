"""One corpus of the parts that several machines have prepared."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wavegen.data import binding, fingerprint, parts, place, request, shards
from wavegen.data import corpus as corpora
from wavegen.data.corpus import Corpus
from wavegen.data.parts import Described
from wavegen.data.report import Report
from wavegen.errors import WavegenError
from wavegen.music.score import Note


@dataclass(frozen=True, eq=False)
class _Piece:
    """A part, open."""

    told: Described
    corpus: Corpus
    entries: list[dict[str, Any]]  # of its journal

    def notes(self) -> Iterator[Sequence[Note]]:
        """Those of each entry; a split holds its recordings in their order, too."""
        places = Counter[str]()
        for entry in self.entries:
            if not entry["kept"]:
                yield ()
                continue
            split = entry["split"]
            yield self.corpus.splits[split].score(places[split]).notes
            places[split] += 1


def join(
    folders: Sequence[str | Path],
    out: str | Path,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Makes the parts, in any order, one corpus at `out`: what one prepare would have made.

    Returns what that would have returned. The parts stay as they are. A join that was
    stopped goes on where it was when it is called again alike.
    """
    out = Path(out)
    place.check(out)
    pieces = [
        _Piece(told, corpora.open(told.path), parts.entries(told))
        for told in _in_order([parts.read(Path(path)) for path in folders])
    ]
    with place.making(out) as partial:
        report = _fill(partial, pieces, progress)
    if not report.kept:
        raise request.nothing_kept(folders, report)
    return report


def _in_order(told: list[Described]) -> list[Described]:
    """All the parts of one work, or words on what is wrong with them."""
    if not told:
        raise WavegenError("no part was named", "all parts of a data set")
    first, seen = told[0], dict[int, Path]()
    for one in told:
        if one.work != first.work:
            raise WavegenError(
                f"{one.path} is of other work than {first.path}",
                "parts of the same sources, prepared by one version of wavegen with the same flags",
                "prepare one of them again, as the others were",
            )
        if one.part.of != first.part.of:
            raise WavegenError(
                f"{one.path} is part {one.part}, but {first.path} is part {first.part}",
                "parts of one division",
            )
        if one.part.number in seen:
            other = seen[one.part.number]
            raise WavegenError(f"{other} and {one.path} are both part {one.part}", "each part once")
        seen[one.part.number] = one.path
    for number in range(1, first.part.of + 1):
        if number not in seen:
            missing = parts.Part(number, first.part.of)
            raise WavegenError(
                f"part {missing} is missing",
                f"all {missing.of} parts",
                f"name it too, or make it with --part {missing}",
            )
    return sorted(told, key=lambda one: one.part.number)


def _fill(
    partial: Path, pieces: list[_Piece], progress: Callable[[int, int], None] | None
) -> Report:
    """Does in the folder `partial` what a prepare does, but for reading the sources."""
    first = pieces[0].told  # which counts what is counted once
    journals = fingerprint.of_parts([piece.told for piece in pieces])
    entries = [(piece, entry) for piece in pieces for entry in piece.entries]
    store = shards.Store(partial, journals, [entry["name"] for _, entry in entries])
    with contextlib.closing(store):
        for piece, entry in entries[len(store.entries) :]:
            if entry["kept"]:
                blocks = _samples(piece.told.path, entry)
                entry |= store.append(entry["split"], entry["length"], blocks)
            store.add(entry, "", None)
            if progress:
                progress(len(store.entries), len(entries))
        notes = [played for piece in pieces for played in piece.notes()]
        return binding.bind(store, notes, first.about)


def _samples(part: Path, entry: dict[str, Any]) -> Iterator[np.ndarray]:
    """A recording's int16 samples in blocks; at their end it is known whether they are right."""
    path = shards.path_of(part, entry["split"], entry["shard"])
    digest = shards.digest()
    try:
        for block in shards.stored(path, entry["offset"], entry["length"]):
            digest.update(block.data)
            yield block
    except OSError as error:
        raise WavegenError(
            f"cannot read {path}: {error.strerror or error}",
            "parts that stay in place until they are joined",
            "see to that and run the same again: it goes on where it stopped",
        ) from None
    if digest.hexdigest() != entry["digest"]:
        raise parts.damaged(part, f"{entry['name']} does not sound as it did")
