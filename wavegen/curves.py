"""A number that changes in time: a straight line from one point to the next."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from wavegen.errors import WavegenError


@dataclass(frozen=True)
class Curve:
    """Points of a curve, their times rising; before the first and after the last it stays."""

    seconds: tuple[float, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.seconds or len(self.seconds) != len(self.values):
            raise WavegenError(
                f"a curve has {len(self.seconds)} times and {len(self.values)} values",
                "at least one point, and a value for each time",
            )
        for number in (*self.seconds, *self.values):
            if not math.isfinite(number):
                raise WavegenError(f"a curve holds {number}", "finite numbers")
        if any(b <= a for a, b in zip(self.seconds, self.seconds[1:], strict=False)):
            raise WavegenError(
                "the times of a curve are " + ", ".join(f"{time:g}" for time in self.seconds),
                "each later than the one before",
            )

    def at(
        self,
        seconds: np.ndarray | float,  # [...]
    ) -> np.ndarray:  # [...] float64
        """The values at some times."""
        return np.asarray(np.interp(seconds, self.seconds, self.values))

    def later(self, seconds: float) -> Curve:
        """The same curve, so much later."""
        return Curve(tuple(time + seconds for time in self.seconds), self.values)

    def __str__(self) -> str:
        """The words that `parse` reads, to the last bit."""
        pairs = zip(self.seconds, self.values, strict=True)
        return ",".join(f"{_word(time)}:{_word(value)}" for time, value in pairs)


def _word(number: float) -> str:
    return repr(float(number)).removesuffix(".0")


def parse(text: str, name: str) -> float | Curve:
    """The number, or the curve, that words such as `0.9` or `0:0.8,4:1.1` mean.

    `name` is what errors call it, such as --temperature.
    """
    try:
        if ":" not in text:
            return float(text)
        pairs = [point.partition(":") for point in text.split(",")]
        times = tuple(float(time) for time, _, _ in pairs)
        values = tuple(float(value) for _, _, value in pairs)
    except ValueError:
        raise WavegenError(
            f"{name} {text}", "a number, or a curve of seconds and numbers such as 0:0.8,4:1.1"
        ) from None
    try:
        return Curve(times, values)
    except WavegenError as error:
        raise WavegenError(f"{name} {text}: {error.came}", error.wanted) from None


def at(
    value: float | Curve,
    seconds: np.ndarray,  # [...]
) -> np.ndarray:  # [...] float64
    """The values of a curve, or of a number, at some times."""
    return value.at(seconds) if isinstance(value, Curve) else np.full(np.shape(seconds), value)


def extremes(value: float | Curve) -> tuple[float, float]:
    """The least and the greatest value."""
    values = value.values if isinstance(value, Curve) else (value,)
    return min(values), max(values)
