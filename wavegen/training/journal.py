"""metrics.jsonl: one JSON object a line, for machines; read back when a training goes on."""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from wavegen.config import Training
from wavegen.training import health
from wavegen.training.health import Point, Tally
from wavegen.training.progress import Progress, Saved, Validation, Warned


class Journal:
    """The lines of a training up to now, with an eye on its health.

    Lines after step `first` are dropped, for they come again, and so is one that a kill cut
    short. `tally` is what had been counted by then.
    """

    def __init__(
        self,
        path: Path,
        first: int,
        plan: Training,
        order0_bits: float,  # see health.look
        on_warning: Callable[[str], None],
    ) -> None:
        entries = _cut(path, first)
        self.tally = _tally(entries)
        self.curve: list[Point] = []
        self.validations: list[Point] = []
        self._lines: deque[Progress] = deque(maxlen=health.RECENT)
        self._told: dict[str, int] = {}
        self._plan, self._order0_bits, self._on_warning = plan, order0_bits, on_warning
        for entry in entries:  # what was said of them is said
            self._take_in(entry)
        self._file = path.open("a", encoding="utf-8")

    def close(self) -> None:
        """Ends the file."""
        self._file.close()

    def log(self, line: Progress) -> None:
        """Takes in a line of the log, and warns of what it shows."""
        self._write(line)
        self._say(line.step, self._take_in(line._asdict()))

    def validation(self, found: Validation) -> None:
        """Takes in a validation, and warns of what it shows."""
        self._write(found)
        self._say(found.step, self._take_in(found._asdict()))

    def saved(self, step: int, tally: Tally) -> None:
        """Writes down what was counted up to a checkpoint."""
        self._write(Saved(step, tally.heard_samples, tally.skipped_steps))

    def _take_in(self, entry: dict[str, Any]) -> dict[str, str]:
        """Remembers a line; gives the warnings that it is the first to show."""
        self.curve += _points(entry, "bits_per_sample")
        validations = _points(entry, "validation_bits_per_sample")
        self.validations += validations
        if Progress._fields[-1] in entry:  # those of an older wavegen lack some
            numbers = {name: entry.get(name) for name in Progress._fields}
            line: dict[str, Any] = {k: math.nan if x is None else x for k, x in numbers.items()}
            self._lines.append(Progress(**line))
        elif not validations:
            return {}
        found = health.look(
            list(self._lines),
            self.curve,
            self.validations,
            self._order0_bits,
            self._plan,
        )
        new = {name: words for name, words in found.items() if name not in self._told}
        self._told = health.remember(self._told, found)
        return new

    def _say(self, step: int, warnings: dict[str, str]) -> None:
        for name, words in warnings.items():
            self._write(Warned(step, name, words))
            self._on_warning(words)

    def _write(self, entry: NamedTuple) -> None:
        # JSON knows no NaN: null.
        tree = {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in entry._asdict().items()
        }
        self._file.write(json.dumps(tree) + "\n")
        self._file.flush()


def read(path: Path) -> list[dict[str, Any]]:
    """The lines of a metrics.jsonl, without those that a kill cut short; none where it is not."""
    if not path.exists():
        return []
    entries = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(entry, dict) and isinstance(entry.get("step"), int):
            entries.append(entry)
    return entries


def _cut(path: Path, first: int) -> list[dict[str, Any]]:
    """The lines up to step `first`; the file is left with no others."""
    entries = [entry for entry in read(path) if entry["step"] <= first]
    if path.exists():
        beside = path.with_suffix(".partial")
        beside.write_text("".join(json.dumps(e) + "\n" for e in entries), encoding="utf-8")
        beside.replace(path)
    return entries


def _points(entry: dict[str, Any], name: str) -> list[Point]:
    """What the entry says by that name, if it does; a number that is none is not kept."""
    value = entry.get(name)
    return [(entry["step"], value)] if value is not None and math.isfinite(value) else []


def _tally(entries: list[dict[str, Any]]) -> Tally:
    """What was counted up to the checkpoint that is gone on from."""
    for entry in reversed(entries):
        if "saved_heard_samples" in entry:
            return Tally(entry["saved_heard_samples"], entry["saved_skipped_steps"])
    return Tally()
