"""`wavegen prepare`: recordings in, a corpus and a report of every file out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wavegen.cli.console import Console, Json, Quiet, key_values, pitches, table
from wavegen.data import LAYOUT_NAMES
from wavegen.errors import WavegenError


def run(
    sources: Annotated[
        list[str] | None,
        typer.Argument(metavar="SOURCE...", help="Folders or files; none for --layout synthetic."),
    ] = None,
    *,
    out: Annotated[Path, typer.Option(help="Folder of the corpus; must not exist yet.")],
    layout: Annotated[str, typer.Option(help="One of: auto, " + ", ".join(LAYOUT_NAMES))] = "auto",
    sample_rate: Annotated[
        int, typer.Option(help="Rate of the corpus in Hz; recordings are resampled to it.")
    ] = 16_000,
    pitch: Annotated[
        str | None, typer.Option(metavar="LOW-HIGH", help="Keep only notes of these MIDI pitches.")
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE,...", help="Keep only recordings with these labels."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Take so many recordings, drawn by their names.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that decode and resample.")] = 1,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Turn recordings into a corpus that training reads: mono, one rate, split, with a report.

    Every file that was not used is named in report.json with its reason. Work that was
    stopped goes on where it was when the same command is given again.
    """
    from wavegen.data import corpus, report

    console = Console(json, quiet)
    wanted: dict[str, tuple[str, ...]] = {}
    for key, value in key_values(label or [], "--label"):
        wanted[key] = (*wanted.get(key, ()), value)
    bounds = None
    if pitch is not None:
        asked = pitches(pitch)
        bounds = (min(asked), max(asked))
    if not 1000 <= sample_rate <= 384_000:
        raise WavegenError(f"--sample-rate {sample_rate}", "1000 to 384000 Hz")
    with console.progress("preparing", "recordings") as update:
        found = corpus.prepare(
            [Path(source) for source in sources or []],
            out,
            layout=layout,
            sample_rate=sample_rate,
            pitches=bounds,
            labels=wanted or None,
            limit=limit,
            workers=workers,
            progress=update,
        )
    rows = report.summary(found)
    console.say(table(_with_recognised(rows, sources or []) if layout == "auto" else rows))
    console.say(f"wrote {out}; report.json in it names every file, and why it was dropped")
    console.result(
        {
            "corpus": str(out),
            "layout": found.layout,
            "kept": len(found.kept),
            "dropped": {file["name"]: file["reason"] for file in found.dropped},
            "seconds": found.seconds,
            "splits": found.splits,
        }
    )


def _with_recognised(rows: list[tuple[str, str]], sources: list[str]) -> list[tuple[str, str]]:
    """The rows of a report, but with what each source was taken for."""
    from wavegen.data import layouts

    names = [(source, layouts.name_of(Path(source))) for source in sources]
    told = [name if len(names) == 1 else f"{source}: {name}" for source, name in names]
    rest = [row for row in rows if row[0] != "layout"]
    return [("layout", ", ".join(told) + " (recognised)"), *rest]
