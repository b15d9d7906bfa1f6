"""The indexes of data sets: tables of comma-separated values, and JSON."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wavegen.errors import WavegenError

# Python's own limit is 128 KiB; there are data sets with whole web pages in a cell.
csv.field_size_limit(1 << 20)


def lines(path: Path, delimiter: str = ",", quoted: bool = True) -> Iterator[list[str]]:
    """The cells of each line of a table, empty lines left out; WavegenError if it is none."""
    quoting = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    try:
        # Spreadsheets put a mark before the first byte, which utf-8-sig takes off.
        with path.open(encoding="utf-8-sig", newline="") as file:
            for cells in csv.reader(file, delimiter=delimiter, quoting=quoting, strict=True):
                if cells:
                    yield cells
    except (csv.Error, UnicodeDecodeError) as error:
        raise WavegenError(
            f"{path} is no whole table: {error}", "UTF-8 text, a row a line"
        ) from None
    except OSError as error:
        raise WavegenError(f"{path} cannot be read: {error.strerror}") from None


def rows(path: Path, columns: tuple[str, ...] = ()) -> Iterator[dict[str, str]]:
    """Each row of a table as a dict by the names in its first line, spaces around cut off.

    `columns` must be among the names, and no row may have more or fewer cells than names.
    """
    table = lines(path)
    names = [name.strip() for name in next(table, [])]
    missing = [column for column in columns if column not in names]
    if not names or missing:
        reason = "has no column " + ", ".join(missing) if names else "is empty"
        raise WavegenError(f"{path} {reason}", "a table whose first line names its columns")
    for number, cells in enumerate(table, start=1):
        if len(cells) != len(names):
            raise WavegenError(
                f"row {number} of {path} has {len(cells)} cells",
                f"{len(names)}, as in its first line",
            )
        yield dict(zip(names, (cell.strip() for cell in cells), strict=True))


def read_json(path: Path, wanted: str) -> Any:
    """What a JSON file holds; WavegenError, with what is `wanted`, where it is not whole."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:  # ValueError: no JSON, no UTF-8, or absurd
        raise WavegenError(f"{path} is not whole JSON: {error}", wanted) from None
    except OSError as error:
        raise WavegenError(f"{path} cannot be read: {error.strerror}", wanted) from None
