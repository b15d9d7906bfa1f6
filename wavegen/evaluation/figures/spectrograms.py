"""A sound as a spectrogram: frequency over time, how loud as lightness."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wavegen.evaluation.figures import outlines
from wavegen.evaluation.figures.outlines import Outline

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROWS = 300  # at most; a figure has a pixel for each
_KHZ = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20)


def draw(axes: Axes, outline: Outline, lowest_khz: float = 0.0) -> None:
    """Draws it on a linear axis from 0, or on a logarithmic one from where it is told to begin."""
    highest_khz = outline.sample_rate / 2000
    lowest_khz = min(lowest_khz, highest_khz / 8)
    level, edges_khz = _rows(outline, lowest_khz)
    axes.pcolormesh(
        outline.edges_seconds, edges_khz, level, cmap="magma",
        vmin=-outlines.DYNAMIC_RANGE_DB, vmax=0,
        rasterized=True,  # or an SVG would hold a rectangle for each
    )  # fmt: skip
    if lowest_khz:
        axes.set_yscale("log")
        axes.set_yticks(_KHZ, [f"{khz:g}" for khz in _KHZ])
        axes.set_yticks([], minor=True)
    axes.set_ylim(lowest_khz, highest_khz)


def draw_key(axes: Axes) -> None:
    """What the lightness means."""
    level = np.linspace(-outlines.DYNAMIC_RANGE_DB, 0, 81)[:, None]
    axes.imshow(
        level, cmap="magma", origin="lower", aspect="auto",
        extent=(0, 1, -outlines.DYNAMIC_RANGE_DB, 0),
    )  # fmt: skip
    axes.yaxis.tick_right()
    axes.yaxis.set_label_position("right")
    axes.set_xticks([])
    axes.tick_params(axis="y", labelsize="small")
    axes.set_ylabel("dB, 0 the loudest", fontsize="small")


def _rows(outline: Outline, lowest_khz: float) -> tuple[np.ndarray, np.ndarray]:
    """Level in dB [rows, F] and the borders of the rows in kHz, no more than can be seen.

    Each is the loudest of the outline's rows in it, so that no partial falls between pixels.
    """
    edges_khz = outline.edges_khz
    bins = len(edges_khz) - 1
    first = np.arange(0, bins, -(-bins // ROWS))
    if lowest_khz:
        wanted = np.geomspace(lowest_khz, edges_khz[-1], ROWS + 1)[:-1]
        first = np.unique(np.maximum(1, np.searchsorted(edges_khz, wanted, side="right") - 1))
    level = np.maximum.reduceat(outline.level_db, first, axis=0)
    return level, edges_khz[np.append(first, bins)]
