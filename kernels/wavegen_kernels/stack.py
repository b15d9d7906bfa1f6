"""One layer of the stack and its head, for a whole sequence and for a single sample alike.

The network's sequence path (all samples of a window at once) and the portable step path
(one sample at a time) call these same functions: one mathematics at two speeds. Leading
axes are whatever the caller has: [B, T, ...] there, [B, ...] here.

Source: van den Oord et al. 2016, "WaveNet", arXiv 1609.03499, sections 2.3 and 2.4.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

Array = jax.Array


def gated(pre: Array) -> Array:  # [..., 2R] -> [..., R]
    """Gated activation tanh(filter) * sigmoid(gate); equation 2 of the paper."""
    filter_, gate = jnp.split(pre, 2, axis=-1)
    return jnp.tanh(filter_) * jax.nn.sigmoid(gate)


def convolved(
    taps: list[Array],  # K of [..., R]; tap 0 is now
    gate: Array,  # [K, R, 2R]
) -> Array:  # [..., 2R]
    """What a layer's dilated convolution adds up, without its bias.

    The taps are laid side by side so that the convolution is one matrix product.
    """
    K, R, R2 = gate.shape
    return jnp.concatenate(taps, axis=-1) @ gate.reshape(K * R, R2)


def gate_inputs(
    taps: list[Array],  # K of [..., R]; tap 0 is now
    gate: Array,  # [K, R, 2R]
    bias: Array,  # [2R]
) -> Array:  # [..., 2R]
    """The layer's convolution with its bias, before the conditioning is added."""
    return convolved(taps, gate) + jnp.expand_dims(bias, range(taps[0].ndim - 1))


def residual(
    h: Array,  # [..., R]
    z: Array,  # [..., R]
    weight: Array,  # [R, R]
    bias: Array,  # [R]
) -> Array:  # [..., R]
    """The next layer's input: this layer's input and a linear map of its gated output."""
    return h + z @ weight + jnp.expand_dims(bias, range(h.ndim - 1))


def head(
    skip_sum: Array,  # [..., S]
    head1: Array,  # [S, H]
    head1_bias: Array,  # [H]
    head2: Array,  # [H, V]
    head2_bias: Array,  # [V]
) -> Array:  # [..., V]
    """Logits of the next code: two pointwise layers after the sum of the skips."""
    lead = range(skip_sum.ndim - 1)
    hidden = jax.nn.relu(skip_sum).astype(head1.dtype) @ head1 + jnp.expand_dims(head1_bias, lead)
    return jax.nn.relu(hidden) @ head2 + jnp.expand_dims(head2_bias, lead)
