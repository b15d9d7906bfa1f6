"""Neighbours: distances by hand, planted copies found, and what only resembles let pass."""

import numpy as np
import pytest
from scipy import signal

from wavegen.evaluation.metrics import neighbours
from wavegen.evaluation.metrics.measures import NotApplicable

RATE = 8000


def note(seed, hertz=220.0, num_samples=4000):
    """A dying note whose partials stand in phases and levels of their own, and its hiss."""
    rng = np.random.default_rng(seed)
    time = np.arange(num_samples) / RATE
    partials = [
        rng.uniform(0.2, 1) * np.sin(2 * np.pi * k * hertz * time + rng.uniform(0, 2 * np.pi))
        for k in range(1, 9)
    ]
    return (0.1 * np.sum(partials, axis=0) + rng.normal(0, 0.002, num_samples)) * np.exp(-4 * time)


def test_distances_are_euclidean_over_the_root_of_the_number_of_features():
    known = np.array([[0.0, 0.0], [3.0, 4.0], [30.0, 40.0]])
    places, distances = neighbours.nearest(np.array([[3.0, 4.0], [0.0, 1.0]]), known)
    assert places.tolist() == [[1, 0, 2], [0, 1, 2]]
    exact = np.array([[0, 5, 45], [1, np.sqrt(18), np.hypot(30, 39)]]) / np.sqrt(2)
    np.testing.assert_allclose(distances, exact, rtol=1e-12)


def test_variety_is_the_distance_from_the_nearest_other():
    assert neighbours.within(np.array([[0.0], [1.0], [1.5], [9.0]])) == pytest.approx(0.75)
    assert neighbours.within(np.ones((5, 3))) == 0
    assert isinstance(neighbours.within(np.ones((1, 3))), NotApplicable)


@pytest.mark.parametrize(
    "changed",
    [
        lambda x: 0.1 * x,
        lambda x: -x,
        lambda x: x + 0.05,
        lambda x: np.concatenate([np.zeros(100), x])[: len(x)],  # 12.5 ms later
        lambda x: x[100:],
        lambda x: x[: len(x) // 2],
        lambda x: x + np.random.default_rng(9).normal(0, 0.1 * x.std(), len(x)),
    ],
    ids=["quieter", "inverted", "shifted", "later", "begun later", "cut", "hissing"],
)
def test_a_changed_copy_correlates(changed):
    original = note(0)
    assert neighbours.correlation(changed(original), original) > neighbours.COPIED
    assert neighbours.correlation(original, changed(original)) > neighbours.COPIED


def test_a_fresh_note_of_the_same_pitch_does_not_correlate():
    alike = [neighbours.correlation(note(seed), note(0)) for seed in range(1, 6)]
    assert max(alike) < neighbours.COPIED


def test_a_steady_tone_correlates_with_any_other_of_its_pitch():
    time = np.arange(4000) / RATE
    tones = (np.sin(2 * np.pi * 220 * time + phase) for phase in (0, 2))
    assert neighbours.correlation(*tones) > 0.99  # which is why real notes stand beside


def test_the_correlation_at_the_best_lag_is_that_of_the_overlap():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=50), rng.normal(size=80)
    x, y = x - x.mean(), y - y.mean()
    found = []
    for start in range(-25, 80 - 25 + 1):  # where at least half of x lies in y
        here = x[max(0, -start) : max(0, 80 - start)]
        there = y[max(0, start) :][: len(here)]
        if here @ here >= x @ x / 2:
            found.append(abs(here @ there) / np.sqrt((here @ here) * (there @ there)))
    # The transform rounds in float64.
    assert neighbours.correlation(x, y) == pytest.approx(max(found), rel=1e-9)


def test_two_tails_alone_are_no_copy():
    end = note(5, num_samples=3000)
    first = np.concatenate([signal.lfilter([1], [1, -0.9], note(1)), 0.2 * end])
    other = np.concatenate([note(2, 330), 0.2 * end])
    assert neighbours.correlation(first, other) < neighbours.COPIED


def test_silence_and_nothing_correlate_with_nothing():
    for still in (np.zeros(100), np.full(100, 0.3), np.zeros(0), np.zeros(1)):
        assert neighbours.correlation(still, note(0)) == 0
        assert neighbours.correlation(note(0), still) == 0
    assert neighbours.correlation(np.eye(1, 4000)[0], note(0)) < neighbours.COPIED


def test_copies_are_the_share_that_has_an_original():
    known = [note(seed) for seed in range(3)]
    assert neighbours.copies([note(7), 0.5 * note(1)], [known, known]) == 0.5
    assert neighbours.copies([note(7), 0.5 * note(1)], [known, known[:1]]) == 0
    assert isinstance(neighbours.copies([], []), NotApplicable)
