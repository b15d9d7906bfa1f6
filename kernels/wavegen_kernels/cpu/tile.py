"""Tiles of a product: a few streams, some columns of one block; all sums in registers.

The sum of a product of floats has two parts, of even and of odd rows, whatever the tile: that
keeps enough additions in flight for one stream, and gives a stream the same bits in any batch.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types

from wavegen_kernels.cpu import machine
from wavegen_kernels.cpu.llvm import (
    BYTES,
    F32,
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
    opened,
    pointer,
    splat,
    store,
)

# Streams of a tile: as many as leave the accumulators in registers.
TILE = 4 if machine.many_registers() else 2

# Bytes that a tile of one stream fetches ahead of what it reads, where it is known to help: it
# gained 8 to 12 % on Zen 5; on a Zen 4 it cost up to a third. benchmarks/README.md has both.
READ_AHEAD = 2048 if machine.target()[1] == "znver5" else 0


@instruction(prefer_literal=True)
def tile(context, streams, width, block, reach, word, weights, x, steps, init, bias, out, right):
    """out = init + bias + x @ matrix, for a few streams and some columns of one block.

    The tile has `streams` rows, and `width` vectors of the left half of the columns and as many
    of the right half, which lies `right` columns on. x, init, bias and out are rows that begin
    at the tile's first stream and column. `weights` is the address of the tile's first word in
    a block of `block` vectors of either half; the type of `word` tells the precision (see
    packing.py). x has `steps` numbers, or for int8 words of four bytes; there it is a pair of
    such rows and of the address of their scales. A tile of floats fetches what lies `reach` bytes
    after what it reads into the nearest cache; 0 is off.
    """
    literals, index = (streams, width, block, reach), types.int64
    signature = types.void(*literals, word, index, x, index, init, index, out, index)
    shape = [each.literal_value for each in literals[:3]]

    def generate(context, b, signature, args):
        *_, weights, x, steps, init, bias, out, right = opened(b, signature, args)
        starts = [b.mul(right, I64(4 * half)) for half in range(2)]
        columns = [b.add(c, I64(v * VECTOR_BYTES)) for c in starts for v in range(shape[1])]
        places = (weights, x, steps, init, bias, out, columns)
        if signature.args[4] == types.int32:
            _emit_integers(b, shape, *places)
        else:
            halved = signature.args[4] == types.uint32  # a word holds a left and a right weight
            _emit_floats(b, shape, halved, reach.literal_value, *places)
        return context.get_dummy_value()

    return signature, generate


def _emit_floats(b, shape, halved, reach, weights, x, steps, init, bias, out, columns) -> None:
    streams, width, block = shape
    length = block * VECTOR_BYTES * (1 if halved else 2)  # of a row of the block
    inputs = [x.row(m) for m in range(streams)]
    sums = _variables(b, FLOATS, 2, streams, len(columns))
    for m, c in np.ndindex(streams, len(columns)):
        b.store(load(b, b.add(init.row(m), columns[c])), sums[0, m, c])
        b.store(load(b, b.add(bias, columns[c])), sums[1, m, c])

    def add_row(k, part) -> None:
        row = b.add(weights, b.mul(k, I64(length)))
        places = range(0, width * VECTOR_BYTES, VECTOR_BYTES) if halved else _places(width, block)
        if reach:
            for place in places:
                fetch(b, b.add(row, I64(place + reach)))
        if halved:
            words = [load(b, b.add(row, I64(place)), INTS) for place in places]
            lefts = [b.shl(word, ir.Constant(INTS, [16] * LANES)) for word in words]
            line = [b.bitcast(word, FLOATS) for word in lefts + words]
        else:
            line = [load(b, b.add(row, I64(place))) for place in places]
        for m, address in enumerate(inputs):
            value = b.load(pointer(b, b.add(address, b.mul(k, I64(4))), F32))
            value = splat(b, value, FLOATS)
            for c, weight in enumerate(line):
                b.store(fma(b, weight, value, b.load(sums[part, m, c])), sums[part, m, c])

    _count(b, steps, 2, add_row)
    for m, c in np.ndindex(streams, len(columns)):
        whole = b.fadd(b.load(sums[0, m, c]), b.load(sums[1, m, c]))
        store(b, whole, b.add(out.row(m), columns[c]))


def _emit_integers(b, shape, weights, x, steps, init, bias, out, columns) -> None:
    streams, width, block = shape
    x, scales = x
    length = 2 * block * VECTOR_BYTES  # of four rows of the block
    places = _places(width, block)
    inputs = [x.row(m) for m in range(streams)]
    parts = 2 if streams == 1 and width < 4 else 1  # whole numbers add up to the same in any order
    sums = _variables(b, INTS, parts, streams, len(columns))
    for each in sums.flat:
        b.store(ir.Constant(INTS, [0] * LANES), each)
    dot = external(b, machine.dot_product() or "", INTS, INTS, BYTES, BYTES)

    def add_row(k, part) -> None:
        row = b.add(weights, b.mul(k, I64(length)))
        line = [load(b, b.add(row, I64(place)), BYTES) for place in places]
        for m, address in enumerate(inputs):
            word = b.load(pointer(b, b.add(address, b.mul(k, I64(4))), I32))
            four = b.bitcast(splat(b, word, INTS), BYTES)
            for c, weight in enumerate(line):
                total = b.call(dot, [b.load(sums[part, m, c]), four, weight])
                b.store(total, sums[part, m, c])

    _count(b, steps, parts, add_row)
    tail = b.add(weights, b.mul(steps, I64(length)))
    for c, place in enumerate(places):
        scale = load(b, b.add(tail, I64(place)))
        offset = load(b, b.add(tail, I64(length + place)))
        for m in range(streams):
            of_row = splat(b, b.load(pointer(b, b.add(scales, I64(4 * m)), F32)), FLOATS)
            first = load(b, b.add(init.row(m), columns[c]))
            before = b.fadd(first, load(b, b.add(bias, columns[c])))
            total = b.load(sums[0, m, c])
            if parts == 2:
                total = b.add(total, b.load(sums[1, m, c]))
            whole = fma(b, b.sitofp(total, FLOATS), scale, offset)
            store(b, fma(b, whole, of_row, before), b.add(out.row(m), columns[c]))


def _count(b, steps, parts: int, step) -> None:
    """step(k, part) for k below `steps`, with the parts taking turns."""
    whole = b.and_(steps, I64(-parts))
    with cgutils.for_range_slice(b, I64(0), whole, I64(parts), I64) as (k, _):
        for part in range(parts):
            step(b.add(k, I64(part)), part)
    if parts == 2:
        with b.if_then(b.icmp_signed("<", whole, steps)):
            step(whole, 0)


def _places(width: int, block: int) -> list[int]:
    """Bytes from a row's begin to its left and then its right vectors."""
    return [(half * block + v) * VECTOR_BYTES for half in range(2) for v in range(width)]


def _variables(b, kind, *shape: int) -> np.ndarray:
    """Local variables, which LLVM keeps in registers."""
    variables = np.empty(shape, object)
    for i in np.ndindex(shape):
        variables[i] = cgutils.alloca_once(b, kind)
    return variables
