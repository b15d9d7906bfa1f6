"""Facts as rows: what each is called, its value with its unit, or why there is none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from wavegen.evaluation.metrics.words import METRICS, Word

# What stands beside a clip or a recording, and is no metric of a whole.
SINGLE = {
    "seconds": Word("length", "s", "", ""),
    "pitch_cents": Word("off the pitch asked for", "cents", "", ""),
    "onset_ms": Word("off the onset asked for", "ms", "", ""),
    "nearest_known": Word("nearest recording trained on", "", "", ""),
    "nearest_distance": Word("distance to it", "", "", ""),
    "recordings": Word("recordings", "", "", ""),
    "cost_bits": Word("cost against float32", "bits", "", ""),
    "nats_from_float32": Word("divergence from float32", "nats", "", ""),
    "same_likeliest": Word("same likeliest code", "%", "", ""),
}
NO_METRICS = ("name", "asked", "generated", "real", "reference", "estimate", "trouble")
SPACE = "\N{NO-BREAK SPACE}"  # between a number and its unit
DECIMALS = {"bits": 3, "nats": 5, "%": 1, "dB": 1, "LU": 1, "cents": 1, "ms": 1, "s": 2}
SEVERAL = 100  # rows of a table of recordings; the rest stands in report.json

Facts = Mapping[str, Any]  # as report.json holds them: None where there is no number


class Cell(NamedTuple):
    """A value as text; `missing` where the text says why there is none."""

    text: str
    missing: bool = False
    note: int = 0  # of the table's notes, from 1: the reason stands there


class Row(NamedTuple):
    """A line of a table, with what its title means."""

    title: str
    cells: Sequence[Cell]
    says: str = ""
    source: str = ""


class Table(NamedTuple):
    """A table with a heading of its own and one for every column, the titles' included."""

    heading: str
    columns: Sequence[str]
    rows: Sequence[Row]
    about: str = ""
    notes: Sequence[str] = ()


def word(name: str, single: bool = False) -> Word:
    """What a fact is called, or that of a single sound; what nobody explained stands for itself."""
    known = {**METRICS, **SINGLE} if single else {**SINGLE, **METRICS}
    return known.get(name) or Word(name.replace("_", " "), "", "", "")


def told(name: str, value: Any, low: float | None = None, high: float | None = None) -> str:
    """A value with its unit and, where known, its interval: "1.940 (1.900 to 1.990) bits"."""
    if isinstance(value, bool | str):
        return str(value)
    unit = word(name).unit
    interval = ""
    if low is not None and high is not None:
        interval = f" ({_number(unit, low)} to {_number(unit, high)})"
    return f"{_number(unit, value)}{interval}" + (f"{SPACE}{unit}" if unit else "")


def of_metrics(
    facts: Facts,
    heading: str,
    columns: Mapping[str, str],  # where its metrics lie, dotted, and what the column is called
    about: str = "",
) -> Table | None:
    """A row for each metric with its explanation; None where nothing was measured."""
    sides = {path: _at(facts, path) for path in columns}
    held = {name for side in sides.values() for name in _metrics(side)}
    if not held:
        return None
    reasons = facts.get("not_applicable", {})
    rows = []
    for name in sorted(held, key=[*METRICS, *sorted(held)].index):
        meant = word(name)
        better = f" {meant.better.capitalize()} is better." if meant.better else ""
        cells = [_cell(name, side, reasons, f"{path}.{name}") for path, side in sides.items()]
        rows.append(Row(meant.title, cells, meant.says + better, meant.source))
    return Table(heading, ["metric", *columns.values()], rows, about)


def of_single(
    facts: Facts,
    heading: str,
    first: str,  # column's heading
    entries: Iterable[tuple[str, str, Facts]],  # title, dotted path, and what is known of it
    about: str = "",
) -> Table | None:
    """A row for each recording, clip or pair and a column for each fact that any of them has."""
    entries = list(entries)
    held = {name for _, _, entry in entries for name in _metrics(entry)}
    names = sorted(held, key=[*SINGLE, *METRICS, *sorted(held)].index)
    if not names:
        return None
    reasons, notes = facts.get("not_applicable", {}), []
    rows = []
    for title, path, entry in entries[:SEVERAL]:
        cells = [_cell(name, entry, reasons, f"{path}.{name}") for name in names]
        rows.append(Row(title, [_noted(cell, notes) for cell in cells]))
    if len(entries) > SEVERAL:
        about = f"{about} The first {SEVERAL} of {len(entries):,}; report.json has all.".strip()
    return Table(
        heading, [first, *(word(name, single=True).title for name in names)], rows, about, notes
    )


def measured(entry: Facts, path: str, reasons: Facts) -> list[tuple[str, Cell]]:
    """The facts of one clip or pair that lies at `path`, in words."""
    return [
        (word(name, single=True).title, _cell(name, entry, reasons, f"{path}.{name}"))
        for name in _metrics(entry)
    ]


def of_settings(heading: str, settings: Facts) -> Table | None:
    """A row for each setting with its value; None where there is none."""
    rows = [
        Row(name.replace("_", " "), [Cell("none" if value is None else str(value))])
        for name, value in settings.items()
    ]
    return Table(heading, ["setting", "value"], rows) if rows else None


def _number(unit: str, value: float) -> str:
    scaled = 100 * value if unit == "%" else value
    if isinstance(value, int) and not unit:
        return f"{value:,}"
    if unit in DECIMALS:
        return f"{scaled:z.{DECIMALS[unit]}f}"
    return f"{float(f'{scaled:.3g}'):,g}"  # three digits that count


def _at(facts: Any, path: str) -> Facts:
    """What lies at a dotted path; nothing where it was not measured."""
    for name in path.split("."):
        facts = facts.get(name) if isinstance(facts, Mapping) else None
    return facts if isinstance(facts, Mapping) else {}


def _metrics(entry: Facts) -> list[str]:
    """The names that are measures; an interval's ends are told with the value between them."""
    return [
        name
        for name, value in entry.items()
        if name not in NO_METRICS
        and not name.endswith(("_low", "_high"))
        and (value is None or isinstance(value, int | float | str))
    ]


def _cell(name: str, side: Facts, reasons: Facts, path: str) -> Cell:
    if name not in side:
        whole = path.rpartition(".")[0]  # which may not apply as a whole
        return Cell(reasons.get(whole, "not measured"), missing=True)
    if side[name] is None:
        return Cell(reasons.get(path, "not applicable"), missing=True)
    return Cell(told(name, side[name], side.get(f"{name}_low"), side.get(f"{name}_high")))


def _noted(cell: Cell, notes: list[str]) -> Cell:
    """The cell with its reason among the table's notes; a column of numbers has no room for it."""
    if not cell.missing:
        return cell
    if cell.text not in notes:
        notes.append(cell.text)
    return Cell("n/a", missing=True, note=notes.index(cell.text) + 1)
