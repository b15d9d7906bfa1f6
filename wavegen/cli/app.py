"""`wavegen`: verbs are declared here and kept in files of their own.

Nothing heavy is imported before a verb runs, so that `wavegen --help` answers at once.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from wavegen import WavegenError, __version__
from wavegen.cli import (
    bench,
    compare,
    demo,
    doctor,
    evaluate,
    export,
    generate,
    info,
    master,
    play,
    plot,
    prepare,
    train,
)

app = typer.Typer(
    name="wavegen",
    help="Raw-audio waveform generation: train a network on recordings, make new sound with it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None if os.environ.get("NO_COLOR") else "rich",
)
app.command("demo")(demo.run)
app.command("prepare")(prepare.run)
app.command("train")(train.run)
app.command("generate")(generate.run)
app.command("play")(play.run)
app.command("master")(master.run)
app.command("export")(export.run)
app.command("evaluate")(evaluate.run)
app.command("compare")(compare.run)
app.command("plot")(plot.run)
app.add_typer(bench.app, name="bench")
app.command("info")(info.run)
app.command("doctor")(doctor.run)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"wavegen {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    """Raw-audio waveform generation: train a network on recordings, make new sound with it."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs a command line and exits: 0 done, 1 wrong input, 2 wrong usage, 130 interrupted.

    A training that SIGTERM ended has saved, and exits with 143.
    """
    for stream in (sys.stdout, sys.stderr):  # names of files may hold what a terminal cannot show
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app(args=None if arguments is None else list(arguments))
    except WavegenError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:  # a disk that is full, a file that may not be read
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    sys.exit(0)
