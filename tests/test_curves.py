"""Numbers over time, from words to values."""

import numpy as np
import pytest

from wavegen import curves
from wavegen.curves import Curve
from wavegen.errors import WavegenError


def test_a_curve_goes_straight_between_its_points_and_stays_beyond_them():
    curve = Curve((1.0, 3.0), (0.5, 1.5))
    np.testing.assert_array_equal(curve.at(np.array([0, 1, 2, 3, 9])), [0.5, 0.5, 1.0, 1.5, 1.5])
    np.testing.assert_array_equal(curve.later(2.0).at(np.array([3, 4])), [0.5, 1.0])


def test_words_become_numbers_and_curves_and_words_again():
    assert curves.parse("0.9", "--temperature") == 0.9
    found = curves.parse("0:0.8,4:1.1", "--temperature")
    assert found == Curve((0.0, 4.0), (0.8, 1.1))
    assert str(found) == "0:0.8,4:1.1"
    for curve in (found, Curve((1 / 3, 1e6 / 7), (0.1 + 0.2, 1e-9))):
        assert curves.parse(str(curve), "again") == curve
    np.testing.assert_array_equal(curves.at(0.9, np.zeros(2)), [0.9, 0.9])
    np.testing.assert_array_equal(curves.at(found, np.array([0.0, 4.0])), [0.8, 1.1])
    assert curves.extremes(found) == (0.8, 1.1)
    assert curves.extremes(0.9) == (0.9, 0.9)


@pytest.mark.parametrize(
    "text", ["", "warm", "0:1,", "0:1,2", "1:0,0:1", "1:0,1:1", "0:nan", "inf:1"]
)
def test_words_that_are_no_curve_are_refused(text):
    with pytest.raises(WavegenError, match=r"^--top-p "):
        curves.parse(text, "--top-p")


def test_a_curve_without_points_is_none():
    for seconds, values in (((), ()), ((1.0,), ())):
        with pytest.raises(WavegenError, match="at least one point"):
            Curve(seconds, values)
