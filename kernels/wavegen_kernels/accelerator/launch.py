"""What stands around the kernels: states and settings laid out for them, launch after launch.

A launch is one call of a kernel. It makes all samples up to the predictor's next fit, which
another kernel computes in between; without a fitted predictor it makes all frames of a stretch.
Stretches are short, so that no launch takes long and the host can be interrupted.

Letters as in padding.py.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from wavegen_kernels import random
from wavegen_kernels.accelerator import padding, queues
from wavegen_kernels.accelerator.linear import Kind
from wavegen_kernels.accelerator.padding import Net, Unit, filled
from wavegen_kernels.accelerator.sample import Plan
from wavegen_kernels.backends import BackendUnavailable
from wavegen_kernels.predictor import Echo
from wavegen_kernels.weights import StackWeights, StepState, amplitudes

Array = Any  # a numpy array or a jax array

# What a call takes beside the weights, in sizes of all queues filled up: as they come, as a kernel
# wants them and as they go, and what XLA keeps in between. Compiled for an H100 it is 3.1, for a
# TPU v5e 3.8.
COPIES = 4
# A stretch takes some seconds at most: so many samples at 5000 a second, which is slow for a
# kernel, and so many of all streams at 10 million a second.
LONGEST, MOST = 2**14, 2**25


class Moving(NamedTuple):
    """What one launch hands to the next; in all but `start` the streams are the last but one axis.

    Spent by a launch.
    """

    queues: Any  # [rows, B', R'], see queues.roomy
    start: Any  # int32 [L]: row of each queue that the first sample goes to
    codes: Any  # int32 [K, B', 1]
    errors: Any  # [3, B', 1]; of a predictor, None without
    heard: Any  # [B', W]; likewise


class Asked(NamedTuple):
    """What a launch shall do, in F frames of P samples; the streams lie as in Moving."""

    echo: Echo | None  # of [F, B']
    cond: Any  # [F, L, 2, B', R']; the biases are in it
    settings: Any  # [F, 3, B', 1]
    uniforms: Any  # [F*P, B', 1]
    forced: Any  # int32 [F*P, B', 1]


class Made(NamedTuple):
    """What a launch makes for every sample; None for what the plan does not ask."""

    codes: Any  # int32 [F*P, B', 1]; a teacher's as they were given
    likelihood: Any  # [F*P, B', 1]
    entropy: Any  # [F*P, B', 1]
    logits: Any  # [F*P, B', V']


# Makes the samples of so many streams to a tile; gives queues and errors after them, too.
Kernel = Callable[[Net, Plan, int, Moving, Asked], tuple[Any, Any, Made]]


class Machine(NamedTuple):
    """A kernel, and how it wants its arrays."""

    name: str  # of the backend
    kernel: Kernel
    fit: Callable[[Any, int, float], Any]  # samples [B', W], order, damping -> coefficients [B', N]
    unit: Unit  # of channels
    tile: int  # of streams


class Stack(NamedTuple):
    """What of the weights is known before anything is compiled."""

    queue_lengths: tuple[int, ...]
    n_codes: int
    window: int
    refit: int  # samples from fit to fit; 0: nothing is fitted
    order: int
    damping: float


def generate(
    machine: Machine,
    weights: StackWeights,
    state: StepState,
    cond: Array,  # [B, F, L, 2R]
    *,
    hop_length: int,
    seed: int,
    streams: np.ndarray,  # [B]
    temperature: np.ndarray,  # [B, F]
    top_k: np.ndarray,  # [B, F]
    top_p: np.ndarray,  # [B, F]
    forced: np.ndarray,  # [B, F*P]
    echo: Echo | None,  # of [B, F]
    precision: str,
    measured: bool,
) -> tuple[StepState, Array, Array | None]:  # codes [B, F*P], measured [B, F*P, 2]
    """See wavegen_kernels.generate.api.generate_measured."""
    filtered = bool((top_k > 0).any() or (top_p < 1).any())
    wanted = plan(weights, hop_length, filtered, measured, teacher=False)
    settings = np.stack([temperature, top_k, top_p]).astype(np.float32)
    given = (weights, state, cond, settings, np.uint32(seed), streams, forced, echo)
    state, made = _run(machine, wanted, precision, *given)
    if not measured:
        return state, made.codes[..., 0].T, None
    return (
        state,
        made.codes[..., 0].T,
        jnp.concatenate([made.likelihood, made.entropy], axis=2).swapaxes(0, 1),
    )


def logits(
    machine: Machine,
    weights: StackWeights,
    state: StepState,
    cond: Array,  # [B, F, L, 2R]
    codes: np.ndarray,  # [B, F*P]
    *,
    hop_length: int,
    echo: Echo | None,  # of [B, F]
    precision: str,
) -> tuple[StepState, Array]:  # logits [B, F*P, V]
    """See wavegen_kernels.generate.api.logits."""
    wanted = plan(weights, hop_length, filtered=False, measured=False, teacher=True)
    settings = np.ones((3, *cond.shape[:2]), np.float32)
    streams = np.zeros(len(codes), np.uint32)
    given = (weights, state, cond, settings, np.uint32(0), streams, codes, echo)
    state, made = _run(machine, wanted, precision, *given)
    return state, jnp.swapaxes(made.logits, 0, 1)


def plan(weights: StackWeights, hop: int, filtered: bool, measured: bool, *, teacher: bool) -> Plan:
    """What is known before a kernel is compiled; see sample.Plan."""
    linear = weights.predictor
    kind = None if linear is None else Kind(weights.n_codes, linear.floor)
    if linear is not None and not linear.periodic:
        hop = linear.refit
    return Plan(weights.n_codes, hop, filtered, measured, teacher, kind)


def _run(
    machine: Machine,
    plan: Plan,
    precision: str,
    weights: StackWeights,
    state: StepState,
    cond: Array,  # [B, F, L, 2R]
    settings: np.ndarray,  # [3, B, F]
    seed: np.uint32,
    streams: np.ndarray,  # [B]
    forced: np.ndarray,  # [B, F*P]
    echo: Echo | None,  # of [B, F]
) -> tuple[StepState, Made]:
    """The state after all frames and all that was made, stretch after stretch."""
    _check_memory(machine, weights, len(streams))
    net = padding.net(weights, precision, machine.unit)
    F = cond.shape[1]
    hop, made = forced.shape[1] // F, []
    frames = max(1, min(LONGEST, MOST // len(streams)) // hop)
    for first in range(0, F, frames):
        here = slice(first, first + frames)
        part = None if echo is None else Echo(echo.delay[:, here], echo.taps[:, here])
        state, each = _compiled(
            machine,
            plan,
            shape(weights),
            net,
            state,
            cond[:, here],
            settings[..., here],
            seed,
            streams,
            forced[:, first * hop : (first + frames) * hop],
            part,
        )
        jax.block_until_ready(each)  # where Ctrl-C is heard
        made.append(each)
    return state, made[0] if len(made) == 1 else jax.tree.map(lambda *x: jnp.concatenate(x), *made)


def _check_memory(machine: Machine, weights: StackWeights, batch: int) -> None:
    """Raises BackendUnavailable for more streams than the device has memory for."""
    rows = sum(weights.queue_lengths) + len(weights.dilations)
    each = 4 * COPIES * rows * machine.unit.filled(weights.residual_channels)
    there = _memory()
    if there is not None and each * batch > there:
        raise BackendUnavailable(
            machine.name,
            f"{batch} streams of this network want {each * batch / 2**30:.1f} GiB, this device has "
            f"{there / 2**30:.1f}; it holds {there // each} streams at once",
        )


def _memory() -> int | None:
    """Bytes that jax may use of the device; None where it does not say."""
    stats = jax.devices()[0].memory_stats()
    return stats and stats.get("bytes_limit")


def shape(weights: StackWeights) -> Stack:
    """What of the weights is known before anything is compiled."""
    linear = weights.predictor
    refit, order, damping = 0, 0, 0.0
    if linear is not None and not linear.periodic:
        refit, order, damping = linear.refit, linear.order, linear.damping
    return Stack(weights.queue_lengths, weights.n_codes, weights.window, refit, order, damping)


def stretch(
    machine: Machine,
    plan: Plan,
    stack: Stack,
    net: Net,
    state: StepState,
    cond: Array,  # [B, F, L, 2R]
    settings: Array,  # [3, B, F]
    seed: Array,
    streams: Array,  # [B]
    forced: Array,  # [B, F*P]
    echo: Echo | None,  # of [B, F]
) -> tuple[StepState, Made]:  # of B streams
    """The state after some frames, and what was made; the arrays laid out and back again."""
    (B, T), R = forced.shape, state.queues.shape[2]
    all_streams = -(-B // machine.tile) * machine.tile
    channels = machine.unit.filled(R)

    def whole(x: Array) -> Array:  # [..., B, n] -> [..., B', n]
        return filled(x, (all_streams, x.shape[-1]))

    times = state.time + jnp.arange(T, dtype=jnp.uint32)
    uniforms = random.uniforms(seed, streams[None], times[:, None], jnp)
    cond = jnp.moveaxis(cond.reshape(*cond.shape[:3], 2, R), 0, 3)  # [F, L, 2, B, R]
    moving = Moving(
        queues=filled(
            queues.roomy(state.queues, stack.queue_lengths, state.time), (all_streams, channels)
        ),
        start=jnp.asarray(stack.queue_lengths, jnp.int32),
        codes=whole(state.codes[..., None]),
        errors=whole(state.errors.T[..., None]) if plan.predictor else None,
        heard=whole(state.heard) if plan.predictor else None,
    )
    asked = Asked(
        echo=jax.tree.map(lambda x: whole(jnp.swapaxes(x, 0, 1).reshape(x.shape[1], B, -1)), echo),
        cond=filled(cond, (all_streams, channels)) + net.gate_bias[None],
        settings=whole(settings.transpose(2, 0, 1)[..., None]),
        uniforms=whole(uniforms[..., None]),
        forced=whole(forced.T[..., None]),
    )
    launch = partial(_launch, machine, plan, stack, net._replace(gate_bias=None))
    if stack.refit:
        moving, made = _refitted(launch, machine, stack, moving, asked)
    else:
        moving, made = launch(moving, asked)
    made = jax.tree.map(lambda x: x[:, :B], made)
    if plan.teacher:
        made = made._replace(logits=made.logits[..., : stack.n_codes])
    time = state.time + jnp.uint32(T)
    after = StepState(
        time=time,
        codes=moving.codes[:, :B, 0],
        queues=queues.tight(moving.queues[:, :B, :R], stack.queue_lengths, time, T),
        heard=moving.heard[:B] if plan.predictor else state.heard,
        errors=moving.errors[:, :B, 0].T if plan.predictor else state.errors,
    )
    return after, made


_compiled = jax.jit(stretch, static_argnames=("machine", "plan", "stack"), donate_argnames="state")


def _launch(
    machine: Machine, plan: Plan, stack: Stack, net: Net, moving: Moving, asked: Asked
) -> tuple[Moving, Made]:
    """The kernel's call, and what the next one is to be handed."""
    rows, errors, made = machine.kernel(net, plan, machine.tile, moving, asked)
    T, K = len(made.codes), len(moving.codes)
    heard = moving.heard
    if heard is not None:
        sounds = jnp.asarray(amplitudes(stack.n_codes), jnp.float32)[made.codes[..., 0].T]
        heard = jnp.concatenate([heard, sounds], axis=1)[:, T:]
    moving = Moving(
        queues=rows,
        start=(moving.start + T) % (np.array(stack.queue_lengths, np.int32) + 1),
        codes=jnp.concatenate([made.codes[::-1][:K], moving.codes])[:K],
        errors=errors,
        heard=heard,
    )
    return moving, made


def _refitted(
    launch: Callable[[Moving, Asked], tuple[Moving, Made]],
    machine: Machine,
    stack: Stack,
    moving: Moving,
    asked: Asked,
) -> tuple[Moving, Made]:
    """A launch from fit to fit."""
    turns = asked.forced.shape[0] // stack.refit
    repeats = turns // asked.cond.shape[0]
    cond, settings = (jnp.repeat(x, repeats, axis=0)[:, None] for x in (asked.cond, asked.settings))
    uniforms, forced = (
        x.reshape(turns, stack.refit, -1, 1) for x in (asked.uniforms, asked.forced)
    )

    def turn(moving: Moving, inputs: tuple) -> tuple[Moving, Made]:
        fitted = machine.fit(moving.heard, stack.order, stack.damping)
        echo = Echo(jnp.ones((1, len(fitted), 1), jnp.int32), fitted[None])
        return launch(moving, Asked(echo, *inputs))

    moving, made = lax.scan(turn, moving, (cond, settings, uniforms, forced))
    return moving, jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), made)
