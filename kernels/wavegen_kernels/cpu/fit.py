"""A predictor's fit as the CPU's loop runs it; see wavegen_kernels.predictor.fit."""

from __future__ import annotations

import numpy as np
from numba import njit
from numba.core import cgutils, types

from wavegen_kernels.cpu.llvm import (
    FLOATS,
    I64,
    VECTOR_BYTES,
    constant,
    each,
    fma,
    instruction,
    load,
    splat,
    total,
)
from wavegen_kernels.cpu.vector import rows
from wavegen_kernels.predictor import NOISE, TINY

_NOISE, _TINY = np.float32(NOISE), np.float32(TINY)


@njit(nogil=True, error_model="numpy")
def fit(anchor, loud, samples, counts, damping, lattice, fitted):
    """See wavegen_kernels.predictor.fit; `anchor` [A], of which there may be none; `samples` [W].

    The anchor is taken times `loud`. `counts` [A + W] is what each of them counts, `lattice`
    [3, A + W] what it works in. The coefficients go to `fitted` [N], the last one first, as `dot`
    wants them beside the past.
    """
    A, W, N, spare = anchor.size, samples.size, fitted.size, lattice[2]
    for i in range(A):
        lattice[0, i] = loud * anchor[i]
    lattice[0, A:] = samples
    energy = np.float32(0)
    for i in range(A + W):
        lattice[1, i] = lattice[0, i]
        energy += counts[i] * lattice[0, i] * lattice[0, i]
    least = np.float32(2) * _NOISE * energy + _TINY
    ahead, behind = rows(lattice)[0], rows(lattice[1])[0]
    weights = rows(counts.reshape(1, A + W))[0]
    for m in range(N):
        # Row 1 is one sample late from the beginning, and never moved.
        after, pairs, first, others = 4 * (m + 1), W - m - 1, 4 * A, max(A - m - 1, 0)
        cross, both = agreement(
            ahead + first + after, behind + first, weights + first + after, pairs
        )
        if A:
            more = agreement(ahead + after, behind, weights + after, others)
            cross, both = cross + more[0], both + more[1]
        k = np.float32(2) * cross / (both + least)
        reflect(ahead + first + after, behind + first, k, pairs)
        if A:
            reflect(ahead + after, behind, k, others)
        for i in range(m):
            spare[i] = fitted[N - 1 - i] - k * fitted[N - m + i]
        for i in range(m):
            fitted[N - 1 - i] = spare[i]
        fitted[N - 1 - m] = k
    fading = np.float32(1)
    for m in range(N):
        fading *= damping
        fitted[N - 1 - m] *= fading


@instruction
def agreement(context, ahead, behind, weights, n):
    """Sums of weight * ahead * behind and of weight * (ahead^2 + behind^2), over n numbers."""

    def generate(context, b, signature, args):
        *sources, n = args
        # Two pairs of sums, so that one addition need not wait for the one before.
        sums = [[cgutils.alloca_once_value(b, constant(0.0)) for _ in range(2)] for _ in range(2)]

        def add(sums, ahead, behind, weight) -> None:
            cross, both = sums
            squares = fma(b, ahead, ahead, b.fmul(behind, behind))
            b.store(fma(b, b.fmul(weight, ahead), behind, b.load(cross)), cross)
            b.store(fma(b, weight, squares, b.load(both)), both)

        size, step = b.mul(n, I64(4)), 2 * VECTOR_BYTES
        whole = b.and_(size, I64(-step))
        with cgutils.for_range_slice(b, I64(0), whole, I64(step), I64) as (i, _):
            for turn in range(2):
                place = b.add(i, I64(turn * VECTOR_BYTES))
                add(sums[turn], *(load(b, b.add(source, place)) for source in sources))
        rest = [b.add(source, whole) for source in sources]
        left = b.lshr(b.sub(size, whole), I64(2))
        each(b, left, rest, lambda i, *vectors: add(sums[0], *vectors))
        found = [
            total(b, b.fadd(b.load(one), b.load(other))) for one, other in zip(*sums, strict=True)
        ]
        return context.make_tuple(b, signature.return_type, found)

    index = types.int64
    return types.UniTuple(types.float32, 2)(index, index, index, index), generate


@instruction
def reflect(context, ahead, behind, k, n):
    """One stage of the lattice: ahead - k * behind and behind - k * ahead, for n numbers."""

    def generate(context, b, signature, args):
        ahead, behind, k, n = args
        less = splat(b, b.fneg(k), FLOATS)

        def turned(i, ahead, behind):
            return [fma(b, less, behind, ahead), fma(b, less, ahead, behind)]

        each(b, n, [ahead, behind], turned, ahead, behind)
        return context.get_dummy_value()

    index = types.int64
    return types.void(index, index, types.float32, index), generate
