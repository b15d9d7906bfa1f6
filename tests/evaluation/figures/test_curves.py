"""The figure of the loss: drawn from what metrics.jsonl holds, whatever that is."""

import json

import numpy as np
import pytest
from matplotlib import image

from wavegen.errors import WavegenError
from wavegen.evaluation.figures import curves, plots


def write(run, entries):
    lines = [json.dumps(entry) + "\n" for entry in entries]
    (run / "metrics.jsonl").write_text("".join(lines) + '{"step": 9, "bits_per')


def test_a_run_is_drawn_with_its_validations(tmp_path):
    training = [{"step": k, "bits_per_sample": 3 + 5 / k} for k in range(10, 2000, 10)]
    validation = [{"step": k, "validation_bits_per_sample": 3 + 4 / k} for k in (500, 1000)]
    write(tmp_path, training)
    assert curves.draw(tmp_path / "plots" / "loss.png", tmp_path)
    alone = image.imread(tmp_path / "plots" / "loss.png")
    write(tmp_path, [*training, *validation])
    assert curves.draw(tmp_path / "plots" / "loss.png", tmp_path)
    both = image.imread(tmp_path / "plots" / "loss.png")
    assert alone.shape == both.shape
    assert not np.array_equal(alone, both)


@pytest.mark.parametrize(
    "entries",
    [
        [{"step": 4, "bits_per_sample": 8.0}],
        [{"step": 4, "bits_per_sample": 8.0}, {"step": 8, "bits_per_sample": None}],
        [{"step": 4, "bits_per_sample": None}, {"step": 4, "validation_bits_per_sample": 7.0}],
        [{"step": 4, "bits_per_sample": "many"}, {"step": 8, "bits_per_sample": 8}],
    ],
)
def test_a_run_that_has_just_begun_is_drawn(tmp_path, entries):
    write(tmp_path, entries)
    assert curves.draw(tmp_path / "loss.png", tmp_path)
    assert image.imread(tmp_path / "loss.png").std() > 0


def test_its_title_is_the_runs_name_or_what_is_asked_for(tmp_path, monkeypatch):
    titles = []
    monkeypatch.setattr(plots, "write", lambda _, figure: titles.append(figure.axes[0].get_title()))
    write(tmp_path, [{"step": 4, "bits_per_sample": 8.0}])
    curves.draw(tmp_path / "loss.png", tmp_path)
    curves.draw(tmp_path / "loss.png", tmp_path, "$mine$")
    assert titles == [tmp_path.name, "$mine$"]


def test_nothing_is_drawn_of_nothing(tmp_path):
    assert not curves.draw(tmp_path / "loss.png", tmp_path)
    write(tmp_path, [{"step": 4, "bits_per_sample": None}])
    assert not curves.draw(tmp_path / "loss.png", tmp_path)
    assert not (tmp_path / "loss.png").exists()


def test_a_running_mean_keeps_straight_lines_and_hears_no_more_after_than_before():
    straight = np.arange(20.0)
    # Sums of some whole numbers, exact in float64.
    np.testing.assert_array_equal(curves.smooth(straight, 7)[:17], straight[:17])
    step = np.repeat([8.0, 3.0], 10)
    smooth = curves.smooth(step, 5)
    assert smooth[0] == 8.0
    assert smooth[-1] == 3.0
    assert np.all(np.diff(smooth) <= 0)


@pytest.fixture
def runs(tmp_path):
    """Three runs: with validations, resumed and with them, and without."""
    training = [{"step": k, "bits_per_sample": 3 + 5 / k} for k in range(10, 200, 10)]
    validation = [{"step": k, "validation_bits_per_sample": 3 + 4 / k} for k in (50, 150, 100)]
    again = {"step": 100, "bits_per_sample": 7.0}
    paths = [tmp_path / "a" / "notes", tmp_path / "b" / "notes", tmp_path / "c"]
    lines = [[*training, *validation], [again, *training, *validation], training]
    for path, entries in zip(paths, lines, strict=True):
        path.mkdir(parents=True)
        write(path, entries)
    return paths


def test_runs_share_their_axes_each_in_its_colour_with_validation_marked(runs):
    named = list(zip(curves.names(runs), runs, strict=True))
    figure = curves.of_runs(named, "$mine$")
    (axes,) = figure.axes
    assert axes.get_title() == "$mine$"
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    best = "best 3.027 at step 150"  # 3 + 4 / 150
    assert labels == [f"a/notes: {best}", f"b/notes: {best}", "c: training alone"]
    shown = [line for line in axes.lines if not str(line.get_label()).startswith("_")]
    assert len({line.get_color() for line in shown}) == 3
    np.testing.assert_array_equal(shown[0].get_xdata(), [50, 100, 150])  # in order
    training = [line for line in axes.lines if line.get_marker() == "None"]
    # A step that was gone through again counts as it was the last time.
    np.testing.assert_array_equal(training[0].get_ydata(), training[1].get_ydata())
    assert training[0].get_linewidth() < shown[0].get_linewidth()


def test_names_are_as_short_as_keeps_them_apart(tmp_path):
    paths = [tmp_path / name for name in ("a/x/run", "b/x/run", "c", "a/y")]
    assert curves.names(paths) == ["a/x/run", "b/x/run", "c", "y"]
    assert curves.names([tmp_path, tmp_path]) == [tmp_path.name] * 2


def test_a_run_that_tells_nothing_is_named_among_several(runs, tmp_path):
    write(runs[1], [{"step": 4, "bits_per_sample": None}])
    with pytest.raises(WavegenError, match=r"b/notes/metrics\.jsonl tells of no step"):
        curves.of_runs([(path.name, path) for path in runs])
    with pytest.raises(WavegenError, match="holds no metrics"):
        curves.of_runs([("none", tmp_path)])
    with pytest.raises(WavegenError, match=f"1 to {curves.MOST}"):
        curves.of_runs([("c", runs[2])] * (curves.MOST + 1))
