"""The portable backend: one compiled loop that XLA runs on any device.

A scan over frames holds a scan over the samples of a frame, with the layers unrolled in its
body. Inside the loop every layer has a ring and weights of its own; benchmarks/README.md
tells what one long array of either costs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import accumulate
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from wavegen_kernels import predictor, random, stack
from wavegen_kernels.predictor import Echo, Foretold
from wavegen_kernels.steering import Aim
from wavegen_kernels.weights import StackWeights, StepState, amplitudes

Array = jax.Array
Choose = Callable[[Array, Any, Any], tuple[Array, Any]]


def generate(
    weights: StackWeights,
    state: StepState,
    cond: Array,  # [B, F, L, 2R]
    *,
    hop_length: int,
    seed: int,
    streams: Array,  # [B]
    temperature: Array,  # [B, F]
    top_k: Array,  # [B, F]
    top_p: Array,  # [B, F]
    forced: Array,  # [B, F*P]
    echo: Echo | None,  # of [B, F]
    aim: Aim | None,  # of [B, F]
    precision: str,
    measured: bool,
) -> tuple[StepState, Array, Array | None]:  # codes [B, F*P], measured [B, F*P, 2]
    """See wavegen_kernels.generate.api.generate_measured; float32 is the only precision."""
    # Decided outside the loop, so that plain sampling pays for no sort.
    filtered = bool(np.any(np.asarray(top_k) > 0) or np.any(np.asarray(top_p) < 1))
    settings, asked = (temperature, top_k, top_p), (forced, echo, aim)
    state, (codes, found) = _generate(
        weights, state, cond, np.uint32(seed), streams, settings, *asked, filtered, measured
    )
    return state, codes, found


def logits(
    weights: StackWeights,
    state: StepState,
    cond: Array,  # [B, F, L, 2R]
    codes: Array,  # [B, T]
    *,
    hop_length: int,
    echo: Echo | None,  # of [B, F]
    aim: Aim | None,  # of [B, F]
    precision: str,
) -> tuple[StepState, Array]:  # logits [B, T, V]
    """See wavegen_kernels.generate.api.logits; float32 is the only precision."""
    return _logits(weights, state, cond, codes, echo, aim)


@partial(jax.jit, static_argnames=("filtered", "measured"), donate_argnames="state")
def _generate(
    weights: StackWeights,
    state: StepState,
    cond: Array,  # [B, F, L, 2R]
    seed: Array,  # uint32
    streams: Array,  # [B]
    settings: tuple[Array, Array, Array],  # each [B, F]
    forced: Array,  # [B, F*P]
    echo: Echo | None,  # of [B, F]
    aim: Aim | None,  # of [B, F]
    filtered: bool,
    measured: bool,
) -> tuple[StepState, tuple[Array, Array | None]]:
    times = state.time + jnp.arange(forced.shape[1], dtype=jnp.uint32)
    u = random.uniforms(seed, streams[:, None], times[None], jnp)  # [B, F*P]

    def choose(logits: Array, settings: tuple, given: tuple) -> tuple[Array, tuple]:
        u, forced = given
        code = jnp.where(forced >= 0, forced, _draw(logits, u, settings, filtered))
        return code, (code, _measure(logits, code) if measured else None)

    per_frame = tuple(jnp.swapaxes(s, 0, 1) for s in settings)
    state, out = _loop(weights, state, cond, echo, aim, per_frame, (u, forced), choose)
    return state, jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), out)


@partial(jax.jit, donate_argnames="state")
def _logits(
    weights: StackWeights,
    state: StepState,
    cond: Array,  # [B, F, L, 2R]
    codes: Array,  # [B, T]
    echo: Echo | None,  # of [B, F]
    aim: Aim | None,  # of [B, F]
) -> tuple[StepState, Array]:
    state, rows = _loop(
        weights,
        state,
        cond,
        echo,
        aim,
        None,
        codes,
        lambda logits, _, code: (code, logits),
    )
    return state, jnp.swapaxes(rows, 0, 1)


def _loop(
    weights: StackWeights,
    state: StepState,
    cond: Array,  # [B, F, L, 2R]
    echo: Echo | None,  # of [B, F]
    aim: Aim | None,  # of [B, F]
    per_frame: Any,  # leaves [F, ...]
    per_sample: Any,  # leaves [B, F*P]
    choose: Choose,  # logits, of this frame, of this sample -> code [B], what to emit
) -> tuple[StepState, Any]:  # what was emitted, leaves [F*P, ...]
    layers, linear = _layers(weights), weights.predictor
    F, T = cond.shape[1], jax.tree.leaves(per_sample)[0].shape[1]
    # A turn of the outer loop is a frame, or a part of one where the predictor is refitted.
    block = T // F if linear is None or linear.periodic else linear.refit
    sounds = jnp.asarray(amplitudes(weights.n_codes), jnp.float32)

    def turn(carry: tuple, inputs: tuple) -> tuple[tuple, Any]:
        (cond, echo, aim, of_frame), of_samples = inputs
        moving, heard = carry
        if linear is not None and echo is None:
            fitted = predictor.coefficients(heard, aim, linear.order, linear.damping, jnp)
            echo = Echo(jnp.int32(1), fitted)
        longer = jnp.concatenate([heard, jnp.zeros((len(heard), block))], axis=1)

        def sample(carry: tuple, inputs: tuple) -> tuple[tuple, Any]:
            (time, codes, rings, newest, errors), longer = carry
            i, of_sample = inputs
            rings = _push(rings, newest, time)
            foretold = None
            if linear is not None:
                past = _past(longer, i + linear.window, echo.delay, linear.order)
                foretold = predictor.foretell(
                    past,
                    echo.taps,
                    errors,
                    linear.floor,
                    weights.n_codes,
                    jnp,
                    aim and aim.noises,
                )
            logits, newest = _step(weights, layers, time, codes, rings, cond, foretold)
            code, out = choose(logits, of_frame, of_sample)
            codes = jnp.concatenate([code[None], codes[:-1]])
            if foretold is not None:
                errors = predictor.updated(errors, foretold, sounds[code], jnp)
                longer = lax.dynamic_update_slice_in_dim(
                    longer, sounds[code][:, None], i + weights.window, axis=1
                )
            return ((time + jnp.uint32(1), codes, rings, newest, errors), longer), out

        (moving, longer), out = lax.scan(sample, (moving, longer), (jnp.arange(block), of_samples))
        return (moving, longer[:, longer.shape[1] - weights.window :]), out

    ends = list(accumulate(weights.queue_lengths))
    time, rings = jnp.asarray(state.time), jnp.split(state.queues, ends[:-1])
    newest = [_row(ring, _before(ring, time)) for ring in rings]
    carry = (time, jnp.asarray(state.codes), rings, newest, jnp.asarray(state.errors))
    with jax.default_matmul_precision("highest"):  # accelerators round to bfloat16 or TF32 else
        # cond becomes [F, L, B, 2R]
        echo, aim = jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), (echo, aim))
        frames = (jnp.moveaxis(cond, 0, 2), echo, aim, per_frame)
        frames = jax.tree.map(lambda x: jnp.repeat(x, T // F // block, axis=0), frames)
        samples = jax.tree.map(lambda x: _in_blocks(x, block), per_sample)
        (moving, heard), out = lax.scan(turn, (carry, jnp.asarray(state.heard)), (frames, samples))
    time, codes, rings, newest, errors = moving
    rings = _push(rings, newest, time)
    state = StepState(time, codes, jnp.concatenate(rings), heard, errors)
    return state, jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), out)


def _past(heard: Array, now: Array, delay: Array, order: int) -> Array:  # [B, W + ...] -> [B, N]
    """The samples that foretell the one at place `now`, oldest first."""
    first = now + 1 - delay - order
    if first.ndim:  # every stream its own
        return jax.vmap(lambda row, at: lax.dynamic_slice(row, (at,), (order,)))(heard, first)
    return lax.dynamic_slice_in_dim(heard, first, order, axis=1)


def _in_blocks(x: Array, block: int) -> Array:  # [B, T] -> [T / block, block, B]
    return jnp.swapaxes(x, 0, 1).reshape(-1, block, x.shape[0])


def _layers(weights: StackWeights) -> list[tuple[Array, ...]]:
    """Every layer's own arrays; cut apart inside the loop, XLA would copy them at every step."""
    stacked = (weights.gate, weights.gate_bias, weights.residual, weights.residual_bias)
    return [tuple(x[layer] for x in stacked) for layer in range(len(weights.dilations))]


def _step(
    weights: StackWeights,
    layers: list[tuple[Array, ...]],
    time: Array,  # uint32
    codes: Array,  # [K, B]
    rings: list[Array],  # L of [(K-1)*d, B, R]
    cond: Array,  # [L, B, 2R]
    foretold: Foretold | None,  # [B]
) -> tuple[Array, list[Array]]:  # logits [B, V], h of every layer
    K, w = weights.kernel_size, weights
    h = w.embed[jnp.arange(K)[:, None], codes].sum(axis=0)  # [B, R]
    if w.predictor is not None and foretold is not None:
        h = h + predictor.hint(w.predictor, w.n_codes, foretold, jnp)
    gates, newest = [], []
    for i, (gate, gate_bias, residual, residual_bias) in enumerate(layers):
        slots, dilation = rings[i].shape[0], w.dilations[i]
        # h[t - k*d] lies in row (t - k*d) mod slots; adding slots first keeps it unsigned.
        past = [_row(rings[i], time + np.uint32(slots - k * dilation)) for k in range(1, K)]
        newest.append(h)
        pre = stack.gate_inputs([h, *past], gate, gate_bias) + cond[i]
        gates.append(stack.gated(pre))
        h = stack.residual(h, gates[-1], residual, residual_bias)
    skip = w.skip.reshape(-1, w.skip.shape[-1])  # [L*R, S]: all skips as one product
    s = jnp.concatenate(gates, axis=-1) @ skip + w.skip_bias[None]
    logits = stack.head(s, w.head1, w.head1_bias, w.head2, w.head2_bias)
    if w.predictor is not None and foretold is not None:
        logits = logits + predictor.base(w.predictor, w.n_codes, s, foretold, jnp)
    return logits, newest


def _row(ring: Array, time: Array) -> Array:  # [slots, B, R] -> [B, R]
    return lax.dynamic_index_in_dim(ring, time % len(ring), keepdims=False)


def _before(ring: Array, time: Array) -> Array:
    # time - 1 in the arithmetic of the ring's rows, which must not fall below zero.
    return time + np.uint32(len(ring) - 1)


def _push(rings: list[Array], newest: list[Array], time: Array) -> list[Array]:
    """The rings with the activations of the sample before `time` in place.

    A step writes what the step before it made, and only then reads. Were it to read first and
    write its own, XLA would see the old ring in use beside the new one and copy it whole.
    """
    return [
        lax.dynamic_update_index_in_dim(ring, h, _before(ring, time) % len(ring), 0)
        for ring, h in zip(rings, newest, strict=True)
    ]


def _draw(
    logits: Array,  # [B, V]
    u: Array,  # [B] in [0, 1)
    settings: tuple[Array, Array, Array],  # temperature, top_k, top_p, each [B]
    filtered: bool,
) -> Array:  # codes int32 [B]
    temperature, top_k, top_p = settings
    best = jnp.argmax(logits, axis=-1).astype(jnp.int32)
    greedy = temperature == 0
    # The largest one is taken away first: divided by a very low temperature it would be infinite.
    above = logits - jnp.max(logits, axis=-1, keepdims=True)
    p = jnp.exp(above / jnp.where(greedy, 1.0, temperature)[:, None])
    if filtered:
        p = jnp.where(_kept(p, top_k, top_p), p, 0.0)
    cdf = jnp.cumsum(p, axis=-1)
    # A running sum need not rise evenly in floating point. The largest value that a possible
    # code has is the whole, so that there is always a code to draw and never an excluded one.
    cdf = jnp.where(p > 0, cdf, 0.0)
    target = u * jnp.max(cdf, axis=-1)
    drawn = jnp.argmax(cdf > target[:, None], axis=-1).astype(jnp.int32)
    return jnp.where(greedy, best, drawn)


def _measure(
    logits: Array,  # [B, V]
    code: Array,  # [B]
) -> Array:  # [B, 2]: ln p(code), entropy in nats
    # With w = e^l and W the sum of all w, ln p is l - ln W. The entropy as ln W - sum(w l) / W has
    # no p in it that was rounded as ln p first, which a log_softmax would leave 3e-6 off.
    lower = logits - jnp.max(logits, axis=-1, keepdims=True)
    weights = jnp.exp(lower)
    whole = jnp.sum(weights, axis=-1)
    of_code = jnp.take_along_axis(lower, code[:, None], axis=-1)[:, 0]
    entropy = jnp.log(whole) - jnp.sum(weights * lower, axis=-1) / whole
    return jnp.stack([of_code - jnp.log(whole), entropy], axis=-1)


def _kept(
    p: Array,  # [B, V], not normalised
    top_k: Array,  # [B], 0 is off
    top_p: Array,  # [B], 1.0 is off
) -> Array:  # bool [B, V]
    V = p.shape[-1]
    order = jnp.argsort(-p, axis=-1, stable=True)
    rank = jnp.argsort(order, axis=-1)
    k = jnp.where(top_k > 0, jnp.minimum(top_k, V), V)[:, None]
    falling = jnp.where(jnp.arange(V)[None] < k, jnp.take_along_axis(p, order, axis=-1), 0.0)
    before = jnp.cumsum(falling, axis=-1) - falling
    wanted = top_p[:, None] * jnp.sum(falling, axis=-1, keepdims=True)
    # A share that is no normal number may count as zero, for which no code at all is enough.
    short = before < jnp.maximum(wanted, jnp.finfo(jnp.float32).tiny)
    n = jnp.sum(short | (top_p >= 1)[:, None], axis=-1, keepdims=True)
    return rank < jnp.minimum(n, k)
