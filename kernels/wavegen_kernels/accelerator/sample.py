"""One sample of a tile of streams: what every accelerator computes, written once.

The functions here run inside a Pallas kernel: weights and queues are references to its memory,
everything else is values with the streams down and the channels, or codes, across. What a GPU
and a TPU do each in their own way comes in a `Device`.

M streams of a tile; other letters as in padding.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from wavegen_kernels.accelerator import draw, linear
from wavegen_kernels.accelerator.padding import Net
from wavegen_kernels.predictor import Foretold

Array = jax.Array
Ref = Any  # a reference to an array in the kernel's memory; outside of it, the array


class Plan(NamedTuple):
    """What is known before a kernel is compiled."""

    n_codes: int  # V
    hop: int  # samples of a frame, in this launch
    filtered: bool  # whether any top_k or top_p is on
    measured: bool  # whether the codes' likelihood is wanted
    teacher: bool  # whether logits are wanted, of codes that are all there
    predictor: linear.Kind | None


class Inputs(NamedTuple):
    """References to what a launch reads beside the weights."""

    start: Ref  # int32 [L]: the row of its queue that a layer's first activation goes to
    codes: Ref  # int32 [K, M, 1]: those before, the newest first
    cond: Ref  # [F, L, 2, M, R']: filter, gate; the biases are in it
    settings: Ref  # [F, 3 or 4, M, 1]: temperature, top_k, top_p; a steered predictor's noises
    uniforms: Ref  # of every sample, see Device.column
    forced: Ref  # likewise, int32
    taps: Ref  # of every frame, as the device's `echo` reads them; None without a predictor
    delays: Ref  # likewise


class Outputs(NamedTuple):
    """References to what a launch writes for every sample; None for what the plan does not ask."""

    codes: Ref  # int32
    likelihood: Ref  # ln p(code)
    entropy: Ref
    logits: Ref  # [T, M, V']


class Carry(NamedTuple):
    """What one sample hands to the next."""

    codes: tuple[Array, ...]  # K of int32 [M, 1], the newest first
    errors: tuple[Array, ...]  # the predictor's three, [M, 1] each; none without one
    heard: Any  # what the device keeps of the samples, if in values


class Device(NamedTuple):
    """What each kind of accelerator does in its own way."""

    product: Callable[[Array, Array], Array]  # [M, X], [X, Y] -> float32 [M, Y]
    widest: int  # columns that a product takes at once
    embedded: Callable[[Ref, int, Array], Array]  # embed, tap, code [M, 1] -> float32 [M, R']
    running_sum: Callable[[Array], Array]  # [M, V'] -> [M, V']
    fence: Callable[[], None]  # what any thread wrote before it, all threads see after it
    column: Callable[[Ref, Array], Array]  # of sample i: [M, 1]
    put: Callable[[Ref, Array, Array], None]  # the column of sample i
    echo: Callable[[Any, Any, Array], Array]  # heard, frame, sample -> the taps' sum [M, 1]
    hear: Callable[[Any, Array, Array], Any]  # heard, sample, amplitude [M, 1] -> heard


class Tile(NamedTuple):
    """Some streams that a kernel is making samples of."""

    plan: Plan
    device: Device
    net: Net  # references
    inputs: Inputs
    outputs: Outputs
    queues: Ref  # [rows, M, R']: read and written; see queues.roomy


def frame(
    tile: Tile,
    carry: Carry,
    f: Array | int,  # of the frames in the references
    first: Array | int,  # the frame's first sample in the references
    passed: Array | int,  # samples of this launch before the frame
) -> Carry:
    """All samples of a frame, one after the other."""

    def one(i: Array, carry: Carry) -> Carry:
        foretold = linear.foretell(tile, carry, f, first + i)
        logits = _logits(tile, carry.codes, foretold, f, passed + i)
        code = _choose(tile, logits, f, first + i)
        codes = (code, *carry.codes[:-1])
        if foretold is None:
            return carry._replace(codes=codes)
        lanes = lax.broadcasted_iota(jnp.int32, logits.shape, 1)
        sounds = jnp.where(lanes == code, tile.net.sounds[...], 0)
        sound = jnp.sum(sounds, axis=1, keepdims=True)
        errors = linear.updated(carry.errors, foretold, sound)
        return Carry(codes, errors, tile.device.hear(carry.heard, first + i, sound))

    return lax.fori_loop(0, tile.plan.hop, one, carry)


def _logits(
    tile: Tile,
    codes: tuple[Array, ...],  # K of [M, 1]
    foretold: Foretold | None,  # of [M, 1]
    f: Array | int,
    passed: Array,  # samples of this launch before this one
) -> Array:  # [M, V']
    """The stack, its queues and its head; the equations are those of wavegen_kernels.stack."""
    (plan, device, net), K = tile[:3], len(codes)
    h = device.embedded(net.embed, 0, codes[0])
    for k in range(1, K):
        h = h + device.embedded(net.embed, k, codes[k])
    if foretold is not None:
        h = h + linear.hint(net, plan.predictor, device, foretold)
    wide = parts(net.skip.shape[2], device.widest)

    def layer(n: Array, carry: tuple[Array, list[Array]]) -> tuple[Array, list[Array]]:
        h, skips = carry
        dilation, rows, begins = (net.table[i, n] for i in range(3))
        now = tile.inputs.start[n] + passed  # row of the queue, as if it had no end
        filter_, gate = tile.inputs.cond[f, n, 0], tile.inputs.cond[f, n, 1]
        for k in range(K):
            tap = tile.queues[begins + lax.rem(now + rows - k * dilation, rows)] if k else h
            filter_ = filter_ + device.product(tap, net.gate[n, k, 0])
            gate = gate + device.product(tap, net.gate[n, k, 1])
        z = jnp.tanh(filter_) * jax.nn.sigmoid(gate)
        tile.queues[begins + lax.rem(now, rows)] = h
        skips = [
            sum_ + device.product(z, net.skip[n, :, part])
            for sum_, part in zip(skips, wide, strict=True)
        ]
        return h + device.product(z, net.residual[n]) + net.residual_bias[n], skips

    none = jnp.zeros((h.shape[0], 1), jnp.float32)
    skips = [none + net.skip_bias[:, part] for part in wide]
    _, skips = lax.fori_loop(0, net.table.shape[1], layer, (h, skips))
    device.fence()  # what was written here is read by other threads
    hidden = [
        _dense(device, skips, net.head1, net.head1_bias, part)
        for part in parts(net.head1.shape[1], device.widest)
    ]
    logits = _dense(device, hidden, net.head2, net.head2_bias, slice(None))
    return logits if foretold is None else logits + linear.base(net, skips, foretold)


def _dense(device: Device, inputs: list[Array], matrix: Ref, bias: Ref, columns: Any) -> Array:
    """Some columns of relu(inputs) @ matrix + bias; the inputs lie side by side in parts."""
    total = bias[:, columns]
    for x, part in zip(inputs, parts(matrix.shape[0], inputs[0].shape[1]), strict=True):
        if part.start:  # or a compiler would bring several parts near at once
            device.fence()
        total = total + device.product(jnp.maximum(x, 0), matrix[part, columns])
    return total


def parts(size: int, widest: int) -> list[slice]:
    """Slices of an axis, none of them wider."""
    return [slice(first, min(first + widest, size)) for first in range(0, size, widest)]


def _choose(tile: Tile, logits: Array, f: Array | int, i: Array) -> Array:  # int32 [M, 1]
    """The code that stands, forced or drawn; it is written down, with what is wanted of it."""
    plan, device, _, inputs, outputs, _ = tile
    code = device.column(inputs.forced, i)
    if outputs.logits is not None:
        outputs.logits[i] = logits
        return code
    temperature, top_k, top_p = (inputs.settings[f, n] for n in range(3))
    u = device.column(inputs.uniforms, i)
    settings = (temperature, top_k, top_p, plan.filtered, plan.n_codes)
    drawn = draw.drawn(logits, u, *settings, device.running_sum)
    code = jnp.where(code >= 0, code, drawn)
    device.put(outputs.codes, i, code)
    if outputs.likelihood is not None:
        likelihood, entropy = draw.measure(logits, code)
        device.put(outputs.likelihood, i, likelihood)
        device.put(outputs.entropy, i, entropy)
    return code
