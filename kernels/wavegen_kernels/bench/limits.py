"""What the machine could do at best, measured: bytes read a second, multiply-adds a second.

A gauge is a function that takes one reading, of tens or hundreds of milliseconds. Readings are
taken between the timings that they are compared with, so that a neighbour slows both alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from llvmlite import ir
from numba import njit
from numba.core import cgutils, types

from wavegen_kernels.cpu import machine, packing
from wavegen_kernels.cpu.llvm import (
    BYTES,
    FLOATS,
    I32,
    I64,
    INTS,
    LANES,
    VECTOR_BYTES,
    external,
    fetch,
    fma,
    instruction,
    load,
    splat,
)

Gauge = Callable[[], float]

# What every thread does in a reading; a fast core takes ten milliseconds.
_READ_BYTES = 1 << 30
_MULTIPLY_ADDS = 1 << 30
_DOT_MULTIPLY_ADDS = 1 << 32
# What an accelerator does in one run, of a millisecond or two; so many runs are started one behind
# the other, so that it works while the host starts the next one.
_DEVICE_READ_BYTES = 1 << 32
_DEVICE_ROWS = 8192  # of the matrix that is multiplied by itself
_DEVICE_RUNS = 8

_LOADS = 8  # vectors read, and sums that they are added to, in a turn of the loop
_CACHE_LINE = 64  # bytes
_AHEAD = 2048  # bytes: how far ahead the second way of reading asks for
# Independent sums: two units that take five cycles for a multiply-add (Haswell) need ten.
_SUMS = 16 if machine.many_registers() else 12


def reading(num_bytes: int, threads: int | None) -> Gauge:
    """Bytes a second of reading the same `num_bytes` again and again.

    They come from whichever cache or memory holds that many. All threads read the same bytes, and
    every reading counts. None threads: the accelerator reads, with all its cores; a TPU always
    from its main memory.
    """
    if threads is None:
        return _reading_on_accelerator(num_bytes)
    turn = _LOADS * VECTOR_BYTES
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


def multiplying(precision: str, threads: int | None, *, exact: bool = True) -> Gauge:
    """Multiply-adds a second that need no memory: of float32, or of bytes for "int8".

    None threads: the accelerator, by a large matrix product of float32 or bfloat16; one of
    float32 that is not `exact` is of what precision XLA takes for it there.
    """
    if threads is None:
        return _multiplying_on_accelerator(precision, exact)
    if precision == "int8":
        turns = _DOT_MULTIPLY_ADDS // (4 * LANES * _SUMS)
        run, work = (lambda: _dot_products(0x01010101, turns)), 4 * LANES * _SUMS * turns
    else:
        turns = _MULTIPLY_ADDS // (LANES * _SUMS)
        run, work = (lambda: _multiply_adds(np.float32(0.5), turns)), LANES * _SUMS * turns
    seconds = _together(run, threads)
    return lambda: threads * work / seconds()


def _reading_on_accelerator(num_bytes: int) -> Gauge:
    """One program that adds up the same words again and again.

    Every pass changes them first, or XLA would add them up once.
    """
    count = max(1, num_bytes // 4)
    passes = max(1, _DEVICE_READ_BYTES // (4 * count))
    # On a GPU a turn of a loop is a launch, so that one kernel makes all passes. A TPU has loops
    # of its own, and would use a word that it has read once for more than one pass.
    turns = 1 if jax.default_backend() == "gpu" else passes
    changes = jnp.arange(passes, dtype=jnp.int32).reshape(turns, -1)
    words = jnp.ones(count, jnp.int32)

    @jax.jit
    def totals(words: jax.Array, changes: jax.Array) -> jax.Array:
        return lax.map(lambda turn: jnp.sum(words[None] ^ turn[:, None]), changes)

    return _best_of_many(lambda: totals(words, changes), 4 * count * passes)


def _multiplying_on_accelerator(precision: str, exact: bool) -> Gauge:
    """A matrix by itself; of random numbers, as equal ones take less power and let clocks rise."""
    dtype = jnp.bfloat16 if precision == "bfloat16" else jnp.float32
    matrix = jax.random.normal(jax.random.key(0), (_DEVICE_ROWS, _DEVICE_ROWS), dtype)
    how = "highest" if exact and dtype == jnp.float32 else None
    product = jax.jit(lambda x: jnp.dot(x, x, precision=how))
    return _best_of_many(lambda: product(matrix), _DEVICE_ROWS**3)


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


def _best_of_many(start: Callable[[], jax.Array], work: int, repeats: int = 3) -> Gauge:
    """Work a second of the fastest of some repeats; `start` starts a run and does not wait."""

    def run() -> None:
        for _ in range(_DEVICE_RUNS - 1):
            start()
        start().block_until_ready()

    seconds = _together(run, 1)
    return lambda: _DEVICE_RUNS * work / min(seconds() for _ in range(repeats))


def _reader(ahead: int):
    """A function (address, num_bytes, passes) that adds up all vectors; see _AHEAD."""

    @instruction
    def read(context, address, num_bytes, passes):
        def generate(context, b, signature, args):
            address, num_bytes, passes = args
            sums = _sums(b, INTS, _LOADS)
            with (
                cgutils.for_range_slice(b, I64(0), passes, I64(1), I64),
                cgutils.for_range_slice(b, I64(0), num_bytes, I64(_LOADS * VECTOR_BYTES), I64) as (
                    i,
                    _,
                ),
            ):
                for n, each in enumerate(sums):
                    place = b.add(b.add(address, i), I64(n * VECTOR_BYTES))
                    if ahead and n * VECTOR_BYTES % _CACHE_LINE == 0:
                        fetch(b, b.add(place, I64(ahead)))
                    b.store(b.add(b.load(each), load(b, place, INTS)), each)
            return _total(b, sums)

        return types.int32(*[types.int64] * 3), generate

    @njit(nogil=True)
    def run(address, num_bytes, passes):
        return read(address, num_bytes, passes)

    return run


@instruction
def _multiply_adds_of(context, factor, turns):
    """_SUMS vectors of sum * factor + factor, again and again, in registers."""

    def generate(context, b, signature, args):
        factor, turns = args
        factor, sums = splat(b, factor, FLOATS), _sums(b, FLOATS, _SUMS)
        with cgutils.for_range_slice(b, I64(0), turns, I64(1), I64):
            for each in sums:
                b.store(fma(b, b.load(each), factor, factor), each)
        return _total(b, sums)

    return types.int32(types.float32, types.int64), generate


@instruction
def _dot_products_of(context, four, turns):
    """_SUMS vectors of sum + the dot product of four bytes, again and again, in registers."""

    def generate(context, b, signature, args):
        four, turns = args
        four, sums = b.bitcast(splat(b, four, INTS), BYTES), _sums(b, INTS, _SUMS)
        dot = external(b, machine.dot_product() or "", INTS, INTS, BYTES, BYTES)
        with cgutils.for_range_slice(b, I64(0), turns, I64(1), I64):
            for each in sums:
                b.store(b.call(dot, [b.load(each), four, four]), each)
        return _total(b, sums)

    return types.int32(types.int32, types.int64), generate


_read, _read_ahead = _reader(0), _reader(_AHEAD)


@njit(nogil=True)
def _multiply_adds(factor, turns):
    return _multiply_adds_of(factor, turns)


@njit(nogil=True)
def _dot_products(four, turns):
    return _dot_products_of(np.int32(four), turns)


def _sums(b, kind, count: int) -> list:
    """Local variables, which LLVM keeps in registers; all differ, or it would make them one."""
    return [
        cgutils.alloca_once_value(b, ir.Constant(kind, [n * LANES + i for i in range(LANES)]))
        for n in range(count)
    ]


def _total(b, sums):
    """One number that depends on all sums, so that none is optimised away."""
    total = ir.Constant(INTS, [0] * LANES)
    for each in sums:
        total = b.add(total, b.bitcast(b.load(each), INTS))
    return b.call(external(b, f"llvm.vector.reduce.add.v{LANES}i32", I32, INTS), [total])
