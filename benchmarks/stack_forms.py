"""A training step's stack in several forms, and the proof that they are one; see bench_forms.py.

A step is the mean cross-entropy of teacher-forced codes through embedding, layers, one sum of
skips and head, and its gradient of all weights. Products are of their weights' dtype, all else
is float32: as the model has it.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from wavegen_kernels import stack
from wavegen_kernels.weights import StackWeights

Array = jax.Array

CHUNK = 2048  # samples whose logits exist at one time, as in the model's loss
SCAN = "scan"  # what the model trains with, and all others are compared with
EXACT = "float32", "highest"  # dtype and precision of a proof: accelerators round products else


class Distance(NamedTuple):
    """How far a step is from SCAN's in exact float32: relative, by norms; nan if there is any."""

    loss: float
    gradient: float  # the worst of all weights'

    def within(self, tolerance: Distance) -> bool:
        """Whether neither is larger."""
        return self.loss <= tolerance.loss and self.gradient <= tolerance.gradient


UNKNOWN = Distance(math.nan, math.nan)
# Sums of float32 in other orders move the loss by 1e-7. But a rectifier's slope jumps: where one
# of two million sums fell on the other side of zero, gradients were seen to move by 3e-4, and
# they go with the square root of how many do. Wrong mathematics gives 0.1 and more.
EXACT_TOLERANCE = Distance(1e-5, 1e-2)
# Of a proved form as it is timed: through 20 layers eight bits of bfloat16 were seen to reach
# 0.1, since gradients at random weights nearly cancel; a gradient that is lost gives 1.
ROUNDED_TOLERANCE = Distance(2**-8, 0.3)


@dataclass
class Program:
    """One form in one dtype, compiled."""

    form: str
    dtype: str
    step: jax.stages.Compiled  # of weights and codes: the loss, and its gradient of the weights
    compile_seconds: float
    off: Distance = UNKNOWN
    exactly_off: Distance = UNKNOWN  # this form, in exact float32
    calls: int = 1  # of a repeat
    seconds: list[float] = field(default_factory=list)  # of a call, one a repeat

    @property
    def temporaries_mib(self) -> int | None:
        """What it needs beside arguments and results, as the compiler says."""
        memory = self.step.memory_analysis()
        return None if memory is None else round(memory.temp_size_in_bytes / 2**20)


@dataclass
class Refused:
    """Who is not in the table; a line each that says why."""

    too_large: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def add(self, who: str, error: RuntimeError) -> None:
        """What the device or its compiler did not do."""
        kind = self.too_large if "RESOURCE_EXHAUSTED" in str(error) else self.wrong
        kind.append(f"{who} is left out: {str(error).splitlines()[0]}")


def proved(
    arguments: tuple,  # StackWeights, codes [B, T]
    dtypes: tuple[str, ...],
    refused: Refused,  # is added to
    note: Callable[[str], None],
) -> Iterator[Program]:
    """All that are SCAN's function when computed exactly, and nearly so in the dtype timed.

    Raises RuntimeError where not even SCAN runs exactly, so that nothing can be proved.
    """
    right = _answer(compiled(SCAN, *EXACT, arguments), arguments)

    def tried(form: str, dtype: str, precision: str | None, near: Distance) -> Program | None:
        who = f"{form} in {'exact ' if precision else ''}{dtype}"
        note(f"{who} ...")
        try:
            program = compiled(form, dtype, precision, arguments)
            program.off = _distance(_answer(program, arguments), right)
        except jax.errors.JaxRuntimeError as error:
            refused.add(who, error)
            return None
        if program.off.within(near):
            return program
        loss, gradient = program.off
        refused.wrong.append(
            f"{who} is wrong, so it is not timed: its loss is {loss:.1e} off {SCAN}'s, "
            f"a gradient {gradient:.1e}"
        )
        return None

    for form in FORMS:
        exact = tried(form, *EXACT, EXACT_TOLERANCE)
        for dtype in dtypes if exact else ():
            program = tried(form, dtype, None, ROUNDED_TOLERANCE)
            if exact and program:
                program.exactly_off = exact.off
                yield program


def compiled(form: str, dtype: str, precision: str | None, arguments: tuple) -> Program:
    """The step of a form; precision None is what XLA takes for products of that dtype.

    Raises jax.errors.JaxRuntimeError where the compiler cannot, as for want of memory.
    """
    loss = functools.partial(mean_nats, form, dtype)
    start = time.perf_counter()
    with jax.default_matmul_precision(precision):
        step = jax.jit(jax.value_and_grad(loss)).lower(*arguments).compile()
    return Program(form, dtype, step, time.perf_counter() - start)


def _answer(program: Program, arguments: tuple) -> list[np.ndarray]:
    """The loss, and each gradient."""
    return [np.asarray(leaf) for leaf in jax.tree.leaves(program.step(*arguments))]


def _distance(found: list[np.ndarray], right: list[np.ndarray]) -> Distance:
    least = float(np.finfo(np.float32).tiny)  # a gradient may be 0, as that of the last residual is
    loss, *gradients = [
        float(np.linalg.norm(x - y)) / max(float(np.linalg.norm(y)), least)
        for x, y in zip(found, right, strict=True)
    ]
    return Distance(loss, float(np.max(gradients)))


def mean_nats(form: str, dtype: str, weights: StackWeights, codes: Array) -> Array:  # [B, T] -> []
    """Mean cross-entropy of all codes, each foretold from those before it; a float32 scalar.

    `dtype` is that of the large products, as `wavegen.model.network.for_products` chooses them.
    """
    wide = {name: getattr(weights, name) for name in ("gate", "residual", "skip", "head1")}
    weights = replace(weights, **{name: each.astype(dtype) for name, each in wide.items()})
    K, T, S = weights.kernel_size, codes.shape[1], weights.skip.shape[-1]
    history = jnp.pad(codes[:, :-1], ((0, 0), (K, 0)), constant_values=weights.n_codes // 2)
    first = [weights.embed[k][history[:, K - 1 - k : K - 1 - k + T]] for k in range(K)]
    h = functools.reduce(jnp.add, first).astype(dtype)
    skip_sum = FORMS[form](weights, h) + weights.skip_bias[None]
    head = weights.head1, weights.head1_bias, weights.head2, weights.head2_bias

    @jax.checkpoint
    def nats(part: tuple[Array, Array]) -> Array:
        logits = stack.head(part[0], *head)
        own = jnp.take_along_axis(logits, part[1][:, None], axis=-1)[:, 0]
        return jnp.sum(jax.nn.logsumexp(logits, axis=-1) - own)

    chunk = math.gcd(codes.size, CHUNK)
    parts = lax.map(nats, (skip_sum.reshape(-1, chunk, S), codes.reshape(-1, chunk)))
    return jnp.sum(parts) / codes.size


def scanned(remat: bool, weights: StackWeights, h: Array) -> Array:  # [B, T, R] -> [B*T, S]
    """One loop over stacked layers, their dilation a run-time number: as the model has it."""
    (B, T, R), K, S = h.shape, weights.kernel_size, weights.skip.shape[-1]
    reach, bias = (K - 1) * max(weights.dilations), weights.gate_bias[:, None]

    def layer(carry: tuple[Array, Array], each: tuple) -> tuple[tuple[Array, Array], None]:
        h, total = carry
        gate, added, residual, residual_bias, skip, dilation = each
        padded = jnp.pad(h, ((0, 0), (reach, 0), (0, 0)))
        past = [
            lax.dynamic_slice_in_dim(padded, reach - k * dilation, T, axis=1) for k in range(1, K)
        ]
        taps = [tap.reshape(B * T, R) for tap in (h, *past)]
        new, z = _passed(h, stack.convolved(taps, gate) + added.sum(0), residual, residual_bias)
        return (new, total + z @ skip), None

    layers = (
        weights.gate,
        jnp.stack([jnp.zeros_like(bias), bias], axis=1),  # conditioning and bias, [L, 2, 1, 2R]
        weights.residual,
        weights.residual_bias,
        weights.skip,
        jnp.asarray(weights.dilations),
    )
    first = h, jnp.zeros((B * T, S))
    return lax.scan(jax.checkpoint(layer) if remat else layer, first, layers)[0][1]


def unrolled(
    convolve: Callable[[Array, Array, int], Array],  # [B, T, R], [K, R, 2R] -> [B*T, 2R]
    remat: bool,
    weights: StackWeights,
    h: Array,  # [B, T, R]
) -> Array:  # [B*T, S]
    """A layer after the other, their dilations constants, and one product for all skips."""

    def layer(dilation: int, h: Array, gate: Array, bias: Array, *residual: Array):
        return _passed(h, convolve(h, gate, dilation) + bias[None], *residual)

    parts = (weights.gate, weights.gate_bias, weights.residual, weights.residual_bias)
    gated = []
    for dilation, *each in zip(weights.dilations, *map(jnp.unstack, parts), strict=True):
        run = functools.partial(layer, dilation)
        h, z = (jax.checkpoint(run) if remat else run)(h, *each)
        gated.append(z)
    L, R, S = weights.skip.shape
    return jnp.concatenate(gated, axis=-1) @ weights.skip.reshape(L * R, S)


def shifted(h: Array, gate: Array, dilation: int) -> Array:  # [B, T, R] -> [B*T, 2R]
    """The convolution as one product of the taps side by side."""
    late = lambda by: lax.pad(h, jnp.zeros((), h.dtype), ((0, 0, 0), (by, -by, 0), (0, 0, 0)))
    taps = [late(k * dilation).reshape(-1, h.shape[-1]) for k in range(len(gate))]
    return stack.convolved(taps, gate)


def convolution(h: Array, gate: Array, dilation: int) -> Array:  # [B, T, R] -> [B*T, 2R]
    """The convolution as XLA's own."""
    pre = lax.conv_general_dilated(
        h,
        gate[::-1],  # whose first tap is now
        window_strides=(1,),
        padding=(((len(gate) - 1) * dilation, 0),),
        rhs_dilation=(dilation,),
        dimension_numbers=("NWC", "WIO", "NWC"),
    )
    return pre.reshape(-1, pre.shape[-1])


def _passed(h: Array, pre: Array, residual: Array, residual_bias: Array) -> tuple[Array, Array]:
    """The next layer's input [B, T, R] and the gated output [B*T, R]; between them float32."""
    flat = h.reshape(-1, h.shape[-1])
    z = stack.gated(pre).astype(h.dtype)
    new = stack.residual(flat.astype(residual_bias.dtype), z, residual, residual_bias)
    return new.astype(h.dtype).reshape(h.shape), z


# From weights and the first layer's input [B, T, R], the sum of all layers' skips [B*T, S].
FORMS: dict[str, Callable[[StackWeights, Array], Array]] = {
    SCAN: functools.partial(scanned, True),
    "scan_kept": functools.partial(scanned, False),
    "unrolled": functools.partial(unrolled, shifted, False),
    "unrolled_remat": functools.partial(unrolled, shifted, True),
    "conv": functools.partial(unrolled, convolution, False),
}
