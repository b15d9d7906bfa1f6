"""What the machine could do at best, measured: bytes read a second, multiply-adds a second.

A gauge is a function that takes one reading, of some ten milliseconds. Readings are taken
between the timings that they are compared with, and the best of them counts: whatever else ran on
the machine made it slower.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
from llvmlite import ir
from numba import njit
from numba.core import cgutils, types
from numba.extending import intrinsic

from wavegen_kernels.cpu import machine, packing

Gauge = Callable[[], float]

# What every thread does in a reading; a fast core takes ten milliseconds.
_READ_BYTES = 1 << 30
_MULTIPLY_ADDS = 1 << 30
_DOT_MULTIPLY_ADDS = 1 << 32

_LANES = machine.lanes()
_BYTES = 4 * _LANES  # of a vector
_LOADS = 8  # vectors read, and sums that they are added to, in a turn of the loop
_CACHE_LINE = 64  # bytes
_AHEAD = 2048  # bytes: how far ahead the second way of reading asks for
# Independent sums: two units that take five cycles for a multiply-add (Haswell) need ten.
_SUMS = 16 if machine.many_registers() else 12

_I, _I64 = ir.IntType(32), ir.IntType(64)
_VF, _VI = ir.VectorType(ir.FloatType(), _LANES), ir.VectorType(_I, _LANES)
_VB = ir.VectorType(ir.IntType(8), 4 * _LANES)


def reading(num_bytes: int, threads: int | None) -> Gauge:
    """Bytes a second of reading the same `num_bytes` again and again.

    They come from whichever cache or memory holds that many. All threads read the same bytes, and
    every reading counts. None threads: the accelerator reads.
    """
    if threads is None:
        words, total = jnp.ones(num_bytes // 4, jnp.float32), jax.jit(jnp.sum)
        return _best_of_many(lambda: total(words).block_until_ready(), words.nbytes)
    turn = _LOADS * _BYTES
    num_bytes = -(-num_bytes // turn) * turn
    arena = packing.aligned(num_bytes // 4, np.float32)
    arena[:] = 1  # until it is written to, all of an array is one and the same page
    passes = max(1, _READ_BYTES // num_bytes)
    ways = [
        _together(lambda way=way: way(arena.ctypes.data, num_bytes, passes), threads)
        for way in (_read, _read_ahead)
    ]
    work = threads * passes * num_bytes
    return lambda: work / min(way() for way in ways)


def multiplying(precision: str, threads: int | None) -> Gauge:
    """Multiply-adds a second that need no memory: of float32, or of bytes for "int8".

    None threads: the accelerator, by a large float32 matrix product.
    """
    if threads is None:
        matrix = jnp.ones((8192, 8192), jnp.float32)
        product = jax.jit(lambda x: jnp.dot(x, x, precision="highest"))
        return _best_of_many(lambda: product(matrix).block_until_ready(), 8192**3, 3)
    if precision == "int8":
        turns = _DOT_MULTIPLY_ADDS // (4 * _LANES * _SUMS)
        run, work = (lambda: _dot_products(0x01010101, turns)), 4 * _LANES * _SUMS * turns
    else:
        turns = _MULTIPLY_ADDS // (_LANES * _SUMS)
        run, work = (lambda: _multiply_adds(np.float32(0.5), turns)), _LANES * _SUMS * turns
    seconds = _together(run, threads)
    return lambda: threads * work / seconds()


def _together(run: Callable[[], object], threads: int) -> Callable[[], float]:
    """A function: the seconds that `threads` runs at once take."""
    run()  # compiles, and brings the data near
    pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def seconds() -> float:
        start = time.perf_counter()
        if pool is None:
            run()
        else:
            for each in [pool.submit(run) for _ in range(threads)]:
                each.result()
        return time.perf_counter() - start

    return seconds


def _best_of_many(run: Callable[[], object], work: int, repeats: int = 20) -> Gauge:
    """Work a second of the fastest of some runs, each too short to be a reading by itself."""
    run()  # compiles
    seconds = _together(run, 1)
    return lambda: work / min(seconds() for _ in range(repeats))


def _reader(ahead: int):
    """A function (address, num_bytes, passes) that adds up all vectors; see _AHEAD."""

    @intrinsic
    def read(context, address, num_bytes, passes):
        def generate(context, b, signature, args):
            address, num_bytes, passes = args
            sums = _sums(b, _VI, _LOADS)
            with (
                cgutils.for_range_slice(b, _I64(0), passes, _I64(1), _I64),
                cgutils.for_range_slice(b, _I64(0), num_bytes, _I64(_LOADS * _BYTES), _I64) as (
                    i,
                    _,
                ),
            ):
                for n, each in enumerate(sums):
                    place = b.add(b.add(address, i), _I64(n * _BYTES))
                    if ahead and n * _BYTES % _CACHE_LINE == 0:
                        _prefetch(b, b.add(place, _I64(ahead)))
                    loaded = b.load(b.inttoptr(place, _VI.as_pointer()))
                    loaded.align = 4
                    b.store(b.add(b.load(each), loaded), each)
            return _total(b, sums)

        return types.int32(*[types.int64] * 3), generate

    @njit(nogil=True)
    def run(address, num_bytes, passes):
        return read(address, num_bytes, passes)  # pyright: ignore[reportCallIssue]

    return run


def _prefetch(b, address) -> None:
    pointer = ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [pointer, _I, _I, _I])
    prefetch = cgutils.get_or_insert_function(b.module, kind, "llvm.prefetch.p0")
    b.call(prefetch, [b.inttoptr(address, pointer), _I(0), _I(3), _I(1)])  # to read, near, data


@intrinsic
def _multiply_adds_of(context, factor, turns):
    """_SUMS vectors of sum * factor + factor, again and again, in registers."""

    def generate(context, b, signature, args):
        factor, turns = args
        factor, sums = _splat(b, factor, _VF), _sums(b, _VF, _SUMS)
        name = f"llvm.fmuladd.v{_LANES}f32"
        kind = ir.FunctionType(_VF, [_VF, _VF, _VF])
        fma = cgutils.get_or_insert_function(b.module, kind, name)
        with cgutils.for_range_slice(b, _I64(0), turns, _I64(1), _I64):
            for each in sums:
                b.store(b.call(fma, [b.load(each), factor, factor]), each)
        return _total(b, sums)

    return types.int32(types.float32, types.int64), generate


@intrinsic
def _dot_products_of(context, four, turns):
    """_SUMS vectors of sum + the dot product of four bytes, again and again, in registers."""

    def generate(context, b, signature, args):
        four, turns = args
        four, sums = b.bitcast(_splat(b, four, _VI), _VB), _sums(b, _VI, _SUMS)
        kind = ir.FunctionType(_VI, [_VI, _VB, _VB])
        dot = cgutils.get_or_insert_function(b.module, kind, machine.dot_product())
        with cgutils.for_range_slice(b, _I64(0), turns, _I64(1), _I64):
            for each in sums:
                b.store(b.call(dot, [b.load(each), four, four]), each)
        return _total(b, sums)

    return types.int32(types.int32, types.int64), generate


_read, _read_ahead = _reader(0), _reader(_AHEAD)


@njit(nogil=True)
def _multiply_adds(factor, turns):
    return _multiply_adds_of(factor, turns)  # pyright: ignore[reportCallIssue]


@njit(nogil=True)
def _dot_products(four, turns):
    return _dot_products_of(np.int32(four), turns)  # pyright: ignore[reportCallIssue]


def _sums(b, kind, count: int) -> list:
    """Local variables, which LLVM keeps in registers; all differ, or it would make them one."""
    return [
        cgutils.alloca_once_value(b, ir.Constant(kind, [n * _LANES + i for i in range(_LANES)]))
        for n in range(count)
    ]


def _total(b, sums):
    """One number that depends on all sums, so that none is optimised away."""
    total = ir.Constant(_VI, [0] * _LANES)
    for each in sums:
        total = b.add(total, b.bitcast(b.load(each), _VI))
    name, kind = f"llvm.vector.reduce.add.v{_LANES}i32", ir.FunctionType(_I, [_VI])
    return b.call(cgutils.get_or_insert_function(b.module, kind, name), [total])


def _splat(b, value, kind):
    first = b.insert_element(ir.Constant(kind, ir.Undefined), value, _I(0))
    return b.shuffle_vector(first, first, ir.Constant(_VI, [0] * _LANES))
