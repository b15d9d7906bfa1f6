"""The predictor's fit inside a kernel: all stages of the lattice without leaving the chip.

XLA makes several launches of every stage and reads and writes the window's samples in each; of
an order of 128, hundreds of them stand between two fits. The mathematics is that of
`predictor.fit`.

M streams of a tile, W' samples of window and anchor and N' >= N + 1 coefficients, filled up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from wavegen_kernels import predictor
from wavegen_kernels.accelerator.padding import Unit

Array = jax.Array
# Samples and pulses of stage m -> the same, each one later; a zero comes first.
Delayed = Callable[[Array, Array, Array], tuple[Array, ...]]


class Sizes(NamedTuple):
    """What is known before a kernel is compiled."""

    window: int  # W
    anchor: int  # A; 0 where there is none
    order: int


def laid_out(
    heard: Array,  # [B', W]
    anchors: Array | None,  # [B', A]
    order: int,
    damping: float,
    unit: Unit,
) -> tuple[Sizes, tuple[Array, Array, Array]]:  # [B', W'], [1, W'], [1, N']
    """The sizes; samples, what each counts, and what each coefficient is multiplied with at last.

    An anchor lies before the window.
    """
    A, W = 0 if anchors is None else anchors.shape[1], heard.shape[1]
    samples = heard if anchors is None else jnp.concatenate([anchors, heard], axis=1)
    size = unit.filled(A + W)
    counts = np.zeros((1, size), np.float32)
    counts[0, size - W :] = predictor.weights_of_samples(W)
    counts[0, size - W - A : size - W] = 1
    fading = np.zeros((1, unit.filled(order + 1)), np.float32)
    fading[0, 1 : order + 1] = -(damping ** np.arange(1, order + 1))
    samples = jnp.pad(samples, ((0, 0), (size - W - A, 0)))
    return Sizes(W, A, order), (samples, jnp.asarray(counts), jnp.asarray(fading))


def coefficients(
    samples: Array,  # [M, W']
    counts: Array,  # [1, W']
    fading: Array,  # [1, N']
    sizes: Sizes,
    delayed: Delayed,
) -> Array:  # [M, N'], of which the first is nothing
    """The coefficients a[k-1] at place k, as `predictor.fit` gives them."""
    least = predictor.least_energy(samples, counts)
    first = counts.shape[1] - sizes.window
    place = lax.broadcasted_iota(jnp.int32, counts.shape, 1) - first
    place = jnp.where(place < 0, place + sizes.anchor, place)  # below 0 where it is filled up
    pulse = jnp.where(lax.broadcasted_iota(jnp.int32, fading.shape, 1) == 0, 1.0, 0.0)
    pulse = pulse + jnp.zeros((samples.shape[0], 1), jnp.float32)

    def stage(m: Array, lattice: tuple) -> tuple:
        ahead, behind, forth, back = lattice
        behind, back = delayed(m, behind, back)
        return predictor.reflected(
            (ahead, behind, forth, back), jnp.where(place > m, counts, 0.0), least
        )

    lattice = lax.fori_loop(0, sizes.order, stage, (samples, samples, pulse, pulse))
    return lattice[2] * fading
