"""A row of inputs for every stream, times a packed matrix; compiled.

Rows are pairs (address, bytes from row to row), see vector.rows. `word` is the first word of the
arena: its type tells the precision, so that one source serves all three.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import overload

from wavegen_kernels.cpu.llvm import LANES
from wavegen_kernels.cpu.tile import READ_AHEAD, TILE, tile
from wavegen_kernels.cpu.vector import gate, quantise


@njit(nogil=True, error_model="numpy")
def row(rows, b):
    """Address of row b."""
    return rows[0] + b * rows[1]


@njit(nogil=True, error_model="numpy")
def later(rows, columns):
    """The same rows from a later column on."""
    return (rows[0] + 4 * columns, rows[1])


@njit(nogil=True, error_model="numpy")
def below(rows, b):
    """The rows from row b on."""
    return (row(rows, b), rows[1])


@njit(nogil=True, error_model="numpy")
def product(word, weights, far, x, K, init, bias, out, B, N):
    """out = init + bias + x @ matrix for B rows; returns where the next matrix begins.

    x are inputs [B, K] as `inputs` or `gated` give them, `weights` is the address of a matrix
    [K, N], `bias` of N numbers; init and out are rows [B, N]. `far` says that the arena is too
    large for the caches near the core.
    """
    half, column = N // 2, 0
    while column < half:
        width = _width(word, half - column)
        i, o, c = later(init, column), later(out, column), bias + 4 * column
        if width == 4:
            _block(4, word, weights, far, x, K, i, c, o, half, B)
        elif width == 2:
            _block(2, word, weights, far, x, K, i, c, o, half, B)
        else:
            _block(1, word, weights, far, x, K, i, c, o, half, B)
        weights += width * _bytes(word, K)
        column += width * LANES
    return weights


def inputs(word, x, B, K, steps, scales, signed):
    """Rows x as the product wants them: as they are; for int8 as bytes in the rows `steps`, and
    the address of their scales. `signed` is False where no x is negative."""


@overload(inputs, prefer_literal=True)
def _(word, x, B, K, steps, scales, signed):
    if word != types.int32:
        return lambda word, x, B, K, steps, scales, signed: x
    with_sign = signed.literal_value

    def quantised(word, x, B, K, steps, scales, signed):
        for b in range(B):
            quantise(row(x, b), K, row(steps, b), scales[0] + 4 * b, with_sign)
        return (steps, scales[0])

    return quantised


def finer(word) -> Any:
    """A word of the next finer precision; see packing.FINER."""


@overload(finer)
def _(word):
    if word == types.int32:
        return lambda word: np.uint32(0)
    return lambda word: np.float32(0)


def gated(word, z, scales):
    """Rows of gated outputs as the product wants them: those of int8 were made as bytes."""


@overload(gated)
def _(word, z, scales):
    if word == types.int32:
        return lambda word, z, scales: (z, scales[0])
    return lambda word, z, scales: z


@njit(nogil=True, error_model="numpy")
def activate(word, before, z, B, n):
    """Rows z [B, n] = tanh(before[:, :n]) * sigmoid(before[:, n:])."""
    for b in range(B):
        gate(word, row(before, b), row(z, b), n)


def activations(word, z, n):
    """The rows that come n gated outputs after z in the same row: later(z, n), but for bytes."""


@overload(activations)
def _(word, z, n):
    if word == types.int32:
        return lambda word, z, n: (z[0] + n, z[1])
    return lambda word, z, n: later(z, n)


def _block(width, word, weights, far, x, K, init, bias, out, half, B):
    """The columns of one block, for all rows."""


@overload(_block, prefer_literal=True)
def _(width, word, weights, far, x, K, init, bias, out, half, B):
    vectors = width.literal_value
    # Sums of floats have two parts; those of a whole block need more registers than there are.
    group = min(vectors, 2) if word == types.int32 else 1
    ahead = 0 if word == types.int32 else READ_AHEAD

    def cover(width, word, weights, far, x, K, init, bias, out, half, B):
        steps, whole = _steps(word, K), B - B % TILE
        for v in range(0, vectors, group):  # outside, so that the next rows find the weights near
            w, c = weights + 4 * v * LANES, bias + 4 * v * LANES
            i, o = later(init, v * LANES), later(out, v * LANES)
            for b in range(0, whole, TILE):
                tile(
                    TILE, group, vectors, 0, word, w, _from(x, b), steps, below(i, b), c,
                    below(o, b), half,
                )  # fmt: skip
        for b in range(whole, B):
            i, o = below(init, b), below(out, b)
            if far:
                tile(
                    1, vectors, vectors, ahead, word, weights, _from(x, b), steps, i, bias, o, half
                )
            else:
                tile(1, vectors, vectors, 0, word, weights, _from(x, b), steps, i, bias, o, half)

    return cover


def _from(x, b):
    """The inputs from row b on."""


@overload(_from)
def _(x, b):
    if isinstance(x, types.UniTuple):
        return lambda x, b: below(x, b)
    return lambda x, b: (below(x[0], b), x[1] + 4 * b)


def _width(word, columns) -> Any:
    """Vectors of a block's halves where so many columns of either half are left."""


@overload(_width)
def _(word, columns):
    if word == types.int32:
        return lambda word, columns: 4 if columns >= 4 * LANES else 2 if columns >= 2 * LANES else 1
    return lambda word, columns: 2 if columns >= 2 * LANES else 1


def _steps(word, K):
    """Steps of a tile over K inputs."""


@overload(_steps)
def _(word, K):
    if word == types.int32:
        return lambda word, K: (K + 3) // 4
    return lambda word, K: K


def _bytes(word, K) -> Any:
    """Bytes of a block of one vector left and one right; see packing.block_words."""


@overload(_bytes)
def _(word, K):
    if word == types.int32:
        return lambda word, K: ((K + 3) // 4 + 2) * 8 * LANES
    if word == types.uint32:
        return lambda word, K: K * 4 * LANES
    return lambda word, K: K * 8 * LANES
