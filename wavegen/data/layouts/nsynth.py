"""Layout `nsynth`: folders with examples.json and audio/<note_str>.wav, or TFRecord files."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

from wavegen.audio import files
from wavegen.data.layouts import nsynth_records
from wavegen.data.layouts.paths import leads_out
from wavegen.data.layouts.recordings import SPLITS, SUFFIXES, Dropped, Found, Recording
from wavegen.data.layouts.tables import read_json
from wavegen.errors import WavegenError
from wavegen.music.score import Note

HOLD_SECONDS = 3.0  # NSynth holds each key for this long, then lets it ring for a second
FIELDS: dict[str, type] = {
    "note": int,
    "note_str": str,
    "instrument": int,
    "instrument_str": str,
    "pitch": int,
    "velocity": int,
    "sample_rate": int,
    "qualities": list,
    "qualities_str": list,
    "instrument_family": int,
    "instrument_family_str": str,
    "instrument_source": int,
    "instrument_source_str": str,
}
_WORDS = {int: "a whole number", str: "a text", list: "a list"}
_NUM_QUALITIES = 10


def recognises(source: Path) -> bool:
    """Whether an examples.json, or a TFRecord file named after NSynth, lies here.

    An examples.json one folder down will do, where no sound files lie beside that folder.
    """
    if any("nsynth" in path.name for path in _tfrecords(source)):
        return True
    if (source / "examples.json").is_file():
        return True
    return bool(_parts(source)) and not any(
        path.is_file() and path.suffix.lower() in SUFFIXES for path in source.iterdir()
    )


def find(source: Path, exclude: tuple[Path, ...] = ()) -> Found:
    """Every note of one split folder or TFRecord file, or of all those that lie in `source`.

    A folder whose name ends in train, valid or test is that split, and so is a file
    -train.tfrecord; any other is train. Labels are instrument, instrument_family,
    instrument_source and qualities.
    """
    parts = [source] if (source / "examples.json").is_file() else _parts(source)
    tfrecords = _tfrecords(source)
    if not parts and not tfrecords:
        raise WavegenError(
            f"{source} has no examples.json, nor has a folder in it, and no .tfrecord",
            "NSynth's json/wav archive, unpacked, or its TFRecord files",
            "take --layout folder for plain sound files",
        )
    for part in parts:
        try:
            entries = _entries(part / "examples.json")
        except WavegenError as error:
            if len(parts) == 1 and not tfrecords:
                raise
            yield Dropped(part.name, error.came)
            continue
        yield from _notes(part, entries)
    for path in tfrecords:
        yield from _recorded(path)


def _tfrecords(source: Path) -> list[Path]:
    """A file itself, or all in a folder, the shards of a split in their order."""
    paths = sorted(source.glob("*.tfrecord*")) if source.is_dir() else [source]
    return [path for path in paths if nsynth_records.is_file(path)]


def _parts(source: Path) -> list[Path]:
    if not source.is_dir():
        return []
    return sorted(path.parent for path in source.glob("*/examples.json") if path.is_file())


def _entries(path: Path) -> dict[str, Any]:
    wanted = "NSynth's index: one JSON object, a note under each name"
    entries = read_json(path, wanted)
    if not isinstance(entries, dict):
        raise WavegenError(f"{path} holds a {type(entries).__name__}", wanted)
    if not entries:
        raise WavegenError(f"{path} is empty", wanted)
    return entries


def _notes(part: Path, entries: dict[str, Any]) -> Found:
    folder = part.resolve().name
    split = next((split for end, split in SPLITS.items() if folder.endswith(end)), "train")
    sounds = {path.stem for path in (part / "audio").glob("*.wav")}
    for name, entry in sorted(entries.items()):
        reason = _reason(name, entry)
        if not reason and name not in sounds:
            reason = f"audio/{name}.wav is missing"
        if reason:
            yield Dropped(name, reason)
            continue
        path = part / "audio" / f"{name}.wav"
        yield Recording(
            name=name,
            load=functools.partial(files.Blocks, path),
            path=path,
            split=split,
            labels=_labels(entry),
            notes=(Note(0.0, HOLD_SECONDS, entry["pitch"], entry["velocity"]),),
        )
    for name in sorted(sounds - entries.keys()):
        yield Dropped(name, "there is no entry for it in examples.json")


def _recorded(path: Path) -> Found:
    word = re.search("-(" + "|".join(SPLITS) + r")\b", path.name)
    for name, entry, offset, length, reason in nsynth_records.notes(path):
        reason = reason or _reason(name, entry)
        if reason:
            yield Dropped(name, reason)
            continue
        yield Recording(
            name=name,
            load=functools.partial(nsynth_records.load, path, offset, length),
            path=path,
            split=SPLITS[word[1]] if word else "train",
            labels=_labels(entry),
            notes=(Note(0.0, HOLD_SECONDS, entry["pitch"], entry["velocity"]),),
        )


def _labels(entry: dict[str, Any]) -> dict[str, str]:
    labels = {
        "instrument": entry["instrument_str"],
        "instrument_family": entry["instrument_family_str"],
        "instrument_source": entry["instrument_source_str"],
    }
    if entry["qualities_str"]:
        labels["qualities"] = "+".join(sorted(entry["qualities_str"]))
    return labels


def _reason(name: str, entry: Any) -> str:
    """Why an entry cannot be used; empty if it can."""
    if not isinstance(entry, dict):
        return "its entry is no JSON object"
    for field, kind in FIELDS.items():
        if field not in entry:
            return f"its entry has no '{field}'"
        if type(entry[field]) is not kind:
            return f"'{field}' is {entry[field]!r}, not {_WORDS[kind]}"
    qualities = entry["qualities"]
    if len(qualities) != _NUM_QUALITIES or any(value not in (0, 1) for value in qualities):
        return f"'qualities' must be {_NUM_QUALITIES} times 0 or 1"
    if not all(isinstance(quality, str) for quality in entry["qualities_str"]):
        return "'qualities_str' must be a list of texts"
    if entry["note_str"] != name:
        return f"'note_str' is '{entry['note_str']}', but its name is '{name}'"
    if leads_out(name):
        return "its name leads out of the audio folder"
    try:
        Note(0.0, HOLD_SECONDS, entry["pitch"], entry["velocity"])
    except WavegenError as error:
        return f"{error.came}; wanted {error.wanted}"
    return ""
