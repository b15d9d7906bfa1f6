"""The Fréchet distance: by another formula, of known Gaussians, of singular covariances."""

import numpy as np
import pytest
from scipy import linalg

from wavegen.evaluation.metrics import frechet
from wavegen.evaluation.metrics.measures import NotApplicable


@pytest.fixture(scope="module")
def sets():
    """Two sets of correlated frames."""
    rng = np.random.default_rng(0)
    mixed = rng.normal(size=(6, 6)), rng.normal(size=(6, 6))
    return rng.normal(size=(300, 6)) @ mixed[0], 1 + rng.normal(size=(200, 6)) @ mixed[1]


def by_roots(real, generated):
    """The formula as it is written, by a root of the product of the covariances."""
    S, S2 = np.cov(real, rowvar=False), np.cov(generated, rowvar=False)
    apart = np.square(real.mean(axis=0) - generated.mean(axis=0)).sum()
    return apart + np.trace(S + S2 - 2 * linalg.sqrtm(S @ S2)).real


def shaped(means, deviations):
    """Frames whose mean and covariance (over N - 1) are exactly these, the latter diagonal."""
    D = len(means)
    frames = np.concatenate([np.eye(D), -np.eye(D)]) * np.sqrt((2 * D - 1) / 2)
    return means + frames * deviations


def test_it_is_what_a_matrix_root_gives(sets):
    assert frechet.distance(*sets) == pytest.approx(by_roots(*sets), rel=1e-5)


def test_diagonal_gaussians_are_as_far_apart_as_their_means_and_deviations():
    a, b = np.array([0.0, 1.0, 2.0]), np.array([3.0, 1.0, 0.0])
    s, t = np.array([1.0, 2.0, 0.0]), np.array([4.0, 0.5, 1.0])
    exact = np.square(a - b).sum() + np.square(s - t).sum()
    assert frechet.distance(shaped(a, s), shaped(b, t)) == pytest.approx(exact, rel=1e-12)


def test_a_set_is_at_no_distance_from_itself_in_another_order(sets):
    real, _ = sets
    total = np.cov(real, rowvar=False).trace()
    assert frechet.distance(real, real[::-1]) <= 1e-13 * total  # a few roundings of the traces


def test_the_distance_is_the_same_both_ways_and_wherever_both_sets_lie(sets):
    real, generated = sets
    there = frechet.distance(real, generated)
    assert frechet.distance(generated, real) == pytest.approx(there, rel=1e-12)
    turn = linalg.qr(np.random.default_rng(1).normal(size=(6, 6)))[0]
    moved = frechet.distance(real @ turn + 5, generated @ turn + 5)
    assert moved == pytest.approx(there, rel=1e-12)


def test_fewer_frames_than_features_and_constant_ones_have_a_distance():
    rng = np.random.default_rng(2)
    few = rng.normal(size=(3, 64))
    flat = np.full((5, 64), 2.0)
    spread = np.cov(few, rowvar=False).trace()
    exact = np.square(few.mean(axis=0) - 2).sum() + spread  # the other covariance is nothing
    assert frechet.distance(few, flat) == pytest.approx(exact, rel=1e-12)
    assert frechet.distance(few, few) <= 1e-13 * spread
    assert frechet.distance(flat, flat) == 0


def test_frames_of_one_distribution_are_nearer_than_frames_of_two(sets):
    real, generated = sets
    near, far = frechet.distance(real[::2], real[1::2]), frechet.distance(real, generated)
    assert isinstance(near, float)
    assert isinstance(far, float)
    assert near < 0.1 * far


def test_one_frame_has_no_spread_and_a_broken_one_no_distance():
    frames = np.zeros((4, 2))
    for pair in ((frames[:1], frames), (frames, frames[:0])):
        assert frechet.distance(*pair) == NotApplicable("a set has fewer than 2 frames")
    broken = frechet.distance(frames, np.full((4, 2), np.nan))  # as a network may make them
    assert broken == NotApplicable("a feature is not finite")
    with pytest.raises(ValueError, match="are wanted"):
        frechet.distance(frames, np.zeros((4, 3)))
