"""What one sample hears: the stack's dilated convolutions as a tree, as in the WaveNet paper.

Van den Oord et al. 2016, arXiv 1609.03499, figure 3, of a config's own layers: the codes at the
bottom, each layer above the one that it hears, the sample that is foretold at the top right, and
time to the left of it. What reaches that sample is dark.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from wavegen.config import Config
from wavegen.evaluation.figures import plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEARD, UNHEARD = "#0072b2", "0.8"
LINES = 300  # from one layer to the next at most; where it would be more, their band is filled
INK = 60.0  # points that the lines of a layer are thick together, so that none is a blot
GRID = 70  # samples of a receptive field, at most, whose unheard nodes are drawn as well
DOTS = 140  # nodes of a layer that are drawn one by one, at most
ROW = 0.15  # inches of a layer, so that its dilation can stand beside it
LABELS = 44  # layers that are named, at most


def figure(config: Config, name: str) -> Figure:
    """The diagram of a config's stack; what it hears in samples and ms stands above it."""
    model = config.model
    steps = (1, *model.dilations)  # the input convolution first, then the layers upwards
    rows = len(steps)
    made = plots.sheet(1.6 + max(1.6, ROW * min(rows, LABELS)), name)
    axes = made.subplots()
    axes.set_title(_caption(config), fontsize="small", parse_math=False)
    ends = _ends(steps, model.kernel_size)
    if model.receptive_field <= GRID:
        _draw_grid(axes, steps, model.kernel_size, model.receptive_field)
    _draw_tree(axes, steps, model.kernel_size, ends)
    _scale(axes, steps, model.layers_per_cycle, model.receptive_field)
    return made


def taps(
    steps: Sequence[int],  # [N] dilation of each convolution, the input's first
    kernel_size: int,
) -> list[np.ndarray | None]:
    """How many samples ago lies what is heard, [n] each: codes, layers, the sample foretold.

    None stands for more than can be drawn one by one: these lie close all the way.
    """
    heard: list[np.ndarray | None] = [np.zeros(1, np.int64)]
    for number in reversed(range(len(steps))):
        above = heard[-1]
        if above is None or len(above) * kernel_size > LINES:
            heard.append(None)
        else:
            heard.append(np.unique(_below(above, number, steps[number], kernel_size)))
    return heard[::-1]


def _below(above: np.ndarray, number: int, step: int, kernel_size: int) -> np.ndarray:
    """[n, K] samples ago of what each of a layer's nodes hears; the input hears the past alone."""
    return above[:, None] + step * np.arange(kernel_size) + (number == 0)


def _ends(steps: Sequence[int], kernel_size: int) -> list[int]:
    """How many samples ago the first lies that is heard, of each of the same rows."""
    reach = [0]
    for number in reversed(range(len(steps))):
        reach.append(reach[-1] + steps[number] * (kernel_size - 1) + (number == 0))
    return reach[::-1]


def _draw_tree(axes: Axes, steps: Sequence[int], kernel_size: int, ends: Sequence[int]) -> None:
    from matplotlib.collections import LineCollection, PolyCollection

    heard = taps(steps, kernel_size)
    bands = []
    for number, step in enumerate(steps):
        above, low, high = heard[number + 1], number, number + 1
        if above is None or heard[number] is None:
            newest = -1 if number == 0 else 0
            bands.append([(-ends[low], low), (newest, low), (0, high), (-ends[high], high)])
            continue
        below = _below(above, number, step, kernel_size)
        lines = _lines(above, below, number)
        width = np.clip(INK / len(lines), 0.2, 0.9)
        axes.add_collection(LineCollection(lines, colors=HEARD, linewidths=width))
    axes.add_collection(PolyCollection(bands, facecolors=HEARD, alpha=0.45, linewidths=0))
    for row, nodes in enumerate(heard):
        if nodes is not None and len(nodes) <= DOTS:
            size = np.clip(150 / len(nodes), 1.2, 3.0)
            axes.plot(-nodes, [row] * len(nodes), "o", color=HEARD, markersize=size)
    axes.plot(0, len(steps), "o", color="black", markersize=5, clip_on=False, zorder=3)


def _draw_grid(axes: Axes, steps: Sequence[int], kernel_size: int, field: int) -> None:
    """All nodes and taps of a small stack, faint."""
    from matplotlib.collections import LineCollection

    every = np.arange(field + 1)
    for number, step in enumerate(steps):
        below = _below(every, number, step, kernel_size)
        lines = [line for line in _lines(every, below, number) if line[0][0] >= -field]
        axes.add_collection(LineCollection(lines, colors=UNHEARD, linewidths=0.3))
        axes.plot(-every, [number + 1] * len(every), "o", color=UNHEARD, markersize=2)


def _lines(above: np.ndarray, below: np.ndarray, number: int) -> list[list[tuple[int, int]]]:
    """From each node [n, K] below, in row `number`, to the one [n] that hears it."""
    ago = np.broadcast_to(above[:, None], below.shape)
    return [[(-a, number), (-b, number + 1)] for a, b in zip(below.flat, ago.flat, strict=True)]


def _scale(axes: Axes, steps: Sequence[int], per_cycle: int, field: int) -> None:
    """Names the rows by their dilation, from the codes to the sample that is foretold."""
    rows = len(steps) + 1
    if len(steps) <= LABELS:
        named, what = range(1, rows), "dilation of each layer"
        labels = ["input", *(f"{step:,}" for step in steps[1:])]
    else:
        cycles = -(-len(steps) // (LABELS * per_cycle))  # from one name to the next
        named, what = range(1 + per_cycle * cycles, rows, per_cycle * cycles), "layers"
        labels = [f"cycle {row // per_cycle}" for row in named]
    axes.set_yticks([0, *named], ["codes", *labels], fontsize="small")
    axes.set_ylabel(what)
    for row in range(2, rows, per_cycle):  # above which a cycle begins
        axes.axhline(row - 0.5, color="0.6", linewidth=0.5, linestyle=":", zorder=0)
    axes.set_xlim(-1.02 * field - 0.5, 0.02 * field + 0.5)
    axes.set_ylim(-0.6, rows - 0.4)
    axes.locator_params(axis="x", integer=True, nbins=5)
    axes.xaxis.set_major_formatter(lambda place, _: f"{abs(round(place)):,}")
    axes.set_xlabel("samples before the one that is foretold")
    axes.spines[["top", "right"]].set_visible(False)


def _caption(config: Config) -> str:
    """What the figure shows, in lines that fit above it."""
    model, rate = config.model, config.audio.sample_rate
    last = model.dilations[model.layers_per_cycle - 1]
    cycle = ", ".join(f"{d:,}" for d in model.dilations[: min(3, model.layers_per_cycle)])
    if model.layers_per_cycle > 3:
        cycle += (", …" if model.layers_per_cycle > 4 else "") + f", {last:,}"
    cycles = "1 cycle" if model.dilation_cycles == 1 else f"{model.dilation_cycles} cycles"
    told = (
        f"receptive field {model.receptive_field:,} samples, "
        f"{_ms(model.receptive_field, rate)} at {rate:,} Hz\n"
        f"{cycles} of dilations {cycle}; {model.kernel_size} taps each"
    )
    if model.predictor.order and not model.predictor.is_periodic:
        window = model.predictor.window
        told += f"\nits linear predictor hears {window:,} samples, {_ms(window, rate)}"
    return told


def _ms(samples: int, rate: int) -> str:
    return f"{1000 * samples / rate:,.3g} ms" if samples < rate else f"{samples / rate:,.3g} s"
