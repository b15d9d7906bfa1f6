"""NDB: a mode that is missing is seen, and a set of the same kind is let pass."""

import numpy as np
import pytest
from scipy import stats

from wavegen.evaluation.metrics import bins
from wavegen.evaluation.metrics.measures import Measure, NotApplicable

CENTRES = 10 * np.eye(6)


def number(found: Measure) -> float:
    assert isinstance(found, float)
    return found


def drawn(seed, num, modes=range(6)):
    rng = np.random.default_rng(seed)
    return CENTRES[rng.choice(list(modes), num)] + rng.normal(size=(num, 6))


@pytest.fixture(scope="module")
def real():
    return drawn(0, 300)


def test_the_same_modes_differ_in_few_clusters_and_a_dropped_one_is_seen(real):
    same = bins.compare(real, drawn(1, 60), seed=0)
    dropped = bins.compare(real, drawn(2, 60, modes=range(3)), seed=0)
    # Of 12 clusters one in twenty is to be expected; half the modes are half the clusters or so.
    assert number(same["ndb_share"]) <= 0.25
    assert number(dropped["ndb_share"]) >= 0.5
    assert number(dropped["jensen_shannon"]) > 3 * number(same["jensen_shannon"])


def test_few_false_alarms_over_many_sets(real):
    found = [bins.compare(real, drawn(seed, 60), seed) for seed in range(1, 9)]
    shares = [number(each["ndb_share"]) for each in found]
    # 96 tests at 5 %: 4.8 alarms are to be expected, and 12 or more are beyond 3 deviations.
    assert np.mean(shares) < 12 / 96


def test_a_set_beside_itself_has_no_different_cluster_and_no_divergence(real):
    assert bins.compare(real, real, seed=0) == {"ndb_share": 0.0, "jensen_shannon": 0.0}


@pytest.mark.parametrize("counts", [(4, 6), (9, 9)])  # by chance 3.4 and 6.1 times in a hundred
def test_shares_are_judged_as_a_table_of_counts_is_and_their_divergence_is_in_bits(counts):
    # Two clusters that nobody can mistake: 30 and 10 real sounds.
    real, generated = (np.repeat([[0.0], [9.0]], each, axis=0) for each in ((30, 10), counts))
    found = bins.compare(real, generated, seed=0)
    # The z-test of two proportions is the chi-square test of the table, without correction.
    table = stats.chi2_contingency([(30, 10), counts], correction=False)
    assert found["ndb_share"] == float(table.pvalue < 0.05)  # pyright: ignore[reportAttributeAccessIssue]
    shares = np.array([(30, 10), counts]) / [[40], [sum(counts)]]
    between = stats.entropy(shares.mean(axis=0), base=2) - stats.entropy(shares.T, base=2).mean()
    assert found["jensen_shannon"] == pytest.approx(between, rel=1e-9)  # float64, some subtraction


def test_a_mode_without_any_sound_is_different_and_so_is_the_other():
    real = np.repeat([[0.0], [9.0]], 20, axis=0)
    other = np.repeat([[0.0], [9.0]], [20, 0], axis=0)
    found = bins.compare(real, other, seed=0)
    assert found["ndb_share"] == 1.0
    # The mixture has 3/4 and 1/4; the real set has one bit, the other none.
    assert found["jensen_shannon"] == pytest.approx(stats.entropy([0.75, 0.25], base=2) - 0.5)


def test_few_or_equal_sounds_have_no_clusters(real):
    assert isinstance(bins.compare(real[:9], real, 0)["ndb_share"], NotApplicable)
    assert isinstance(bins.compare(real, real[:0], 0)["jensen_shannon"], NotApplicable)
    assert isinstance(
        bins.compare(np.ones((40, 3)), np.ones((40, 3)), 0)["ndb_share"], NotApplicable
    )


def test_a_few_kinds_of_equal_sounds_make_as_many_clusters(real):
    twice = np.repeat(real[:3], 20, axis=0)
    assert bins.compare(twice, twice, seed=0)["ndb_share"] == 0


def test_the_same_seed_gives_the_same_figures(real):
    other = drawn(3, 60)
    assert bins.compare(real, other, seed=7) == bins.compare(real, other, seed=7)
