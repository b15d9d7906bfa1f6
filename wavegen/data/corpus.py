"""The prepared store: recordings as int16 samples on disk, with their labels and notes.

`prepare` makes one, `open` reads one. The number of codes belongs to a model, not to it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wavegen.audio.cleaning import NOTHING, Cleaning
from wavegen.config import Vocabulary
from wavegen.data import (
    binding,
    digest,
    fingerprint,
    items,
    listening,
    manifest,
    parts,
    place,
    request,
    selection,
    shards,
    timing,
)
from wavegen.data.items import Split
from wavegen.data.layouts import Dropped, Recording
from wavegen.data.parts import Part
from wavegen.data.report import Report
from wavegen.errors import WavegenError
from wavegen.music.score import Note


@dataclass(frozen=True, eq=False)
class Corpus:
    """A prepared corpus, open for reading."""

    path: Path
    sample_rate: int  # Hz
    layout: str
    vocabulary: Vocabulary
    splits: dict[str, Split]
    seconds: float

    @property
    def has_validation(self) -> bool:
        """Whether there are recordings to validate a training with."""
        return "valid" in self.splits and self.splits["valid"].num_items > 0

    @functools.cached_property
    def digest(self) -> str:
        """Stands for what the corpus holds; see wavegen.data.digest."""
        return digest.of(self.path)


def open(path: str | Path) -> Corpus:
    """The corpus in a folder, its samples memory-mapped; damage is found here, not later."""
    path = Path(path)
    told = manifest.read(path)
    try:
        splits = {
            name: items.open_split(path, name, told.vocabulary, count)
            for name, count in told.splits.items()
        }
    except (KeyError, TypeError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise WavegenError(
            f"the corpus {path} is damaged: {type(error).__name__}: {error}",
            "a corpus as `wavegen prepare` left it",
            "remove it and prepare it again",
        ) from None
    return Corpus(path, told.sample_rate, told.layout, told.vocabulary, splits, told.seconds)


def prepare(
    sources: Sequence[str | Path],
    out: str | Path,
    *,
    layout: str = "auto",
    sample_rate: int = 16_000,
    pitches: tuple[int, int] | None = None,
    labels: dict[str, tuple[str, ...]] | None = None,
    limit: int | None = None,
    cleaning: Cleaning = NOTHING,
    part: Part | None = None,
    workers: int = 1,
    looking: Callable[[int], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Reads the sources into a new corpus at `out`; returns what became of every file.

    `pitches` (low, high), `labels` (allowed values) and `limit` choose recordings.
    `looking` is told how many files were found so far, then `progress` how many are done and
    how many there are. A run that was stopped
    goes on where it was when it is called again alike, to the same bytes. Recordings of any
    length are read in blocks, unless `cleaning` needs them whole. A `part` of what was found
    is a corpus of its own, to be joined by `assembly.join`; it may be empty.
    """
    out = Path(out)
    place.check(out)
    request.check_asked(sources, sample_rate, pitches, limit, cleaning)
    exclude = (out, place.partial_of(out))
    chosen, met = request.find(sources, layout, exclude, pitches, labels or {}, limit, looking)
    about = binding.About(met, sample_rate, cleaning, chosen.ignored, chosen.left_out)
    if not chosen.recordings:  # unfinished work stays: a disk may only be unplugged
        heard = listening.hear(chosen.found, sample_rate, cleaning, out)
        raise request.nothing_kept(sources, binding.report([entry for _, entry in heard], about))
    if part:
        parts.check(part, len(chosen.recordings))
    with place.making(out, keep_journal=part is not None) as partial:
        report = _fill(partial, chosen.found, about, part, workers, progress)
    if not (report.kept or part):
        raise request.nothing_kept(sources, report)
    return report


def _fill(
    partial: Path,
    found: Sequence[Recording | Dropped],
    about: binding.About,
    part: Part | None,
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> Report:
    """Everything that a corpus, or a part of it, consists of into the folder `partial`."""
    work = fingerprint.of_work(found, about)
    span = (part or parts.WHOLE).span(len(found))
    found, splits = found[span], selection.planned(found)[span]
    if part and part.number > 1:  # what is no recording is counted once
        about = dataclasses.replace(about, ignored=0, left_out=())
    files = fingerprint.of_files(work, part, found)
    store = shards.Store(partial, files, [item.name for item in found])
    with contextlib.closing(store):
        _hear(store, found, splits, about, workers, progress)
        if part:
            parts.write(partial, part, work, about)
        notes = _notes(found, store.entries)
        return binding.bind(store, notes, about, of_part=part is not None)


def _hear(
    store: shards.Store,
    found: Sequence[Recording | Dropped],
    splits: Sequence[str],
    about: binding.About,
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Reads what the store does not hold yet, each into its split."""
    done = len(store.entries)
    spool = store.folder / shards.SPOOL
    hearing = listening.hear(found[done:], about.sample_rate, about.cleaning, spool, workers)
    with contextlib.closing(hearing) as heard:
        for item, split, (samples, entry) in zip(found[done:], splits[done:], heard, strict=True):
            if isinstance(item, Recording):
                entry |= {"own_split": item.split, "labels": item.labels}
            store.add(entry, split, samples)
            if progress:
                progress(len(store.entries), len(found))


def _notes(
    found: Sequence[Recording | Dropped], entries: Sequence[dict[str, Any]]
) -> list[Sequence[Note]]:
    """The notes of each at their places in what was kept of it."""
    return [
        timing.moved(item.notes, entry.get("cleaning", {})) if isinstance(item, Recording) else ()
        for item, entry in zip(found, entries, strict=True)
    ]
