"""Counter-based uniforms: draw t of stream n under a seed is a pure function of the three.

No generator is carried, so a draw depends neither on the batch that a stream is in nor on
how time is cut into calls, and every backend can compute it by itself, bit for bit.

Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", Threefry-2x32-20.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

Array = Any  # a numpy array or a jax array

DRAW_KEY = 0x77617665  # "wave": keeps these draws apart from other uses of the same seed

_PARITY = 0x1BD11BDA  # Threefry's key schedule constant for 32-bit words
_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))


def threefry2x32(
    key: tuple[Array, Array],
    counter: tuple[Array, Array],
    xp: ModuleType,
) -> tuple[Array, Array]:
    """Two uint32 words: Threefry-2x32 with 20 rounds; xp is numpy or jax.numpy.

    All four words are uint32 of one shape.
    """
    k0, k1 = key
    keys = (k0, k1, k0 ^ k1 ^ xp.uint32(_PARITY))
    x0, x1 = counter[0] + k0, counter[1] + k1
    for i in range(5):
        for r in _ROTATIONS[i % 2]:
            x0 = x0 + x1
            x1 = ((x1 << xp.uint32(r)) | (x1 >> xp.uint32(32 - r))) ^ x0
        x0 = x0 + keys[(i + 1) % 3]
        x1 = x1 + keys[(i + 2) % 3] + xp.uint32(i + 1)
    return x0, x1


def uniforms(
    seed: Array,  # uint32, a scalar or broadcastable
    streams: Array,  # integers in [0, 2^32), e.g. [B] or [1, B]
    times: Array,  # integers in [0, 2^32), broadcastable with streams
    xp: ModuleType,
) -> Array:  # float32, the shape of all three broadcast
    """Uniform numbers in [0, 1), multiples of 2^-24: the draw of each stream at each time.

    u = (threefry2x32(key=(seed, 0x77617665), counter=(stream, time))[0] >> 8) * 2^-24.
    numpy and jax.numpy (the argument xp) give the same bits.
    """
    words = [xp.asarray(word, dtype=xp.uint32) for word in (seed, streams, times)]
    seed, streams, times = xp.broadcast_arrays(*words)
    # uint32 is meant to wrap around; numpy warns of it where the arrays have no axes.
    with np.errstate(over="ignore"):
        bits, _ = threefry2x32((seed, xp.full_like(seed, DRAW_KEY)), (streams, times), xp)
    # By way of int32, which 24 bits fit in: not every accelerator converts uint32 to float.
    return (bits >> xp.uint32(8)).astype(xp.int32).astype(xp.float32) * xp.float32(2**-24)
