"""What every verb says and how: words to stdout, progress to stderr, JSON as the last line."""

from __future__ import annotations

import json
import logging
import math
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from wavegen.errors import WavegenError

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on the last line.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Say nothing but errors and --json.")]

Update = Callable[..., None]  # (done, total=None)

PLAIN_EVERY_SECONDS = 5.0  # between two lines of progress where stderr is no terminal


@dataclass(frozen=True)
class Console:
    """The voice of one run of a verb."""

    json: bool = False
    quiet: bool = False
    aside: bool = False  # whether stdout takes something else than words, which go to stderr then

    def say(self, text: str = "") -> None:
        """A line for the person, on stdout."""
        if not self.quiet:
            print(text, file=sys.stderr if self.aside else sys.stdout, flush=True)

    def note(self, text: str) -> None:
        """A line about the work as it goes on, on stderr."""
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)

    def warn(self, text: str) -> None:
        """Something that may not be meant; it does not stop the work."""
        print(f"warning: {text}", file=sys.stderr, flush=True)

    def result(self, tree: dict[str, Any]) -> None:
        """The last line of stdout, where --json was given."""
        if self.json:
            out = sys.stderr if self.aside else sys.stdout
            print(json.dumps(_finite(tree)), file=out, flush=True)

    @contextmanager
    def kernels_heard(self) -> Iterator[None]:
        """While this lasts, what the sampling kernels log becomes notes, each line once.

        A note may come while a bar is shown; it is printed above it then.
        """
        logger = logging.getLogger("wavegen_kernels")
        handler, level, propagates = _Notes(self), logger.level, logger.propagate
        if not self.quiet:
            logger.addHandler(handler)
            logger.setLevel(logging.INFO)
            logger.propagate = False  # Orbax puts a handler on the root, which would say it too
        try:
            yield
        finally:
            logger.removeHandler(handler)
            logger.setLevel(level)
            logger.propagate = propagates

    @contextmanager
    def progress(self, doing: str, unit: str, total: float | None = None) -> Iterator[Update]:
        """A bar on a terminal, plain lines elsewhere.

        The function it gives takes what is done and, where it was not known before, the total.
        """
        if self.quiet:
            yield lambda done, total=None: None
        elif sys.stderr.isatty():
            with _bar(doing, unit, total) as update:
                yield update
        else:
            yield _plain(doing, unit, total)


class _Notes(logging.Handler):
    """Hands each line of a log to a console, once."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self.console = console
        self.told: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """A line of the log."""
        line = record.getMessage()
        if line not in self.told:
            self.told.add(line)
            # sys.stderr, which note looks up, is the bar's own while there is one: Rich then
            # takes the bar away, prints the line and draws the bar again.
            self.console.note(line)


def _finite(tree: Any) -> Any:
    """`tree` with null for what JSON has no number for: infinities and NaN."""
    if isinstance(tree, dict):
        return {key: _finite(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_finite(value) for value in tree]
    if isinstance(tree, float) and not math.isfinite(tree):
        return None
    return tree


@contextmanager
def _bar(doing: str, unit: str, total: float | None) -> Iterator[Update]:
    from rich import progress
    from rich.console import Console as Terminal
    from rich.table import Column

    class Amount(progress.ProgressColumn):
        def render(self, task: progress.Task) -> str:
            return _amount(task.completed, task.total, unit, task.speed)

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(bar_width=None),  # what the words leave of the line
        Amount(table_column=Column(no_wrap=True)),
        progress.TimeElapsedColumn(),
        progress.TextColumn("left"),
        progress.TimeRemainingColumn(),
    )
    terminal = Terminal(stderr=True)
    with progress.Progress(*columns, console=terminal, transient=True, expand=True) as bar:
        task = bar.add_task(doing, total=total)
        yield lambda done, total=None: bar.update(task, completed=done, total=total)


def _plain(doing: str, unit: str, total: float | None) -> Update:
    start = last = time.monotonic()
    print(f"{doing} ...", file=sys.stderr, flush=True)

    known = total

    def update(done: float, total: float | None = None) -> None:
        nonlocal last
        total = total or known
        now = time.monotonic()
        if now - last < PLAIN_EVERY_SECONDS or done <= 0:
            return
        last, rate = now, done / (now - start)
        left = f", {duration((total - done) / rate)} left" if total else ""
        print(
            f"{doing}: {_amount(done, total, unit, rate)}{left}",
            file=sys.stderr,
            flush=True,
        )

    return update


def _amount(done: float, total: float | None, unit: str, rate: float | None) -> str:
    of = f"/{total:g}" if total else ""
    speed = f", {rate:.3g} {unit}/s" if rate else ""
    return f"{done:.4g}{of} {unit}{speed}"


def duration(seconds: float) -> str:
    """Seconds in the words of a clock: 8.1s, 3m05s, 2h10m."""
    if seconds < 60:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"


def table(rows: list[tuple[str, str]]) -> str:
    """Two columns, the first as wide as its widest cell."""
    width = max((len(name) for name, _ in rows), default=0)
    return "\n".join(f"  {name:<{width}}  {value}" for name, value in rows)


def key_values(words: list[str], flag: str) -> list[tuple[str, str]]:
    """Pairs of `KEY=VALUE,...` words, as --label takes them."""
    pairs = []
    # A comma parts two pairs only if another KEY= follows: values may hold commas themselves.
    for word in (part for text in words for part in re.split(r",(?=[^,=]+=)", text)):
        key, equals, value = word.partition("=")
        if not (equals and key.strip() and value.strip()):
            raise WavegenError(f"{flag} {word}", f"{flag} KEY=VALUE, such as instrument=organ")
        pairs.append((key.strip(), value.strip()))
    return pairs


def pitches(text: str) -> list[int]:
    """MIDI pitches of a list of numbers and ranges, such as `60`, `60,64,67` or `48-72`."""
    found: list[int] = []
    for part in text.split(","):
        low, dash, high = part.strip().partition("-")
        # isdecimal, for isdigit lets "²" through, which is no number to int().
        if not (low.isdecimal() and (high.isdecimal() if dash else True)):
            raise WavegenError(
                f"--pitch {text}", "MIDI numbers, such as 60, 60,64,67 or 48-72 (60 is middle C)"
            )
        found += range(int(low), int(high or low) + 1)
    outside = [pitch for pitch in found if pitch > 127]
    if outside or not found:
        raise WavegenError(f"--pitch {text}", "MIDI numbers from 0 to 127, the lower first")
    return list(dict.fromkeys(found))  # 60,60 is one note, as it would be one file
