"""Layout `maestro`: MAESTRO 2 or 3, hours of piano with what was played, as one index says."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wavegen.audio import files
from wavegen.data.layouts import tables
from wavegen.data.layouts.paths import inside, leads_out, walk
from wavegen.data.layouts.recordings import SUFFIXES, Dropped, Found, Recording, attempt, split_of
from wavegen.errors import WavegenError
from wavegen.music import midi

COLUMNS = ("canonical_composer", "split", "year", "midi_filename", "audio_filename")
_WANTED = "MAESTRO's index: a row for each recording"


def recognises(source: Path) -> bool:
    """Whether maestro-v*.csv or .json lies here, or one folder down."""
    return bool(_indexes(source))


def find(source: Path, exclude: tuple[Path, ...] = ()) -> Found:
    """Every recording of the index, with the notes of its MIDI file, read as it is found.

    Splits are MAESTRO's; labels are composer and year. Names are those of the audio files
    in the index, and audio that it does not name is dropped.
    """
    indexes = _indexes(source)
    if not indexes:
        raise WavegenError(
            f"{source} has no maestro-v*.csv or maestro-v*.json, nor has a folder in it",
            "MAESTRO's archive, unpacked",
        )
    if len(indexes) > 1:
        raise WavegenError(
            f"{source} holds several: " + ", ".join(map(str, indexes)), "one edition of MAESTRO"
        )
    root, index = indexes[0].parent, indexes[0]
    entries = list(_entries(index))
    if not entries:
        raise WavegenError(f"{index} has no rows", _WANTED)
    named = {entry["audio_filename"] for entry in entries}
    if not any(_there(root, name) for name in named):
        raise WavegenError(
            f"{root} has none of the audio that {index.name} names",
            "MAESTRO with its .wav files",
            "the archive whose name ends in -midi has none; unpack the large one",
        )
    for entry in entries:
        yield attempt(entry["audio_filename"], root, functools.partial(_recording, root, entry))
    for path in walk(root, exclude):
        if isinstance(path, Path) and path.suffix.lower() in SUFFIXES:
            name = path.relative_to(root).as_posix()
            if name not in named:
                yield Dropped(name, f"there is no row for it in {index.name}")


def _indexes(source: Path) -> list[Path]:
    """The index of each edition here, or else one folder down: the .csv if it has one."""
    for pattern in ("maestro-v*", "*/maestro-v*"):
        found = {
            path.with_suffix(""): path
            for ending in (".json", ".csv")  # so that the .csv comes last and stays
            for path in source.glob(pattern + ending)
            if path.is_file()
        }
        if found:
            return sorted(found.values())
    return []


def _there(root: Path, name: str) -> bool:
    return not leads_out(name) and (root / name).is_file()


def _recording(root: Path, entry: dict[str, str]) -> Recording:
    path = inside(root, entry["audio_filename"])
    labels = {"composer": entry["canonical_composer"], "year": entry["year"]}
    return Recording(
        name=entry["audio_filename"],
        load=functools.partial(files.Blocks, path),
        path=path,
        split=split_of(entry["split"]),
        labels={name: value for name, value in labels.items() if value},
        notes=midi.read(inside(root, entry["midi_filename"])).notes,
    )


def _entries(index: Path) -> Iterator[dict[str, str]]:
    if index.suffix == ".csv":
        return tables.rows(index, COLUMNS)
    return _json_entries(index)


def _json_entries(index: Path) -> Iterator[dict[str, str]]:
    """Version 2 lists its rows; version 3 has columns, each of them {"0": value, "1": ...}."""
    tree = tables.read_json(index, _WANTED)
    if isinstance(tree, dict) and all(isinstance(column, dict) for column in tree.values()):
        first: dict[str, Any] = tree.get("audio_filename", {})
        tree = [{name: column.get(number) for name, column in tree.items()} for number in first]
    if not isinstance(tree, list) or not tree:
        raise WavegenError(f"{index} holds neither rows nor columns", _WANTED)
    for number, row in enumerate(tree):
        values = [row.get(name) if isinstance(row, dict) else None for name in COLUMNS]
        if not all(isinstance(value, str) or type(value) is int for value in values):
            raise WavegenError(
                f"row {number} of {index} lacks one of " + ", ".join(COLUMNS), _WANTED
            )
        yield dict(zip(COLUMNS, map(str, values), strict=True))
