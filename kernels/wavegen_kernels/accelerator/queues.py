"""The queues of activations as a kernel wants them, and back again."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

Array = Any  # a numpy array or a jax array


def roomy(queues: Array, lengths: tuple[int, ...], time: Array) -> Array:
    """Queues in order of time, and of one row more each, which the next activation goes to.

    So a kernel writes a row that none of its threads is still reading, and a layer needs no
    barrier, which the GPU's compiler would not fetch the next layer's weights across.
    """
    found, first = [], 0
    for length in lengths:
        oldest = (time % jnp.uint32(length)).astype(jnp.int32)
        ago = np.minimum(np.arange(length + 1), length - 1)  # there is nothing in the new row yet
        found.append(first + (oldest + ago) % length)
        first += length
    return queues[jnp.concatenate(found)]


def tight(queues: Array, lengths: tuple[int, ...], time: Array, passed: int) -> Array:
    """The queues as a state at `time` holds them, so many samples after they were made roomy."""
    found, first = [], 0
    for length in lengths:
        newest = (time % jnp.uint32(length)).astype(jnp.int32) + length - 1
        ago = (newest - np.arange(length)) % length
        found.append(first + (passed + length - 1 - ago) % (length + 1))
        first += length + 1
    return queues[jnp.concatenate(found)]
