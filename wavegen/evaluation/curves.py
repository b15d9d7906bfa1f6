"""How a training went, as a picture: bits per sample over its steps."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wavegen.evaluation import plots
from wavegen.training import journal

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TRAINING, VALIDATION = "#0072b2", "#d55e00"  # Okabe and Ito's; see histograms
SMOOTHED = 0.04  # of the log lines lie in the window that a point of the smooth line is a mean of
MARGIN = 0.15  # of the height, above and below the curves
SETTLED = 0.02  # share of the steps that the axis need not show: what a beginning costs

Curve = tuple[np.ndarray, np.ndarray]  # [N] steps, [N] bits per sample


def draw(path: Path, run: Path, title: str = "") -> bool:
    """Writes the figure of a run from its metrics.jsonl; False where that has nothing to show.

    Single steps are faint, their running mean is plain. A step whose loss was no number is
    left out. Without a title it has the run's name.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    entries = journal.read(run / "metrics.jsonl")
    training = _curve(entries, "bits_per_sample")
    validation = _curve(entries, "validation_bits_per_sample")
    if not len(training[0]) + len(validation[0]):
        return False
    figure = Figure(figsize=(8.0, 4.5), layout="constrained", dpi=110)
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    _draw_training(axes, training)
    _draw_validation(axes, validation)
    axes.set(xlabel="step", ylabel="bits per sample")
    axes.set_title(title or run.absolute().name, parse_math=False)
    axes.set_xlim(0, max(1.0, *training[0], *validation[0]))
    axes.set_ylim(*_limits(training, validation))
    axes.grid(alpha=0.25)
    axes.legend(loc="upper right", frameon=False)
    plots.write(path, figure)
    return True


def smooth(values: np.ndarray, width: int) -> np.ndarray:  # [N] to [N]
    """The mean of up to `width` values around each; at the ends of what is there.

    Never of more after a value than before it: a loss falls fast at first.
    """
    total = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    here = np.arange(len(values))
    before = np.minimum(width // 2, here)
    after = np.minimum(before, len(values) - 1 - here)
    return (total[here + after + 1] - total[here - before]) / (before + 1 + after)


def _curve(entries: list[dict], name: str) -> Curve:
    points = [(e["step"], e[name]) for e in entries if isinstance(e.get(name), int | float)]
    known = np.array([p for p in points if math.isfinite(p[1])], np.float64).reshape(-1, 2)
    return known[:, 0], known[:, 1]


def _draw_training(axes: Axes, curve: Curve) -> None:
    steps, bits = curve
    if len(steps):
        axes.plot(steps, bits, color=TRAINING, alpha=0.3, linewidth=0.8)
        axes.plot(steps, _smoothed(bits), color=TRAINING, linewidth=1.8, label="training")


def _draw_validation(axes: Axes, curve: Curve) -> None:
    steps, bits = curve
    if not len(steps):
        return
    best = int(np.argmin(bits))
    label = f"validation, best {bits[best]:.3f} at step {steps[best]:.0f}"
    axes.plot(steps, bits, color=VALIDATION, marker="o", markersize=3.5, label=label)
    ring = {"markersize": 9, "fillstyle": "none", "clip_on": False}
    axes.plot(steps[best], bits[best], "o", color=VALIDATION, **ring)


def _smoothed(bits: np.ndarray) -> np.ndarray:
    return smooth(bits, max(5, round(SMOOTHED * len(bits))))


def _limits(training: Curve, validation: Curve) -> tuple[float, float]:
    """Around the curves as they are after the very beginning; single steps may reach beyond."""
    steps, bits = training
    settled = steps >= SETTLED * max(steps, default=0)
    shown = np.concatenate([_smoothed(bits)[settled], validation[1]])
    low, high = float(shown.min()), float(shown.max())
    margin = MARGIN * max(high - low, 0.1)
    return low - margin, high + margin
