"""The loop over samples: embed, layers, head, draw; compiled once for each precision.

Everything here works on some of the streams, B of them. Wg and Wr are R padded to vectors and
to pairs of vectors. The matrices come in the order in which packing.py lays them down.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from wavegen_kernels.cpu import machine
from wavegen_kernels.cpu.draw import GROUP, draw, uniform
from wavegen_kernels.cpu.likelihood import measure
from wavegen_kernels.cpu.packing import LEVELS, Packed
from wavegen_kernels.cpu.predictor import add_base, ear, follow, foretell, hear, refit
from wavegen_kernels.cpu.product import (
    activate,
    activations,
    below,
    finer,
    gated,
    inputs,
    product,
    row,
)
from wavegen_kernels.cpu.vector import accumulate, copy, relu, rows

_LINE = 16  # float32 numbers in a line of the cache
# Bytes of an arena from which on it does not stay in the second-level cache of one core.
_FAR = 3 << 19


class Room(NamedTuple):
    """What one thread works in; nothing in it outlives a call."""

    h: np.ndarray  # float32 [B, Wr]: the residual stream
    before: np.ndarray  # float32 [2, B, 2 Wg]: gate inputs of a layer and of the next one
    z: np.ndarray  # float32 [B, L*R + Wg - R]: gated outputs of all layers; as bytes for int8
    cond: np.ndarray  # float32 [L, B, 2 Wg]: of this frame, gate bias included
    skip: np.ndarray  # float32 [B, S padded]
    hidden: np.ndarray  # float32 [B, H padded]
    logits: np.ndarray  # float32 [B, V padded]
    zeros: np.ndarray  # float32 [B, the widest of these]
    p: np.ndarray  # float32 [V padded]: probabilities of one stream
    groups: np.ndarray  # float32 [V padded / GROUP]: their sums
    steps: np.ndarray  # float32, 4 bytes each [B, words]: inputs of a product of int8
    scales: np.ndarray  # float32 [B]: theirs
    gate_scales: np.ndarray  # float32 [B]: those of gated outputs, always 1 / 127
    lattice: np.ndarray  # float32 [3, W]: what a fit works in
    foretold: np.ndarray  # float32 [B, 3]: the foretold sample, the error level, the delay


class _Rows(NamedTuple):
    """Where the loop's arrays lie: see vector.rows; and how large they are."""

    residual_bias: tuple[int, int]
    skip_bias: int
    head1_bias: int
    head2_bias: int
    h: tuple[int, int]
    before: tuple[int, int]
    z: tuple[int, int]
    cond: tuple[int, int]
    skip: tuple[int, int]
    hidden: tuple[int, int]
    logits: tuple[int, int]
    zeros: tuple[int, int]
    steps: tuple[int, int]
    scales: tuple[int, int]
    gate_scales: tuple[int, int]
    queues: int  # address of this group's first stream
    time_bytes: int  # from one row of the queues to the next
    B: int
    K: int
    R: int
    L: int
    Wg: int
    far: bool


def room(packed: Packed, batch: int, anchor: int) -> Room:
    """Room for B streams whose anchors have so many samples."""
    L, _, Wg = packed.gate_bias.shape
    R, Wr = packed.embed.shape[2], packed.residual_bias.shape[1]
    S, H, V = (len(each) for each in (packed.skip_bias, packed.head1_bias, packed.head2_bias))
    room = Room(
        *_zeros(
            (batch, Wr),
            (2, batch, 2 * Wg),
            (batch, L * R + Wg - R),
            (L, batch, 2 * Wg),
            (batch, S),
            (batch, H),
            (batch, V),
            (batch, max(2 * Wg, S, H, V)),
            (-(-V // GROUP) * GROUP,),
            (-(-V // GROUP),),
            (batch, max(R, S, H) // 4 + _LINE),
            (batch,),
            (batch,),
            (3, anchor + packed.linear.later.size),
            (batch, 3),
        )
    )
    room.gate_scales[:] = 1 / LEVELS
    room.foretold[:, 2] = 1
    return room


def _zeros(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    """Arrays of zeros, each from the begin of a cache line, so that no vector lies on two."""
    sizes = [-(-math.prod(shape) // _LINE) * _LINE for shape in shapes]
    whole = np.zeros(sum(sizes) + _LINE, np.float32)
    first, arrays = -(whole.ctypes.data // 4) % _LINE, []
    for shape, size in zip(shapes, sizes, strict=True):
        arrays.append(whole[first : first + math.prod(shape)].reshape(shape))
        first += size
    return arrays


@njit(nogil=True, error_model="numpy")
def _samples(
    packed,
    room,
    time,  # uint32: of sample 0 of the call
    codes_before,  # int32 [K, B]
    queues,  # float32 [rows, B, R]
    heard,  # float32 [B, W + T]: the predictor's past, then every sample that is made
    errors,  # float32 [B, 3]
    taps,  # float32 [B, N]: the predictor's coefficients, the last one first
    delays,  # int32 [B, F]: those of a periodic predictor
    echoes,  # float32 [B, F, N]: its coefficients, the last one first
    anchors,  # float32 [B, F, A]: what a steered one's fits hear besides; A = 0 for others
    counts,  # float32 [A + W]: what each sample of a fit counts
    held,  # float32 [B, F, 3]: a steered one's level, lowest and highest error level
    cond,  # float32 [B, F, L, 2R]
    hop_length,
    seed,  # uint32
    streams,  # uint32 [B]
    temperature,  # float32 [B, F]
    top_k,  # int32 [B, F]
    top_p,  # float32 [B, F]
    codes,  # int32 [B, T]: those that stand fixed, -1 where one shall be drawn; changed
    logits,  # float32 [B, T, V], or [0, 0, 0] where nobody wants them; changed
    measured,  # float32 [B, T, 2]: ln p of the code and the entropy, or [0, 0, 0]; changed
    n_codes,
    first,
    last,
    low,
    high,
):
    """Samples first ... last - 1 of a call, for streams low ... high - 1.

    codes_before, queues, heard and errors are the state; it moves on.
    """
    at = _places(packed, room, queues, low, high)
    word, weights = packed.arena[0], rows(packed.arena)[0]
    embed, gate_bias, dilations = packed.embed, packed.gate_bias, packed.dilations
    found, p, groups = room.logits, room.p, room.groups
    positions = _positions(dilations, at.K - 1, time + np.uint32(first))
    linear = packed.linear
    past = ear(linear, room, heard, errors, taps, low)
    for t in range(first, last):
        f = t // hop_length
        if t == first or t % hop_length == 0:
            _listen(cond, f, low, gate_bias, room.cond)
            if linear.periodic:
                follow(room, delays, echoes, taps, f, low, high)
        _embed(embed, codes_before, low, at)
        if past.order:
            if not linear.periodic and t % linear.refit == 0:
                refit(linear, room, heard, anchors, counts, held, taps, t, f, low, high)
            foretell(past, held, t, f, low, at.h, at.B, at.R)
        _step(word, weights, dilations, positions, at)
        if past.order:
            add_base(past, at.skip, at.logits, at.B)
        for b in range(low, high):
            if logits.size:
                for v in range(n_codes):
                    logits[b, t, v] = found[b - low, v]
            if codes[b, t] < 0:
                u = uniform(seed, streams[b], time + np.uint32(t))
                settings = (temperature[b, f], top_k[b, f], top_p[b, f])
                codes[b, t] = draw(row(at.logits, b - low), p, groups, n_codes, u, settings)
            if measured.size:
                ln_p, entropy = measure(row(at.logits, b - low), n_codes, codes[b, t])
                measured[b, t, 0], measured[b, t, 1] = ln_p, entropy
            for k in range(at.K - 1, 0, -1):
                codes_before[k, b] = codes_before[k - 1, b]
            codes_before[0, b] = codes[b, t]
        if past.order:
            hear(past, t, codes_before, low, at.B)


@njit(nogil=True, error_model="numpy")
def _places(packed, room, queues, low, high):
    K, _, R = packed.embed.shape
    return _Rows(
        residual_bias=rows(packed.residual_bias),
        skip_bias=rows(packed.skip_bias)[0],
        head1_bias=rows(packed.head1_bias)[0],
        head2_bias=rows(packed.head2_bias)[0],
        h=rows(room.h),
        before=rows(room.before),
        z=rows(room.z),
        cond=rows(room.cond),
        skip=rows(room.skip),
        hidden=rows(room.hidden),
        logits=rows(room.logits),
        zeros=rows(room.zeros),
        steps=rows(room.steps),
        scales=rows(room.scales),
        gate_scales=rows(room.gate_scales),
        queues=rows(queues)[0] + 4 * low * R,
        time_bytes=4 * queues.shape[1] * R,
        B=high - low,
        K=K,
        R=R,
        L=packed.dilations.size,
        Wg=packed.gate_bias.shape[2],
        far=4 * packed.arena.size > _FAR,
    )


@njit(nogil=True, error_model="numpy")
def _positions(dilations, taps, time):
    """The row of every layer's queue that holds its oldest sample and takes the newest."""
    positions = np.empty(dilations.size, np.int64)
    for layer in range(positions.size):
        positions[layer] = np.int64(time) % (taps * dilations[layer])
    return positions


@njit(nogil=True, error_model="numpy")
def _listen(cond, f, low, gate_bias, out):  # out [L, B, 2 Wg]
    """The conditioning of frame f and the gate bias, as the gates are laid out."""
    L, B, _ = out.shape
    R, Wg = cond.shape[3] // 2, gate_bias.shape[2]
    for layer in range(L):
        for b in range(B):
            for half in range(2):
                for r in range(R):
                    heard = cond[low + b, f, layer, half * R + r]
                    out[layer, b, half * Wg + r] = heard + gate_bias[layer, half, r]


@njit(nogil=True, error_model="numpy")
def _embed(embed, codes_before, low, at):
    """h_0: the embeddings of the last K codes, added up."""
    n_codes = embed.shape[1]
    for b in range(at.B):
        for k in range(at.K):
            place = rows(embed)[0] + 4 * at.R * (k * n_codes + codes_before[k, low + b])
            if k == 0:
                copy(place, row(at.h, b), at.R)
            else:
                accumulate(place, row(at.h, b), at.R)


@njit(nogil=True, error_model="numpy", forceinline=True)
def _step(word, weights, dilations, positions, at):
    """One sample, from h_0 to logits; the queues move on.

    A layer's past taps come before the residual of the layer below: they need nothing of it, so
    the processor has something to do while that layer's gates are computed.
    """
    B, R, S, H = at.B, at.R, at.skip[1] // 4, at.hidden[1] // 4
    first = 0  # row of this layer's queue
    weights = _hear_past(word, weights, 0, dilations[0], positions[0], first, at)
    for layer in range(at.L):
        before = below(at.before, layer % 2 * B)
        x = inputs(word, at.h, B, R, at.steps, at.scales, True)
        weights = product(word, weights, at.far, x, R, before, at.zeros[0], before, B, 2 * at.Wg)
        for b in range(B):
            place = at.queues + (first + positions[layer]) * at.time_bytes
            copy(row(at.h, b), place + 4 * R * b, R)
        length = (at.K - 1) * dilations[layer]
        positions[layer] = positions[layer] + 1 if positions[layer] + 1 < length else 0
        first += length
        z = activations(word, at.z, layer * R)
        activate(word, before, z, B, at.Wg)
        above = layer + 1
        if above < at.L:
            weights = _hear_past(
                word, weights, above, dilations[above], positions[above], first, at
            )
            bias, Wr = row(at.residual_bias, layer), at.h[1] // 4
            x = gated(word, z, at.gate_scales)
            weights = product(word, weights, at.far, x, R, at.h, bias, at.h, B, Wr)
    LR, V = at.L * R, at.logits[1] // 4
    x = gated(word, at.z, at.gate_scales)
    weights = product(word, weights, at.far, x, LR, at.zeros, at.skip_bias, at.skip, B, S)
    _relu(at.skip, B, S)
    x = inputs(word, at.skip, B, S, at.steps, at.scales, False)
    weights = product(word, weights, at.far, x, S, at.zeros, at.head1_bias, at.hidden, B, H)
    _relu(at.hidden, B, H)
    # The bfloat16 of int8 and the float32 of bfloat16: see packing.FINER.
    fine = finer(word)
    x = inputs(fine, at.hidden, B, H, at.steps, at.scales, False)
    product(fine, weights, at.far, x, H, at.zeros, at.head2_bias, at.logits, B, V)


@njit(nogil=True, error_model="numpy", forceinline=True)
def _hear_past(word, weights, layer, dilation, position, first, at):
    """A layer's gate inputs but for its tap of now: conditioning, bias and past taps."""
    before = below(at.before, layer % 2 * at.B)
    init = below(at.cond, layer * at.B)
    length = (at.K - 1) * dilation
    for k in range(at.K - 1, 0, -1):
        i = position + (at.K - 1 - k) * dilation
        if i >= length:
            i -= length
        past = (at.queues + (first + i) * at.time_bytes, 4 * at.R)
        x = inputs(word, past, at.B, at.R, at.steps, at.scales, True)
        weights = product(
            word, weights, at.far, x, at.R, init, at.zeros[0], before, at.B, 2 * at.Wg
        )
        init = before
    return weights


@njit(nogil=True, error_model="numpy")
def _relu(x, B, n):
    for b in range(B):
        relu(row(x, b), n)


def _cached(sources: str):
    """The loop, compiled once for a processor and kept on disk.

    To tell whether what it kept still holds, Numba looks at the file of the function alone, and
    at the values that the function closes over. So it closes over the hash of all files.
    """

    @njit(nogil=True, cache=True)
    def samples(*arguments):
        sources  # noqa: B018 # pyright: ignore[reportUnusedExpression]
        _samples(*arguments)

    return samples


samples = _cached(machine.fingerprint())
