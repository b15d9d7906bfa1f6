"""manifest.json: what a corpus says of itself, believed only after a look."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wavegen import __version__
from wavegen.audio import files
from wavegen.config import Vocabulary
from wavegen.errors import WavegenError

FORMAT_VERSION = 1
FILE = "manifest.json"

_MAKE_ONE = "make one with `wavegen prepare SOURCE --out CORPUS`"
_AGAIN = "remove it and prepare it again"


@dataclass(frozen=True)
class Manifest:
    """What is read of it; the rest is for people."""

    sample_rate: int  # Hz
    layout: str
    splits: dict[str, int]  # recordings of each
    vocabulary: Vocabulary
    seconds: float


def read(corpus: Path) -> Manifest:
    """The manifest of a corpus; WavegenError where there is none, or one that cannot be right."""
    tree = _tree(corpus)
    try:
        return Manifest(
            sample_rate=_number(tree, "sample_rate", files.LOWEST_RATE, files.HIGHEST_RATE),
            layout=_of(str, tree, "layout"),
            splits={name: _split(name, of) for name, of in _of(dict, tree, "splits").items()},
            vocabulary=_vocabulary(_of(dict, tree, "vocabulary")),
            seconds=float(_number(tree, "seconds", 0, math.inf, (int, float))),
        )
    except ValueError as error:
        raise WavegenError(
            f"{corpus / FILE} is damaged: {error}", "a corpus as `wavegen prepare` left it", _AGAIN
        ) from None


def _tree(corpus: Path) -> dict[str, Any]:
    """The file as JSON, of a format that this wavegen reads."""
    file = corpus / FILE
    if not corpus.exists():
        raise WavegenError(f"there is no corpus {corpus}", "a folder made by prepare", _MAKE_ONE)
    if not file.is_file():
        raise WavegenError(f"{corpus} is no corpus: it has no {FILE}", do=_MAKE_ONE)
    try:
        tree = json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WavegenError(f"{file} is not whole JSON: {error}", do=_MAKE_ONE) from None
    version = tree.get("format_version") if isinstance(tree, dict) else None
    if type(version) is not int or version < 1:
        raise WavegenError(f"{file} is not a corpus's manifest", do=_MAKE_ONE)
    if version > FORMAT_VERSION:
        raise WavegenError(
            f"the corpus {corpus} has format {version}",
            f"format {FORMAT_VERSION}, which this wavegen ({__version__}) reads",
            "install a newer wavegen, or prepare the corpus again",
        )
    return tree


def _of(kind: type, tree: dict[str, Any], key: str) -> Any:
    if key not in tree:
        raise ValueError(f"it has no '{key}'")
    if not isinstance(tree[key], kind):
        raise ValueError(f"its '{key}' is {tree[key]!r:.60}")
    return tree[key]


def _number(
    tree: dict[str, Any], key: str, low: float, high: float, kinds: tuple[type, ...] = (int,)
) -> Any:
    value = _of(object, tree, key)
    if type(value) not in kinds or not low <= value <= high or not math.isfinite(value):
        raise ValueError(f"its '{key}' is {value!r:.60}")
    return value


def _split(name: str, told: Any) -> int:
    """Recordings of a split; its name is that of a folder in the corpus."""
    if name in ("", ".", "..") or set(name) & set("/\\:\0"):
        raise ValueError(f"it names a split {name!r:.60}")
    if not isinstance(told, dict):
        raise ValueError(f"its split '{name}' is {told!r:.60}")
    return _number(told, "recordings", 0, 2**62)


def _vocabulary(tree: dict[str, Any]) -> Vocabulary:
    labels = _of(dict, tree, "labels")
    for name, values in labels.items():
        if not _are(values, str):
            raise ValueError(f"its label '{name}' has the values {values!r:.60}")
    for key, low in (("pitches", 0), ("velocities", 1)):
        values = _of(list, tree, key)
        if not (_are(values, int) and all(low <= value <= 127 for value in values)):
            raise ValueError(f"its '{key}' are {values!r:.60}")
    if bool(tree["pitches"]) != bool(tree["velocities"]):
        raise ValueError("it has pitches without velocities, or velocities without pitches")
    return Vocabulary.from_dict(tree)


def _are(values: Any, kind: type) -> bool:
    """Whether they are a list of such values, sorted, none of them twice."""
    return (
        isinstance(values, list)
        and all(type(value) is kind for value in values)
        and values == sorted(set(values))
    )
