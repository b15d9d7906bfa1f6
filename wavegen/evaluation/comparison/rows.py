"""One thing of several runs: its values, which of them is the best, and all that in words."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

BITS_DECIMALS = 4  # runs of one kind often differ by thousandths
ABSENT = "-"  # stands where a run does not tell


@dataclass(frozen=True)
class Row:
    """One thing of every run."""

    group: str
    name: str
    title: str
    values: list[Any]  # one a run; None where it does not tell
    unit: str = ""  # as in metrics.words; "s" is told in minutes or hours where there are many
    better: str = ""  # "lower", "higher", or "": none is marked as the best

    @property
    def best(self) -> list[int]:
        """The runs whose value is the best; none where they are alike or there is but one."""
        known = [value for value in self.values if value is not None]
        if not self.better or len(set(known)) < 2:
            return []
        best = min(known) if self.better == "lower" else max(known)
        return [place for place, value in enumerate(self.values) if value == best]

    def told(self) -> dict[str, Any]:
        """The row as it stands, for JSON."""
        return {**asdict(self), "best": self.best}

    @property
    def label(self) -> str:
        """The title and, where all values share one, their unit."""
        unit = self._scale[0]
        return f"{self.title} ({unit})" if unit else self.title

    @property
    def cells(self) -> list[str]:
        """The values as words."""
        return [self._words(value) for value in self.values]

    @property
    def _scale(self) -> tuple[str, float]:
        """The unit that the words are in, and how many of the row's own it holds."""
        if self.unit == "%":
            return "%", 0.01
        if self.unit == "s":
            longest = max((value for value in self.values if value is not None), default=0)
            if longest >= 7200:
                return "h", 3600.0
            if longest >= 120:
                return "min", 60.0
        return self.unit, 1.0

    def _words(self, value: Any) -> str:
        if value is None:
            return ABSENT
        if isinstance(value, list):
            return ", ".join(map(str, value)) or "none"
        if isinstance(value, bool):
            return "yes" if value else "no"
        if not isinstance(value, float) or self.group == "config":
            return str(value)  # a count, a name, or a setting as it was written
        return self._number(value / self._scale[1])

    def _number(self, value: float) -> str:
        """With as many decimals as let the row's largest have four digits that count."""
        largest = max(abs(each) for each in self.values if each is not None) / self._scale[1]
        if self.unit == "bits":
            return f"{value:.{BITS_DECIMALS}f}"
        if largest < 1e-3:  # or nothing at all
            return f"{value:.3g}"
        digits = 3 if self.unit == "s" else 4  # more of a duration nobody asks for
        return f"{value:.{max(0, digits - 1 - math.floor(math.log10(largest)))}f}"
