"""Every figure can be read where it is printed half a page wide, in colours or in grey."""

import itertools
import json

import numpy as np
import pytest
from matplotlib.text import Text

from wavegen import config as configs
from wavegen.evaluation.figures import curves, dilations, outlines, plots, rainbowgrams
from wavegen.evaluation.figures.rolls import Voice
from wavegen.music.score import Note

HALF_PAGE = 8.5 / 2.54  # inches
RATE = 8000


def texts(figure):
    """All that is written in it, ticks beyond the axes left out."""
    figure.draw_without_rendering()
    unseen = set()
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        low, high = sorted(axis.get_view_interval())
        for tick in axis.get_major_ticks():
            if not low <= tick.get_loc() <= high:
                unseen |= {tick.label1, tick.label2}
    found = figure.findobj(Text)
    return [t for t in found if t.get_visible() and t.get_text().strip() and t not in unseen]


def sounds(count, seconds, rainbow=False, voices=()):
    samples = np.sin(np.arange(seconds * RATE) / 3)
    outline = outlines.trace([samples], RATE, len(samples))
    seen = rainbowgrams.trace([samples], RATE, len(samples)) if rainbow else None
    name = "keyboard_acoustic_002-{}-127.wav"
    return plots.figure(
        [plots.Shown(name.format(k), outline, seen) for k in range(21, 21 + count)],
        "a title of some length, but no more",
        voices,
    )


def runs(folder, count):
    named = []
    for number in range(count):
        run = folder / f"piano_r64_s256_dropout_no_{number}"
        run.mkdir()
        lines = [{"step": k, "bits_per_sample": 3 + number / k} for k in range(1, 40)]
        lines += [{"step": k, "validation_bits_per_sample": 2 + number / k} for k in (20, 40)]
        (run / "metrics.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
        named.append((run.name, run))
    return curves.of_runs(named)


FIGURES = {
    "one sound": lambda _: sounds(1, 4),
    "rainbowgram": lambda _: sounds(1, 4, rainbow=True),
    "side by side": lambda _: sounds(5, 4),
    "rainbowgrams side by side": lambda _: sounds(5, 4, rainbow=True),
    "long ones": lambda _: sounds(2, 11),
    "score": lambda _: sounds(1, 4, voices=[Voice("piano", [Note(0.0, 1.0, 60, 90)])]),
    "run": lambda folder: runs(folder, 1),
    "runs": lambda folder: runs(folder, curves.MOST),
    "tiny": lambda _: dilations.figure(configs.load("tiny"), "tiny"),
    "music": lambda _: dilations.figure(configs.load("music"), "music"),
    "hundred layers": lambda _: dilations.figure(
        configs.load("tiny", ["model.layers_per_cycle=10", "model.dilation_cycles=10"]), "100"
    ),
}


@pytest.mark.parametrize("kind", FIGURES)
def test_letters_have_6_points_on_half_a_page_and_stand_apart(tmp_path, kind):
    figure = FIGURES[kind](tmp_path)
    found = texts(figure)
    assert len(found) > 5
    scale = HALF_PAGE / figure.get_figwidth()
    assert min(text.get_fontsize() for text in found) * scale >= 6
    boxes = [text.get_window_extent() for text in found]
    for text, box in zip(found, boxes, strict=True):
        within = figure.bbox.padded(2)  # pixels, less than the edge of a letter
        assert within.containsx(box.x0), text
        assert within.containsx(box.x1), text
        touched = [t.get_text() for t, b in zip(found, boxes, strict=True) if b.overlaps(box)]
        assert touched == [text.get_text()]


def test_several_runs_differ_by_mark_and_line_where_print_has_no_colours(tmp_path):
    figure = runs(tmp_path, curves.MOST)
    lines = [line for line in figure.axes[0].lines if not str(line.get_label()).startswith("_")]
    assert len({str(line.get_marker()) for line in lines}) == len(lines) == curves.MOST
    beside = itertools.pairwise(line.get_linestyle() for line in lines)
    assert all(one != other for one, other in beside)
