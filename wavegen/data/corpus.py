"""The prepared store: recordings as int16 samples on disk, with their labels and notes.

`prepare` makes one, `open` reads one. The number of codes belongs to a model, not to it.
"""

from __future__ import annotations

import contextlib
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
from wavegen.audio import files
from wavegen.config import Vocabulary
from wavegen.data import items, layouts, listening, selection, shards
from wavegen.data.items import Split
from wavegen.data.layouts import Recording
from wavegen.data.report import Report
from wavegen.errors import WavegenError

FORMAT_VERSION = 1
_REASONS_SHOWN = 5


@dataclass(frozen=True, eq=False)
class Corpus:
    """A prepared corpus, open for reading."""

    path: Path
    sample_rate: int  # Hz
    layout: str
    vocabulary: Vocabulary
    splits: dict[str, Split]
    seconds: float


def open(path: str | Path) -> Corpus:
    """The corpus in a folder, its samples memory-mapped; damage is found here, not later."""
    path = Path(path)
    manifest = _manifest(path)
    try:
        vocabulary = Vocabulary.from_dict(manifest["vocabulary"])
        splits = {name: items.open_split(path, name, vocabulary) for name in manifest["splits"]}
        return Corpus(
            path=path,
            sample_rate=int(manifest["sample_rate"]),
            layout=manifest["layout"],
            vocabulary=vocabulary,
            splits=splits,
            seconds=float(manifest["seconds"]),
        )
    except (KeyError, TypeError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise WavegenError(
            f"the corpus {path} is damaged: {type(error).__name__}: {error}",
            "a corpus as `wavegen prepare` left it",
            "remove it and prepare it again",
        ) from None


def prepare(
    sources: Sequence[str | Path],
    out: str | Path,
    *,
    layout: str = "auto",
    sample_rate: int = 16_000,
    pitches: tuple[int, int] | None = None,
    labels: dict[str, tuple[str, ...]] | None = None,
    limit: int | None = None,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Reads the sources into a new corpus at `out`; returns what became of every file.

    `pitches` (low, high), `labels` (allowed values) and `limit` choose recordings.
    `progress` is told how many are done and how many there are. A run that was stopped
    goes on where it was when it is called again alike, to the same bytes.
    """
    out = Path(out)
    if out.name in ("", ".."):  # has no name to write beside
        raise WavegenError(f"{out} exists", "the name of a folder that is not there yet")
    partial = out.with_name(out.name + ".partial")
    _check(sources, out, sample_rate, pitches, limit)
    chosen, met = _find(sources, layout, (out, partial), pitches, labels or {}, limit)
    recordings = chosen.recordings
    if not recordings:
        raise _nothing_kept(sources, _report(met, sample_rate, chosen, []))
    store = shards.Store(
        partial, _fingerprint(recordings, sample_rate), [item.name for item in recordings]
    )
    try:
        _hear(store, recordings, sample_rate, workers, progress)
        _settle_splits(store, recordings)
        report = _report(met, sample_rate, chosen, store.entries)
        if report.kept:
            _write(store, recordings, report)
    finally:
        store.close()
    if not report.kept:
        shutil.rmtree(partial)
        raise _nothing_kept(sources, report)
    if out.exists():
        out.rmdir()  # an empty folder; not every system lets another be renamed onto it
    os.replace(partial, out)
    (out / shards.JOURNAL).unlink()
    return report


def _check(
    sources: Sequence[str | Path],
    out: Path,
    sample_rate: int,
    pitches: tuple[int, int] | None,
    limit: int | None,
) -> None:
    if out.is_symlink() or (out.exists() and not (out.is_dir() and not any(out.iterdir()))):
        is_corpus = (out / "manifest.json").is_file()
        raise WavegenError(
            f"{out} exists" + (" and holds a corpus" if is_corpus else ""),
            "the name of a folder that is not there yet",
            "choose another name, or remove it first",
        )
    partial = out.with_name(out.name + ".partial")
    if not partial.is_dir():
        files.make_room(partial)
    elif any(partial.iterdir()) and not (partial / shards.JOURNAL).is_file():
        raise WavegenError(
            f"{partial} is in the way: it is not the unfinished work of a prepare",
            "a free name to work under",
            "move it, or choose another --out",
        )
    if not files.LOWEST_RATE <= sample_rate <= 384_000:
        raise WavegenError(f"the sample rate is {sample_rate} Hz", "1000 to 384000 Hz")
    if pitches and not 0 <= pitches[0] <= pitches[1] <= 127:
        raise WavegenError(f"the pitches are {pitches[0]}-{pitches[1]}", "LOW-HIGH within 0-127")
    if limit is not None and limit < 1:
        raise WavegenError(f"the limit is {limit}", "at least 1 recording")
    resolved = [Path(source).resolve() for source in sources]
    if len(set(resolved)) < len(resolved):
        raise WavegenError("a source is named twice", "each folder once")


def _find(
    sources: Sequence[str | Path],
    layout: str,
    exclude: tuple[Path, ...],
    pitches: tuple[int, int] | None,
    labels: dict[str, tuple[str, ...]],
    limit: int | None,
) -> tuple[selection.Selection, str]:
    """What is to be read, and the names of the layouts that were met."""
    roots = [Path(source) for source in sources]
    if not roots:
        if layout != "synthetic":
            raise WavegenError("no source was named", "at least one folder of recordings")
        roots = [Path("synthetic")]
    names = [layouts.name_of(root, layout) for root in roots]
    found: list[layouts.Recording | layouts.Dropped | layouts.Ignored] = []
    for root, name in zip(roots, names, strict=True):
        prefix = f"{root.resolve().name}/" if len(roots) > 1 else ""
        found += [layouts.renamed(item, prefix) for item in layouts.find(root, name, exclude)]
    return selection.select(found, pitches, labels, limit), "+".join(sorted(set(names)))


def _fingerprint(recordings: list[Recording], sample_rate: int) -> str:
    """Stands for all that decides what the journal holds: a change starts over."""
    digest = hashlib.blake2b(digest_size=16)
    told: list[Any] = [FORMAT_VERSION, __version__, sample_rate]
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
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Reads what the store does not hold yet, each into the split that is planned for it."""
    planned = selection.splits([(item.name, item.split) for item in recordings])
    done = len(store.entries)
    with contextlib.closing(listening.hear(recordings[done:], sample_rate, workers)) as heard:
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
            entry |= store.append(split, store.read(entry))


def _report(
    layout: str,
    sample_rate: int,
    chosen: selection.Selection,
    entries: Sequence[dict[str, Any]],
) -> Report:
    """Every file found, in the order found; entries are those of the recordings."""
    heard = iter(entries)
    lines: list[dict[str, Any]] = []
    for item in chosen.found:
        if not isinstance(item, Recording):
            lines.append({"name": item.name, "kept": False, "reason": item.reason})
            continue
        entry = next(heard)
        if entry["kept"]:
            entry = {k: v for k, v in entry.items() if k not in ("shard", "offset", "length")} | {
                "seconds": entry["length"] / sample_rate,
                "labels": item.labels,
            }
        lines.append(entry)
    return Report(layout, sample_rate, tuple(lines), chosen.ignored, chosen.left_out)


def _write(store: shards.Store, recordings: list[Recording], report: Report) -> None:
    """Everything beside the samples."""
    kept = [
        (item, entry)
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
    manifest = {
        "format_version": FORMAT_VERSION,
        "wavegen": __version__,
        "layout": report.layout,
        "sample_rate": report.sample_rate,
        "seconds": report.seconds,
        "splits": report.splits,
        "vocabulary": vocabulary.to_dict(),
    }
    for name, tree in (("report.json", report.to_dict()), ("manifest.json", manifest)):
        text = json.dumps(tree, indent=1) + "\n"
        (store.folder / name).write_text(text, encoding="utf-8")


def _nothing_kept(sources: Sequence[str | Path], report: Report) -> WavegenError:
    came = ["no recording could be kept from " + (", ".join(map(str, sources)) or report.layout)]
    came += [f"  {file['name']}: {file['reason']}" for file in report.dropped[:_REASONS_SHOWN]]
    if len(report.dropped) > _REASONS_SHOWN:
        came.append(f"  and {len(report.dropped) - _REASONS_SHOWN} more")
    came += [f"  left out by {name}: {count}" for name, count in report.left_out]
    if report.ignored:
        came.append(f"  files that are no sound: {report.ignored}")
    wanted = "sound files such as WAV, FLAC, OGG, MP3 or AIFF"
    if report.left_out and not report.dropped:
        wanted = "recordings that the filters let through"
    return WavegenError("\n".join(came), wanted)


def _manifest(path: Path) -> dict[str, Any]:
    remedy = "make one with `wavegen prepare SOURCE --out CORPUS`"
    file = path / "manifest.json"
    if not path.exists():
        raise WavegenError(f"there is no corpus {path}", "a folder made by prepare", remedy)
    if not file.is_file():
        raise WavegenError(f"{path} is no corpus: it has no manifest.json", do=remedy)
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise WavegenError(f"{file} is not whole JSON: {error}", do=remedy) from None
    version = manifest.get("format_version") if isinstance(manifest, dict) else None
    if not isinstance(version, int):
        raise WavegenError(f"{file} is not a corpus's manifest", do=remedy)
    if version > FORMAT_VERSION:
        raise WavegenError(
            f"the corpus {path} has format {version}",
            f"format {FORMAT_VERSION}, which this wavegen ({__version__}) reads",
            "install a newer wavegen, or prepare the corpus again",
        )
    return manifest
