"""The linear predictor inside a kernel; the mathematics is that of wavegen_kernels.predictor."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from wavegen_kernels import predictor, steering
from wavegen_kernels.accelerator import numbers
from wavegen_kernels.accelerator.padding import Net
from wavegen_kernels.predictor import STEPS, Foretold

if TYPE_CHECKING:
    from wavegen_kernels.accelerator.sample import Carry, Device, Tile

Array = jax.Array


class Kind(NamedTuple):
    """What of a predictor is known before a kernel is compiled."""

    n_codes: int
    floor: float
    steered: bool


def foretell(tile: Tile, carry: Carry, f: Array | int, i: Array) -> Foretold | None:  # of [M, 1]
    """What the past says of sample i of frame f; None without a predictor."""
    kind = tile.plan.predictor
    if kind is None:
        return None
    value = jnp.clip(tile.device.echo(carry.heard, f, i), -1, 1)
    fast, slow, surprise = carry.errors
    error = predictor.level(fast, slow, value, kind.floor, kind.n_codes, numbers)
    if kind.steered:
        error = steering.bounded(error, tile.inputs.settings[f, 3], numbers)
    return Foretold(value, error, surprise)


def updated(
    errors: tuple[Array, ...],  # three of [M, 1]
    foretold: Foretold,
    sample: Array,  # [M, 1]
) -> tuple[Array, ...]:
    """What is remembered of the errors after a sample."""
    off = sample - foretold.value
    means = (
        mean + (off * off - mean) * rate
        for mean, rate in zip(errors, predictor.RATES, strict=False)
    )
    return (*means, off / foretold.error)


def hint(net: Net, kind: Kind | None, device: Device, foretold: Foretold) -> Array:  # [M, R']
    """What h_0 is told of the foretold sample."""
    assert net.learnt is not None
    assert kind is not None
    learnt = net.learnt
    lanes = lax.broadcasted_iota(jnp.int32, (foretold.value.shape[0], learnt.rows.shape[0]), 1)
    value, level, surprise = predictor.places(foretold, kind.n_codes, numbers)
    table = lanes // STEPS  # the last is filled up, and has rows of zeros
    place = jnp.where(table == 0, value, jnp.where(table == 1, level, surprise))
    step = (lanes % STEPS).astype(jnp.float32)
    return device.product(jnp.maximum(1 - jnp.abs(place - step), 0), learnt.rows[...])


def base(
    net: Net,
    skips: list[Array],  # of [M, ...]: the skip sum in parts that lie side by side
    foretold: Foretold,
) -> Array:  # [M, V']
    """What the predictor adds to the head's logits."""
    assert net.learnt is not None
    learnt, shape, width = net.learnt, [], skips[0].shape[1]
    for n in range(learnt.shape.shape[0]):
        total = learnt.shape_bias[n]
        for i, each in enumerate(skips):
            terms = jnp.maximum(each, 0) * learnt.shape[n, :, i * width : (i + 1) * width]
            total = total + jnp.sum(terms, axis=1, keepdims=True)
        shape.append(total)
    gain = shape[2] if len(shape) == 3 else None
    place, slope = predictor.spread(foretold, shape[0], shape[1], gain, numbers)
    return predictor.log_shares(place, slope, learnt.middle[...], learnt.half[...], numbers)
