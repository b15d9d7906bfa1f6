"""Options that several verbs take, each said once."""

from __future__ import annotations

from collections.abc import Container, Iterator
from pathlib import Path
from typing import Annotated

import typer

Run = Annotated[
    Path | None,
    typer.Option(
        help="Folder that `wavegen train` or `wavegen export` wrote.",
        show_default="the instrument in the box",
    ),
]
Checkpoint = Annotated[
    int | None, typer.Option(metavar="STEP", help="Which checkpoint; the newest by default.")
]
Backend = Annotated[str, typer.Option(help="Sampling backend; see `wavegen doctor`.")]
Precision = Annotated[str, typer.Option(help="Of the weights: auto, float32, bfloat16 or int8.")]
Vibrato = Annotated[
    str | None, typer.Option(metavar="HZ:ST", help="Such as 5.5:0.3, semitones to each side.")
]
Live = Annotated[bool, typer.Option("--live", help="Play it through the sound card as it is made.")]
Format = Annotated[
    str | None,
    typer.Option(help="wav16, wav24, float32, flac; with --out - also pcm16. By --out, wav16."),
]


def found(run: Path | None) -> Path:
    """The run that was named, or the instrument in the box."""
    from wavegen import instrument

    return instrument.find(run)


def named(run: Path) -> str:
    """What a file says of the run that made it: as it was given, or that it was none."""
    from wavegen import instrument

    return instrument.called(run)


def given(context: typer.Context, but: Container[str] = ()) -> Iterator[str]:
    """The flags that stand on the command line, but for options of these names."""
    for option in context.command.params:
        source = context.get_parameter_source(option.name or "")
        if source and source.name == "COMMANDLINE" and option.name not in but:
            yield option.opts[0]
