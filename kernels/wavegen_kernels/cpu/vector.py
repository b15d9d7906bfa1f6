"""Vector code that Numba has no words for: on the numbers of a row, given by its address.

A vector is as wide as the machine's registers. Nothing here checks anything or allocates.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types

from wavegen_kernels.cpu.llvm import (
    EXP_LIMIT,
    F32,
    FLOATS,
    I8,
    I64,
    INTS,
    LANES,
    VECTOR_BYTES,
    clamped,
    constant,
    each,
    exp,
    external,
    fma,
    instruction,
    load,
    pointer,
    splat,
    store,
)
from wavegen_kernels.cpu.packing import LEVELS, ZERO_POINT

_GATE_LIMIT = 40.0  # e^40 squared is still a float32; tanh and sigmoid are flat long before


@instruction
def rows(context, array):
    """Where the rows of an array [..., N] lie: its address, and the bytes from row to row.

    Compiled code passes rows about instead of arrays, which Numba would count references of at
    every step. Whoever calls the loop keeps the arrays alive.
    """

    def generate(context, b, signature, args):
        array = context.make_array(signature.args[0])(context, b, args[0])
        strides = cgutils.unpack_tuple(b, array.strides)
        stride = strides[-2] if len(strides) > 1 else I64(0)
        address = b.ptrtoint(array.data, I64)
        return context.make_tuple(b, signature.return_type, [address, stride])

    return types.UniTuple(types.int64, 2)(array), generate


@instruction
def gate(context, word, before, out, n):
    """n outputs tanh(before[:n]) * sigmoid(before[n:2n]), n of whole vectors, by addresses.

    With p = e^(-2 filter) and q = e^(-gate): (1 - p) / ((1 + p) (1 + q)), one division for both.
    Where `word` says int8, the outputs are bytes 128 +- 127 for +-1.
    """

    def generate(context, b, signature, args):
        _, before, out, n = args
        one, size = constant(1.0), b.mul(n, I64(4))
        with cgutils.for_range_slice(b, I64(0), size, I64(VECTOR_BYTES), I64) as (i, _):
            filter_ = clamped(b, load(b, b.add(before, i)), _GATE_LIMIT / 2)
            gate = clamped(b, load(b, b.add(b.add(before, size), i)), _GATE_LIMIT)
            p = exp(b, b.fmul(filter_, constant(-2.0)))
            q = exp(b, b.fmul(gate, constant(-1.0)))
            below = b.fmul(b.fadd(one, p), b.fadd(one, q))
            z = b.fdiv(b.fsub(one, p), below)
            if signature.args[0] == types.int32:
                z = as_bytes(b, z, constant(LEVELS), constant(ZERO_POINT + 0.5))
                i = b.lshr(i, I64(2))
            store(b, z, b.add(out, i))
        return context.get_dummy_value()

    return types.void(word, types.int64, types.int64, types.int64), generate


@instruction
def exponentials(context, x, largest, slope, out, n):
    """n results e^((x - largest) * slope), n of whole vectors; x and out by address.

    The exponent is cut off at -87, where the result is 1.6e-38.
    """

    def generate(context, b, signature, args):
        x, largest, slope, out, n = args
        largest, slope = splat(b, largest, FLOATS), splat(b, slope, FLOATS)
        size = b.mul(n, I64(4))
        with cgutils.for_range_slice(b, I64(0), size, I64(VECTOR_BYTES), I64) as (i, _):
            power = b.fmul(b.fsub(load(b, b.add(x, i)), largest), slope)
            store(b, exp(b, clamped(b, power, EXP_LIMIT)), b.add(out, i))
        return context.get_dummy_value()

    f, index = types.float32, types.int64
    return types.void(index, f, f, index, index), generate


@instruction
def largest(context, x, n):
    """The largest of n numbers at an address."""

    def generate(context, b, signature, args):
        x, n = args
        return _largest(b, x, n, lambda value: value, float(np.finfo(np.float32).min))

    return types.float32(types.int64, types.int64), generate


@instruction
def first(context, x, n, value):
    """Place of the first of n numbers at an address that equals `value`; n where none does."""

    def generate(context, b, signature, args):
        x, n, value = args
        found = cgutils.alloca_once_value(b, n)
        with cgutils.for_range(b, n, intp=I64) as turn:
            number = b.load(pointer(b, b.add(x, b.mul(turn.index, I64(4))), F32))
            with b.if_then(b.fcmp_ordered("==", number, value)):
                b.store(turn.index, found)
                turn.do_break()
        return b.load(found)

    return types.int64(types.int64, types.int64, types.float32), generate


@instruction(prefer_literal=True)
def quantise(context, x, n, out, scale, signed):
    """n bytes of round(x / scale), by addresses: 0 ... 255, or 128 +- 127 where x has a sign.

    The scale, which makes the most of a byte, goes to an address too. Bytes are written to the
    end of a vector.
    """
    shared = signed.literal_value
    levels, zero = (LEVELS, ZERO_POINT) if shared else (255, 0)

    def generate(context, b, signature, args):
        x, n, out, scale, _ = args
        magnitude = lambda value: b.call(
            external(b, f"llvm.fabs.v{LANES}f32", FLOATS, FLOATS), [value]
        )
        top = _largest(b, x, n, magnitude, 1e-30)
        b.store(
            b.fmul(top, ir.Constant(F32, float(np.float32(1 / levels)))), pointer(b, scale, F32)
        )
        factor = splat(b, b.fdiv(ir.Constant(F32, float(levels)), top), FLOATS)

        def write(i, value) -> None:
            place = b.add(out, b.lshr(i, I64(2)))
            store(b, as_bytes(b, value, factor, constant(zero + 0.5)), place)

        each(b, n, [x], write)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4, signed), generate


@instruction
def copy(context, source, target, n):
    """n numbers from one address to another."""

    def generate(context, b, signature, args):
        source, target, n = args
        each(b, n, [source], lambda i, value: value, target)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 3), generate


@instruction
def accumulate(context, source, target, n):
    """n numbers at one address added to those at another."""

    def generate(context, b, signature, args):
        source, target, n = args
        each(b, n, [source, target], lambda i, value, other: b.fadd(value, other), target)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 3), generate


@instruction
def relu(context, x, n):
    """n numbers at an address, the negative ones set to zero."""

    def generate(context, b, signature, args):
        x, n = args
        zero = constant(0.0)
        positive = lambda i, value: b.select(b.fcmp_ordered(">", value, zero), value, zero)
        each(b, n, [x], positive, x)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 2), generate


def _largest(b, x, n, of, least: float):
    """The largest of of(vector) over n numbers, `least` where none is larger."""
    found = cgutils.alloca_once_value(b, constant(least))

    def see(i, value) -> None:
        value, before = of(value), b.load(found)
        b.store(b.select(b.fcmp_ordered(">", value, before), value, before), found)

    each(b, n, [x], see, fill=least)
    reduce = external(b, f"llvm.vector.reduce.fmax.v{LANES}f32", F32, FLOATS)
    return b.call(reduce, [b.load(found)], fastmath=["nnan"])


def as_bytes(b, x, factor, offset):
    """The whole numbers below x * factor + offset, as bytes."""
    whole = b.fptosi(fma(b, x, factor, offset), INTS)
    return b.trunc(whole, ir.VectorType(I8, LANES))
