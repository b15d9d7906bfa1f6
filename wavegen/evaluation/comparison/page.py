"""Runs side by side as a page that stands alone: a table, curves, and sounds to hear and see."""

from __future__ import annotations

import datetime
import itertools
import re
from pathlib import Path
from typing import Any

import wavegen
from wavegen.errors import WavegenError
from wavegen.evaluation import pages
from wavegen.evaluation.comparison import Comparison
from wavegen.evaluation.figures import curves, outlines, plots

LARGEST_SOUND = 4 << 20  # bytes; a page that can be sent holds no more of each

_KIND = re.compile(r"t([0-9.]+)_seed([0-9]+)")


def write(path: Path, found: Comparison) -> None:
    """Writes the page; what of it cannot be drawn or read has a word in its place."""
    made = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    names = [run.name for run in found.runs]
    curve, without = _curves(found)
    page = pages.render(
        "compare.html.j2",
        version=wavegen.__version__,
        made=made,
        title=" | ".join(names),
        verdict=found.verdict,
        remarks=found.remarks,
        names=names,
        groups=[
            (group, list(rows)) for group, rows in itertools.groupby(found.rows, lambda r: r.group)
        ],
        is_marked=any(row.best for row in found.rows),
        curve=curve,
        without_curve=without,
        sounds=[
            (_title(kind), [_sound(*each) for each in zip(names, paths, strict=True)])
            for kind, paths in found.sounds.items()
        ],
    )
    pages.write(path, page)


def _curves(found: Comparison) -> tuple[str, list[str]]:
    """The figure as an <img> takes it, empty where no run has one; and those that are not in it."""
    drawn, without = [], []
    for run in found.runs:
        is_known = bool(run.validations or run.curve) and len(drawn) < curves.MOST
        (drawn if is_known else without).append(run)
    if not drawn:
        return "", [run.name for run in without]
    figure = curves.of_runs([(run.name, run.path) for run in drawn])
    return pages.data_uri(plots.svg(figure), ".svg"), [run.name for run in without]


def _title(kind: str) -> str:
    """A kind of sounds in words."""
    match = _KIND.fullmatch(kind)
    return f"temperature {match[1]}, seed {match[2]}" if match else kind


def _sound(name: str, path: Path | None) -> dict[str, Any]:
    """A sound of a run: its file, a picture and what a player takes, or why there is none."""
    told: dict[str, Any] = {"run": name, "file": "", "picture": "", "player": "", "trouble": ""}
    if path is None:
        return told | {"trouble": "no sound of this kind"}
    told["file"] = path.name
    try:
        shown = plots.Shown("", outlines.read(path))
    except WavegenError as error:
        return told | {"trouble": error.came}
    told["picture"] = pages.data_uri(plots.png(plots.figure([shown])), ".png")
    if path.stat().st_size > LARGEST_SOUND:
        return told | {"trouble": f"too long to be held by a page: {path}"}
    return told | {"player": pages.data_uri(path.read_bytes(), ".wav")}
