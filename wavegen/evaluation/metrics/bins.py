"""Number of statistically different bins: which kinds of sound come too seldom or too often."""

from __future__ import annotations

import numpy as np

from wavegen.evaluation.metrics.measures import Measure, NotApplicable

MOST_CLUSTERS = 50
SOUNDS_A_CLUSTER = 5  # on average, of the smaller set; a test of two shares means little below
SIGNIFICANCE = 0.05  # so a perfect set, too, differs in about one cluster of twenty


def compare(
    real: np.ndarray,  # [N, K], a vector a sound
    generated: np.ndarray,  # [M, K]
    seed: int,
) -> dict[str, Measure]:
    """`ndb_share` and `jensen_shannon` over k-means clusters of the real set.

    Richardson and Weiss 2018, arXiv 1805.12462, section 3: each sound falls to the nearest
    centre, and a cluster is different where a two-proportion z-test at SIGNIFICANCE says that
    the sets' shares in it differ. The divergence is that of these shares: 0 to 1 bits, and above
    0 for any two samples of one distribution. There are as many clusters as the smaller set
    allows, 50 at most; so only figures of sets of one size can be compared.
    """
    from scipy import spatial, stats

    smaller = min(len(real), len(generated))
    num = min(MOST_CLUSTERS, smaller // SOUNDS_A_CLUSTER)
    if num < 2:
        return _none(f"two sets of {2 * SOUNDS_A_CLUSTER} sounds are wanted, one has {smaller}")
    num = min(num, len(np.unique(real, axis=0)))
    if num < 2:
        return _none("the real sounds are all alike")
    counts, other_counts = _counted(real, generated, num, seed)
    shares, other = counts / len(real), other_counts / len(generated)
    pooled = (counts + other_counts) / (len(real) + len(generated))
    error = np.sqrt(pooled * (1 - pooled) * (1 / len(real) + 1 / len(generated)))
    differs = np.abs(shares - other) > stats.norm.isf(SIGNIFICANCE / 2) * error
    divergence = spatial.distance.jensenshannon(shares, other, base=2) ** 2  # it gives the root
    return {"ndb_share": float(differs.mean()), "jensen_shannon": float(divergence)}


def _counted(
    real: np.ndarray, generated: np.ndarray, num: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:  # [num] each
    """How many sounds of each set fall into each cluster of the real one; none there is empty."""
    import threadpoolctl
    from sklearn import cluster

    means = cluster.KMeans(num, n_init=10, random_state=seed)  # pyright: ignore[reportArgumentType]
    # So few sounds take longer with threads, and come out otherwise with another number of them.
    with threadpoolctl.threadpool_limits(1):
        real_labels = means.fit_predict(real)
        labels = means.predict(generated)
    return np.bincount(real_labels, minlength=num), np.bincount(labels, minlength=num)


def _none(reason: str) -> dict[str, Measure]:
    return {name: NotApplicable(reason) for name in ("ndb_share", "jensen_shannon")}
