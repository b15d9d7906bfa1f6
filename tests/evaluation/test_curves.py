"""The figure of the loss: drawn from what metrics.jsonl holds, whatever that is."""

import json

import numpy as np
import pytest
from matplotlib import image

from wavegen.evaluation import curves, plots


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
