"""Pictures of sound."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from wavegen.audio import files
from wavegen.errors import WavegenError
from wavegen.evaluation.figures import outlines, rainbowgrams, rolls, spectrograms
from wavegen.evaluation.figures.outlines import Outline
from wavegen.evaluation.figures.rainbowgrams import Rainbow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 60  # sounds in one figure
PER_ROW = 3  # sounds side by side at most
# Inches. Printed 8.5 cm wide, half a page, letters that are "small" here still have 6 points.
WIDTH = 4.6
DPI = 300
LETTERS = 42  # of a title
LONG_SECONDS = 10.0  # a sound that lasts longer has the figure's whole width
PANEL_LETTERS = 40  # of the titles of panels side by side, in all
ROLL, WAVE, SPECTRUM = 1.4, 0.7, 1.6  # inches of each panel
MINUTES_FROM = 300.0  # seconds; a longer axis counts minutes
_TICKS_MINUTES = (1, 2, 5, 10, 20, 30, 60, 120, 240, 480)


class Shown(NamedTuple):
    """A sound in a figure: how it is called, and how it looks."""

    title: str
    outline: Outline
    rainbow: Rainbow | None = None  # drawn in place of the spectrogram


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


def sheet(height: float, title: str = "") -> Figure:
    """An empty figure of so many inches, as wide as all are."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    made = Figure(figsize=(WIDTH, height), layout="constrained", dpi=DPI)
    FigureCanvasAgg(made)
    if title:
        made.suptitle(shortened(title, LETTERS), parse_math=False)
    return made


def write(path: Path, figure: Figure) -> None:
    """A figure as the file that the path's ending asks for; whole, or not there at all."""
    files.make_room(path)
    beside = path.with_name(path.name + ".partial")
    try:
        _save(figure, beside, path.suffix.lstrip(".").lower() or "png")
        beside.replace(path)
    except OSError as error:
        raise WavegenError(
            f"cannot write {path}: {error.strerror or error}", "a place that can be written to"
        ) from None
    finally:
        beside.unlink(missing_ok=True)


def svg(figure: Figure) -> str:
    """A figure as an `<svg>` element that may stand in a page: its letters are shapes."""
    drawn = io.BytesIO()
    _save(figure, drawn, "svg")
    text = drawn.getvalue().decode("utf-8")
    return text[text.index("<svg") :]


def png(figure: Figure) -> bytes:
    """A figure as the bytes of a PNG."""
    drawn = io.BytesIO()
    _save(figure, drawn, "png")
    return drawn.getvalue()


def shortened(name: str, letters: int) -> str:
    """The name, without its middle where it is longer than so many letters."""
    # Bytes of a file's name that are no letters cannot be drawn.
    name = name.encode("utf-8", "replace").decode()
    if len(name) <= letters:
        return name
    half = (letters - 1) // 2
    return f"{name[:half]}…{name[half + 1 - letters :]}"


def _save(figure: Figure, place: Path | io.BytesIO, format: str) -> None:
    """The same picture is the same bytes: without the time, with names that are no chance."""
    import matplotlib

    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(format)
    with matplotlib.rc_context({"svg.hashsalt": "wavegen"}), warnings.catch_warnings():
        # A letter that the font lacks is drawn as a box.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(place, format=format, metadata=metadata)


def _stacked(shown: Sequence[Shown], title: str, voices: Sequence[rolls.Voice]) -> Figure:
    """All panels below each other on one time axis."""
    heights = [ROLL] * bool(voices) + [WAVE, SPECTRUM] * len(shown)
    made = sheet(0.6 + sum(heights) + 0.25 * len(shown), title)
    panels = list(
        made.subplots(len(heights), sharex=True, height_ratios=heights, squeeze=False).T[0]
    )
    start = min(each.outline.start_seconds for each in shown)
    end = max(each.outline.end_seconds for each in shown)
    _time(panels[-1], start, end)
    lowest_pitch = None
    if voices:
        roll = panels.pop(0)
        rolls.draw(roll, voices, start, end)
        lowest_pitch = roll.get_ylim()[0]
    for number, each in enumerate(shown):
        top, below = panels[2 * number : 2 * number + 2]
        _wave(top, each)
        _spectrum(below, each, lowest_pitch)
        _key([below], [each])
        _name_axes(top, below, each)
    made.align_ylabels()
    return made


def _side_by_side(shown: Sequence[Shown], title: str) -> Figure:
    """A column for each sound, in as many rows as it takes, each with its own time axis."""
    rows = -(-len(shown) // PER_ROW)
    columns = -(-len(shown) // rows)
    made = sheet(2.6 * rows + (0.3 if title else 0), title)
    grid = made.subplots(2 * rows, columns, squeeze=False, height_ratios=(1, 2) * rows)
    for number, each in enumerate(shown):
        row, column = divmod(number, columns)
        top, below = grid[2 * row, column], grid[2 * row + 1, column]
        _wave(top, each, PANEL_LETTERS // columns, lines=2)
        _spectrum(below, each)
        _time(below, each.outline.start_seconds, each.outline.end_seconds)
        top.set_xlim(below.get_xlim())
        if column:
            top.set_yticklabels([])
            below.set_yticklabels([])
        else:
            _name_axes(top, below, each)
    drawn = grid[1::2].flat[: len(shown)]
    highest = max(below.get_ylim()[1] for below in drawn)
    for below in drawn:
        below.set_ylim(top=highest)
    _key(list(grid[1]), shown)
    for unused in grid[-2:, len(shown) - columns * rows :].flat if len(shown) % columns else ():
        unused.remove()
    return made


def _spectrum(axes: Axes, each: Shown, lowest_pitch: float | None = None) -> None:
    """The rainbowgram or the spectrogram; the axis of this is as that of pitch from there on."""
    if each.rainbow:
        rainbowgrams.draw(axes, each.rainbow, lowest_pitch or 0.0)
    elif lowest_pitch is None:
        spectrograms.draw(axes, each.outline)
    else:
        spectrograms.draw(axes, each.outline, 0.44 * 2 ** ((lowest_pitch - 69) / 12))


def _key(panels: Sequence[Axes], shown: Sequence[Shown]) -> None:
    """Says, right of the panels, what their colours mean."""
    from matplotlib import colorbar

    rates = {each.rainbow.frame_rate for each in shown if each.rainbow}
    narrow = {"fraction": 0.1, "pad": 0.02, "aspect": 4 if rates else 12}
    axes, _ = colorbar.make_axes(list(panels), **narrow)
    if rates:
        rainbowgrams.draw_key(axes, rates.pop() if len(rates) == 1 else None)
    else:
        spectrograms.draw_key(axes)


def _name_axes(top: Axes, below: Axes, each: Shown) -> None:
    top.set_ylabel("amplitude")
    below.set_ylabel("note" if each.rainbow else "kHz")


def _wave(axes: Axes, each: Shown, letters: int = PANEL_LETTERS, lines: int = 1) -> None:
    """Every peak is there: the line goes through the lowest and the highest sample of a point."""
    outline = each.outline
    both = np.stack([outline.low, outline.high], axis=1).ravel()
    axes.plot(np.repeat(outline.point_seconds, 2), both, linewidth=0.4, color="0.15")
    axes.set_ylim(-1, 1)
    name = shortened(each.title, lines * letters)
    parts = [name[start : start + letters] for start in range(0, max(1, len(name)), letters)]
    axes.set_title("\n".join(parts), parse_math=False, fontsize="small")


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
