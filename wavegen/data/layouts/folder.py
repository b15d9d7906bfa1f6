"""Layout `folder`: any tree of sound files, of any length; or one such file."""

from __future__ import annotations

import functools
import math
from pathlib import Path
from typing import Any

from wavegen.audio import files
from wavegen.data.layouts import tables
from wavegen.data.layouts.paths import walk
from wavegen.data.layouts.recordings import (
    SPLITS,
    SUFFIXES,
    Dropped,
    Found,
    Ignored,
    Recording,
    attempt,
)
from wavegen.errors import WavegenError
from wavegen.music import midi
from wavegen.music.score import Note, pitch_of

TABLE = "labels.csv"
_FILE_COLUMNS = ("file", "path", "name")  # of the table; the first that it has names the files
_OF_ONE_NOTE = ("pitch", "velocity", "hold_seconds")  # labels that make a note of a recording
_SCORES = (".mid", ".midi", ".MID", ".MIDI")


def recognises(source: Path) -> bool:
    """Whether there is a file or folder at all."""
    return source.exists()


def find(source: Path, exclude: tuple[Path, ...] = ()) -> Found:
    """Every file with a sound's ending or none, labelled with the `folder` it lies in.

    More labels come from labels.csv in `source` (a column file, path or name, with or
    without the files' endings; each other column is a label) and from a .json of the
    file's name beside it (one object of texts and numbers); notes from a .mid or .midi
    beside it. A recording of one note needs none: a label `pitch` (60 or C4) says that it is one,
    which begins where the file does, `velocity` (100) how hard it was struck, `hold_seconds` (all
    of it) how long. Where these are broken the recording is dropped, never kept without them.
    Where `source` has a folder train and another named as a split, these are the splits. Names
    are paths below `source`. Links are followed, each folder is entered once, and the folders in
    `exclude` never.
    """
    if source.is_file():
        yield attempt(source.name, source.parent, lambda: _recording(source, source.name, {}))
        return
    table, splits = _table(source / TABLE), _splits(source)
    used: set[str] = set()
    for path in walk(source, exclude):
        if isinstance(path, OSError):
            yield Dropped(_name(Path(path.filename), source), f"cannot be read: {path.strerror}")
            continue
        name = _name(path, source)
        if path.name.startswith("."):
            if path.suffix.lower() in SUFFIXES:
                yield Dropped(name, "a hidden file: its name begins with a dot")
            else:
                yield Ignored(name)
        elif path.suffix and path.suffix.lower() not in SUFFIXES:
            yield Ignored(name)
        elif not path.exists():
            yield Dropped(name, "a link to a file that does not exist")
        else:
            key = name if name in table else name.removesuffix(path.suffix)
            used.add(key)
            split = splits.get(name.partition("/")[0])
            labels = {"folder": path.parent.name or path.parent.resolve().name}
            if split and path.parent.parent == source:
                labels = {}  # the split's name says nothing of the sound
            labels |= table.get(key, {})
            yield attempt(name, source, functools.partial(_recording, path, name, labels, split))
    for name in sorted(table.keys() - used):
        yield Dropped(name, f"{TABLE} names it, but there is no such sound file")


def _splits(source: Path) -> dict[str, str]:
    """The split that each folder in `source` is; none unless there are several."""
    found = {name: split for name, split in SPLITS.items() if (source / name).is_dir()}
    return found if "train" in found.values() and len(set(found.values())) > 1 else {}


def _recording(
    path: Path, name: str, labels: dict[str, str], split: str | None = None
) -> Recording:
    """With what lies beside the file."""
    beside = path.with_suffix(".json")
    if beside.is_file():
        labels = labels | _labels(beside)
    score = next(
        (path.with_suffix(ending) for ending in _SCORES if path.with_suffix(ending).is_file()), None
    )
    note = {key: labels[key] for key in _OF_ONE_NOTE if key in labels}
    if score or "pitch" not in note:
        notes = midi.read(score).notes if score else ()
    else:
        notes = (_one_note(path, note),)
    if "pitch" in note:
        labels = {key: value for key, value in labels.items() if key not in note}
    return Recording(
        name=name,
        load=functools.partial(files.Blocks, path),
        path=path,
        split=split,
        labels=labels,
        notes=notes,
    )


def _one_note(path: Path, said: dict[str, str]) -> Note:
    """The note that a whole recording is of, from its labels."""
    whole = files.info(path).duration_seconds
    try:
        hold = float(said.get("hold_seconds", whole))
        velocity = float(said.get("velocity", 100))
    except ValueError:
        hold = velocity = math.nan
    if not (hold > 0 and velocity.is_integer()):
        raise WavegenError(
            f"{path} has {said}", "velocity as a whole number and hold_seconds above 0"
        )
    return Note(0.0, min(hold, whole), pitch_of(said["pitch"]), int(velocity))


def _table(path: Path) -> dict[str, dict[str, str]]:
    """The labels of each file that labels.csv names; none where there is no such table."""
    if not path.is_file():
        return {}
    table: dict[str, dict[str, str]] = {}
    for row in tables.rows(path):
        column = next((column for column in _FILE_COLUMNS if column in row), None)
        if column is None:
            raise WavegenError(
                f"{path} has no column " + " or ".join(_FILE_COLUMNS),
                "a column of files, counted from the folder it lies in; others are labels",
                "rename a column, or the table if it is no table of labels",
            )
        name = row.pop(column).removeprefix("./")
        if name in table:
            raise WavegenError(f"{path} names {name} twice", "a row for each file")
        table[name] = {label: value for label, value in row.items() if label and value}
    return table


def _labels(path: Path) -> dict[str, str]:
    """The labels in a .json beside a file; null is none."""
    wanted = "one JSON object of texts and numbers"
    tree = tables.read_json(path, wanted)
    if not isinstance(tree, dict):
        raise WavegenError(f"{path} holds no JSON object", wanted)
    return {name: _text(path, name, value) for name, value in tree.items() if value is not None}


def _text(path: Path, name: str, value: Any) -> str:
    is_number = type(value) is int or (type(value) is float and math.isfinite(value))
    if not name or not (is_number or isinstance(value, str)) or value == "":
        raise WavegenError(f"{path} has '{name}': {value!r:.60}", "a text or a number")
    return str(value)


def _name(path: Path, source: Path) -> str:
    return path.relative_to(source).as_posix()
