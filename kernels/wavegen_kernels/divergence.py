"""How far one set of logits is from another."""

from __future__ import annotations

import numpy as np


def nats(
    reference: np.ndarray,  # [..., V] logits
    other: np.ndarray,  # [..., V] logits
) -> np.ndarray:  # [...]
    """How far the distribution of `other` lies from that of `reference`: KL in nats.

    Written as a function of their difference without its mean, so that rounding cannot
    drown what two nearly equal distributions differ by, in float32 either.
    """
    p = np.exp(reference - reference.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)
    off = other - reference
    off -= _mean(p, off)[..., None]
    return np.log1p(_mean(p, np.expm1(off))) - _mean(p, off)  # what rounding left of the mean


def _mean(p: np.ndarray, values: np.ndarray) -> np.ndarray:  # [..., V] twice -> [...]
    return np.einsum("...v,...v->...", p, values)
