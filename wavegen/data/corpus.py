"""The prepared store: recordings as int16 samples on disk, with their labels and notes.

`prepare` makes one, `open` reads one. The number of codes belongs to a model, not to it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wavegen import __version__
from wavegen.audio.cleaning import NOTHING, Cleaning
from wavegen.config import Vocabulary
from wavegen.data import (
    digest,
    items,
    listening,
    lock,
    manifest,
    request,
    selection,
    shards,
    timing,
)
from wavegen.data import report as reports
from wavegen.data.items import Split
from wavegen.data.layouts import Recording
from wavegen.data.report import Report
from wavegen.errors import WavegenError

_NOT_TOLD = ("shard", "offset", "length")  # of the journal, in the report


@dataclass(frozen=True, eq=False)
class Corpus:
    """A prepared corpus, open for reading."""

    path: Path
    sample_rate: int  # Hz
    layout: str
    vocabulary: Vocabulary
    splits: dict[str, Split]
    seconds: float

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
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Reads the sources into a new corpus at `out`; returns what became of every file.

    `pitches` (low, high), `labels` (allowed values) and `limit` choose recordings.
    `progress` is told how many are done and how many there are. A run that was stopped
    goes on where it was when it is called again alike, to the same bytes. Recordings of any
    length are read in blocks, unless `cleaning` needs them whole.
    """
    out = Path(out)
    request.check_place(out)
    partial = request.partial_of(out)
    request.check_asked(sources, sample_rate, pitches, limit, cleaning)
    chosen, met = request.find(sources, layout, (out, partial), pitches, labels or {}, limit)
    if not chosen.recordings:
        raise request.nothing_kept(sources, _report(met, sample_rate, chosen, []))
    try:
        with lock.Lock(partial) as held:
            request.check_place(out)  # another process may have finished it meanwhile
            report = _fill(partial, chosen, met, sample_rate, cleaning, workers, progress)
            if report.kept:
                _rename(partial, out, held)
        if not report.kept:
            shutil.rmtree(partial)
    except lock.Taken as taken:
        raise request.taken(out, taken.holder) from None
    except OSError as error:
        raise request.unwritable(partial, error) from None
    if not report.kept:
        raise request.nothing_kept(sources, report)
    return report


def _fill(
    partial: Path,
    chosen: selection.Selection,
    layout: str,
    sample_rate: int,
    cleaning: Cleaning,
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> Report:
    """Everything that a corpus consists of into the folder `partial`, if anything is kept."""
    recordings = chosen.recordings
    fingerprint = _fingerprint(recordings, sample_rate, cleaning)
    store = shards.Store(partial, fingerprint, [item.name for item in recordings])
    try:
        _hear(store, recordings, sample_rate, cleaning, workers, progress)
        _settle_splits(store, recordings)
        report = _report(layout, sample_rate, chosen, store.entries)
        if report.kept:
            _write(store, recordings, report, cleaning)
    finally:
        store.close()
    return report


def _rename(partial: Path, out: Path, held: lock.Lock) -> None:
    if out.exists():
        out.rmdir()  # an empty folder; not every system lets another be renamed onto it
    if os.name == "nt":
        held.close()  # nor a folder be renamed that holds an open file
    os.replace(partial, out)
    (out / shards.JOURNAL).unlink()
    (out / lock.FILE).unlink()


def _fingerprint(recordings: list[Recording], sample_rate: int, cleaning: Cleaning) -> str:
    """Stands for all that decides what the journal holds: a change starts over."""
    digest = hashlib.blake2b(digest_size=16)
    told: list[Any] = [manifest.FORMAT_VERSION, __version__, sample_rate, cleaning]
    for item in recordings:
        told.append((item.name, item.split, sorted(item.labels.items()), item.notes))
        if item.path and item.path.exists():
            status = item.path.stat()
            told.append((str(item.path.resolve()), status.st_size, status.st_mtime_ns))
    for line in told:
        digest.update(repr(line).encode("utf-8", "surrogatepass") + b"\n")
    return digest.hexdigest()


def _hear(
    store: shards.Store,
    recordings: list[Recording],
    sample_rate: int,
    cleaning: Cleaning,
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Reads what the store does not hold yet, each into the split that is planned for it."""
    planned = selection.splits([(item.name, item.split) for item in recordings])
    done = len(store.entries)
    spool = store.folder / shards.SPOOL
    hearing = listening.hear(recordings[done:], sample_rate, cleaning, spool, workers)
    with contextlib.closing(hearing) as heard:
        for split, (samples, entry) in zip(planned[done:], heard, strict=True):
            store.add(entry, split, samples)
            if progress:
                progress(len(store.entries), len(recordings))


def _settle_splits(store: shards.Store, recordings: list[Recording]) -> None:
    """Splits were planned before anything was heard; what was dropped may change the plan.

    Then the samples of a recording that moves are written again in its new split, and
    their old place stays unused.
    """
    pairs = list(zip(recordings, store.entries, strict=True))
    kept = [(item, entry) for item, entry in pairs if entry["kept"]]
    settled = selection.splits([(item.name, item.split) for item, _ in kept])
    for (_, entry), split in zip(kept, settled, strict=True):
        if entry["split"] != split:
            entry |= store.move(entry, split)


def _report(
    layout: str,
    sample_rate: int,
    chosen: selection.Selection,
    entries: Sequence[dict[str, Any]],
) -> Report:
    """Every file found, in the order found; entries are those of the recordings."""
    heard = iter(entries)
    lines: list[dict[str, Any]] = []
    first: dict[str, str] = {}  # what sounds so, by a hash of its samples
    for item in chosen.found:
        if not isinstance(item, Recording):
            lines.append({"name": item.name, "kept": False, "reason": item.reason})
            continue
        entry = next(heard)
        if entry["kept"]:
            entry = {k: v for k, v in entry.items() if k not in _NOT_TOLD} | {
                "seconds": entry["length"] / sample_rate,
                "labels": item.labels,
                "same_as": first.get(entry["digest"]),
            }
            first.setdefault(entry.pop("digest"), item.name)
        lines.append(entry)
    return Report(layout, sample_rate, tuple(lines), chosen.ignored, chosen.left_out)


def _write(
    store: shards.Store, recordings: list[Recording], report: Report, cleaning: Cleaning
) -> None:
    """Everything beside the samples."""
    kept = [
        (timing.moved(item, entry.get("cleaning", {})), entry)
        for item, entry in zip(recordings, store.entries, strict=True)
        if entry["kept"]
    ]
    vocabulary = items.vocabulary_of([item for item, _ in kept])
    for folder in (path for path in store.folder.iterdir() if path.is_dir()):
        if folder.name not in report.splits:  # all that it held moved to another
            shutil.rmtree(folder)
    for split in report.splits:
        here = [(item, entry) for item, entry in kept if entry["split"] == split]
        items.write(
            store.folder / split, [item for item, _ in here], [e for _, e in here], vocabulary
        )
    store.patch_headers()
    told = {
        "format_version": manifest.FORMAT_VERSION,
        "wavegen": __version__,
        "layout": report.layout,
        "sample_rate": report.sample_rate,
        "cleaning": dataclasses.asdict(cleaning),
        "seconds": report.seconds,
        "splits": report.splits,
        "vocabulary": vocabulary.to_dict(),
    }
    for name, tree in ((reports.FILE, report.to_dict()), (manifest.FILE, told)):
        text = json.dumps(tree, indent=1) + "\n"
        (store.folder / name).write_text(text, encoding="utf-8")
