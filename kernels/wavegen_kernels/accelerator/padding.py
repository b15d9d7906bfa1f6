"""Weights, states and conditioning as the kernels read them.

Every axis of channels is filled up with zeros to what an accelerator's units take at once. A
filled channel stays zero through all layers, and a filled code is never drawn.

Letters as in weights.py; a stroke means filled up: R' >= R channels. A whole call has B'
streams, a multiple of the tile.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import jax
import jax.numpy as jnp
import numpy as np

from wavegen_kernels import predictor
from wavegen_kernels.weights import Predictor, StackWeights, amplitudes

Array = Any  # a numpy array or a jax array

LANES = 128  # of a TPU's registers; and enough for the predictor's 3 * STEPS rows
IMPOSSIBLE = -1e30  # logit of a filled code


class Learnt(NamedTuple):
    """What the network learnt about its predictor; see weights.Predictor."""

    rows: Array  # [LANES, R']: value, level, surprise, and zeros
    shape: Array  # [2 or 3, 1, S'] float32
    shape_bias: Array  # [2 or 3, 1, 1] float32
    middle: Array  # [1, V'] float32; see predictor.cells
    half: Array  # [1, V'] float32


class Net(NamedTuple):
    """StackWeights; matrices as precisely as the call asks for, biases in float32."""

    table: Array  # int32 [3, L]: of each layer the dilation, its queue's rows and where it begins
    embed: Array  # [K, V', R']
    gate_bias: Array  # [L, 2, 1, R']; None in a kernel, where the conditioning has it
    gate: Array  # [L, K, 2, R', R']: filter, gate
    residual: Array  # [L, R', R']
    residual_bias: Array  # [L, 1, R']
    skip: Array  # [L, R', S']
    skip_bias: Array  # [1, S']
    head1: Array  # [S', H']
    head1_bias: Array  # [1, H']
    head2: Array  # [H', V']
    head2_bias: Array  # [1, V']
    sounds: Array  # [1, V'] float32: the sample that each code stands for
    learnt: Learnt | None


class Unit(NamedTuple):
    """How an accelerator wants its channels: so many at least, and powers of two or multiples."""

    least: int
    powers: bool

    def filled(self, size: int) -> int:
        """The number of channels that `size` of them are filled up to."""
        if self.powers:
            return max(self.least, 1 << (size - 1).bit_length())
        return -(-size // self.least) * self.least


_nets: WeakKeyDictionary[StackWeights, dict[tuple[str, Unit], Net]] = WeakKeyDictionary()


def net(weights: StackWeights, precision: str, unit: Unit) -> Net:
    """The weights on the device, filled up; made once, kept as long as the weights are."""
    kept = _nets.setdefault(weights, {})
    if (precision, unit) not in kept:
        with jax.ensure_compile_time_eval():
            kept[precision, unit] = _made(weights, jnp.dtype(precision), unit)
    return kept[precision, unit]


def num_bytes(net: Net) -> int:
    """Of the weights as a kernel holds them."""
    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(net))


def _made(weights: StackWeights, dtype: Any, unit: Unit) -> Net:
    w, full = weights, unit.filled
    K, V, R = np.shape(w.embed)
    L, S, H = len(w.dilations), w.skip.shape[2], w.head1.shape[1]
    R_, S_, H_, V_ = full(R), full(S), full(H), full(V)
    rows = np.array(w.queue_lengths) + 1  # see queues.roomy

    def matrix(x: Array, *sizes: int) -> jax.Array:
        return filled(jnp.asarray(x), sizes).astype(dtype)

    def row(x: Array, size: int, fill: float = 0.0) -> jax.Array:
        return filled(jnp.asarray(x, jnp.float32).reshape(-1, 1, x.shape[-1]), (1, size), fill)

    gate = jnp.asarray(w.gate).reshape(L, K, R, 2, R).swapaxes(2, 3)
    return Net(
        table=jnp.asarray([w.dilations, rows, np.cumsum(rows) - rows], jnp.int32),
        embed=matrix(w.embed, V_, R_),
        gate_bias=row(w.gate_bias.reshape(L, 2, R), R_).reshape(L, 2, 1, R_),
        gate=matrix(gate, R_, R_),
        residual=matrix(w.residual, R_, R_),
        residual_bias=row(w.residual_bias, R_),
        skip=matrix(w.skip, R_, S_),
        skip_bias=row(w.skip_bias, S_)[0],
        head1=matrix(w.head1, S_, H_),
        head1_bias=row(w.head1_bias, H_)[0],
        head2=matrix(w.head2, H_, V_),
        head2_bias=row(w.head2_bias, V_, IMPOSSIBLE)[0],
        sounds=row(amplitudes(V), V_)[0],
        learnt=None if w.predictor is None else _learnt(w.predictor, dtype, V, R_, S_, V_),
    )


def _learnt(w: Predictor, dtype: Any, V: int, R_: int, S_: int, V_: int) -> Learnt:
    rows = jnp.concatenate([jnp.asarray(x) for x in (w.value, w.level, w.surprise)])
    middle, half = (np.asarray(x, np.float32)[None] for x in predictor.cells(V))
    return Learnt(
        rows=filled(rows, (LANES, R_)).astype(dtype),
        shape=filled(jnp.asarray(w.shape, jnp.float32).T[:, None], (S_,)),
        shape_bias=jnp.asarray(w.shape_bias, jnp.float32)[:, None, None],
        middle=filled(jnp.asarray(middle), (V_,)),
        half=filled(jnp.asarray(half), (V_,), 1.0),
    )


def filled(x: jax.Array, sizes: tuple[int, ...], fill: float = 0.0) -> jax.Array:
    """The array with its last axes filled up to `sizes`."""
    missing = [(0, 0)] * (x.ndim - len(sizes))
    missing += [(0, n - m) for n, m in zip(sizes, x.shape[-len(sizes) :], strict=True)]
    return jnp.pad(x, missing, constant_values=fill) if any(map(any, missing)) else x
