"""A piano roll: every note is a bar from its onset to its end, at its pitch."""

import io
from typing import cast

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from wavegen.evaluation.figures import rolls
from wavegen.evaluation.figures.rolls import Voice
from wavegen.music.score import Note


def melody(count, seed=0, low=40, high=80):
    draw = np.random.default_rng(seed)
    return [
        Note(
            float(draw.uniform(0, 60)),
            float(draw.uniform(0.01, 3)),
            int(draw.integers(low, high + 1)),
            int(draw.integers(1, 128)),
        )
        for _ in range(count)
    ]


def drawn(voices, start=0.0, end=60.0):
    axes = Figure().subplots()
    rolls.draw(axes, voices, start, end)
    return axes


def bars(collection):
    """(left, right, middle, height) of each bar."""
    boxes = [path.get_extents() for path in collection.get_paths()]
    return [(b.x0, b.x1, (b.y0 + b.y1) / 2, b.height) for b in boxes]


def names(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def patches(axes):
    return axes.get_legend().get_patches()


def words(axes):
    return axes.get_legend().get_title().get_text()


def test_bars_lie_where_the_notes_are():
    notes = melody(300)
    (collection,) = drawn([Voice("piano", notes)]).collections
    found = bars(collection)
    expected = [(n.onset_seconds, n.end_seconds, n.pitch, rolls.BAR) for n in notes]
    np.testing.assert_allclose(found, expected, atol=1e-9)  # sums of numbers below 100 in float64


def test_the_harder_a_key_is_struck_the_darker_its_bar():
    notes = [Note(k, 1.0, 60, velocity) for k, velocity in enumerate((1, 40, 90, 127))]
    (collection,) = drawn([Voice("", notes)]).collections
    shades = np.asarray(collection.get_facecolor())[:, :3]
    assert np.all(np.diff(shades.sum(axis=1)) < 0)
    np.testing.assert_allclose(shades[-1], to_rgb(rolls.COLOURS[0]))
    assert shades[0].mean() < 0.95  # it can still be seen on white


def test_notes_that_do_not_sound_in_the_stretch_are_left_out_and_not_counted():
    inside = [Note(8.0, 3.0, 60, 90), Note(12.0, 1.0, 62, 90), Note(14.9, 5.0, 64, 90)]
    outside = [Note(0.0, 10.0, 30, 90), Note(15.0, 1.0, 100, 90)]
    axes = drawn([Voice("", [*outside, *inside]), Voice("late", outside)], 10.0, 15.0)
    (collection,) = axes.collections
    assert [pitch for _, _, pitch, _ in bars(collection)] == [60, 62, 64]
    assert words(axes).startswith("3 notes")
    assert axes.get_ylim()[0] > 50
    assert axes.get_ylim()[1] < 75


@pytest.mark.parametrize("pitches", [(60,), (61, 63), (0, 127), (0,), (127,), (36, 47), (25, 35)])
def test_all_that_is_played_lies_inside_and_a_named_c_is_shown(pitches):
    axes = drawn([Voice("", [Note(1.0, 1.0, pitch, 90) for pitch in pitches])])
    low, high = axes.get_ylim()
    assert low < min(pitches) - 0.5
    assert high > max(pitches) + 0.5
    assert high - low < max(12, max(pitches) - min(pitches)) + 4
    told = [label.get_text() for label in axes.get_yticklabels()]
    labels = dict(zip(told, axes.get_yticks(), strict=True))
    assert labels
    assert all(low < y < high for y in labels.values())
    assert {f"C{y // 12 - 1}": y for y in labels.values()} == labels
    assert labels.get("C4", 60) == 60


def test_voices_have_colours_and_names_of_their_own():
    voices = [Voice("flute", melody(5)), Voice("silent", []), Voice("cello", melody(50, 1))]
    axes = drawn(voices)
    flute, cello = [c for c in axes.collections if len(c.get_paths()) > 1]
    assert len(flute.get_paths()) == 5
    assert len(cello.get_paths()) == 50
    assert names(axes) == ["flute", "cello"]
    colours = [patch.get_facecolor()[:3] for patch in patches(axes)]
    assert colours == [to_rgb(colour) for colour in rolls.COLOURS[:2]]


def test_one_voice_needs_no_legend():
    assert names(drawn([Voice("piano", melody(5))])) == []


def test_the_smallest_of_many_voices_share_one_colour_and_no_note_is_lost():
    sizes = [30, 2, 20, 3, 40, 50, 60, 70, 80, 1]
    voices = [Voice(f"v{size}", melody(size, size)) for size in sizes]
    axes = drawn(voices)
    assert names(axes) == ["v30", "v20", "v40", "v50", "v60", "v70", "v80", "3 others"]
    assert sum(len(c.get_paths()) for c in axes.collections if c.get_paths()) == sum(sizes)


def test_any_name_is_drawn_as_it_is_but_a_long_one_is_cut():
    odd = ["x" * 200, "$\\nothing$", "_hidden", ""]
    axes = drawn([Voice(name, melody(3)) for name in odd])
    cast(Figure, axes.figure).savefig(io.BytesIO())  # which would stumble over a formula
    long, *others = names(axes)
    assert long == "x" * (rolls.LONGEST_NAME - 1) + "…"
    assert others == odd[1:]


def test_a_stretch_without_notes_is_drawn_empty():
    axes = drawn([Voice("", melody(5))], 100.0, 110.0)
    assert words(axes).startswith("0 notes")
    assert not axes.collections
    assert axes.get_ylim()[0] < 60 < axes.get_ylim()[1]
