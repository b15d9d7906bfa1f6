"""The door of the loop: it says what comes back, checks what comes in, chooses the backend."""

from __future__ import annotations

from importlib import import_module
from typing import Any
from weakref import WeakSet

import jax
import jax.numpy as jnp
import numpy as np

from wavegen_kernels import backends, predictor
from wavegen_kernels.steering import Aim
from wavegen_kernels.weights import StackWeights, StepState

Array = Any  # a numpy array or a jax array

# Weights that were found finite. Reading all of them costs as much as a sample or two, and a
# sampler comes through this door with the same ones at every frame.
_checked: WeakSet[StackWeights] = WeakSet()


def generate(
    weights: StackWeights,
    state: StepState,
    cond: Array,  # [B, F, L, 2R] float32
    *,
    hop_length: int,
    seed: int,
    streams: Array,  # [B] integers
    temperature: Array | float = 1.0,  # number or [B, F]
    top_k: Array | int = 0,  # number or [B, F]
    top_p: Array | float = 1.0,  # number or [B, F]
    forced: Array | None = None,  # [B, F*P] integers
    periods: Array | None = None,  # [B, F] samples; for a periodic predictor, and only for one
    aim: Aim | None = None,  # of [B, F]; for a steered predictor, and only for one
    backend: str = "auto",
    precision: str = "float32",
) -> tuple[StepState, Array]:  # codes [B, F*P] int32
    """The state after F frames, and their codes, each in 0 ... V-1, drawn one after the other.

    A frame is `hop_length` samples (P) that share one row of `cond`; the gate bias is not in
    `cond` but added here. Weights with a fitted predictor want whole fits in a frame (P a
    multiple of `refit`), one that is steered also the `aim` at the start of each frame; those
    with a periodic one want the `periods` of the notes asked for, 0 before the first. Sample t
    of a stream is drawn with the uniform number that wavegen_kernels.random.uniforms gives for
    (seed, streams[b], state.time + t): the first code whose cumulative probability exceeds it.
    `seed` and `streams` lie in [0, 2^32).

    `temperature` >= 0 divides the logits; 0 takes the most probable code. `top_k` >= 0 keeps
    that many of the most probable codes (of equals the lower ones; 0 is off). `top_p` in
    (0, 1] then keeps the fewest codes, in falling probability, whose share of what top_k left
    reaches it (1 is off). `forced` holds codes that stand fixed, and -1 where one shall be
    drawn; a fixed one uses its random number up all the same.

    `precision` is how the weights are held: "float32" as they are; "bfloat16" rounded (on
    pallas_gpu and pallas_tpu the inputs of products too, on numba_cpu not); "int8" with inputs
    rounded to bytes too, on numba_cpu alone. Sums stay float32, or are of whole numbers.

    State is a value: one call with 100 frames gives the bits of a hundred calls with one. The
    state passed in is spent, its buffers may be reused. Put weights on the device once
    (jax.device_put), or every call copies them.

    Raises ValueError for shapes, ranges and an unknown backend, and for weights or conditioning
    that are not finite: `cond` is looked at in every call, weights when they are first seen,
    so do not change their arrays in place. Raises backends.BackendUnavailable where the named
    backend cannot run here, or not in this precision.

    >>> from wavegen_kernels import cases, weights
    >>> case = cases.CASES["tiny_cycles"]
    >>> stack = cases.weights(case)
    >>> state, codes = generate(stack, weights.initial_state(stack, 1),
    ...     cases.conditioning(case, batch=1, frames=2), hop_length=4, seed=0, streams=[0])
    >>> codes.shape
    (1, 8)
    """
    given = (weights, state, cond, hop_length, seed, streams, temperature, top_k, top_p)
    return _generate(*given, forced, periods, aim, backend, precision, measured=False)[:2]


def generate_measured(
    weights: StackWeights,
    state: StepState,
    cond: Array,  # [B, F, L, 2R] float32
    *,
    hop_length: int,
    seed: int,
    streams: Array,  # [B] integers
    temperature: Array | float = 1.0,  # number or [B, F]
    top_k: Array | int = 0,  # number or [B, F]
    top_p: Array | float = 1.0,  # number or [B, F]
    forced: Array | None = None,  # [B, F*P] integers
    periods: Array | None = None,  # [B, F]
    aim: Aim | None = None,  # of [B, F]
    backend: str = "auto",
    precision: str = "float32",
) -> tuple[StepState, Array, Array]:  # codes [B, F*P] int32, measured [B, F*P, 2] float32
    """What `generate` gives, bit for bit, and how likely each code was.

    measured[..., 0] is ln p of the code that stands, drawn or forced; measured[..., 1] is the
    entropy -sum(p ln p) of the whole distribution. Both are in nats, and p is the softmax of
    the logits as they are: temperature, top_k and top_p change which codes are drawn, not how
    likely the network finds them. Conditions and errors are those of `generate`.

    To what the logits themselves are off, this adds at most 2e-6 nats and, to ln p, two
    roundings of its size in float32.
    """
    given = (weights, state, cond, hop_length, seed, streams, temperature, top_k, top_p)
    return _generate(*given, forced, periods, aim, backend, precision, measured=True)


def logits(
    weights: StackWeights,
    state: StepState,
    cond: Array,  # [B, F, L, 2R] float32
    codes: Array,  # [B, F*P] integers
    *,
    hop_length: int,
    periods: Array | None = None,  # [B, F]
    aim: Aim | None = None,  # of [B, F]
    backend: str = "auto",
    precision: str = "float32",
) -> tuple[StepState, Array]:  # logits [B, F*P, V]; float32, float64 from the reference
    """The state after these codes, and the logits that each of them was to be drawn from.

    The same loop as `generate`, teacher forced: logits[:, t] have seen codes[:, :t] and
    what the state remembers. Conditions and errors are those of `generate`.
    """
    B, F = _check(weights, state, cond, hop_length)
    codes = _codes("codes", codes, (B, F * hop_length), 0, weights.n_codes)
    asked = {"echo": _echo(weights, periods, (B, F)), "aim": _aim(weights, aim, (B, F))}
    run = _backend(backend, precision).logits
    return run(weights, state, cond, codes, hop_length=hop_length, precision=precision, **asked)


def _backend(name: str, precision: str) -> Any:
    return import_module(f"wavegen_kernels.generate.{backends.choose(name, precision)}")


def _generate(
    weights: StackWeights,
    state: StepState,
    cond: Array,
    hop_length: int,
    seed: int,
    streams: Array,
    temperature: Array | float,
    top_k: Array | int,
    top_p: Array | float,
    forced: Array | None,
    periods: Array | None,
    aim: Aim | None,
    backend: str,
    precision: str,
    measured: bool,
) -> tuple[StepState, Array, Any]:  # codes; what was measured is there only if wanted
    B, F = _check(weights, state, cond, hop_length)
    streams = _words("streams", streams, (B,))
    seed = int(_words("seed", seed, ()))
    temperature = _setting("temperature", temperature, (B, F), np.float32)
    top_k = _setting("top_k", top_k, (B, F), np.int32)
    top_p = _setting("top_p", top_p, (B, F), np.float32)
    if not (np.isfinite(temperature) & (temperature >= 0)).all():
        raise ValueError(f"temperature must be finite and at least 0, got {temperature.min()}")
    if (top_k < 0).any():
        raise ValueError(f"top_k must be at least 0 (0 is off), got {top_k.min()}")
    if not ((top_p > 0) & (top_p <= 1)).all():
        raise ValueError(f"top_p must lie in (0, 1], got {top_p.min()} ... {top_p.max()}")
    asked = {"echo": _echo(weights, periods, (B, F)), "aim": _aim(weights, aim, (B, F))}
    if forced is None:
        forced = np.full((B, F * hop_length), -1, np.int32)
    return _backend(backend, precision).generate(
        weights,
        state,
        cond,
        hop_length=hop_length,
        seed=seed,
        streams=streams,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        forced=_codes("forced", forced, (B, F * hop_length), -1, weights.n_codes),
        precision=precision,
        measured=measured,
        **asked,
    )


def _check(
    weights: StackWeights, state: StepState, cond: Array, hop_length: int
) -> tuple[int, int]:  # B, F
    """Sizes of the call, after every array was compared with the weights."""
    K, R, L = weights.kernel_size, weights.residual_channels, len(weights.dilations)
    if np.ndim(cond) != 4 or cond.shape[2:] != (L, 2 * R) or 0 in cond.shape:
        raise ValueError(f"cond must be [B, F, {L}, {2 * R}], got {list(np.shape(cond))}")
    B, F = cond.shape[:2]
    if hop_length < 1:
        raise ValueError(f"hop_length must be at least 1, got {hop_length}")
    linear = weights.predictor
    if linear is not None and not linear.periodic and hop_length % linear.refit:
        raise ValueError(
            f"the predictor is refitted every {linear.refit} samples, "
            f"which hop_length ({hop_length}) must be a multiple of"
        )
    wanted = {"codes": [K, B], "queues": [sum(weights.queue_lengths), B, R]}
    wanted |= {"heard": [B, weights.window], "errors": [B, 3]}
    found = {name: list(getattr(state, name).shape) for name in wanted}
    if found != wanted:
        found, wanted = (
            ", ".join(f"{name} {shape}" for name, shape in each.items()) for each in (found, wanted)
        )
        raise ValueError(f"the state has {found}; the weights and cond ask for {wanted}")
    if not _finite(cond):
        raise ValueError("cond holds values that are not finite")
    if weights not in _checked:
        if not all(_finite(leaf) for leaf in jax.tree.leaves(weights)):
            raise ValueError("weights hold values that are not finite")
        _checked.add(weights)
    return B, F


def _echo(
    weights: StackWeights, periods: Array | None, shape: tuple[int, int]
) -> predictor.Echo | None:  # of [B, F]
    linear = weights.predictor
    wanted = linear is not None and linear.periodic
    if wanted != (periods is not None):
        raise ValueError(f"periods are {'wanted' if wanted else 'only'} for a periodic predictor")
    if linear is None or periods is None:
        return None
    lengths = np.asarray(periods, np.float64)
    if lengths.shape != shape:
        raise ValueError(f"periods must be {list(shape)}, got {list(lengths.shape)}")
    if not (np.isfinite(lengths) & (lengths >= 0)).all():
        raise ValueError(f"periods must be finite and at least 0, got {lengths.min()}")
    return predictor.echo(lengths, linear.order, linear.window, linear.damping, np)


def _aim(weights: StackWeights, aim: Aim | None, shape: tuple[int, int]) -> Aim | None:
    linear = weights.predictor
    wanted = linear is not None and linear.steered
    if wanted != (aim is not None):
        raise ValueError(f"an aim is {'wanted' if wanted else 'only'} for a steered predictor")
    if aim is None or linear is None:
        return None
    aim = Aim(*(each if isinstance(each, jax.Array) else np.asarray(each) for each in aim))
    for name, values, kind in zip(aim._fields, aim, ("[B, F, A]", "[B, F]", "[B, F]"), strict=True):
        if values.shape[:2] != shape or values.ndim != 2 + (name == "anchors"):
            raise ValueError(
                f"aim.{name} must be {kind} of {list(shape)}, got {list(values.shape)}"
            )
        if not _finite(values):
            raise ValueError(f"aim.{name} holds values that are not finite")
    if aim.anchors.shape[2] <= linear.order:
        raise ValueError(
            f"an anchor must have more samples than the order {linear.order}, "
            f"got {aim.anchors.shape[2]}"
        )
    return aim


def _finite(x: Array) -> bool:
    # A jax array is looked at where it lies, so that only the answer leaves the device.
    return bool((jnp if isinstance(x, jax.Array) else np).isfinite(x).all())


def _words(name: str, values: Array | int, shape: tuple[int, ...]) -> np.ndarray:
    words = np.asarray(values)
    if words.shape != shape or words.dtype.kind not in "iu":
        raise ValueError(
            f"{name} must be integers of shape {list(shape)}, "
            f"got {words.dtype} of shape {list(words.shape)}"
        )
    if (words < 0).any() or (words >= 2**32).any():
        raise ValueError(f"{name} must lie in [0, 2^32), got {words.min()} ... {words.max()}")
    return words.astype(np.uint32)


def _setting(name: str, value: Array | float, shape: tuple[int, int], dtype: type) -> np.ndarray:
    value = np.asarray(value)
    if value.shape not in ((), shape):
        raise ValueError(f"{name} must be a number or {list(shape)}, got {list(value.shape)}")
    if dtype is np.int32 and value.dtype.kind not in "iu":
        raise ValueError(f"{name} must be an integer, got {value.dtype}")
    return np.full(shape, value, dtype)


def _codes(name: str, codes: Array, shape: tuple[int, int], low: int, n_codes: int) -> np.ndarray:
    codes = np.asarray(codes)
    if codes.shape != shape or codes.dtype.kind not in "iu":
        raise ValueError(
            f"{name} must be integers of shape {list(shape)} (batch, samples), "
            f"got {codes.dtype} of shape {list(codes.shape)}"
        )
    if (codes < low).any() or (codes >= n_codes).any():
        raise ValueError(
            f"{name} must lie in {low} ... {n_codes - 1}, got {codes.min()} ... {codes.max()}"
        )
    return codes.astype(np.int32)
