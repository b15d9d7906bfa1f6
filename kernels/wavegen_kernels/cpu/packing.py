"""The weights as the CPU reads them: one line of memory, in the order of use.

A product with a matrix [rows, columns] goes through the matrix in blocks. A block holds two
vectors of neighbouring columns of the left half of the matrix and the two that stand at the same
place in the right half; row after row. So a block of a gate matrix holds filters and the
gates that belong to them, and a bfloat16 word holds one weight of either half:

    float32    a row: left vectors, right vectors                      float32
    bfloat16   a row: vectors of words (right weight << 16 | left)     uint32
    int8       four rows: left vectors, right vectors of words         int32
               (byte i of a word is the weight of row i of the four);
               after the last row the scale of every column, then its offset (float32)

The matrix of the logits, head2, is held one precision finer: nothing averages out what its
rounding does. On trained networks it made nine tenths of the divergence of bfloat16 and of int8.

Columns are padded with zeros to pairs of vectors; a matrix whose half is an odd number of
vectors ends with a block of one and one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from wavegen_kernels import predictor
from wavegen_kernels.weights import StackWeights, amplitudes

PRECISIONS = ("float32", "bfloat16", "int8")
WORDS = {"float32": np.float32, "bfloat16": np.uint32, "int8": np.int32}
FINER = {"float32": "float32", "bfloat16": "float32", "int8": "bfloat16"}  # for head2
WIDEST = {"float32": 2, "bfloat16": 2, "int8": 4}  # vectors of a block's halves
HUGE_PAGE = 2 << 20  # bytes
LEVELS = 127  # of an int8 weight, either side of zero
ZERO_POINT = 128  # the byte that stands for an activation of 0.0 where activations have a sign


class Linear(NamedTuple):
    """The predictor; arrays without rows where there is none."""

    value: np.ndarray  # float32 [STEPS, R]
    level: np.ndarray  # float32 [STEPS, R]
    surprise: np.ndarray  # float32 [STEPS, R]
    shape: np.ndarray  # float32 [2 or 3, S padded]
    shape_bias: np.ndarray  # float32 [2 or 3]
    sounds: np.ndarray  # float32 [V]: amplitudes of the codes
    middle: np.ndarray  # float32 [V padded]: of the codes' cells
    half: np.ndarray  # float32 [V padded]
    later: np.ndarray  # float32 [W]: how much each sample of a fit counts
    order: int
    refit: int
    floor: np.float32
    damping: np.float32
    periodic: bool
    steered: bool


class Packed(NamedTuple):
    """What the compiled loop reads. Wr is R padded to pairs of vectors, Wg R padded to vectors."""

    arena: np.ndarray  # every matrix, see above; its dtype tells the precision
    embed: np.ndarray  # float32 [K, V, R]
    gate_bias: np.ndarray  # float32 [L, 2, Wg]: filter, gate
    residual_bias: np.ndarray  # float32 [L, Wr]
    skip_bias: np.ndarray  # float32, padded like all that follow
    head1_bias: np.ndarray
    head2_bias: np.ndarray
    dilations: np.ndarray  # int64 [L]
    linear: Linear


def pack(weights: StackWeights, precision: str, lanes: int) -> Packed:
    """The weights in one arena, each matrix where the loop comes to it.

    `lanes` is the number of float32 in a vector of the machine. The residual of the last
    layer is left out: nothing reads what it would give.
    """
    pieces = [
        _matrix(matrix, kind, lanes, signed).view(WORDS[precision])
        for matrix, kind, signed in matrices(weights, precision, lanes)
    ]
    arena = aligned(sum(piece.size for piece in pieces), WORDS[precision])
    np.concatenate([piece.ravel() for piece in pieces], out=arena)
    filters, gates = np.split(weights.gate_bias, 2, axis=-1)
    return Packed(
        arena=arena,
        embed=np.array(weights.embed, np.float32),
        gate_bias=np.stack([_padded(filters, lanes), _padded(gates, lanes)], axis=1),
        residual_bias=_padded(weights.residual_bias, 2 * lanes),
        skip_bias=_padded(weights.skip_bias, 2 * lanes),
        head1_bias=_padded(weights.head1_bias, 2 * lanes),
        head2_bias=_padded(weights.head2_bias, 2 * lanes),
        dilations=np.array(weights.dilations, np.int64),
        linear=_linear(weights, lanes),
    )


def _linear(weights: StackWeights, lanes: int) -> Linear:
    linear, one = weights.predictor, np.float32(1)
    sounds = amplitudes(weights.n_codes).astype(np.float32)
    if linear is None:
        rows, row = np.zeros((0, 0), np.float32), np.zeros(0, np.float32)
        return Linear(
            *(rows, rows, rows, rows, row, sounds, row, row, row),
            order=0,
            refit=1,
            floor=one,
            damping=one,
            periodic=False,
            steered=False,
        )
    middle, half = predictor.cells(weights.n_codes)
    return Linear(
        value=np.array(linear.value, np.float32),
        level=np.array(linear.level, np.float32),
        surprise=np.array(linear.surprise, np.float32),
        shape=np.ascontiguousarray(_padded(np.transpose(linear.shape), 2 * lanes)),
        shape_bias=np.array(linear.shape_bias, np.float32),
        sounds=sounds,
        middle=_padded(middle, 2 * lanes),
        half=_padded(half, 2 * lanes),
        later=predictor.weights_of_samples(linear.window).astype(np.float32),
        order=linear.order,
        refit=linear.refit,
        floor=np.float32(linear.floor),
        damping=np.float32(linear.damping),
        periodic=linear.periodic,
        steered=linear.steered,
    )


def matrices(
    weights: StackWeights, precision: str, lanes: int
) -> list[tuple[np.ndarray, str, bool]]:
    """Every matrix [rows, padded columns] in the order of use, and how it is held.

    That is its precision, and whether its inputs have a sign.

    Past taps come one layer early: they do not wait for the layer below, so the processor
    has something to do while that layer's gates are computed.
    """
    K, L, R = weights.kernel_size, len(weights.dilations), weights.residual_channels
    filters, gates = np.split(np.asarray(weights.gate, np.float32), 2, axis=-1)
    gate = np.concatenate([_padded(filters, lanes), _padded(gates, lanes)], axis=-1)
    past = [[gate[layer, k] for k in range(K - 1, 0, -1)] for layer in range(L)]
    ordered = [*past[0]]
    for layer in range(L):
        ordered.append(gate[layer, 0])
        if layer + 1 < L:
            ordered += past[layer + 1]
            ordered.append(_padded(weights.residual[layer], 2 * lanes))
    skip = np.asarray(weights.skip, np.float32).reshape(L * R, -1)
    ordered.append(_padded(skip, 2 * lanes))
    head1, head2 = (
        _padded(_padded(head, 2 * lanes).T, 2 * lanes).T for head in (weights.head1, weights.head2)
    )
    return [
        *((matrix, precision, True) for matrix in ordered),
        (head1, precision, False),
        (head2, FINER[precision], False),
    ]


def unpack(packed: Packed, weights: StackWeights, lanes: int) -> list[np.ndarray]:
    """The matrices that an arena stands for, as float32; `weights` lends its shapes."""
    found, at = [], 0
    precision = next(name for name, word in WORDS.items() if packed.arena.dtype == word)
    for matrix, kind, _ in matrices(weights, precision, lanes):
        rows, columns = matrix.shape
        half, left, right = columns // 2, [], []
        for _, width in blocks(half, kind, lanes):
            size = block_words(kind, rows, width)
            for side, part in zip(
                (left, right),
                _unblock(packed.arena[at : at + size].view(WORDS[kind]), kind, rows),
                strict=True,
            ):
                side.append(part)
            at += size
        found.append(np.concatenate([*left, *right], axis=1))
    return found


def blocks(half: int, precision: str, lanes: int) -> Iterator[tuple[int, int]]:
    """First column and columns, in the left half, of every block of a matrix."""
    first, width = 0, WIDEST[precision] * lanes
    while first < half:
        while width > half - first:
            width //= 2
        yield first, width
        first += width


def block_words(precision: str, rows: int, width: int) -> int:
    """Words of a block of `rows` rows and `width` columns of either half."""
    if precision == "float32":
        return rows * 2 * width
    if precision == "bfloat16":
        return rows * width
    return (-(-rows // 4) + 2) * 2 * width  # with scales and offsets


def bfloat16_bits(x: np.ndarray) -> np.ndarray:
    """The 16 bits of each float32, rounded to the nearest bfloat16, to even between two."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    return (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)


def _matrix(matrix: np.ndarray, precision: str, lanes: int, signed: bool) -> np.ndarray:
    """The words of a matrix [rows, columns], block after block."""
    half = matrix.shape[1] // 2
    packed = []
    for first, width in blocks(half, precision, lanes):
        left = matrix[:, first : first + width]
        right = matrix[:, half + first : half + first + width]
        packed.append(_block(left, right, precision, signed).ravel())
    return np.concatenate(packed)


def _block(left: np.ndarray, right: np.ndarray, precision: str, signed: bool) -> np.ndarray:
    if precision == "float32":
        return np.concatenate([left, right], axis=1)
    if precision == "bfloat16":
        return _word(left, right)
    return _quantised(np.concatenate([left, right], axis=1), signed)


def _word(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Two weights a word. word << 16 is the left one; the word itself, its low half not even
    masked, is the right one: that half is taken into account when the right one is rounded.
    """
    low = bfloat16_bits(left).astype(np.int64)
    bits = np.ascontiguousarray(right, np.float32).view(np.uint32).astype(np.int64)
    high = ((bits & 0x7FFFFFFF) - low + 0x8000) >> 16
    # A right weight of zero beside a low half of more than 0x8000 would become negative here, and
    # one smaller than the least normal number would make the processor slow.
    high = np.where((high < 0x0080) & (low == 0), 0, np.clip(high, 0x0080, 0x7F7F))
    return ((bits >> 31 << 31) | (high << 16) | low).astype(np.uint32)


def _quantised(block: np.ndarray, signed: bool) -> np.ndarray:  # [rows, columns] -> words
    rows, columns = block.shape
    scales = np.abs(block).max(axis=0) / LEVELS
    steps = np.rint(block / np.where(scales > 0, scales, 1)).astype(np.int8)
    steps = np.pad(steps, ((0, -rows % 4), (0, 0)))
    words = np.ascontiguousarray(steps.reshape(-1, 4, columns).transpose(0, 2, 1)).view(np.int32)
    # What the zero point of the activations adds to every column, to be taken off again.
    zero = ZERO_POINT if signed else 0
    offsets = -zero * scales * steps.sum(axis=0, dtype=np.int64)
    tail = np.stack([scales, offsets]).astype(np.float32).view(np.int32)
    return np.concatenate([words[..., 0], tail])


def _unblock(words: np.ndarray, precision: str, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Left and right columns [rows, width] of one block."""
    if precision == "bfloat16":
        words = words.reshape(rows, -1)
        return (words << np.uint32(16)).view(np.float32), words.view(np.float32)
    if precision == "float32":
        block = words.reshape(rows, -1)
    else:
        words = words.reshape(-(-rows // 4) + 2, -1)
        steps = np.ascontiguousarray(words[:-2, :, None]).view(np.int8)  # [rows / 4, columns, 4]
        steps = steps.transpose(0, 2, 1).reshape(-1, words.shape[1])[:rows]
        block = steps * words[-2].view(np.float32)
    width = block.shape[1] // 2
    return block[:, :width], block[:, width:]


def _padded(x: np.ndarray, multiple: int) -> np.ndarray:
    """The array with zeros after its last axis, up to a multiple."""
    x = np.asarray(x, np.float32)
    return np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, -x.shape[-1] % multiple)])


def aligned(size: int, dtype: type) -> np.ndarray:
    """An array that begins on a huge page. numpy asks for such pages from 4 MB on (Linux),
    and memory beyond the array is never touched; reading gains 8 % where the array lies in
    the last cache.
    """
    num_bytes = size * np.dtype(dtype).itemsize
    room = np.empty(num_bytes + 3 * HUGE_PAGE, np.uint8)
    first = -room.ctypes.data % HUGE_PAGE
    return room[first : first + num_bytes].view(dtype)
