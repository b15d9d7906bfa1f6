"""What stands around the kernels: states and settings laid out for them, launch after launch.

A launch is one call of a kernel. It makes all samples up to the predictor's next fit, which
another kernel computes in between; without a fitted predictor it makes all frames of a stretch.

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

from wavegen_kernels import random, steering
from wavegen_kernels.accelerator import padding, queues, stretches
from wavegen_kernels.accelerator.linear import Kind
from wavegen_kernels.accelerator.padding import Net, Unit, filled
from wavegen_kernels.accelerator.sample import Plan
from wavegen_kernels.accelerator.stretches import Stack
from wavegen_kernels.backends import BackendUnavailable
from wavegen_kernels.predictor import Echo
from wavegen_kernels.steering import Aim
from wavegen_kernels.weights import StackWeights, StepState, amplitudes

Array = Any  # a numpy array or a jax array

# What compilers say of a device that is too small, or too old, for a kernel.
REFUSALS = ("Shared memory size limit", "memory space vmem", "Triton support is only enabled")


class Chip(NamedTuple):
    """What of a device decides how a call is laid over it."""

    cores: int  # multiprocessors of a GPU; 1 for a TPU
    near: int  # bytes of memory beside a core: a GPU's shared, a TPU's vector memory


class Tiling(NamedTuple):
    """How a call is laid over a chip."""

    streams: int  # of a tile
    samples: int  # of a frame, at most
    near: int  # see Chip


class Call(NamedTuple):
    """What a call asks for, as it comes: of B streams, F frames of P samples."""

    cond: Array  # [B, F, L, 2R]
    settings: Array  # [3 or 4, B, F]: see sample.Inputs
    seed: Array  # uint32
    streams: Array  # [B]
    forced: Array  # int32 [B, F*P]; -1 where a code shall be drawn
    echo: Echo | None  # of [B, F]
    aim: Aim | None  # of [B, F]

    def part(self, frames: slice, samples: slice) -> Call:
        """The same of some frames, and of their samples."""
        return self._replace(
            cond=self.cond[:, frames],
            settings=self.settings[..., frames],
            forced=self.forced[:, samples],
            echo=jax.tree.map(lambda x: x[:, frames], self.echo),
            aim=jax.tree.map(lambda x: x[:, frames], self.aim),
        )


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
    settings: Any  # [F, 3 or 4, B', 1]
    uniforms: Any  # [F*P, B', 1]
    forced: Any  # int32 [F*P, B', 1]


class Made(NamedTuple):
    """What a launch makes for every sample; None for what the plan does not ask."""

    codes: Any  # int32 [F*P, B', 1]; a teacher's as they were given
    likelihood: Any  # [F*P, B', 1]
    entropy: Any  # [F*P, B', 1]
    logits: Any  # [F*P, B', V']


# Makes a launch's samples; gives queues and errors after them, too.
Kernel = Callable[[Net, Plan, Tiling, Moving, Asked], tuple[Any, Any, Made]]


class Machine(NamedTuple):
    """A kind of accelerator: its kernels, and how they want their arrays."""

    name: str  # of the backend
    unit: Unit  # of channels
    chip: Callable[[], Chip]  # the one that is here
    # How a call of so many streams is laid over a chip. Raises BackendUnavailable.
    tiling: Callable[[Net, Stack, Plan, int, Chip], Tiling]
    kernel: Kernel
    # Samples [B', W], anchors [B', A] or None, order, damping -> coefficients [B', N].
    fit: Callable[[Any, Any, int, float], Any]


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
    aim: Aim | None,  # of [B, F]
    precision: str,
    measured: bool,
) -> tuple[StepState, Array, Array | None]:  # codes [B, F*P], measured [B, F*P, 2]
    """See wavegen_kernels.generate.api.generate_measured."""
    filtered = bool((top_k > 0).any() or (top_p < 1).any())
    wanted = plan(weights, hop_length, filtered, measured, teacher=False)
    settings = _settings([temperature, top_k, top_p], aim)
    call = Call(cond, settings, np.uint32(seed), streams, forced, echo, aim)
    state, made = _run(machine, wanted, precision, weights, state, call)
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
    aim: Aim | None,  # of [B, F]
    precision: str,
) -> tuple[StepState, Array]:  # logits [B, F*P, V]
    """See wavegen_kernels.generate.api.logits."""
    wanted = plan(weights, hop_length, filtered=False, measured=False, teacher=True)
    settings = _settings(3 * [np.ones(cond.shape[:2])], aim)
    streams = np.zeros(len(codes), np.uint32)
    call = Call(cond, settings, np.uint32(0), streams, codes, echo, aim)
    state, made = _run(machine, wanted, precision, weights, state, call)
    return state, jnp.swapaxes(made.logits, 0, 1)


def _settings(drawing: list[np.ndarray], aim: Aim | None) -> np.ndarray:  # [3 or 4, B, F]
    """See sample.Inputs."""
    noises = [] if aim is None else [np.asarray(aim.noises)]
    return np.stack([*drawing, *noises]).astype(np.float32)


def plan(weights: StackWeights, hop: int, filtered: bool, measured: bool, *, teacher: bool) -> Plan:
    """What is known before a kernel is compiled; see sample.Plan."""
    linear = weights.predictor
    kind = None if linear is None else Kind(weights.n_codes, linear.floor, linear.steered)
    if linear is not None and not linear.periodic:
        hop = linear.refit
    return Plan(weights.n_codes, hop, filtered, measured, teacher, kind)


def prepared(
    machine: Machine, chip: Chip, plan: Plan, weights: StackWeights, batch: int, precision: str
) -> tuple[Tiling, Stack, Net]:
    """What a call of so many streams is compiled for. Raises BackendUnavailable."""
    net, stack = padding.net(weights, precision, machine.unit), stretches.shape(weights)
    return machine.tiling(net, stack, plan, batch, chip), stack, net


def _run(
    machine: Machine,
    plan: Plan,
    precision: str,
    weights: StackWeights,
    state: StepState,
    call: Call,
) -> tuple[StepState, Made]:
    """The state after all frames and all that was made, stretch after stretch."""
    (B, F), hop = call.cond.shape[:2], call.forced.shape[1] // call.cond.shape[1]
    tiling, stack, net = prepared(machine, machine.chip(), plan, weights, B, precision)
    given = call.cond.nbytes // B if isinstance(call.cond, jax.Array) else 0
    anchor = 0 if call.aim is None else call.aim.anchors.shape[2]
    needed = stretches.of_stream(stack, plan, machine.unit, F, hop, given, anchor)
    most = stretches.longest(machine.name, needed, B, hop, stack.refit)
    if plan.hop > tiling.samples:
        most = min(most, tiling.samples)
    made = []
    for frames, samples in stretches.cut(F, hop, most, stack.refit):
        part = call.part(frames, samples)
        if not stack.refit:  # which is a frame to the kernel
            plan = plan._replace(hop=part.forced.shape[1] // part.cond.shape[1])
        try:
            state, each = _compiled(machine, tiling, plan, stack, net, state, part)
        except jax.errors.JaxRuntimeError as error:
            if not any(words in str(error) for words in REFUSALS):
                raise
            reason = str(error).partition("\n")[0]
            raise BackendUnavailable(machine.name, f"{reason}; xla_scan can") from error
        jax.block_until_ready(each)  # where Ctrl-C is heard
        made.append(each)
    return state, made[0] if len(made) == 1 else jax.tree.map(lambda *x: jnp.concatenate(x), *made)


def stretch(
    machine: Machine,
    tiling: Tiling,
    plan: Plan,
    stack: Stack,
    net: Net,
    state: StepState,
    call: Call,
) -> tuple[StepState, Made]:  # of B streams
    """The state after some frames, and what was made; the arrays laid out and back again."""
    (B, T), R = call.forced.shape, stack.channels
    all_streams = -(-B // tiling.streams) * tiling.streams
    channels = machine.unit.filled(R)

    def whole(x: Array) -> Array:  # [..., B, n] -> [..., B', n]
        return filled(x, (all_streams, x.shape[-1]))

    times = state.time + jnp.arange(T, dtype=jnp.uint32)
    uniforms = random.uniforms(call.seed, call.streams[None], times[:, None], jnp)
    cond = jnp.moveaxis(call.cond.reshape(*call.cond.shape[:3], 2, R), 0, 3)  # [F, L, 2, B, R]
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
        echo=jax.tree.map(
            lambda x: whole(jnp.swapaxes(x, 0, 1).reshape(x.shape[1], B, -1)), call.echo
        ),
        cond=filled(cond, (all_streams, channels)) + net.gate_bias[None],
        settings=whole(call.settings.transpose(2, 0, 1)[..., None]),
        uniforms=whole(uniforms[..., None]),
        forced=whole(call.forced.T[..., None]),
    )
    aim = jax.tree.map(lambda x: whole(jnp.swapaxes(x, 0, 1).reshape(x.shape[1], B, -1)), call.aim)
    make = partial(_launch, machine, tiling, plan, stack, net._replace(gate_bias=None))
    moving, made = (
        _refitted(make, machine, stack, moving, asked, aim) if stack.refit else make(moving, asked)
    )
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


_compiled = jax.jit(
    stretch, static_argnames=("machine", "tiling", "plan", "stack"), donate_argnames="state"
)


def _launch(
    machine: Machine,
    tiling: Tiling,
    plan: Plan,
    stack: Stack,
    net: Net,
    moving: Moving,
    asked: Asked,
) -> tuple[Moving, Made]:
    """The kernel's call, and what the next one is to be handed."""
    rows, errors, made = machine.kernel(net, plan, tiling, moving, asked)
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
    make: Callable[[Moving, Asked], tuple[Moving, Made]],
    machine: Machine,
    stack: Stack,
    moving: Moving,
    asked: Asked,
    aim: Aim | None,  # of [F, B', ...]
) -> tuple[Moving, Made]:
    """A launch from fit to fit."""
    turns = asked.forced.shape[0] // stack.refit
    repeats = turns // asked.cond.shape[0]
    uniforms, forced = (
        x.reshape(turns, stack.refit, -1, 1) for x in (asked.uniforms, asked.forced)
    )

    def turn(moving: Moving, inputs: tuple) -> tuple[Moving, Made]:
        n, *of_samples = inputs
        of_frame = (x[n // repeats][None] for x in (asked.cond, asked.settings))
        now = jax.tree.map(lambda x: x[n // repeats], aim)
        heard, anchors, levels = moving.heard, None, None
        if now is not None:
            levels = now.levels[:, 0]
            anchors = steering.anchored(now.anchors, heard, levels, jnp)
        fitted = machine.fit(heard, anchors, stack.order, stack.damping)
        if levels is not None:
            fitted = steering.grown(fitted, steering.growth(heard, levels, jnp), jnp)
        echo = Echo(jnp.ones((1, len(fitted), 1), jnp.int32), fitted[None])
        return make(moving, Asked(echo, *of_frame, *of_samples))

    moving, made = lax.scan(turn, moving, (jnp.arange(turns), uniforms, forced))
    return moving, jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), made)
