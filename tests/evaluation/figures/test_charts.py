"""Figures of an evaluation: what is measured is drawn where it belongs, what is not is left out."""

from typing import Any

import numpy as np
import pytest
from matplotlib.colors import same_color

from wavegen.evaluation.figures import charts, plots


def panel(figure) -> Any:
    """The one panel of a figure."""
    assert figure
    (axes,) = figure.axes
    return axes


def labels(axes):
    return [label.get_text() for label in axes.get_yticklabels()]


def dots(axes):
    """Places of the markers of a panel, [N, 2]."""
    return np.concatenate([line.get_xydata() for line in axes.lines if line.get_marker() == "o"])


def test_labels_stand_in_order_of_their_bits_each_with_its_interval():
    values = {
        "flute": {"bits_per_sample": 2.5, "bits_per_sample_low": 2.1, "bits_per_sample_high": 3.0},
        "organ": {"bits_per_sample": None},
        "bass": {"bits_per_sample": 1.5, "bits_per_sample_low": None},
    }
    axes = panel(charts.bits_by_label(values, 2.0))
    assert labels(axes) == ["bass", "flute"]
    assert axes.yaxis_inverted()  # the cheapest on top
    np.testing.assert_array_equal(dots(axes), [[1.5, 0], [2.5, 1]])
    (lines,) = axes.collections
    ends = [segment[:, 0].tolist() for segment in lines.get_segments()]
    assert ends == [[1.5, 1.5], [2.1, 3.0]]


def test_of_very_many_values_both_ends_are_drawn_and_it_says_so():
    values = {f"v{i}": {"bits_per_sample": i / 100} for i in range(3 * charts.MOST)}
    axes = panel(charts.bits_by_label(values, None))
    assert len(dots(axes)) == charts.MOST
    assert {"v0", f"v{3 * charts.MOST - 1}"} <= set(labels(axes))
    assert str(2 * charts.MOST) in axes.get_xlabel()


def test_names_are_drawn_as_they_are():
    names = ["$\\frac$", "b\udcffyte", "x" * 200]
    axes = panel(charts.bits_by_label({name: {"bits_per_sample": 1.0} for name in names}, None))
    assert plots.png(axes.figure)
    assert max(map(len, labels(axes))) <= charts.LETTERS + 1


def test_reliability_leaves_empty_bins_out():
    bins = {"confidence": [0.1, None, 0.9], "accuracy": [0.2, None, 0.8], "share": [0.4, 0.0, 0.6]}
    axes = panel(charts.reliability(bins))
    np.testing.assert_allclose(dots(axes), [[10, 20], [90, 80]])


def test_a_flat_pit_is_a_density_of_one():
    axes = panel(charts.pit([0.05] * 20))
    assert [bar.get_height() for bar in axes.patches] == pytest.approx([1.0] * 20)


def test_the_model_differs_from_what_is_trivial_in_hatch_as_well_as_in_colour():
    axes = panel(charts.bars([("order 0", 5.0), ("mine", 2.0)], "mine"))
    other, mine = axes.patches
    assert (other.get_hatch(), mine.get_hatch()) == ("///", None)
    assert same_color(mine.get_facecolor(), charts.MODEL)
    assert (other.get_width(), mine.get_width()) == (5.0, 2.0)


def test_of_nothing_there_is_no_figure():
    assert charts.bits_by_label({"a": {"bits_per_sample": None}}, None) is None
    assert charts.reliability({"confidence": [], "accuracy": [], "share": []}) is None
    assert charts.pit([]) is None
    assert charts.pit([0.0, None]) is None
