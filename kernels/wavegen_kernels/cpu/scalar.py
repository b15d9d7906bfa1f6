"""What the CPU's loop does with one number: read, write, logarithm, exponential.

Those of the vectors, taken for one number, so that no call leaves the loop.
"""

from __future__ import annotations

from numba.core import types

from wavegen_kernels.cpu.llvm import F32, FLOATS, I32, exp, instruction, log, pointer, splat


@instruction
def logarithm(context, x):
    """log(x) of a normal number above 0."""

    def generate(context, b, signature, args):
        return b.extract_element(log(b, splat(b, args[0], FLOATS)), I32(0))

    return types.float32(types.float32), generate


@instruction
def exponential(context, x):
    """e to the power of x."""

    def generate(context, b, signature, args):
        return b.extract_element(exp(b, splat(b, args[0], FLOATS)), I32(0))

    return types.float32(types.float32), generate


@instruction
def number(context, address):
    """The number at an address."""

    def generate(context, b, signature, args):
        return b.load(pointer(b, args[0], F32))

    return types.float32(types.int64), generate


@instruction
def put(context, value, address):
    """Puts a number at an address."""

    def generate(context, b, signature, args):
        value, address = args
        b.store(value, pointer(b, address, F32))
        return context.get_dummy_value()

    return types.void(types.float32, types.int64), generate
