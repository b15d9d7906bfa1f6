"""The GPU backend: one kernel makes all samples of a launch, a thread block for a tile of streams.

It is compiled by Pallas' Triton lowering, which JAX 0.11 calls deprecated. Its successor, Mosaic
GPU, lacks what this kernel is made of: running sums, and reading by an array of indices
(kernels/README.md tells more). What has to change the day Triton goes stands in this file.

Two regimes, by the number of streams. Few: a block for each stream, products as multiply and
add in all its threads. Many: 16 streams and more to a block, products on the matrix units, by way
of shared memory.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

from wavegen_kernels import backends
from wavegen_kernels.accelerator import fitting, launch, padding, sample
from wavegen_kernels.accelerator.launch import Asked, Chip, Machine, Made, Moving, Tiling
from wavegen_kernels.accelerator.padding import Net
from wavegen_kernels.accelerator.sample import Carry, Device, Inputs, Outputs, Plan, Tile
from wavegen_kernels.accelerator.stretches import LONGEST, Stack
from wavegen_kernels.weights import StackWeights, StepState

Array = jax.Array
Ref = Any

NAME = "pallas_gpu"
UNIT = padding.Unit(16, powers=True)  # what the matrix units take at least; Triton wants powers
# Streams on the matrix units. 64 overflow the registers; with float32, 32 compile for 20 s.
TILES = (16, 32)
ROW_BYTES = (512, 256, 128)  # of a matrix, that a product takes at once: the first that fits
WARPS, FIT_WARPS = 8, 4
LEAST_SHARED = 99 * 1024  # bytes that a block may have, of all GPUs that Triton compiles for
SPARE = 4096  # bytes of it: for sums over threads, which are not reckoned with


class State(NamedTuple):
    """What a kernel changes in place."""

    queues: Any  # [rows, B', R']
    errors: Any  # [3, B', 1]; None without a predictor
    heard: Any  # [B', N' + W + T]: the past, and room for what is made; likewise


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


def tiling(net: Net, _: Stack, __: Plan, batch: int, chip: Chip) -> Tiling:
    """One stream to a thread block while there are multiprocessors for all, else 16 or 32.

    More blocks of one stream than multiprocessors would wait for each other: one takes the
    registers of a whole multiprocessor (256 threads with 222 to 255 each, as compiled). Whether
    two turns of them are faster than one of 16 streams, on a tenth of the multiprocessors, has
    not been measured. Where a network's matrices do not fit the shared memory, they are not
    brought there, and blocks of one stream do take turns.
    """
    wanted = [TILES[0], 1]
    if batch <= chip.cores:
        wanted = [1]
    elif net.gate.dtype == jnp.bfloat16 and batch > chip.cores * TILES[0]:
        wanted = [TILES[1], *wanted]
    streams = next(each for each in wanted if _widest(net, each, chip.near))
    return Tiling(streams, LONGEST, chip.near)


def chip() -> Chip:
    """The GPU that is here."""
    return Chip(cores(), getattr(jax.devices()[0], "shared_memory_per_block_optin", LEAST_SHARED))


def cores() -> int:
    """Multiprocessors of the GPU."""
    return getattr(jax.devices()[0], "core_count", 1)


def _widest(net: Net, streams: int, near: int) -> int:
    """Columns of a matrix that a product takes at once; 0 where the least are too many.

    The compiler brings a product's matrix and its inputs into shared memory.
    """
    itemsize = net.gate.dtype.itemsize
    if streams == 1:  # nothing is brought there
        return ROW_BYTES[0] // itemsize
    R, S, H, V = net.skip.shape[1], *net.head1.shape, net.head2.shape[1]
    for widest in (num_bytes // itemsize for num_bytes in ROW_BYTES):
        s, h = min(widest, S), min(widest, H)
        largest = max(
            rows * (columns + streams) for rows, columns in ((R, R), (R, s), (s, h), (h, V))
        )
        if itemsize * largest + SPARE <= near:
            return widest
    return 0


def _stages(net: Net, streams: int, near: int) -> int:
    """2 where the next layer's matrices fit shared memory, with what they are multiplied with."""
    (K, _, R), itemsize = net.gate.shape[1:4], net.gate.dtype.itemsize
    layer = sum(x[0].size for x in (net.gate, net.residual, net.skip)) + (K + 3) * streams * R
    return 2 if itemsize * layer + SPARE <= near else 1


def fit(
    heard: Array,  # [B', W]
    anchors: Array | None,  # [B', A]
    order: int,
    damping: float,
) -> Array:  # [B', N]
    """The predictor's coefficients, a thread block for each stream; see accelerator.fitting."""
    sizes, (samples, counts, fading) = fitting.laid_out(heard, anchors, order, damping, UNIT)
    (B, size), room = samples.shape, fading.shape[1]

    def kernel(samples: Ref, counts: Ref, fading: Ref, fitted: Ref, *rooms: Ref) -> None:
        def delayed(m: Array, *values: Array) -> tuple[Array, ...]:
            """By way of memory: threads hand values on. Two rooms by turns spare a barrier."""
            turn = lax.rem(m, 2)
            for ref, x in zip(rooms, values, strict=True):
                ref[turn] = x
            fence()
            return tuple(_later(ref, turn, x.shape) for ref, x in zip(rooms, values, strict=True))

        given = (samples[...], counts[...], fading[...])
        fitted[...] = fitting.coefficients(*given, sizes, delayed)

    shapes = [(B, room), (2, B, size), (2, B, room)]
    fitted, *_ = pl.pallas_call(
        kernel,
        grid=(B,),
        in_specs=[_of_tile(samples.shape, 1), _whole(counts.shape), _whole(fading.shape)],
        out_specs=[_of_tile(shape, 1) for shape in shapes],
        out_shape=[jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes],
        compiler_params=triton.CompilerParams(num_warps=FIT_WARPS, num_stages=1),
        interpret=backends.interpreting(),
        name="wavegen_gpu_fit",
    )(samples, counts, fading)
    return fitted[:, 1 : order + 1]


def run(
    net: Net, plan: Plan, tiling: Tiling, moving: Moving, asked: Asked
) -> tuple[Any, Any, Made]:
    """One launch."""
    (T, B), V = asked.forced.shape[:2], net.head2.shape[1]
    taps, delays, heard = None, None, None
    if asked.echo is not None:
        N = UNIT.filled(asked.echo.taps.shape[-1])
        missing = N - asked.echo.taps.shape[-1]
        taps = jnp.pad(asked.echo.taps[..., ::-1], ((0, 0), (0, 0), (missing, 0)))
        delays, heard = asked.echo.delay, jnp.pad(moving.heard, ((0, 0), (N, T)))
    inputs = Inputs(
        start=moving.start,
        codes=moving.codes,
        cond=asked.cond,
        settings=asked.settings,
        uniforms=asked.uniforms,
        forced=asked.forced,
        taps=taps,
        delays=delays,
    )
    number = jax.ShapeDtypeStruct((T, B, 1), jnp.float32)
    outputs = Outputs(
        codes=None if plan.teacher else jax.ShapeDtypeStruct((T, B, 1), jnp.int32),
        likelihood=number if plan.measured else None,
        entropy=number if plan.measured else None,
        logits=jax.ShapeDtypeStruct((T, B, V), jnp.float32) if plan.teacher else None,
    )
    state = State(moving.queues, moving.errors, heard)
    made, state = _call(plan, tiling, net, inputs, outputs, state)
    codes = asked.forced if made.codes is None else made.codes
    return state.queues, state.errors, Made(codes, *made[1:])


def _call(
    plan: Plan, tiling: Tiling, net: Net, inputs: Inputs, outputs: Outputs, state: State
) -> tuple[Outputs, State]:
    """The compiled kernel, called. `outputs` says what is wanted; the state is spent."""
    streams, near = tiling.streams, tiling.near
    of_tile = lambda tree: jax.tree.map(lambda x: _of_tile(x.shape, streams), tree)
    in_specs = (
        jax.tree.map(lambda x: _whole(x.shape), net),
        of_tile(inputs)._replace(start=_whole(inputs.start.shape)),
        of_tile(state),
    )
    first_in, first_out = len(jax.tree.leaves((net, inputs))), len(jax.tree.leaves(outputs))
    in_place = {first_in + n: first_out + n for n in range(len(jax.tree.leaves(state)))}
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), (outputs, state))

    widest = _widest(net, streams, near)

    def kernel(net: Net, inputs: Inputs, _: State, outputs: Outputs, state: State) -> None:
        _launched(plan, widest, net, inputs, outputs, state)

    return pl.pallas_call(
        kernel,
        grid=(inputs.forced.shape[1] // streams,),
        in_specs=in_specs,
        out_specs=of_tile((outputs, state)),
        out_shape=shapes,
        input_output_aliases=in_place,
        compiler_params=triton.CompilerParams(
            num_warps=WARPS, num_stages=_stages(net, streams, near)
        ),
        interpret=backends.interpreting(),
        name="wavegen_gpu",
    )(net, inputs, state)


def _launched(
    plan: Plan, widest: int, net: Net, inputs: Inputs, outputs: Outputs, state: State
) -> None:
    """What one thread block does: all frames of its tile of streams."""
    tile = Tile(plan, _device(widest, inputs, state), net, inputs, outputs, state.queues)
    carry = Carry(
        codes=tuple(inputs.codes[k] for k in range(inputs.codes.shape[0])),
        errors=() if state.errors is None else tuple(state.errors[n] for n in range(3)),
        heard=None,
    )

    def frame(f: Array, carry: Carry) -> Carry:
        first = f * plan.hop
        return sample.frame(tile, carry, f, first, first)

    carry = lax.fori_loop(0, inputs.cond.shape[0], frame, carry)
    errors: Ref = state.errors
    for n, error in enumerate(carry.errors):
        errors[n] = error


def _device(widest: int, inputs: Inputs, state: State) -> Device:
    def echo(_: None, f: Array, i: Array) -> Array:
        """The samples that foretell sample i, weighed; they lie before it in `state.heard`."""
        taps, delays = inputs.taps[f], inputs.delays[f]
        first = _now(inputs, state, i) - delays - (taps.shape[1] - 1)  # [M, 1]
        past = triton.load(state.heard.at[_down(first), first + _across(taps.shape[1])])
        return jnp.sum(taps * past, axis=1, keepdims=True)

    def hear(_: None, i: Array, sample: Array) -> None:
        place = _now(inputs, state, i) + jnp.zeros(sample.shape, jnp.int32)
        triton.store(state.heard.at[_down(sample), place], sample)
        fence()  # the next sample's echo reads it

    def put(ref: Ref, i: Array, column: Array) -> None:
        ref[i] = column

    return Device(
        product=product,
        widest=widest,
        embedded=_embedded,
        running_sum=lambda x: jnp.cumsum(x, axis=1),
        fence=fence,
        column=lambda ref, i: ref[i],
        put=put,
        echo=echo,
        hear=hear,
    )


def fence() -> None:
    """What any thread of the block wrote before it, all its threads see after it."""
    if not backends.interpreting():
        triton.debug_barrier()


def product(x: Array, matrix: Array) -> Array:
    """Rounded as the matrix is, summed in float32."""
    x = x.astype(matrix.dtype)
    if x.shape[0] == 1:  # all threads multiply, none of the matrix units' 16 rows goes to waste
        terms = x.reshape(-1, 1).astype(jnp.float32) * matrix.astype(jnp.float32)
        return jnp.sum(terms, axis=0, keepdims=True)
    exact = None if matrix.dtype == jnp.bfloat16 else lax.Precision.HIGHEST
    return jnp.dot(x, matrix, precision=exact, preferred_element_type=jnp.float32)


def _embedded(embed: Ref, tap: int, code: Array) -> Array:
    rows = triton.load(embed.at[tap, code, _across(embed.shape[2])])
    return rows.astype(jnp.float32)


def _later(ref: Ref, turn: Array, shape: tuple[int, ...]) -> Array:
    """What lies in a room, each one later; a zero comes first."""
    ago = _across(shape[1]) - 1
    place = ref.at[turn, lax.broadcasted_iota(jnp.int32, (shape[0], 1), 0), ago]
    return triton.load(place, mask=ago >= 0, other=0.0)


def _now(inputs: Inputs, state: State, i: Array) -> Array:
    """Where sample i goes to in `state.heard`: it ends with room for all of the launch."""
    return i + (state.heard.shape[1] - inputs.forced.shape[0])


def _across(count: int) -> Array:  # [1, count]
    return lax.broadcasted_iota(jnp.int32, (1, count), 1)


def _down(like: Array) -> Array:  # [M, 1]
    return lax.broadcasted_iota(jnp.int32, (like.shape[0], 1), 0)


def _whole(shape: tuple[int, ...]) -> pl.BlockSpec:
    return pl.BlockSpec(shape, lambda b: (0,) * len(shape))


def _of_tile(shape: tuple[int, ...], streams: int) -> pl.BlockSpec:
    """The streams of a tile, which are the axis before the last."""
    block = (*shape[:-2], streams, shape[-1])
    return pl.BlockSpec(block, lambda b: (*(0,) * (len(shape) - 2), b, 0))


MACHINE = Machine(NAME, UNIT, chip, tiling, run, fit)
