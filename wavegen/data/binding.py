"""All of a corpus but its samples: final splits, items, report and manifest, from the journal.

An entry of the journal says of what was found whether it is `kept`, and if so its `labels`, its
own split, its place in the store and what was heard.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wavegen import __version__
from wavegen.audio.cleaning import Cleaning
from wavegen.data import items, manifest, selection, shards
from wavegen.data import report as reports
from wavegen.data.report import Report
from wavegen.music.score import Note

_NOT_TOLD = ("own_split", "labels", "shard", "offset", "length", "digest")  # in the report


@dataclass(frozen=True)
class About:
    """What was asked of a corpus, and what of its sources no entry tells."""

    layout: str
    sample_rate: int  # Hz
    cleaning: Cleaning
    ignored: int = 0
    left_out: tuple[tuple[str, int], ...] = ()


def bind(
    store: shards.Store,
    notes: Sequence[Sequence[Note]],  # of each entry, as it sounds in the store
    about: About,
    *,
    of_part: bool = False,
) -> Report:
    """Makes a corpus of the store, if anything was kept; returns what became of every file.

    That of a part holds what there is, and leaves recordings where the whole wants them.
    """
    if not of_part:
        _settle_splits(store)
    found = report(store.entries, about)
    if found.kept or of_part:
        _write(store, notes, found, about.cleaning)
    return found


def _settle_splits(store: shards.Store) -> None:
    """Splits were planned before anything was heard; what was dropped may change the plan.

    Then the samples of a recording that moves are written again in its new split, and
    their old place stays unused.
    """
    kept = [entry for entry in store.entries if entry["kept"]]
    settled = selection.splits([(entry["name"], entry["own_split"]) for entry in kept])
    for entry, split in zip(kept, settled, strict=True):
        if entry["split"] != split:
            entry |= store.move(entry, split)


def report(entries: Sequence[dict[str, Any]], about: About) -> Report:
    """Every file found, in the order found."""
    lines: list[dict[str, Any]] = []
    first: dict[str, str] = {}  # what sounds so, by a hash of its samples
    for entry in entries:
        line = {key: value for key, value in entry.items() if key not in _NOT_TOLD}
        if entry["kept"]:
            line["seconds"] = entry["length"] / about.sample_rate
            line["labels"] = entry["labels"]
            line["same_as"] = first.get(entry["digest"])
            first.setdefault(entry["digest"], entry["name"])
        lines.append(line)
    return Report(about.layout, about.sample_rate, tuple(lines), about.ignored, about.left_out)


def _write(
    store: shards.Store, notes: Sequence[Sequence[Note]], report: Report, cleaning: Cleaning
) -> None:
    """Everything beside the samples; the manifest comes last."""
    kept = [(e, played) for e, played in zip(store.entries, notes, strict=True) if e["kept"]]
    vocabulary = items.vocabulary_of([e for e, _ in kept], [played for _, played in kept])
    for folder in (path for path in store.folder.iterdir() if path.is_dir()):
        if folder.name not in report.splits:  # all that it held moved to another
            shutil.rmtree(folder)
    for split in report.splits:
        here = [(entry, played) for entry, played in kept if entry["split"] == split]
        items.write(
            store.folder / split, [e for e, _ in here], [played for _, played in here], vocabulary
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
    reports.write(store.folder, report)
    text = json.dumps(told, indent=1) + "\n"
    (store.folder / manifest.FILE).write_text(text, encoding="utf-8")
