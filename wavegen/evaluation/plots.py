"""Pictures of sound."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from wavegen.audio import files
from wavegen.errors import WavegenError
from wavegen.evaluation import outlines, rolls
from wavegen.evaluation.outlines import Outline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 60  # sounds in one figure
PER_ROW = 5  # sounds side by side at most
LONG_SECONDS = 10.0  # a sound that lasts longer has the figure's whole width
ROWS = 300  # of a spectrogram at most; a figure has a pixel for each
LETTERS_PER_INCH = 14  # of a panel's title
ROLL, WAVE, SPECTRUM = 2.1, 0.8, 2.1  # inches of each panel
MINUTES_FROM = 300.0  # seconds; a longer axis counts minutes
_TICKS_MINUTES = (1, 2, 5, 10, 20, 30, 60, 120, 240, 480)
_KHZ = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20)


class Shown(NamedTuple):
    """A sound in a figure: how it is called, and how it looks."""

    title: str
    outline: Outline


def sounds(
    path: Path,
    named: Sequence[tuple[str, np.ndarray]],  # title and samples [T] in [-1, 1]
    sample_rate: int,
    title: str = "",
) -> None:
    """Writes a figure with the waveform and, below it, the spectrogram of each sound."""
    shown = [
        Shown(name, outlines.trace([samples], sample_rate, len(samples))) for name, samples in named
    ]
    write(path, figure(shown, title))


def figure(
    shown: Sequence[Shown],
    title: str = "",
    voices: Sequence[rolls.Voice] = (),
) -> Figure:
    """Waveforms and spectrograms; short sounds side by side, long ones below each other.

    With the voices of a score its piano roll stands above them on the same time axis, and
    frequency is logarithmic as pitch is, from the lowest note on.
    """
    longest = max(each.outline.end_seconds - each.outline.start_seconds for each in shown)
    if voices or len(shown) == 1 or longest > LONG_SECONDS:
        return _stacked(shown, title, voices)
    return _side_by_side(shown, title)


def write(path: Path, figure: Figure) -> None:
    """A figure as the file that the path's ending asks for; whole, or not there at all."""
    files.make_room(path)
    beside = path.with_name(path.name + ".partial")
    try:
        with warnings.catch_warnings():  # a letter that the font lacks is drawn as a box
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")
            figure.savefig(beside, format=path.suffix.lstrip(".").lower() or "png")
        beside.replace(path)
    except OSError as error:
        raise WavegenError(
            f"cannot write {path}: {error.strerror or error}", "a place that can be written to"
        ) from None
    finally:
        beside.unlink(missing_ok=True)


def _stacked(shown: Sequence[Shown], title: str, voices: Sequence[rolls.Voice]) -> Figure:
    """All panels below each other on one time axis."""
    heights = [ROLL] * bool(voices) + [WAVE, SPECTRUM] * len(shown)
    made = _figure(9.0, 0.7 + sum(heights) + 0.25 * len(shown), title)
    panels = list(
        made.subplots(len(heights), sharex=True, height_ratios=heights, squeeze=False).T[0]
    )
    start = min(each.outline.start_seconds for each in shown)
    end = max(each.outline.end_seconds for each in shown)
    _time(panels[-1], start, end)
    lowest_khz = 0.0
    if voices:
        roll = panels.pop(0)
        rolls.draw(roll, voices, start, end)
        lowest_khz = 0.44 * 2 ** ((roll.get_ylim()[0] - 69) / 12)  # A4, pitch 69, has 440 Hz
    for number, (name, outline) in enumerate(shown):
        top, below = panels[2 * number : 2 * number + 2]
        _wave(top, name, outline)
        _spectrum(below, outline, min(lowest_khz, outline.sample_rate / 16_000))
        top.set_ylabel("amplitude")
        below.set_ylabel("kHz")
        made.colorbar(below.collections[0], ax=below, label="dB, 0 the loudest", pad=0.01)
    made.align_ylabels()
    return made


def _side_by_side(shown: Sequence[Shown], title: str) -> Figure:
    """A column for each sound, in as many rows as it takes, each with its own time axis."""
    rows = -(-len(shown) // PER_ROW)
    columns = -(-len(shown) // rows)
    made = _figure(3.2 * columns, 5.0 * rows, title)
    grid = made.subplots(2 * rows, columns, squeeze=False, height_ratios=(1, 2) * rows)
    highest_khz = max(each.outline.sample_rate for each in shown) / 2000
    for number, (name, outline) in enumerate(shown):
        row, column = divmod(number, columns)
        top, below = grid[2 * row, column], grid[2 * row + 1, column]
        _wave(top, name, outline)
        _spectrum(below, outline)
        below.set_ylim(0, highest_khz)
        _time(below, outline.start_seconds, outline.end_seconds)
        top.set_xlim(below.get_xlim())
        if column:
            top.set_yticklabels([])
            below.set_yticklabels([])
        else:
            top.set_ylabel("amplitude")
            below.set_ylabel("kHz")
    for unused in grid[-2:, len(shown) - columns * rows :].flat if len(shown) % columns else ():
        unused.remove()
    return made


def _figure(width: float, height: float, title: str) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), layout="constrained", dpi=150)
    FigureCanvasAgg(made)
    if title:
        made.suptitle(_plain(title), parse_math=False)
    return made


def _wave(axes: Axes, name: str, outline: Outline) -> None:
    """Every peak is there: the line goes through the lowest and the highest sample of a point."""
    both = np.stack([outline.low, outline.high], axis=1).ravel()
    axes.plot(np.repeat(outline.point_seconds, 2), both, linewidth=0.4, color="0.15")
    axes.set_ylim(-1, 1)
    inches = axes.bbox.width / axes.figure.dpi
    short = _shortened(name, round(LETTERS_PER_INCH * inches))
    axes.set_title(short, parse_math=False, fontsize="small")


def _spectrum(axes: Axes, outline: Outline, lowest_khz: float = 0.0) -> None:
    """On a linear axis from 0, or on a logarithmic one from where it is told to begin."""
    highest_khz = outline.sample_rate / 2000
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


def _time(axes: Axes, start: float, end: float) -> None:
    from matplotlib.ticker import MultipleLocator

    axes.set_xlim(start, max(end, start + 1e-3))
    axes.set_xlabel("seconds")
    if end - start > MINUTES_FROM:
        minutes = (end - start) / 60
        step = next((each for each in _TICKS_MINUTES if minutes <= 10 * each), minutes / 10)
        axes.xaxis.set_major_locator(MultipleLocator(60 * step))
        axes.xaxis.set_major_formatter(lambda seconds, _: f"{seconds / 60:g}")
        axes.set_xlabel("minutes")


def _shortened(name: str, letters: int) -> str:
    """The name, without its middle where it is longer than so many letters."""
    if len(name) <= letters:
        return _plain(name)
    half = letters // 2
    return _plain(f"{name[:half]}…{name[-half:]}")


def _plain(text: str) -> str:
    """Without what cannot be drawn: bytes of a file's name that are no letters."""
    return text.encode("utf-8", "replace").decode()
