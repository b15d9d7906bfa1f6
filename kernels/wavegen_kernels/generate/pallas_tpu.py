"""The TPU backend: a grid that is walked in order, tile after tile of streams, frame after frame.

Channels lie on the lanes, streams on the sublanes. The weights stay in the chip's vector memory
all the time, a tile's queues as long as its frames are walked through; the conditioning of the
next frame is fetched while one is made.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu

from wavegen_kernels import backends
from wavegen_kernels.accelerator import fitting, launch, padding, sample
from wavegen_kernels.accelerator.launch import Asked, Chip, Machine, Made, Moving, Tiling
from wavegen_kernels.accelerator.padding import LANES, Net
from wavegen_kernels.accelerator.sample import Carry, Device, Inputs, Outputs, Plan, Tile
from wavegen_kernels.accelerator.stretches import Stack
from wavegen_kernels.weights import StackWeights, StepState

Array = jax.Array
Ref = Any

NAME = "pallas_tpu"
UNIT = padding.Unit(LANES, powers=False)
SUBLANES = 8
LARGEST_TILE = 64  # of streams
# Samples of a frame: to find those of one moment, a kernel looks through those of the frame.
LONGEST_FRAME = 1024
FILLED = 0.6  # of the vector memory, at most: the compiler wants the rest for its values


class State(NamedTuple):
    """What a kernel changes in place."""

    queues: Any  # [rows, B', R'], outside the vector memory
    errors: Any  # [3, B', 1]; None without a predictor


class Scratch(NamedTuple):
    """What stays in the chip from frame to frame of a tile."""

    queues: Any  # [rows, M, R']
    codes: Any  # int32 [K, M, 1]
    heard: Any  # [M, W']; None without a predictor


def generate(
    weights: StackWeights, state: StepState, cond: Array, **asked: Any
) -> tuple[StepState, Array, Array | None]:
    """See wavegen_kernels.generate.api.generate_measured."""
    return launch.generate(MACHINE, weights, state, cond, **asked)


def logits(
    weights: StackWeights, state: StepState, cond: Array, codes: np.ndarray, **asked: Any
) -> tuple[StepState, Array]:
    """See wavegen_kernels.generate.api.logits."""
    return launch.logits(MACHINE, weights, state, cond, codes, **asked)


def tiling(net: Net, stack: Stack, plan: Plan, batch: int, chip: Chip) -> Tiling:
    """Streams to a tile: as many as there are and as fit, with frames that 8 of them fit with.

    Raises BackendUnavailable where not even 8 fit. Of what a frame reads and writes there is
    room for two: one is fetched, or written back, while the other one is made.
    """
    (layers, V), R = (net.gate.shape[0], net.head2.shape[1]), net.embed.shape[2]
    room, weights = FILLED * chip.near, padding.num_bytes(net)
    stream = 4 * R * (sum(stack.queue_lengths) + layers + 2 * 2 * layers)  # and its conditioning
    sample = 2 * 4 * (2 + (V if plan.teacher else 1 + 2 * plan.measured))
    free = (room - weights) / SUBLANES - stream
    longest = int(free / sample) // LANES * LANES
    if longest < LANES:
        needed = (weights + SUBLANES * (stream + LANES * sample)) / FILLED / 2**20
        raise backends.BackendUnavailable(
            NAME,
            f"weights and queues of this network want {needed:.0f} MiB of vector memory, this TPU "
            f"has {chip.near / 2**20:.0f}; xla_scan needs none of it",
        )
    longest = min(longest, LONGEST_FRAME)
    of_frame = sample * UNIT.filled(min(plan.hop, longest))
    streams = int((room - weights) / (stream + of_frame)) // SUBLANES * SUBLANES
    streams = min(LARGEST_TILE, streams, -(-batch // SUBLANES) * SUBLANES)
    return Tiling(streams, longest, chip.near)


def chip() -> Chip:
    """The TPU that is here: one core of it."""
    near = 2**27 if backends.interpreting() else tpu.get_tpu_info().vmem_capacity_bytes
    return Chip(1, near)


def fit(
    heard: Array,  # [B', W]
    anchors: Array | None,  # [B', A]
    order: int,
    damping: float,
) -> Array:  # [B', N]
    """The predictor's coefficients, of 8 streams at a time; see accelerator.fitting."""
    sizes, given = fitting.laid_out(heard, anchors, order, damping, UNIT)
    (B, size), room = given[0].shape, given[2].shape[1]

    def delayed(_: Array, *values: Array) -> tuple[Array, ...]:
        return tuple(jnp.where(_lanes(x) == 0, 0.0, tpu.roll(x, 1, 1)) for x in values)

    def kernel(samples: Ref, counts: Ref, fading: Ref, fitted: Ref) -> None:
        values = (samples[...], counts[...], fading[...])
        fitted[...] = fitting.coefficients(*values, sizes, delayed)

    once = lambda last: pl.BlockSpec((1, last), lambda b: (0, 0))
    of_tile = lambda last: pl.BlockSpec((SUBLANES, last), lambda b: (b, 0))
    fitted = pl.pallas_call(
        kernel,
        grid=(B // SUBLANES,),
        in_specs=[of_tile(size), once(size), once(room)],
        out_specs=of_tile(room),
        out_shape=jax.ShapeDtypeStruct((B, room), jnp.float32),
        compiler_params=tpu.CompilerParams(dimension_semantics=("parallel",)),
        interpret=backends.interpreting(),
        name="wavegen_tpu_fit",
    )(*given)
    return fitted[:, 1 : order + 1]


def run(
    net: Net, plan: Plan, tiling: Tiling, moving: Moving, asked: Asked
) -> tuple[Any, Any, Made]:
    """One launch."""
    (T, B), F, V = asked.forced.shape[:2], asked.cond.shape[0], net.head2.shape[1]
    lanes = UNIT.filled(T // F)
    inputs = Inputs(
        start=moving.start,
        codes=moving.codes,
        cond=asked.cond,
        settings=asked.settings,
        uniforms=_across(asked.uniforms, F, lanes),
        forced=_across(asked.forced, F, lanes),
        taps=None,
        delays=None,
    )
    heard = None
    if asked.echo is not None:
        W = UNIT.filled(moving.heard.shape[1])
        heard = jnp.pad(moving.heard, ((0, 0), (W - moving.heard.shape[1], 0)))
        inputs = inputs._replace(taps=_spread(asked.echo.taps, asked.echo.delay, W))
    number = jax.ShapeDtypeStruct((F, B, lanes), jnp.float32)
    outputs = Outputs(
        codes=None if plan.teacher else jax.ShapeDtypeStruct((F, B, lanes), jnp.int32),
        likelihood=number if plan.measured else None,
        entropy=number if plan.measured else None,
        logits=jax.ShapeDtypeStruct((T, B, V), jnp.float32) if plan.teacher else None,
    )
    state = State(moving.queues, moving.errors)
    made, state = _call(plan, tiling, net, inputs, heard, outputs, state)
    codes, likelihood, entropy = (
        None if x is None else jnp.swapaxes(x[..., : T // F], 1, 2).reshape(T, B, 1)
        for x in made[:3]
    )
    codes = asked.forced if codes is None else codes
    return state.queues, state.errors, Made(codes, likelihood, entropy, made.logits)


def _across(x: Array, frames: int, lanes: int) -> Array:  # [F*P, B', 1] -> [F, B', lanes]
    """The samples of a frame side by side."""
    x = jnp.swapaxes(x.reshape(frames, -1, x.shape[1]), 1, 2)
    return padding.filled(x, (lanes,))


def _spread(taps: Array, delay: Array, window: int) -> Array:  # [F, B', N], [F, B', 1]
    """The taps where the samples lie that they weigh, of the last `window` [F, B', W']."""
    which = window - delay - lax.broadcasted_iota(jnp.int32, (1, 1, window), 2)  # [F, B', W']
    known = (which >= 0) & (which < taps.shape[-1])
    which = jnp.broadcast_to(jnp.clip(which, 0, taps.shape[-1] - 1), (*taps.shape[:2], window))
    return jnp.where(known, jnp.take_along_axis(taps, which, axis=-1), 0)


def _call(
    plan: Plan,
    tiling: Tiling,
    net: Net,
    inputs: Inputs,
    heard: Array | None,
    outputs: Outputs,
    state: State,
) -> tuple[Outputs, State]:
    """The compiled kernel, called. `outputs` says what is wanted; the state is spent."""
    (B, F), (rows, _, R) = (inputs.codes.shape[1], inputs.cond.shape[0]), state.queues.shape
    streams = tiling.streams
    memory = lambda space: pl.BlockSpec(memory_space=space)

    def of_tile(x: Array) -> pl.BlockSpec:  # [..., B', n]: the same in all frames
        lead = x.shape[:-2]
        return pl.BlockSpec((*lead, streams, x.shape[-1]), lambda b, _: (*(0 for _ in lead), b, 0))

    def of_frame(x: Array) -> pl.BlockSpec:  # [F or F*P, ..., B', n]
        block = (x.shape[0] // F, *x.shape[1:-2], streams, x.shape[-1])
        return pl.BlockSpec(block, lambda b, f: (f, *(0 for _ in x.shape[1:-2]), b, 0))

    of_state = State(memory(pl.ANY), jax.tree.map(of_tile, state.errors))
    of_inputs = jax.tree.map(of_frame, inputs)._replace(
        start=memory(tpu.SMEM), codes=of_tile(inputs.codes)
    )
    of_net = jax.tree.map(lambda _: memory(tpu.VMEM), net)._replace(table=memory(tpu.SMEM))
    scratch = Scratch(
        queues=tpu.VMEM((rows, streams, R), jnp.float32),
        codes=tpu.VMEM((inputs.codes.shape[0], streams, 1), jnp.int32),
        heard=tpu.VMEM((streams, 1 if heard is None else heard.shape[1]), jnp.float32),
    )

    def kernel(*refs: Any) -> None:
        net, inputs, heard, before, outputs, state, *scratch = refs
        _launched(plan, net, inputs, heard, before, outputs, state, Scratch(*scratch))

    return pl.pallas_call(
        kernel,
        grid=(B // streams, F),
        in_specs=(of_net, of_inputs, jax.tree.map(of_tile, heard), of_state),
        out_specs=(jax.tree.map(of_frame, outputs), of_state),
        out_shape=jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), (outputs, state)),
        scratch_shapes=tuple(scratch),
        # The queues are changed in place.
        input_output_aliases={
            len(jax.tree.leaves((net, inputs, heard))): len(jax.tree.leaves(outputs))
        },
        compiler_params=tpu.CompilerParams(
            dimension_semantics=("parallel", "arbitrary"), vmem_limit_bytes=tiling.near
        ),
        interpret=backends.interpreting(),
        name="wavegen_tpu",
    )(net, inputs, heard, state)


def _launched(
    plan: Plan,
    net: Net,
    inputs: Inputs,
    heard: Ref,
    before: State,
    outputs: Outputs,
    state: State,
    scratch: Scratch,
) -> None:
    """One step of the grid: a frame of a tile of streams."""
    f, M = pl.program_id(1), scratch.codes.shape[1]
    streams = pl.ds(pl.program_id(0) * M, M)

    @pl.when(f == 0)
    def begin() -> None:
        tpu.sync_copy(before.queues.at[:, streams], scratch.queues)
        scratch.codes[...] = inputs.codes[...]
        if heard is not None:
            scratch.heard[...] = heard[...]
            state.errors[...] = before.errors[...]

    carry = Carry(
        codes=tuple(scratch.codes[k] for k in range(scratch.codes.shape[0])),
        errors=() if heard is None else tuple(state.errors[n] for n in range(3)),
        heard=None if heard is None else scratch.heard[...],
    )
    tile = Tile(plan, _device(inputs), net, inputs, outputs, scratch.queues)
    carry = sample.frame(tile, carry, 0, 0, f * plan.hop)
    for k, code in enumerate(carry.codes):
        scratch.codes[k] = code
    if heard is not None:
        scratch.heard[...] = carry.heard
        for n, error in enumerate(carry.errors):
            state.errors[n] = error

    @pl.when(f == pl.num_programs(1) - 1)
    def end() -> None:
        tpu.sync_copy(scratch.queues, state.queues.at[:, streams])


def _device(inputs: Inputs) -> Device:
    def column(ref: Ref, i: Array) -> Array:
        samples = ref[0]
        return jnp.sum(jnp.where(_lanes(samples) == i, samples, 0), axis=1, keepdims=True)

    def put(ref: Ref, i: Array, column: Array) -> None:
        ref[0] = jnp.where(_lanes(ref[0]) == i, column, ref[0])

    def hear(heard: Array, _: Array, sample: Array) -> Array:
        last = heard.shape[1] - 1
        return jnp.where(_lanes(heard) == last, sample, tpu.roll(heard, last, 1))

    return Device(
        product=product,
        widest=2**30,
        embedded=lambda embed, tap, code: product(_one_hot(code, embed.shape[1]), embed[tap]),
        running_sum=_running_sum,
        fence=lambda: None,
        column=column,
        put=put,
        echo=lambda heard, f, _: jnp.sum(heard * inputs.taps[f], axis=1, keepdims=True),
        hear=hear,
    )


def product(x: Array, matrix: Array) -> Array:
    """Rounded as the matrix is, summed in float32."""
    exact = None if matrix.dtype == jnp.bfloat16 else lax.Precision.HIGHEST
    x = x.astype(matrix.dtype)
    return jnp.dot(x, matrix, precision=exact, preferred_element_type=jnp.float32)


def _running_sum(x: Array) -> Array:  # [M, V']
    """Along the lanes, in as many steps as the number of lanes has bits."""
    step = 1
    while step < x.shape[1]:
        x = x + jnp.where(_lanes(x) >= step, tpu.roll(x, step, 1), 0)
        step *= 2
    return x


def _one_hot(code: Array, count: int) -> Array:  # [M, 1] -> [M, count]
    lanes = lax.broadcasted_iota(jnp.int32, (code.shape[0], count), 1)
    return jnp.where(lanes == code, 1.0, 0.0)


def _lanes(like: Array) -> Array:
    return lax.broadcasted_iota(jnp.int32, like.shape, 1)


MACHINE = Machine(NAME, UNIT, chip, tiling, run, fit)
