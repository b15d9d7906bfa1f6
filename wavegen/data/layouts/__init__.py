"""Layouts of data sets: each finds the recordings of one, and what must be left out."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from wavegen.data.layouts import (
    fma,
    folder,
    maestro,
    musicnet,
    nsynth,
    soundfont,
    speech,
    synthetic,
)
from wavegen.data.layouts.recordings import Dropped, Found, Ignored, Recording
from wavegen.errors import WavegenError

__all__ = ["LAYOUTS", "Dropped", "Found", "Ignored", "Recording", "find", "name_of", "renamed"]

# In the order in which `auto` asks them; each has `recognises(source)` and `find(source, exclude)`.
LAYOUTS = {
    "synthetic": synthetic,
    "nsynth": nsynth,
    "maestro": maestro,
    "musicnet": musicnet,
    "fma": fma,
    "speech": speech,
    "soundfont": soundfont,
    "folder": folder,
}


def name_of(source: Path, layout: str = "auto") -> str:
    """The layout that a source has, or is said to have; a source that is not there is refused."""
    if layout not in ("auto", *LAYOUTS):
        raise WavegenError(f"there is no layout '{layout}'", "one of: auto, " + ", ".join(LAYOUTS))
    if layout == "synthetic" or synthetic.recognises(source):
        return "synthetic"
    if not source.exists():
        raise WavegenError(f"there is no {source}", "a folder of recordings, or a recording")
    if source.is_file() and source.name.endswith((".zip", ".tar", ".gz", ".tgz", ".7z", ".rar")):
        raise WavegenError(f"{source} is an archive", "a folder", "unpack it first")
    if layout != "auto":
        return layout
    return next(name for name, module in LAYOUTS.items() if module.recognises(source))


def find(source: Path, layout: str, exclude: tuple[Path, ...] = ()) -> Found:
    """What `source` holds, read as the named layout; never looks into `exclude`.

    Of recordings with the same name, as an index may have them, the first is taken.
    """
    names: set[str] = set()
    for item in LAYOUTS[layout].find(source, exclude):
        if isinstance(item, Recording) and item.name in names:
            yield Dropped(item.name, "another recording has the same name")
            continue
        if isinstance(item, Recording):
            names.add(item.name)
        yield item


def renamed(item: Recording | Dropped | Ignored, prefix: str) -> Recording | Dropped | Ignored:
    """The same with `prefix` before its name, so that several sources do not clash."""
    return dataclasses.replace(item, name=prefix + item.name) if prefix else item
