"""The Fréchet distance: how far apart the Gaussians lie that fit two sets of frames."""

from __future__ import annotations

import numpy as np

from wavegen.evaluation.metrics.measures import Measure, NotApplicable


def distance(
    real: np.ndarray,  # [N, D]
    generated: np.ndarray,  # [M, D]
) -> Measure:
    """||m - m'||^2 + tr(S + S' - 2 (S S')^(1/2)), in the squared unit of the features.

    m and S are mean and covariance (over N - 1) of the one set, m' and S' of the other. Dowson
    and Landau 1982, "The Fréchet distance between multivariate normal distributions"; on frames
    of sound Kilgour et al. 2019, arXiv 1812.08466. Two samples of one distribution lie apart as
    well, the further the fewer frames there are: figures of sets of one size can be compared.

    Not applicable where a set has fewer than 2 frames, or one that is not finite. ValueError
    where the numbers of features differ.
    """
    if real.ndim != 2 or generated.ndim != 2 or real.shape[1] != generated.shape[1]:
        raise ValueError(f"shapes [N, D] and [M, D] are wanted, got {real.shape, generated.shape}")
    if min(len(real), len(generated)) < 2:
        return NotApplicable("a set has fewer than 2 frames")
    if not (np.isfinite(real).all() and np.isfinite(generated).all()):
        return NotApplicable("a feature is not finite")
    mean, root = _fitted(real)
    other_mean, other_root = _fitted(generated)
    # With S = R'R, the eigenvalues of S S' are the squared singular values of R (R_other)'. So
    # nothing is inverted, and no root is taken of a covariance, which may well be singular.
    shared = np.linalg.svd(root @ other_root.T, compute_uv=False).sum()
    spread = np.square(root).sum() + np.square(other_root).sum() - 2 * shared
    return float(np.square(mean - other_mean).sum() + max(0.0, spread))


def _fitted(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean [D], and R [.., D] whose product R'R is the covariance."""
    frames = np.asarray(frames, np.float64)
    mean = frames.mean(axis=0)
    root = np.linalg.qr((frames - mean) / np.sqrt(len(frames) - 1), mode="r")
    return mean, np.asarray(root)
