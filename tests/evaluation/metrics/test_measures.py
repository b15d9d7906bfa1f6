"""Numbers or reasons: what JSON gets is never a NaN, and no reason is lost."""

import json
import math

import numpy as np
import pytest

from wavegen.evaluation.metrics import measures, words
from wavegen.evaluation.metrics.measures import NotApplicable

SILENT, SHORT = NotApplicable("it is silent"), NotApplicable("it is short")


def test_means_and_medians_are_of_those_that_are_numbers():
    assert measures.mean([1.0, SILENT, 3.0]) == 2
    assert measures.median([1.0, 9.0, SILENT, 2.0]) == 2
    assert measures.mean(iter([0.5])) == 0.5


@pytest.mark.parametrize("summed", [measures.mean, measures.median])
def test_without_numbers_the_commonest_reason_stands(summed):
    assert summed([SILENT, SHORT, SHORT]) == SHORT
    assert isinstance(summed([]), NotApplicable)


def test_rows_are_meant_metric_by_metric():
    rows = [{"mse": 1.0, "snr_db": SILENT}, {"mse": 3.0, "snr_db": 10.0}]
    assert measures.means(rows) == {"mse": 2.0, "snr_db": 10.0}
    assert measures.means([]) == {}


def test_json_has_null_and_the_reason_under_its_path():
    facts = {
        "model": {"snr_db": SILENT, "mse": np.float32(0.5), "num": np.int64(3)},
        "clips": [{"pitch_cents": SHORT}, {"pitch_cents": -2.0, "name": "a"}],
        "bins": np.array([0.25, math.nan]),
        "bad": math.inf,
        "none": None,
    }
    told = measures.told(facts)
    assert json.loads(json.dumps(told, allow_nan=False)) == {
        "model": {"snr_db": None, "mse": 0.5, "num": 3},
        "clips": [{"pitch_cents": None}, {"pitch_cents": -2.0, "name": "a"}],
        "bins": [0.25, None],
        "bad": None,
        "none": None,
        "not_applicable": {
            "model.snr_db": "it is silent",
            "clips[0].pitch_cents": "it is short",
            "bins[1]": "it came out as nan",
            "bad": "it came out as inf",
        },
    }


def test_a_number_that_is_none_has_a_reason():
    assert measures.finite(np.float64(2), "it is silent") == 2
    assert measures.finite(math.nan, "it is silent") == SILENT


@pytest.mark.parametrize("name", words.METRICS)
def test_every_metric_says_what_it_is(name):
    word = words.METRICS[name]
    assert word.title
    assert word.says.endswith(".")
    assert word.better in ("lower", "higher", "")
