"""Frame by frame: the conditioner makes a step, then the kernel makes the frame's samples.

It is given weights, never paths, and hands back codes, never files. What it draws depends
on (seed, stream) and not on how the time is cut into blocks or on who shares the batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from wavegen.errors import BackendError, WavegenError
from wavegen.model import network
from wavegen.model.conditioner import Carry
from wavegen.model.network import Inputs, Params, Trained
from wavegen.music import frames
from wavegen.music.score import Score
from wavegen_kernels import backends, weights
from wavegen_kernels.generate import api
from wavegen_kernels.weights import StackWeights, StepState

BLOCK_SECONDS = 0.25  # of sound between two looks at the progress, where nothing is fed back


@dataclass(frozen=True)
class Draws:
    """How codes are drawn from their distribution."""

    seed: int = 0
    temperature: float = 1.0  # 0 takes the likeliest code
    top_k: int = 0  # 0: off
    top_p: float = 1.0  # 1: off

    def __post_init__(self) -> None:
        for name, value, low, high, words in (
            ("seed", self.seed, 0, 2**32 - 1, "a whole number from 0 to 4294967295"),
            ("temperature", self.temperature, 0, 100, "0 (always the likeliest) to 100"),
            ("top-k", self.top_k, 0, 65_536, "0 (off) or a number of codes"),
            ("top-p", self.top_p, 1e-6, 1, "above 0, up to 1 (off)"),
        ):
            if not low <= value <= high:  # also refuses what is not a number
                raise WavegenError(f"{name} is {value}", words)


@dataclass(frozen=True)
class Request:
    """What is asked for, for a batch of B streams."""

    num_frames: int  # F, of each stream
    scores: tuple[Score, ...]  # B: what each plays; not heard without the signal "notes"
    labels: np.ndarray  # [B, number of labels] int32; -1 unknown
    streams: np.ndarray  # [B] int: the number of each stream; names its random draws
    forced: np.ndarray | None = None  # [B, up to F*P] int32 codes to begin with; -1: draw


class SamplerState(NamedTuple):
    """What carries over from one frame to the next."""

    step: StepState
    carry: Carry
    codes_before: jax.Array  # [B, P] int32: the codes of the last frame


def stream(
    trained: Trained, request: Request, draws: Draws, backend: str = "auto"
) -> Iterator[np.ndarray]:  # each [B, block] int32
    """Codes as they are made, block after block; F*P of each stream in all.

    A block is one frame where the network feeds on its own past, else a quarter second.
    Raises BackendError at once where the backend that was named cannot run here.
    """
    return _blocks(trained, request, draws, chosen(backend))


def chosen(backend: str) -> str:
    """The backend that a name means here; "auto" means the fastest that can run."""
    try:
        return backends.choose(backend)
    except (backends.BackendUnavailable, ValueError) as error:
        raise BackendError(str(error)) from None


def _blocks(trained: Trained, request: Request, draws: Draws, backend: str) -> Iterator[np.ndarray]:
    P = trained.config.model.hop_length
    B, F = len(request.scores), request.num_frames
    feeds_back = "past" in trained.config.conditioner.signals
    block = 1 if feeds_back else max(1, round(BLOCK_SECONDS / trained.config.frame_seconds))
    stack = export(trained)
    state = initial_state(trained, stack, B)
    for first in range(0, F, block):
        # The last block is as long as the others, for the compiler's sake; its end is cut off.
        carry, cond = _condition(
            trained.graphdef,
            trained.params,
            state.carry,
            _notes(trained, request, first, block),
            jnp.tile(state.codes_before, (1, block)),
            request.labels,
        )
        if cond is None:
            cond = np.zeros((B, block, *stack.gate_bias.shape), np.float32)
        step, codes = api.generate(
            stack,
            state.step,
            cond,
            hop_length=P,
            seed=draws.seed,
            streams=request.streams,
            temperature=draws.temperature,
            top_k=draws.top_k,
            top_p=draws.top_p,
            forced=_forced(request.forced, first * P, block * P, B),
            backend=backend,
        )
        state = SamplerState(step, carry, codes[:, -P:])
        yield np.asarray(codes)[:, : (F - first) * P]


def generate(
    trained: Trained, request: Request, draws: Draws, backend: str = "auto"
) -> np.ndarray:  # [B, F*P] int32
    """All codes of `stream` in one array."""
    return np.concatenate(list(stream(trained, request, draws, backend)), axis=1)


def export(trained: Trained) -> StackWeights:
    """The stack's weights as the kernels take them, on the device."""
    return jax.tree.map(
        jnp.asarray, network.assemble(trained.graphdef, trained.params).wavenet.export()
    )


def initial_state(trained: Trained, stack: StackWeights, batch: int) -> SamplerState:
    """The state before the first sample: silence, empty queues, no memory."""
    net = network.assemble(trained.graphdef, trained.params)
    before = jnp.full((batch, net.hop_length), net.silence, jnp.int32)
    return SamplerState(weights.initial_state(stack, batch), net.initial_carry(batch), before)


@partial(jax.jit, static_argnums=0)
def _condition(
    graphdef: nnx.GraphDef,
    params: Params,
    carry: Carry,
    notes: np.ndarray,  # [B, F, 256]
    codes_before: jax.Array,  # [B, F*P]
    labels: np.ndarray,
) -> tuple[Carry, jax.Array | None]:
    net = network.assemble(graphdef, params)
    B, F = notes.shape[:2]
    inputs = Inputs(codes_before, notes, labels, jnp.ones((B, F)))
    return net.condition(carry, inputs, codes_before)


def _notes(trained: Trained, request: Request, first: int, count: int) -> np.ndarray:
    """What sounds and starts in `count` frames: [B, count, 256], or [B, count, 0] if unheard."""
    if "notes" not in trained.config.conditioner.signals:
        return np.zeros((len(request.scores), count, 0), np.float32)
    seconds = trained.config.frame_seconds
    return np.stack([frames.notes(score, count, seconds, first) for score in request.scores])


def _forced(forced: np.ndarray | None, first: int, count: int, batch: int) -> np.ndarray | None:
    """The stretch of `forced` for one block, free (-1) beyond its end; None if all is free."""
    if forced is None or first >= forced.shape[1]:
        return None
    part = forced[:, first : first + count]
    rest = np.full((batch, count - part.shape[1]), -1, np.int32)
    return np.concatenate([part.astype(np.int32), rest], axis=1)
