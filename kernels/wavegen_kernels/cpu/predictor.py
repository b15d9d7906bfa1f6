"""The linear predictor as the CPU's loop runs it; wavegen_kernels.predictor is its mathematics."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numba.core import cgutils, types

from wavegen_kernels.cpu.fit import fit
from wavegen_kernels.cpu.llvm import (
    FLOATS,
    I64,
    VECTOR_BYTES,
    clamped,
    constant,
    each,
    exp,
    fma,
    instruction,
    less_than_one,
    load,
    log,
    splat,
    store,
    total,
)
from wavegen_kernels.cpu.product import below, row
from wavegen_kernels.cpu.scalar import exponential, logarithm, number, put
from wavegen_kernels.cpu.steering import grow, level
from wavegen_kernels.cpu.vector import rows
from wavegen_kernels.predictor import (
    EVEN,
    FADES,
    FARTHEST,
    FLAT,
    QUIETEST,
    RATES,
    SHARES,
    STEPS,
    WIDEST,
)

_FAST, _SLOW = (np.float32(rate) for rate in RATES)
_FAST_SHARE, _SLOW_SHARE = (np.float32(share) for share in SHARES)
_NEAR = np.float32(1 / math.asinh(FARTHEST))
_QUIETEST, _NEAR_QUIET = np.float32(QUIETEST), np.float32(1 / math.log(QUIETEST))
_FADES = np.float32(FADES)


class Ear(NamedTuple):
    """Where the predictor's arrays lie, from the first stream of a group; see vector.rows."""

    order: int  # 0 where there is none
    window: int
    periodic: bool
    floor: np.float32  # in cells
    edge: np.float32  # 1 / (V - 1)
    value: tuple[int, int]
    level: tuple[int, int]
    surprise: tuple[int, int]
    steered: bool
    shape: tuple[int, int]
    shape_bias: int
    sounds: int
    V: int
    middle: int
    half: int
    heard: tuple[int, int]
    errors: tuple[int, int]
    taps: tuple[int, int]
    foretold: tuple[int, int]  # [B, 3]: the foretold sample, the error level, the delay


@njit(nogil=True, error_model="numpy")
def ear(linear, room, heard, errors, taps, low):
    """The Ear of the streams from `low` on."""
    return Ear(
        order=linear.order,
        window=linear.later.size,
        periodic=linear.periodic,
        floor=linear.floor,
        edge=np.float32(1) / np.float32(linear.sounds.size - 1),
        value=rows(linear.value),
        level=rows(linear.level),
        surprise=rows(linear.surprise),
        steered=linear.steered,
        shape=rows(linear.shape),
        shape_bias=rows(linear.shape_bias)[0],
        sounds=rows(linear.sounds)[0],
        V=linear.sounds.size,
        middle=rows(linear.middle)[0],
        half=rows(linear.half)[0],
        heard=below(rows(heard), low),
        errors=below(rows(errors), low),
        taps=below(rows(taps), low),
        foretold=rows(room.foretold),
    )


@njit(nogil=True, error_model="numpy")
def refit(linear, room, heard, anchors, counts, held, taps, t, f, low, high):
    """New coefficients for streams low ... high - 1, from the samples before t.

    What a steered one is held to in frame f: `anchors` [B, F, A]; `held` [B, F, 3] are the level
    and the lowest and highest error level. `counts` [A + W] is what each sample counts.
    """
    for b in range(low, high):
        past = heard[b, t : t + linear.later.size]
        if not linear.steered:
            fit(past[:0], np.float32(0), past, counts, linear.damping, room.lattice, taps[b])
            continue
        here, asked = level(past), held[b, f, 0]
        loud = exponential(np.float32(0.5) * max(here, asked))
        fit(anchors[b, f], loud, past, counts, linear.damping, room.lattice, taps[b])
        grow(taps[b], past.size, asked - here)


@njit(nogil=True, error_model="numpy")
def follow(room, delays, echoes, taps, f, low, high):
    """The periodic coefficients and delays of frame f for streams low ... high - 1."""
    for b in range(low, high):
        room.foretold[b - low, 2] = np.float32(delays[b, f])
        for k in range(taps.shape[1]):
            taps[b, k] = echoes[b, f, k]


@njit(nogil=True, error_model="numpy")
def foretell(ear, held, t, f, low, h, B, R):
    """Foretold sample and error level of every stream, and what they say to rows h.

    `held` [B, F, 3]: see refit.
    """
    N = ear.order
    for b in range(B):
        delay = np.int64(number(row(ear.foretold, b) + 8))
        past = row(ear.heard, b) + 4 * (t + ear.window + 1 - delay - N)
        value = dot(past, row(ear.taps, b), N)
        value = min(max(value, np.float32(-1)), np.float32(1))
        errors = row(ear.errors, b)
        mean = _FAST_SHARE * number(errors) + _SLOW_SHARE * number(errors + 4)
        cell = np.float32(2) * ear.edge * logarithm(np.float32(ear.V)) * (abs(value) + ear.edge)
        error = np.float32(math.sqrt(mean)) + ear.floor * cell
        if ear.steered:
            error = min(max(error, held[low + b, f, 1]), held[low + b, f, 2])
        put(value, row(ear.foretold, b))
        put(error, row(ear.foretold, b) + 4)
        place, level, aside = _places(value, error, number(errors + 8), ear.V)
        _tell(ear.value, place, row(h, b), R)
        _tell(ear.level, level, row(h, b), R)
        _tell(ear.surprise, aside, row(h, b), R)


@njit(nogil=True, error_model="numpy")
def _places(value, error, surprise, V):
    """See wavegen_kernels.predictor.places."""
    middle = np.float32(STEPS - 1) / np.float32(2)
    companded = logarithm(np.float32(1) + np.float32(V - 1) * abs(value))
    companded = middle * companded / logarithm(np.float32(V))
    level = logarithm(min(max(error, _QUIETEST), np.float32(1))) * _NEAR_QUIET
    side = companded if value > 0 else -companded
    far = abs(surprise) + np.float32(math.sqrt(surprise * surprise + np.float32(1)))
    far = min(middle * logarithm(far) * _NEAR, middle)
    aside = far if surprise > 0 else -far
    return middle + side, np.float32(STEPS - 1) * (np.float32(1) - level), middle + aside


@njit(nogil=True, error_model="numpy")
def _tell(table, place, h, R):
    """Adds the table's row at a place, blended between two of them, to h."""
    first = min(np.int64(place), STEPS - 2)
    blend(row(table, first), table[1], place - np.float32(first), h, R)


@njit(nogil=True, error_model="numpy")
def add_base(ear, skip, logits, B):
    """Adds the base distribution to rows of logits; `skip` are the rectified skip sums."""
    S, V = skip[1] // 4, logits[1] // 4
    for b in range(B):
        s, foretold = row(skip, b), row(ear.foretold, b)
        value, error = number(foretold), number(foretold + 4)
        shift = dot(s, ear.shape[0], S) + number(ear.shape_bias)
        power = dot(s, row(ear.shape, 1), S) + number(ear.shape_bias + 4)
        if ear.periodic:
            gain = dot(s, row(ear.shape, 2), S) + number(ear.shape_bias + 8)
            value *= np.float32(1) + min(max(gain, -_FADES), _FADES)
        place = value + error * shift
        logistic(row(logits, b), ear.middle, ear.half, place, error, -power, V)


@njit(nogil=True, error_model="numpy")
def hear(ear, t, codes, low, B):
    """Takes sample t of every stream into its past and its errors; codes [K, all streams]."""
    for b in range(B):
        sample, errors = number(ear.sounds + 4 * codes[0, low + b]), row(ear.errors, b)
        put(sample, row(ear.heard, b) + 4 * (ear.window + t))
        foretold = row(ear.foretold, b)
        off = sample - number(foretold)
        fast, slow = number(errors), number(errors + 4)
        put(fast + (off * off - fast) * _FAST, errors)
        put(slow + (off * off - slow) * _SLOW, errors + 4)
        put(off / number(foretold + 4), errors + 8)


@instruction
def blend(context, row, stride, share, target, n):
    """Adds (1 - share) of the row at an address and share of the next one to what is at target."""

    def generate(context, b, signature, args):
        row, stride, share, target, n = args
        share = splat(b, share, FLOATS)

        def mixed(i, one, other, before):
            return b.fadd(before, fma(b, b.fsub(other, one), share, one))

        each(b, n, [row, b.add(row, stride), target], mixed, target)
        return context.get_dummy_value()

    f, index = types.float32, types.int64
    return types.void(index, index, f, index, index), generate


@instruction
def dot(context, x, y, n):
    """The sum of the products of n numbers at either address."""

    def generate(context, b, signature, args):
        x, y, n = args
        found = cgutils.alloca_once_value(b, constant(0.0))
        each(b, n, [x, y], lambda i, one, other: b.store(fma(b, one, other, b.load(found)), found))
        return total(b, b.load(found))

    f, index = types.float32, types.int64
    return f(index, index, index), generate


@instruction
def logistic(context, logits, middle, half, place, width, power, n):
    """Adds the base distribution to n logits, n of whole vectors; see predictor.logistic.

    It lies about `place` and is `width` * e^-power wide; `middle` and `half` are addresses.
    """

    def generate(context, b, signature, args):
        logits, middle, half, place, width, power, n = args
        place, width = splat(b, place, FLOATS), splat(b, width, FLOATS)
        slope = b.fdiv(exp(b, clamped(b, splat(b, power, FLOATS), WIDEST)), width)
        one, size = constant(1.0), b.mul(n, I64(4))
        with cgutils.for_range_slice(b, I64(0), size, I64(VECTOR_BYTES), I64) as (i, _):
            off = b.fmul(b.fsub(load(b, b.add(middle, i)), place), slope)
            reach = b.fmul(load(b, b.add(half, i)), slope)
            left = exp(b, clamped(b, b.fneg(b.fadd(off, reach)), FLAT))
            right = exp(b, clamped(b, b.fsub(off, reach), FLAT))
            below = b.fmul(b.fadd(one, left), b.fadd(one, right))
            share = b.fdiv(less_than_one(b, b.fmul(reach, constant(2.0))), below)
            base = log(b, b.fadd(share, constant(EVEN)))
            at = b.add(logits, i)
            store(b, b.fadd(load(b, at), base), at)
        return context.get_dummy_value()

    f, index = types.float32, types.int64
    return types.void(index, index, index, f, f, f, index), generate
