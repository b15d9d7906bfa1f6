"""What a metric comes to: a number, or the reason why there is none; never a NaN."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class NotApplicable:
    """Stands where a metric has no value."""

    reason: str


Measure = float | NotApplicable


def finite(value: float, reason: str) -> Measure:
    """The value, or the reason where it is no finite number."""
    return float(value) if math.isfinite(value) else NotApplicable(reason)


def mean(values: Iterable[Measure]) -> Measure:
    """The mean of those that are numbers; where none is, the commonest reason."""
    return _of_numbers(values, np.mean)


def median(values: Iterable[Measure]) -> Measure:
    """The median of those that are numbers; where none is, the commonest reason."""
    return _of_numbers(values, np.median)


def means(rows: Sequence[Mapping[str, Measure]]) -> dict[str, Measure]:
    """The mean of each metric over rows that have the same ones."""
    return {name: mean(row[name] for row in rows) for name in (rows[0] if rows else ())}


def told(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts as JSON holds them: null where there is no number.

    The reasons stand under "not_applicable", by the dotted path of what they are about.
    """
    reasons: dict[str, str] = {}

    def plain(value: Any, path: str) -> Any:
        if isinstance(value, float | np.floating) and not math.isfinite(value):
            value = NotApplicable(f"it came out as {value}")
        if isinstance(value, NotApplicable):
            reasons[path] = value.reason
            return None
        if isinstance(value, Mapping):
            below = f"{path}." if path else ""
            return {str(key): plain(each, f"{below}{key}") for key, each in value.items()}
        if isinstance(value, list | tuple | np.ndarray):
            return [plain(each, f"{path}[{i}]") for i, each in enumerate(value)]
        return value.item() if isinstance(value, np.generic) else value

    return {**plain(facts, ""), "not_applicable": reasons}


def _of_numbers(values: Iterable[Measure], summed: Callable[[Sequence[float]], Any]) -> Measure:
    values = list(values)
    numbers = [value for value in values if not isinstance(value, NotApplicable)]
    if numbers:
        return float(summed(numbers))
    reasons = Counter(value.reason for value in values if isinstance(value, NotApplicable))
    return NotApplicable(reasons.most_common(1)[0][0] if reasons else "there is nothing to measure")
