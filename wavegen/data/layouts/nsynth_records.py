"""NSynth's TFRecord files: each record a note, with what examples.json says of it elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from wavegen.audio import files
from wavegen.data.layouts import tfrecord
from wavegen.errors import WavegenError

SAMPLE_RATE = 16_000  # Hz, of NSynth; a record need not say it
FAMILIES = (
    *("bass", "brass", "flute", "guitar", "keyboard", "mallet"),
    *("organ", "reed", "string", "synth_lead", "vocal"),
)
SOURCES = ("acoustic", "electronic", "synthetic")
QUALITIES = (
    *("bright", "dark", "distortion", "fast_decay", "long_release", "multiphonic"),
    *("nonlinear_env", "percussive", "reverb", "tempo-synced"),  # with a hyphen, this one
)
_NAME = re.compile(r".+\.tfrecord(-\d+-of-\d+)?")
_LISTS = ("qualities", "qualities_str")
_SINGLE = ("note", "note_str", "instrument", "instrument_str", "pitch", "velocity", "sample_rate")
_SINGLE += ("instrument_family", "instrument_family_str", "instrument_source")
_SINGLE += ("instrument_source_str",)


class Note(NamedTuple):
    """One record: its entry as in examples.json and where it lies, or why it is none."""

    name: str
    entry: dict[str, Any]
    offset: int
    length: int
    reason: str = ""


def is_file(path: Path) -> bool:
    """Whether there is a file that is named as TFRecords are, whole or in shards."""
    return bool(_NAME.fullmatch(path.name)) and path.is_file()


def notes(path: Path) -> Iterator[Note]:
    """Each record of a file; its audio is neither read nor checked yet."""
    if not path.stat().st_size:
        yield Note(path.name, {}, 0, 0, "it is empty: 0 bytes")
        return
    data = np.memmap(path, np.uint8, mode="r")
    for number, (offset, length, reason) in enumerate(tfrecord.spans(data)):
        name = f"{path.name}, record {number}"
        entry: dict[str, Any] = {}
        if not reason:
            try:
                entry = _entry(tfrecord.features(data[offset : offset + length].data))
                name = entry["note_str"]
            except WavegenError as error:
                reason = error.came
        yield Note(name, entry, offset, length, reason)


def load(
    path: Path, offset: int, length: int, sample_rate: int
) -> tuple[np.ndarray, dict[str, Any]]:
    """The samples of one record at `sample_rate`, its checksum verified, and its facts."""
    features = tfrecord.features(tfrecord.read(path, offset, length))
    own_rate = _entry(features)["sample_rate"]
    audio = tfrecord.values(features["audio"])
    if not isinstance(audio, np.ndarray) or audio.dtype != np.float32:
        raise WavegenError("its 'audio' is no list of floats", "samples from -1 to 1")
    if not files.LOWEST_RATE <= own_rate <= files.HIGHEST_RATE:
        raise WavegenError(
            f"it is at {own_rate} Hz", f"{files.LOWEST_RATE} to {files.HIGHEST_RATE} Hz"
        )
    samples, facts = files.checked(path, audio, own_rate, sample_rate)
    return samples, facts | {"format": "TFRecord FLOAT"}


def _entry(features: dict[str, memoryview]) -> dict[str, Any]:
    """What examples.json would say; what a record leaves out is told from the rest of it."""
    for name in ("note_str", "audio"):
        if name not in features:
            raise WavegenError(f"it has no '{name}'")
    entry: dict[str, Any] = {"note": 0, "instrument": 0, "sample_rate": SAMPLE_RATE}
    for name in (*_SINGLE, *_LISTS):
        if name not in features:
            continue
        values = [_plain(value) for value in tfrecord.values(features[name])]
        if name in _SINGLE and len(values) != 1:
            raise WavegenError(f"it has {len(values)} values of '{name}'", "one")
        entry[name] = values if name in _LISTS else values[0]
    if not isinstance(entry["note_str"], str):
        raise WavegenError("its 'note_str' is no text")
    entry.setdefault("instrument_str", entry["note_str"].rsplit("-", 2)[0])
    for name, words in (("instrument_family", FAMILIES), ("instrument_source", SOURCES)):
        if entry.get(name) in range(len(words)):
            entry.setdefault(f"{name}_str", words[entry[name]])
    if "qualities" in entry:
        have = zip(QUALITIES, entry["qualities"], strict=False)
        entry.setdefault("qualities_str", [quality for quality, has in have if has])
    return entry


def _plain(value: Any) -> str | int | float:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value.item()
