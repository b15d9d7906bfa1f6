"""`wavegen compare`: runs side by side, what differs between them and what came of it."""

from __future__ import annotations

import itertools
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wavegen.cli.console import Console, Json, Quiet
from wavegen.errors import WavegenError

if TYPE_CHECKING:
    from wavegen.evaluation.comparison import Comparison, Row
    from wavegen.evaluation.comparison.runs import Kept

BEST = "*"  # after the best value of a row
NARROWEST, WIDEST = 8, 26  # letters of a run's column; longer words take several lines
COLUMNS = 100  # where no terminal says how wide it is
_GAP = 2
_PAGES = (".html", ".htm")


def run(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN", help="Folders that `wavegen train` wrote.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE.html", help="A page with curves and sounds, too."),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Lay runs side by side: differences of their configs, figures, curves and sounds."""
    from wavegen.audio import files
    from wavegen.evaluation import comparison
    from wavegen.evaluation.comparison import page
    from wavegen.evaluation.comparison import runs as folders
    from wavegen.evaluation.figures import curves

    console = Console(json, quiet)
    if out:
        if out.suffix.lower() not in _PAGES:
            raise WavegenError(f"--out {out}", "a name that ends in " + " or ".join(_PAGES))
        files.make_room(out)  # what cannot be written is not made
    folders.check(runs)
    named = zip(curves.names(runs), runs, strict=True)
    found = comparison.of([folders.read(name, path, _kept(path)) for name, path in named])
    if out:  # before anything is said: who reads only its first lines has the page as well
        page.write(out, found)
    for remark in found.remarks:
        console.note(remark)
    console.say(found.verdict)
    width = shutil.get_terminal_size((COLUMNS, 24)).columns
    for lines in tables(found, width):
        console.say("\n" + "\n".join(lines))
    if any(row.best for row in found.rows):
        console.say(f"\n{BEST} the best of its row")
    if out:
        console.say(f"\n{out}: the same with curves and sounds")
    console.result(found.told() | ({"page": str(out)} if out else {}))


def tables(found: Comparison, width: int) -> Iterator[list[str]]:
    """The comparison in lines of at most `width` letters: as many tables as the runs need."""
    names = [run.name for run in found.runs]
    columns = [[_marked(row, place) for row in found.rows] for place in range(len(names))]
    labels = [f"  {row.label}" for row in found.rows]
    first = min(max(map(len, labels)), max(width // 2, NARROWEST))
    longest = max(len(word) for words in (names, *columns) for word in words)
    per_table = max(1, (width - first) // (NARROWEST + _GAP))
    per_table = -(-len(names) // -(-len(names) // per_table))  # the last is about as wide
    each = max(NARROWEST, min(longest, WIDEST, (width - first) // per_table - _GAP))
    for begin in range(0, len(names), per_table):
        shown, group = slice(begin, begin + per_table), ""
        lines = _lines(["", *names[shown]], first, each)
        for label, row, *words in zip(labels, found.rows, *columns[shown], strict=True):
            if row.group != group:
                lines.append(row.group)
                group = row.group
            lines += _lines([label, *words], first, each)
        yield lines


def _lines(words: Sequence[str], first: int, each: int) -> list[str]:
    """A row of a table; what is too long for its column goes on below."""
    label, *cells = words
    parts = [textwrap.wrap(label, first, subsequent_indent="    ", drop_whitespace=False) or [""]]
    parts += [textwrap.wrap(cell, each) or [""] for cell in cells]
    return [
        (" " * _GAP).join([f"{name:<{first}}", *(f"{cell:<{each}}" for cell in line)]).rstrip()
        for name, *line in itertools.zip_longest(*parts, fillvalue="")
    ]


def _marked(row: Row, place: int) -> str:
    return row.cells[place] + (f" {BEST}" if place in row.best else "")


def _kept(path: Path) -> Kept:
    """What the newest checkpoint tells that can be read."""
    from wavegen import checkpoint
    from wavegen.evaluation.comparison.runs import Kept
    from wavegen.model import network

    steps, remarks = checkpoint.steps(path), []
    for step in reversed(steps):
        try:
            about = checkpoint.about(path, step)
        except WavegenError as error:  # of a newer wavegen
            remarks.append(f"checkpoint passed over: {error.came}")
            continue
        if about is None:
            remarks.append(f"checkpoint passed over: step {step} is damaged")
            continue
        _, shapes = network.structure(about.config, about.vocabulary)
        corpus, digest = about.source or ("", "")
        return Kept(steps, about.config, network.count(shapes), corpus, digest, remarks)
    return Kept(steps, remarks=remarks)
