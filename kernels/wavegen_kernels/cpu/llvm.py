"""Words for writing LLVM's vector code: the vectors of this machine, loads, stores, e^x.

`b` is LLVM's builder everywhere; addresses are 64-bit numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from wavegen_kernels.cpu import machine

LANES = machine.lanes()

F32, I8, I32, I64 = ir.FloatType(), ir.IntType(8), ir.IntType(32), ir.IntType(64)
FLOATS, INTS = ir.VectorType(F32, LANES), ir.VectorType(I32, LANES)
BYTES = ir.VectorType(I8, 4 * LANES)
VECTOR_BYTES = 4 * LANES

# e^r for |r| <= log(2) / 2, interpolated at Chebyshev nodes; its own error is 7e-8 of the result,
# about that of a rounding. The two-part log(2) is Cody and Waite's, 1980.
_LOG2 = float(np.log(2))
_LOG2_HIGH = 0.693359375  # nine bits, so that small multiples of it are exact
EXP_LIMIT = 87.0  # e^88.7 is the largest float32


def _power_series(function, degree: int, low: float, high: float) -> np.ndarray:
    """Coefficients, lowest first, of the polynomial through Chebyshev's nodes."""
    fitted = np.polynomial.Chebyshev.interpolate(function, degree, domain=[low, high])
    return fitted.convert(kind=np.polynomial.Polynomial).coef


# (1 - e^-x) / x for x up to 1/2, and log(1 + x) / x for 1 + x from sqrt(1/2) to sqrt(2).
_FEW = 0.5
_SHARE = _power_series(lambda x: -np.expm1(-x) / x, 6, 1e-9, _FEW)
_ROOT = 0x3F3504F3  # the bits of sqrt(1/2)
_EXP = _power_series(np.exp, 5, -_LOG2 / 2, _LOG2 / 2)
_LOG = _power_series(lambda x: np.log1p(x) / x, 9, 0.5**0.5 - 1, 2**0.5 - 1)

# What the decorator gives is called with fewer arguments than the function it stands over has.
instruction: Any = intrinsic


def each(b, n, sources, function, *targets, fill: float = 0.0) -> None:
    """function(byte, *vectors) over n numbers, the last few masked; what it gives goes to targets.

    It gives one vector for one target, a list for more.
    """
    size = b.mul(n, I64(4))
    whole = b.and_(size, I64(-VECTOR_BYTES))
    with cgutils.for_range_slice(b, I64(0), whole, I64(VECTOR_BYTES), I64) as (i, _):
        values = function(i, *(load(b, b.add(source, i)) for source in sources))
        for value, target in _given(values, targets):
            store(b, value, b.add(target, i))
    with b.if_then(b.icmp_signed("<", whole, size), likely=False):
        left = b.trunc(b.lshr(b.sub(size, whole), I64(2)), I32)
        mask = b.icmp_signed("<", ir.Constant(INTS, list(range(LANES))), splat(b, left, INTS))
        found = [_masked_load(b, b.add(source, whole), mask, fill) for source in sources]
        values = function(whole, *found)
        for value, target in _given(values, targets):
            _masked_store(b, value, b.add(target, whole), mask)


def _given(values, targets) -> list[tuple]:
    return list(zip(values if len(targets) > 1 else [values], targets, strict=bool(targets)))


def _masked_load(b, address, mask, fill: float):
    place = pointer(b, address, FLOATS)
    kinds = (place.type, I32, mask.type, FLOATS)
    masked = external(b, f"llvm.masked.load.v{LANES}f32.p0", FLOATS, *kinds)
    return b.call(masked, [place, I32(4), mask, constant(fill)])


def _masked_store(b, value, address, mask) -> None:
    place = pointer(b, address, FLOATS)
    kinds = (FLOATS, place.type, I32, mask.type)
    masked = external(b, f"llvm.masked.store.v{LANES}f32.p0", ir.VoidType(), *kinds)
    b.call(masked, [value, place, I32(4), mask])


def external(b, name: str, result, *arguments):
    """A function of LLVM's own."""
    return cgutils.get_or_insert_function(b.module, ir.FunctionType(result, arguments), name)


class Rows:
    """Addresses of rows: of the first, and of those a stride further on."""

    def __init__(self, b, first, stride):
        self.b, self.first, self.stride = b, first, stride

    def row(self, m: int):
        """Address of row m."""
        return self.b.add(self.first, self.b.mul(self.stride, I64(m)))


def opened(b, signature, args) -> list:
    """The arguments: pairs of whole numbers as Rows, other tuples as lists."""

    def opened(kind: Any, value):
        if not hasattr(kind, "types"):  # which only tuples have
            return value
        members = cgutils.unpack_tuple(b, value)
        if kind == types.UniTuple(types.int64, 2):
            return Rows(b, *members)
        return [opened(*each) for each in zip(kind.types, members, strict=True)]

    return [opened(*each) for each in zip(signature.args, args, strict=True)]


def pointer(b, address, kind):
    """The address as a pointer to numbers of a kind."""
    return b.inttoptr(address, kind.as_pointer())


def load(b, address, kind=FLOATS, align=4):
    """What stands at an address."""
    value = b.load(pointer(b, address, kind))
    value.align = align
    return value


def store(b, value, address) -> None:
    """Puts a value at an address."""
    b.store(value, pointer(b, address, value.type)).align = 1


def fetch(b, address) -> None:
    """Brings the line of the cache at an address near, to be read soon."""
    place = pointer(b, address, I8)
    ask = external(b, "llvm.prefetch.p0", ir.VoidType(), place.type, I32, I32, I32)
    b.call(ask, [place, I32(0), I32(3), I32(1)])  # to read, near, data


def constant(value: float):
    """A vector of one number."""
    return ir.Constant(FLOATS, [float(np.float32(value))] * LANES)


def splat(b, value, kind):
    """A vector with one value in every place."""
    empty = ir.Constant(kind, ir.Undefined)
    first = b.insert_element(empty, value, I32(0))
    return b.shuffle_vector(first, empty, ir.Constant(INTS, [0] * LANES))


def fma(b, x, y, z):
    """x * y + z, in one rounding where the machine can."""
    return b.call(
        external(b, f"llvm.fmuladd.v{LANES}f32", FLOATS, FLOATS, FLOATS, FLOATS), [x, y, z]
    )


def clamped(b, x, limit: float):
    """x, cut off at +-limit."""
    for sign, bound in (("<", constant(limit)), (">", constant(-limit))):
        x = b.select(b.fcmp_ordered(sign, x, bound), x, bound)
    return x


def exp(b, x):
    """e^x for |x| <= 87: 2^n e^r with n the nearest whole number to x / log(2)."""
    # Adding 1.5 * 2^23 leaves n in the low bits, rounded by the addition itself.
    magic = constant(1.5 * 2**23)
    shifted = fma(b, x, constant(1 / _LOG2), magic)
    n = b.fsub(shifted, magic)
    r = fma(b, n, constant(-_LOG2_HIGH), x)
    r = fma(b, n, constant(_LOG2_HIGH - _LOG2), r)
    value = _polynomial(b, _EXP, r)
    exponent = b.shl(b.bitcast(shifted, INTS), ir.Constant(INTS, [23] * LANES))
    return b.bitcast(b.add(exponent, b.bitcast(value, INTS)), FLOATS)


def less_than_one(b, x):
    """1 - e^-x for x >= 0, precise for small ones too."""
    few = b.fmul(x, _polynomial(b, _SHARE, x))
    many = b.fsub(constant(1.0), exp(b, b.fneg(clamped(b, x, EXP_LIMIT))))
    return b.select(b.fcmp_ordered("<", x, constant(_FEW)), few, many)


def log(b, x):
    """log(x) for normal x > 0: n log(2) + log(m) with m from sqrt(1/2) to sqrt(2)."""
    whole = lambda value: ir.Constant(INTS, [value] * LANES)
    exponent = b.ashr(b.sub(b.bitcast(x, INTS), whole(_ROOT)), whole(23))
    m = b.bitcast(b.sub(b.bitcast(x, INTS), b.shl(exponent, whole(23))), FLOATS)
    r, n = b.fsub(m, constant(1.0)), b.sitofp(exponent, FLOATS)
    near = fma(b, n, constant(_LOG2 - _LOG2_HIGH), b.fmul(r, _polynomial(b, _LOG, r)))
    return fma(b, n, constant(_LOG2_HIGH), near)


def total(b, x):
    """The sum of a vector's numbers."""
    add = external(b, f"llvm.vector.reduce.fadd.v{LANES}f32", F32, F32, FLOATS)
    return b.call(add, [F32(0.0), x], fastmath=["reassoc"])


def _polynomial(b, coefficients, x):
    value = constant(coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        value = fma(b, value, x, constant(coefficient))
    return value
