"""How trainings went, as a picture: bits per sample over their steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from wavegen.errors import WavegenError
from wavegen.evaluation.figures import plots, rolls
from wavegen.training import journal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRAINING, VALIDATION = "#0072b2", "#d55e00"  # of a single run; Okabe and Ito's, see histograms
MARKS = "os^Dv<>PX*hpd8"  # of several runs, one each, for print without colours
LINES = ("-", "--", "-.", ":")
MOST = len(MARKS)  # runs in one figure
SMOOTHED = 0.04  # of the log lines lie in the window that a point of the smooth line is a mean of
MARGIN = 0.15  # of the height, above and below the curves
SETTLED = 0.02  # share of the steps that the axis need not show: what a beginning costs
LONGEST_NAME = 26  # letters of a run in the legend
HEIGHT, LINE = 3.1, 0.19  # inches: of the figure, and of each line of the legend below it

Curve = tuple[np.ndarray, np.ndarray]  # [N] steps, [N] bits per sample


class Course(NamedTuple):
    """What a run wrote down: its curves, in order of their steps."""

    name: str
    training: Curve
    validation: Curve


def draw(path: Path, run: Path, title: str = "") -> bool:
    """Writes the figure of a run from its metrics.jsonl; False where that has nothing to show.

    Without a title it has the run's name.
    """
    course = _course(run.absolute().name, run)
    if course is None:
        return False
    plots.write(path, _alone(course, title))
    return True


def of_runs(
    runs: Sequence[tuple[str, Path]],  # names, distinct, and folders
    title: str = "",
) -> Figure:
    """The figure of one run, or of several in one pair of axes; not written.

    Raises WavegenError where a run has written down no step, or nothing that can be read.
    """
    if not 0 < len(runs) <= MOST:
        raise WavegenError(f"{len(runs)} runs in one figure", f"1 to {MOST}")
    courses = []
    for name, run in runs:
        if not (run / "metrics.jsonl").is_file():
            raise WavegenError(f"{run} holds no metrics.jsonl", "a folder made by `wavegen train`")
        course = _course(name, run)
        if course is None:
            raise WavegenError(
                f"{run / 'metrics.jsonl'} tells of no step",
                "a run that has begun",
                "train it further",
            )
        courses.append(course)
    return _alone(courses[0], title) if len(courses) == 1 else _together(courses, title)


def names(runs: Sequence[Path]) -> list[str]:
    """What the runs are called: their folders' names, with those above them where they are alike.

    The same folder given twice keeps the same name twice.
    """
    parts = [run.absolute().parts for run in runs]
    lengths = [1] * len(runs)
    while True:
        found = ["/".join(part[-length:]) for part, length in zip(parts, lengths, strict=True)]
        alike = [
            index
            for index, name in enumerate(found)
            if lengths[index] < len(parts[index])
            and any(n == name and p != parts[index] for n, p in zip(found, parts, strict=True))
        ]
        if not alike:
            return found
        for index in alike:
            lengths[index] += 1


def smooth(values: np.ndarray, width: int) -> np.ndarray:  # [N] to [N]
    """The mean of up to `width` values around each; at the ends of what is there.

    Never of more after a value than before it: a loss falls fast at first.
    """
    total = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    here = np.arange(len(values))
    before = np.minimum(width // 2, here)
    after = np.minimum(before, len(values) - 1 - here)
    return (total[here + after + 1] - total[here - before]) / (before + 1 + after)


def _course(name: str, run: Path) -> Course | None:
    """What the run wrote down; None where that is no step."""
    try:
        entries = journal.read(run / "metrics.jsonl")
    except UnicodeDecodeError:
        raise WavegenError(
            f"{run / 'metrics.jsonl'} is damaged: it is no text", "the file that training wrote"
        ) from None
    training = _curve(entries, "bits_per_sample")
    validation = _curve(entries, "validation_bits_per_sample")
    if not len(training[0]) + len(validation[0]):
        return None
    return Course(name, training, validation)


def _curve(entries: list[dict], name: str) -> Curve:
    """Of a step that was gone through again, the last time counts."""
    points = {e["step"]: e[name] for e in entries if isinstance(e.get(name), int | float)}
    finite = sorted(point for point in points.items() if math.isfinite(point[1]))
    known = np.array(finite, np.float64).reshape(-1, 2)
    return known[:, 0], known[:, 1]


def _alone(course: Course, title: str) -> Figure:
    """Single steps are faint, their running mean is plain, validations are marked."""
    figure, axes = _axes([course], title or course.name, HEIGHT)
    steps, bits = course.training
    if len(steps):
        axes.plot(steps, bits, color=TRAINING, alpha=0.3, linewidth=0.8)
        axes.plot(steps, _smoothed(bits), color=TRAINING, linewidth=1.6, label="training")
    if len(course.validation[0]):
        label = "validation, " + _best(course)
        _draw_validation(axes, course, VALIDATION, "o", "--", label)
    axes.legend(loc="upper right", frameon=False, fontsize="small")
    return figure


def _together(courses: Sequence[Course], title: str) -> Figure:
    """A colour, a mark and a kind of line for each run; training is faint."""
    figure, axes = _axes(courses, title, HEIGHT + LINE * (len(courses) + 1))
    for number, course in enumerate(courses):
        colour = rolls.COLOURS[number % len(rolls.COLOURS)]
        line = LINES[number % len(LINES)]
        steps, bits = course.training
        has_validation = bool(len(course.validation[0]))
        name = plots.shortened(course.name, LONGEST_NAME)
        if len(steps):
            axes.plot(
                steps, _smoothed(bits), line, color=colour,
                alpha=0.45 if has_validation else 1.0, linewidth=0.9,
                label=None if has_validation else f"{name}: training alone",
            )  # fmt: skip
        if has_validation:
            label = f"{name}: {_best(course)}"
            _draw_validation(axes, course, colour, MARKS[number], line, label)
    legend = figure.legend(
        loc="outside lower left", frameon=False, fontsize="small", handlelength=3.2, ncols=1,
        title="with marks: validation; thin: training, smoothed", title_fontsize="small",
        alignment="left",
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)
    return figure


def _axes(courses: Sequence[Course], title: str, height: float) -> tuple[Figure, Axes]:
    figure = plots.sheet(height)
    axes = figure.subplots()
    axes.set(xlabel="step", ylabel="bits per sample")
    if title:
        axes.set_title(plots.shortened(title, plots.LETTERS), parse_math=False)
    every = [steps for course in courses for steps in (course.training[0], course.validation[0])]
    axes.set_xlim(0, max(1.0, *np.concatenate(every)))
    axes.set_ylim(*_limits(courses))
    axes.grid(alpha=0.25)
    axes.locator_params(axis="x", integer=True, nbins=6)
    return figure, axes


def _draw_validation(
    axes: Axes,
    course: Course,
    colour: str,
    mark: str,
    line: str,
    label: str,
) -> None:
    """The curve, a mark at each validation as long as they stand apart, a ring at the best."""
    steps, bits = course.validation
    apart = max(1, len(steps) // 20)
    axes.plot(
        steps, bits, line, color=colour, linewidth=1.6, label=label,
        marker=mark, markersize=4.5, markevery=apart,
    )  # fmt: skip
    best = int(np.argmin(bits))
    ring = {"markersize": 9, "fillstyle": "none", "clip_on": False}
    axes.plot(steps[best], bits[best], "o", color=colour, **ring)


def _best(course: Course) -> str:
    steps, bits = course.validation
    best = int(np.argmin(bits))
    return f"best {bits[best]:.3f} at step {steps[best]:.0f}"


def _smoothed(bits: np.ndarray) -> np.ndarray:
    return smooth(bits, max(5, round(SMOOTHED * len(bits))))


def _limits(courses: Sequence[Course]) -> tuple[float, float]:
    """Around the curves as they are after the very beginning; single steps may reach beyond."""
    shown = []
    for _, (steps, bits), (_, validation) in courses:
        settled = steps >= SETTLED * max(steps, default=0)
        shown += [_smoothed(bits)[settled], validation]
    low, high = float(np.concatenate(shown).min()), float(np.concatenate(shown).max())
    margin = MARGIN * max(high - low, 0.1)
    return low - margin, high + margin
