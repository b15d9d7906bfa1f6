"""Findings: what an evaluation comes to, as tables in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from wavegen.cli.console import Console

if TYPE_CHECKING:
    from wavegen.evaluation.report.tables import Table


def show(facts: Mapping[str, Any], console: Console) -> None:
    """Says the facts of a report.json: how good it is in sentences, then every metric."""
    from wavegen.evaluation import report

    for sentence in report.lead(facts):
        console.say(sentence)
    for remark in facts.get("remarks") or ():
        console.note(f"note: {remark}")
    for table in report.summaries(facts):
        console.say(f"\n{_text(table)}")


def _text(table: Table) -> str:
    """A table in columns; what has no value says why below."""
    notes: list[str] = []

    def cell(text: str, missing: bool) -> str:
        if not missing:
            return text.replace("\N{NO-BREAK SPACE}", " ")
        if text not in notes:
            notes.append(text)
        return f"n/a [{notes.index(text) + 1}]"

    rows = [[row.title, *(cell(c.text, c.missing) for c in row.cells)] for row in table.rows]
    lines = [[table.heading, *table.columns[1:]], *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    text = [
        "  ".join(
            [
                line[0].ljust(widths[0]),
                *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True)),
            ]
        )
        for line in lines
    ]
    return "\n".join([*text, *(f"  [{n}] {why}" for n, why in enumerate(notes, 1))])
