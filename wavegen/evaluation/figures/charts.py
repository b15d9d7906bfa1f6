"""What an evaluation found, as pictures for half a page; their ground is the page's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from wavegen.evaluation.figures import plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 4.6  # inches; its letters of 9 points are 6.5 on half a page of print
MOST = 40  # values of a label in one figure
LETTERS = 26  # of a name on an axis
# Okabe and Ito's, each with a shape or hatch of its own, so that grey print tells them apart too.
MODEL, TRIVIAL, IDEAL = "#0072b2", "#e69f00", "#555555"

Facts = Mapping[str, Any]  # as report.json holds them: None where there is no number


def bits_by_label(values: Mapping[str, Facts | None], overall: float | None) -> Figure | None:
    """Bits per sample of each value of a label, with its interval, the cheapest on top.

    None where none has a number. Of more values than fit, those of both ends are shown.
    """
    held = [(name, each) for name, each in values.items() if each]
    known = [(name, each) for name, each in held if _has_number(each, "bits_per_sample")]
    if not known:
        return None
    known.sort(key=lambda pair: pair[1]["bits_per_sample"])
    left_out = len(known) - MOST
    if left_out > 0:
        known = known[: MOST // 2] + known[-MOST // 2 :]
    figure, axes = _figure(0.9 + 0.24 * len(known))
    bits = np.array([each["bits_per_sample"] for _, each in known])
    ends = np.array([[_end(each, "low"), _end(each, "high")] for _, each in known])
    places = np.arange(len(known))
    axes.hlines(places, ends[:, 0], ends[:, 1], color=MODEL, linewidth=2, alpha=0.5)
    axes.plot(bits, places, "o", color=MODEL, markersize=5)
    if overall is not None:
        axes.axvline(overall, color=IDEAL, linestyle="--", linewidth=1)
        axes.annotate(
            f"all {overall:.2f}", (overall, 1), xycoords=("data", "axes fraction"),
            xytext=(0, 3), textcoords="offset points", ha="center", fontsize=8,
        )  # fmt: skip
    if left_out > 0:
        axes.axhline(MOST // 2 - 0.5, color=IDEAL, linewidth=0.8, linestyle=":")
    _names(axes, [name for name, _ in known])
    axes.set_xlabel("bits per sample" + (f" ({left_out} between are left out)" * (left_out > 0)))
    axes.grid(axis="x", alpha=0.25)
    return figure


def reliability(calibration: Facts) -> Figure | None:
    """How often the likeliest code was right, by the confidence in it, and how many had it."""
    rows = zip(*(calibration[name] for name in ("confidence", "accuracy", "share")), strict=True)
    known = [row for row in rows if None not in row and row[2] > 0]
    if not known:
        return None
    confidence, accuracy, share = 100 * np.array(known).T
    figure, axes = _figure(3.6)
    axes.plot([0, 100], [0, 100], "--", color=IDEAL, linewidth=1, label="well calibrated")
    # Not bars: bins without a sample are left out, so nothing tells how wide one is.
    axes.vlines(confidence, 0, share, color=TRIVIAL, linewidth=6, label="share of samples")
    axes.plot(confidence, accuracy, "o-", color=MODEL, markersize=4, linewidth=1.2, label="model")
    axes.set(xlim=(0, 100), ylim=(0, 100), xlabel="confidence, %", ylabel="right, %")
    axes.legend(loc="upper left", frameon=False, fontsize=8)
    axes.grid(alpha=0.25)
    return figure


def pit(shares: Sequence[float | None]) -> Figure | None:
    """The probability integral transform: flat where the distributions are as wide as they say."""
    heights = np.array([share or 0.0 for share in shares])
    if not heights.any():
        return None
    figure, axes = _figure(3.6)
    width = 1 / len(heights)
    axes.bar(
        (np.arange(len(heights)) + 0.5) * width, heights / width, width, color=MODEL, alpha=0.75,
        edgecolor=MODEL, linewidth=0.5, label="model",
    )  # fmt: skip
    axes.axhline(1.0, color=IDEAL, linestyle="--", linewidth=1, label="well calibrated")
    axes.set(xlim=(0, 1), xlabel="probability of what was lower", ylabel="density")
    axes.set_ylim(0, max(1.5, 1.25 * float(heights.max()) / width))  # room for the legend
    axes.legend(loc="upper left", frameon=False, fontsize=8, ncols=2)
    axes.grid(axis="y", alpha=0.25)
    return figure


def bars(values: Sequence[tuple[str, float]], model: str) -> Figure:
    """Bits per sample of what is trivial and, set apart by colour and hatch, of the model."""
    figure, axes = _figure(0.8 + 0.32 * len(values))
    for place, (name, bits) in enumerate(values):
        ours = name == model
        axes.barh(
            place, bits, height=0.62, color=MODEL if ours else "none", linewidth=1,
            hatch=None if ours else "///", edgecolor=MODEL if ours else TRIVIAL,
        )  # fmt: skip
        axes.annotate(
            f"{bits:.2f}", (bits, place), xytext=(4, 0), textcoords="offset points",
            va="center", fontsize=8, weight="bold" if ours else "normal",
        )  # fmt: skip
    _names(axes, [name for name, _ in values])
    axes.set_xlim(0, 1.14 * max(*(bits for _, bits in values), 1e-3))  # room for the last figure
    axes.set_xlabel("bits per sample")
    axes.grid(axis="x", alpha=0.25)
    return figure


def _figure(height: float) -> tuple[Figure, Axes]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    made = Figure(figsize=(WIDTH, height), layout="constrained", dpi=110, facecolor="none")
    FigureCanvasAgg(made)
    axes = made.subplots()
    axes.set_facecolor("none")
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    return made, axes


def _names(axes: Axes, names: Sequence[str]) -> None:
    """Names down the side, the first on top; as they are, never as formulas."""
    axes.set_yticks(range(len(names)), [plots.shortened(name, LETTERS) for name in names])
    for label in axes.get_yticklabels():
        label.set_parse_math(False)
    axes.set_ylim(len(names) - 0.4, -0.6)


def _has_number(facts: Facts, name: str) -> bool:
    return isinstance(facts.get(name), int | float)


def _end(facts: Facts, which: str) -> float:
    """An end of the interval; the value itself where there is none."""
    name = f"bits_per_sample_{which}"
    return facts[name] if _has_number(facts, name) else facts["bits_per_sample"]
