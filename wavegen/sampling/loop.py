"""The walk through time: the conditioner hears some frames, then the kernel takes their samples.

Codes and state stay in numpy between two stretches; a backend that runs on the host is given
weights and conditioning in numpy too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from wavegen.errors import BackendError
from wavegen.model import network
from wavegen.model.conditioner import Carry
from wavegen.model.network import Inputs, Trained
from wavegen.sampling.request import Stretch
from wavegen_kernels.backends import BackendUnavailable
from wavegen_kernels.steering import Aim
from wavegen_kernels.weights import StackWeights

Array = Any  # a numpy array or a jax array
# Step state, conditioning, the aim of a steered predictor and the stretch in; step state, the
# stretch's codes, what to tell out.
Kernel = Callable[[Any, Array, Aim | None, Stretch], tuple[Any, np.ndarray, Any]]

ON_HOST = ("numba_cpu", "reference")  # backends that compute in numpy; others on the device
_exported: WeakKeyDictionary[Trained, dict[bool, StackWeights]] = WeakKeyDictionary()


class Memory(NamedTuple):
    """What carries over from one stretch to the next; the kernel gives the buffers away."""

    step: Any
    carry: Carry
    last: np.ndarray  # [B, P] int32: the codes of the frame before


def export(trained: Trained, backend: str) -> StackWeights:
    """The stack's weights as the backend takes them: in numpy, or on the device.

    The same object for the same network, so that a kernel prepares its weights once.
    """
    on_host, kept = backend in ON_HOST, _exported.setdefault(trained, {})
    if on_host not in kept:
        stack = network.assemble(trained.graphdef, trained.params).wavenet.export()
        kept[on_host] = jax.tree.map(np.asarray if on_host else jnp.asarray, stack)
    return kept[on_host]


def run(op: Callable[..., Any], *given: Any, **asked: Any) -> Any:
    """A kernel's call. Raises BackendError for what it finds too large for its device."""
    try:
        return op(*given, **asked)
    except BackendUnavailable as error:
        raise BackendError(str(error)) from None


def walk(
    trained: Trained,
    labels: np.ndarray,  # [B, number of labels], or shares
    parts: Iterable[Stretch],
    kernel: Kernel,
    memory: Memory,
    backend: str,
    glance_seconds: float | None = None,  # of what the kernel makes at once; None: all
) -> Iterator[tuple[Any, Memory]]:
    """What the kernel tells of each stretch, or of parts of it, and the memory after it."""
    config = trained.config
    leaves, structure = jax.tree.flatten(trained.params)
    condition = _conditioner(trained.graphdef, structure)
    on_host, B = backend in ON_HOST, len(labels)
    # The conditioner is compiled for each number of rows: on a host, for few of them.
    rows = 1 << (B - 1).bit_length() if on_host else B
    heard_labels = jnp.asarray(_filled(labels, rows))
    hears_past = "past" in config.conditioner.signals
    shape = (config.model.num_layers, 2 * config.model.residual_channels)
    step, last = memory.step, memory.last
    carry = jax.tree.map(lambda x: _filled(np.asarray(x), rows), memory.carry)
    for stretch in parts:
        F = stretch.notes.shape[1]
        if config.conditioner.is_used:
            past = _one_frame_late(last, stretch.codes) if hears_past else None
            heard = (stretch.notes, stretch.periods, stretch.ages, stretch.acoustics, past)
            given = (None if each is None else _filled(each, rows) for each in heard)
            carry, cond, aim = condition(leaves, carry, *given, heard_labels)
            if on_host:
                cond, aim = jax.tree.map(lambda x: np.asarray(x)[:B], (cond, aim))
        else:
            cond, aim = np.zeros((B, F, *shape), np.float32), None
        # A kernel on the host cares for no sizes; for one on a device each is compiled anew.
        count = stretch.num_frames
        if on_host and glance_seconds is not None:
            count = min(count, max(1, round(glance_seconds / config.frame_seconds)))
        for first in range(0, stretch.num_frames, count):
            part = _part(stretch, first, min(count, stretch.num_frames - first))
            cond_here, aim_here = jax.tree.map(
                lambda each, part=part, first=first: each[:, first : first + part.num_frames],
                (cond, aim),
            )
            step, codes, told = kernel(step, cond_here, aim_here, part)
            last = codes[:, codes.shape[1] - config.model.hop_length :]
            known = carry if rows == B else jax.tree.map(lambda x: x[:B], carry)
            yield told, Memory(step, known, last)


def _filled(array: np.ndarray, rows: int) -> np.ndarray:  # [B, ...] -> [rows, ...]
    """The array with its last row repeated, to so many rows."""
    missing = rows - len(array)
    return np.concatenate([array, np.repeat(array[-1:], missing, axis=0)]) if missing else array


def _part(stretch: Stretch, first: int, count: int) -> Stretch:
    """Some frames of those that the kernel makes of a stretch."""
    here, codes = slice(first, first + count), stretch.codes
    if codes is not None:
        hop = codes.shape[1] // stretch.num_frames
        codes = codes[:, first * hop : (first + count) * hop]
    notes, periods, ages, acoustics = (each[:, here] for each in stretch[:4])
    return Stretch(notes, periods, ages, acoustics, codes, count, stretch.first + first)


@cache
def _conditioner(graphdef: nnx.GraphDef, structure: Any) -> Callable[..., tuple]:
    """The conditioner of a structure, compiled; kept, so that every stream finds it compiled.

    It takes the parameters as a list of arrays, which a call looks through in no time.
    """

    @jax.jit
    def condition(
        leaves: list[Array],
        carry: Carry,
        notes: Array,  # [B, F, 256]
        periods: Array,  # [B, F]
        ages: Array,  # [B, F]
        acoustics: Array,  # [B, F, D]
        past: Array | None,  # [B, F*P]: the codes one frame late; None where they are not heard
        labels: Array,  # [B, number of labels], or shares
    ) -> tuple[Carry, Array, Aim | None]:  # carry, [B, F, L, 2R], of [B, F]
        net = network.assemble(graphdef, jax.tree.unflatten(structure, leaves))
        B, F = notes.shape[:2]
        if past is None:
            past = jnp.zeros((B, F * net.hop_length), jnp.int32)
        inputs = Inputs(past, notes, labels, jnp.ones((B, F)), periods, ages, acoustics)
        carry, cond, expected = net.condition(carry, inputs, past)
        return carry, cond, net.aim(periods, expected)

    return condition


def _one_frame_late(last: np.ndarray, codes: np.ndarray | None) -> np.ndarray:  # [B, F*P]
    """What the conditioner hears of the past; one frame alone hears nothing of its own codes."""
    P = last.shape[1]
    if codes is None or codes.shape[1] == P:
        return last
    return np.concatenate([last, codes[:, :-P]], axis=1)
