"""Block after block: the conditioner hears some frames, then the kernel makes their samples.

One loop serves both ways through a network: `draw` makes new codes, `logits` says what the
network thinks of codes that are there. Codes and state stay in numpy between two blocks; a
backend that runs on the host is given weights and conditioning in numpy too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from wavegen.audio import signals
from wavegen.errors import WavegenError
from wavegen.model import network
from wavegen.model.conditioner import Carry
from wavegen.model.network import Inputs, Trained
from wavegen.music import frames
from wavegen.music.score import Score
from wavegen_kernels import weights
from wavegen_kernels.generate import api
from wavegen_kernels.weights import StackWeights, StepState

Array = Any  # a numpy array or a jax array
Rows = dict[str, Array]  # precision: logits [B, T, V]
# Step state, conditioning and stretch in; step state, the stretch's codes, what to tell out.
Kernel = Callable[[Any, Array, "Stretch"], tuple[Any, np.ndarray, Any]]

BLOCK_SECONDS = 0.25  # of sound between two looks at the progress, where nothing is fed back
_exported: WeakKeyDictionary[Trained, dict[bool, StackWeights]] = WeakKeyDictionary()
_ON_HOST = ("numba_cpu", "reference")  # backends that compute in numpy; others on the device


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
    acoustics: np.ndarray | None = None  # [B, F, D] float32: what is heard of a recording


class Stretch(NamedTuple):
    """Some frames of B streams, as conditioner and kernel hear them."""

    notes: np.ndarray  # [B, F, 256] float32; [B, F, 0] where no signal wants them
    periods: np.ndarray  # [B, F] float32 samples; read by a periodic predictor
    acoustics: np.ndarray  # [B, F, D] float32; D = 0 where no signal wants them
    codes: np.ndarray | None  # [B, N*P] int32; -1 where one shall be drawn; None: everywhere
    num_frames: int  # N <= F: the frames that the kernel makes


def draw(
    trained: Trained, request: Request, draws: Draws, backend: str, precision: str
) -> Iterator[np.ndarray]:  # each [B, block] int32
    """New codes, block after block; F*P of each stream in all.

    A block is one frame where the network feeds on its own past, else a quarter second.
    """
    P, B = trained.config.model.hop_length, len(request.scores)
    stack = export(trained, backend)
    left = request.num_frames * P

    def kernel(
        step: StepState, cond: Array, stretch: Stretch
    ) -> tuple[StepState, np.ndarray, np.ndarray]:
        step, codes = api.generate(
            stack,
            step,
            cond,
            hop_length=P,
            seed=draws.seed,
            streams=request.streams,
            temperature=draws.temperature,
            top_k=draws.top_k,
            top_p=draws.top_p,
            forced=stretch.codes,
            periods=_heard_periods(trained, stretch),
            backend=backend,
            precision=precision,
        )
        codes = np.asarray(codes)
        return step, codes, codes

    parts = stretches(trained, request, cuts=backend in _ON_HOST)
    step = weights.initial_state(stack, B)
    for codes in _loop(trained, request.labels, parts, kernel, step, backend):
        yield codes[:, :left]
        left -= codes.shape[1]


def logits(
    trained: Trained,
    labels: np.ndarray,  # [B, number of labels] int32
    parts: Iterable[Stretch],  # their codes are those that are there, none free
    backend: str,
    precisions: Sequence[str],
) -> Iterator[Rows]:
    """What each code of every stretch was to be drawn from, in each precision; teacher forced."""
    P = trained.config.model.hop_length
    stack = export(trained, backend)

    def kernel(
        steps: dict[str, StepState], cond: Array, stretch: Stretch
    ) -> tuple[dict[str, StepState], np.ndarray, Rows]:
        assert stretch.codes is not None
        rows = {}
        for name in precisions:
            steps[name], rows[name] = api.logits(
                stack,
                steps[name],
                cond,
                stretch.codes,
                hop_length=P,
                periods=_heard_periods(trained, stretch),
                backend=backend,
                precision=name,
            )
        return steps, stretch.codes, rows

    steps = {name: weights.initial_state(stack, len(labels)) for name in precisions}
    return _loop(trained, labels, parts, kernel, steps, backend)


def export(trained: Trained, backend: str) -> StackWeights:
    """The stack's weights as the backend takes them: in numpy, or on the device.

    The same object for the same network, so that a kernel prepares its weights once.
    """
    on_host, kept = backend in _ON_HOST, _exported.setdefault(trained, {})
    if on_host not in kept:
        stack = network.assemble(trained.graphdef, trained.params).wavenet.export()
        kept[on_host] = jax.tree.map(np.asarray if on_host else jnp.asarray, stack)
    return kept[on_host]


def _loop(
    trained: Trained,
    labels: np.ndarray,  # [B, number of labels]
    parts: Iterable[Stretch],
    kernel: Kernel,
    step: Any,
    backend: str,
) -> Iterator[Any]:
    """What the kernel tells of each stretch; before the first one there was silence."""
    net, B = network.assemble(trained.graphdef, trained.params), len(labels)
    leaves, structure = jax.tree.flatten(trained.params)
    condition = _conditioner(trained.graphdef, structure)
    heard_labels = jnp.asarray(labels)
    on_host = backend in _ON_HOST
    hears_past = "past" in trained.config.conditioner.signals
    shape = (trained.config.model.num_layers, 2 * trained.config.model.residual_channels)
    carry = net.initial_carry(B)
    last = np.full((B, net.hop_length), net.silence, np.int32)  # the codes of the frame before
    for stretch in parts:
        F, N = stretch.notes.shape[1], stretch.num_frames
        if trained.config.conditioner.is_used:
            past = _one_frame_late(last, stretch.codes) if hears_past else None
            given = (stretch.notes, stretch.acoustics, past, heard_labels)
            carry, cond = condition(leaves, carry, *given)
            cond = np.asarray(cond) if on_host else cond
        else:
            cond = np.zeros((B, F, *shape), np.float32)
        step, codes, told = kernel(step, cond if N == F else cond[:, :N], stretch)
        last = codes[:, -net.hop_length :]
        yield told


@cache
def _conditioner(graphdef: nnx.GraphDef, structure: Any) -> Callable[..., tuple[Carry, Array]]:
    """The conditioner of a structure, compiled; kept, so that every stream finds it compiled.

    It takes the parameters as a list of arrays, which a call looks through in no time.
    """

    @jax.jit
    def condition(
        leaves: list[Array],
        carry: Carry,
        notes: Array,  # [B, F, 256]
        acoustics: Array,  # [B, F, D]
        past: Array | None,  # [B, F*P]: the codes one frame late; None where they are not heard
        labels: Array,  # [B, number of labels]
    ) -> tuple[Carry, Array]:  # carry, [B, F, L, 2R]
        net = network.assemble(graphdef, jax.tree.unflatten(structure, leaves))
        B, F = notes.shape[:2]
        if past is None:
            past = jnp.zeros((B, F * net.hop_length), jnp.int32)
        valid, periods = jnp.ones((B, F)), jnp.zeros((B, F))
        return net.condition(carry, Inputs(past, notes, labels, valid, periods, acoustics), past)

    return condition


def _one_frame_late(last: np.ndarray, codes: np.ndarray | None) -> np.ndarray:  # [B, F*P]
    """What the conditioner hears of the past; one frame alone hears nothing of its own codes."""
    P = last.shape[1]
    if codes is None or codes.shape[1] == P:
        return last
    return np.concatenate([last, codes[:, :-P]], axis=1)


def stretches(trained: Trained, request: Request, cuts: bool) -> Iterator[Stretch]:
    """The request in blocks of one size, for the compiler's sake.

    The last one reaches beyond the end; `cuts` says whether the kernel stops there instead.
    """
    P, F = trained.config.model.hop_length, request.num_frames
    quarter = max(1, round(BLOCK_SECONDS / trained.config.frame_seconds))
    block = 1 if "past" in trained.config.conditioner.signals else quarter
    for first in range(0, F, quarter):
        notes = _notes(trained, request, first, quarter)
        acoustics = _acoustics(trained, request, first, quarter)
        periods = _periods(trained, request, first, acoustics)
        for start in range(first, min(first + quarter, F), block):
            count = min(block, F - start) if cuts else block
            forced = _forced(request.forced, start * P, count * P, len(request.scores))
            here = slice(start - first, start - first + block)
            yield Stretch(notes[:, here], periods[:, here], acoustics[:, here], forced, count)


def _notes(trained: Trained, request: Request, first: int, count: int) -> np.ndarray:
    """What sounds and starts in `count` frames: [B, count, 256], or [B, count, 0] if unheard."""
    if "notes" not in trained.config.conditioner.signals:
        return np.zeros((len(request.scores), count, 0), np.float32)
    seconds = trained.config.frame_seconds
    return np.stack([frames.notes(score, count, seconds, first) for score in request.scores])


def _periods(
    trained: Trained, request: Request, first: int, acoustics: np.ndarray
) -> np.ndarray:  # [B, F]
    """Periods, in samples, of the frames that the acoustic signals are of; zeros if unheard."""
    whose, count = trained.config.model.predictor.periods_of, acoustics.shape[1]
    seconds, rate = trained.config.frame_seconds, trained.config.audio.sample_rate
    if not whose:
        return np.zeros((len(request.scores), count), np.float32)
    if whose == "f0":
        return signals.periods(trained.config.conditioner.acoustic, acoustics, rate)
    rows = [frames.periods(score, count, seconds, first) for score in request.scores]
    return np.stack(rows) * np.float32(rate)


def _acoustics(trained: Trained, request: Request, first: int, count: int) -> np.ndarray:
    """Acoustic signals of `count` frames, [B, count, D]; D = 0 if unheard, zeros after the end."""
    if not trained.config.conditioner.acoustic:
        return np.zeros((len(request.scores), count, 0), np.float32)
    if request.acoustics is None:
        raise WavegenError(
            "this network follows a recording, and none was given",
            "what is heard of one: " + ", ".join(trained.config.conditioner.acoustic),
        )
    part = request.acoustics[:, first : first + count]
    return np.pad(part, ((0, 0), (0, count - part.shape[1]), (0, 0)))


def _heard_periods(trained: Trained, stretch: Stretch) -> np.ndarray | None:
    """What the kernel is told: those of the frames that it makes, if it wants them."""
    told = trained.config.model.predictor.periods_of
    return stretch.periods[:, : stretch.num_frames] if told else None


def _forced(forced: np.ndarray | None, first: int, count: int, batch: int) -> np.ndarray | None:
    """The stretch of `forced` for one block, free (-1) beyond its end; None if all is free."""
    if forced is None or first >= forced.shape[1]:
        return None
    part = forced[:, first : first + count]
    rest = np.full((batch, count - part.shape[1]), -1, np.int32)
    return np.concatenate([part.astype(np.int32), rest], axis=1)
