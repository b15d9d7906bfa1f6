"""Block after block: `draw` makes new codes, `logits` says what becomes of codes that are there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from wavegen import curves
from wavegen.curves import Curve
from wavegen.model import network
from wavegen.model.network import Trained
from wavegen.sampling import loop
from wavegen.sampling import request as requests
from wavegen.sampling import state as states
from wavegen.sampling.request import Draws, Request, Stretch
from wavegen.sampling.state import State
from wavegen_kernels import weights
from wavegen_kernels.generate import api
from wavegen_kernels.steering import Aim
from wavegen_kernels.weights import StepState

Array = Any  # a numpy array or a jax array
Rows = dict[str, Array]  # precision: logits [B, T, V]
# Of sound, between two looks at what was made: what is heard as it is made begins so soon.
GLANCE_SECONDS = 0.05


class Made(NamedTuple):
    """Some codes of B streams, as they are made."""

    codes: np.ndarray  # [B, n] int32
    # [B, n, 2] float32, in nats: the log-likelihood of each code and the entropy of what it was
    # drawn from, at temperature 1 and unfiltered; NaN where the code was given. [B, n, 0] unasked.
    measured: np.ndarray
    state: State | None  # after them; None where nobody wants to go on from it


def draw(
    trained: Trained,
    request: Request,
    draws: Draws,
    backend: str,
    precision: str,
    *,
    state: State | None = None,
    measures: bool = False,
    keeps: bool = False,
) -> Iterator[Made]:
    """New codes, as they are made; F*P of each stream in all, or without end.

    What a request begins with comes back first, all that the network hears in parallel at once.
    With `state` the generation goes on from there, up to the same F frames in all. `measures`
    and `keeps` ask for what `Made` tells beside the codes.
    """
    hop = trained.config.model.hop_length
    start, given = _begin(trained, request, state)
    if start.num_samples and state is None:
        yield Made(given, _unmeasured(given, measures), start if keeps else None)
    done, skip = start.num_samples, start.begun.shape[1]
    left = None if request.num_frames is None else request.num_frames * hop - done
    asked = replace(request, forced=_still_forced(request.forced, start))
    for made in _blocks(trained, asked, draws, backend, precision, start, measures, keeps):
        here = slice(skip, None if left is None else skip + left)
        skip = max(0, skip - made.codes.shape[1])
        codes, measured = made.codes[:, here], made.measured[:, here]
        if not codes.shape[1]:
            continue
        done += codes.shape[1]
        left = None if left is None else left - codes.shape[1]
        yield Made(codes, measured, made.state and made.state.upto(done))


def initial(trained: Trained, batch: int) -> State:
    """The state before the first sample: silence behind, no memory."""
    net = network.assemble(trained.graphdef, trained.params)
    last = np.full((batch, net.hop_length), net.silence, np.int32)
    step = weights.initial_state(loop.export(trained, "numba_cpu"), batch)
    return State(0, step, states.kept(net.initial_carry(batch)), last, last[:, :0])


def _begin(
    trained: Trained, request: Request, state: State | None
) -> tuple[State, np.ndarray]:  # [B, samples before it] int32
    """Where the loop over samples starts, and the codes that stand before it."""
    none = np.zeros((len(request.scores), 0), np.int32)
    if state is not None:
        return state, none
    frames = states.primed_frames(trained.config, request.forced)
    if not frames or request.forced is None:
        return initial(trained, len(request.scores)), none
    given = request.forced[:, : frames * trained.config.model.hop_length]
    return states.prime(trained, request, frames), given.astype(np.int32)


def _still_forced(forced: np.ndarray | None, start: State) -> np.ndarray | None:
    """What stands fixed from the block of a state on: what was begun, and what is yet to come."""
    if forced is None or forced.shape[1] <= start.num_samples:
        return start.begun if start.begun.size else None
    return np.concatenate([start.begun, forced[:, start.num_samples :]], axis=1)


def _unmeasured(codes: np.ndarray, measures: bool) -> np.ndarray:
    return np.full((*codes.shape, 2 if measures else 0), np.nan, np.float32)


def _blocks(
    trained: Trained,
    request: Request,  # its forced codes are those from the start on
    draws: Draws,
    backend: str,
    precision: str,
    start: State,
    measures: bool,
    keeps: bool,
) -> Iterator[Made]:
    """All codes of the blocks from `start` on, each with the state after it."""
    config, frame, state = trained.config, start.frame, start
    kernel = _drawing(trained, request.streams, draws, backend, precision, measures)
    parts = requests.stretches(config, request, cuts=backend in loop.ON_HOST, start=start.frame)
    before = loop.Memory(states.kept(start.step), states.kept(start.carry), start.last)
    begun: list[np.ndarray] = []
    for (codes, measured), memory in loop.walk(
        trained, request.labels, parts, kernel, before, backend, GLANCE_SECONDS
    ):
        frame += codes.shape[1] // config.model.hop_length
        begun.append(codes)
        at_border = (frame - start.frame) % requests.block_frames(config) == 0
        # The last block is kept as begun, so that it can be gone on from at any of its samples.
        if keeps and at_border and (request.num_frames is None or frame < request.num_frames):
            step, carry = states.kept(memory.step), states.kept(memory.carry)
            state = State(frame, step, carry, memory.last.copy(), codes[:, :0])
            begun = []
        now = np.concatenate([codes[:, :0], *begun], axis=1) if keeps else None
        yield Made(codes, measured, None if now is None else state._replace(begun=now))


def _drawing(
    trained: Trained,
    streams: np.ndarray,  # [B]
    draws: Draws,
    backend: str,
    precision: str,
    measures: bool,
) -> loop.Kernel:
    """The kernel that draws; it tells codes and what was measured of them."""
    hop, seconds = trained.config.model.hop_length, trained.config.frame_seconds
    stack = loop.export(trained, backend)

    def setting(value: float | Curve, stretch: Stretch, batch: int) -> Array | float:
        """The number, or its values [B, N] in the frames that the kernel makes."""
        if not isinstance(value, Curve):
            return value
        times = (stretch.first + np.arange(stretch.num_frames)) * seconds
        return np.tile(curves.at(value, times), (batch, 1))

    def kernel(
        step: StepState, cond: Array, aim: Aim | None, stretch: Stretch
    ) -> tuple[StepState, np.ndarray, tuple[np.ndarray, np.ndarray]]:
        batch = len(streams)
        asked = {
            "hop_length": hop,
            "seed": draws.seed,
            "streams": streams,
            "temperature": setting(draws.temperature, stretch, batch),
            "top_k": draws.top_k,
            "top_p": setting(draws.top_p, stretch, batch),
            "forced": stretch.codes,
            "periods": _heard_periods(trained, stretch),
            "aim": aim,
            "backend": backend,
            "precision": precision,
        }
        if not measures:
            step, drawn = loop.run(api.generate, stack, step, cond, **asked)
            codes = np.asarray(drawn)
            return step, codes, (codes, _unmeasured(codes, measures=False))
        step, drawn, found = loop.run(api.generate_measured, stack, step, cond, **asked)
        codes, measured = np.asarray(drawn), np.array(found)
        if stretch.codes is not None:
            measured[stretch.codes >= 0] = np.nan
        return step, codes, (codes, measured)

    return kernel


def logits(
    trained: Trained,
    labels: np.ndarray,  # [B, number of labels] int32
    parts: Iterable[Stretch],  # their codes are those that are there, none free
    backend: str,
    precisions: Sequence[str],
) -> Iterator[Rows]:
    """What each code of every stretch was to be drawn from, in each precision; teacher forced."""
    P = trained.config.model.hop_length
    stack = loop.export(trained, backend)

    def kernel(
        steps: dict[str, StepState], cond: Array, aim: Aim | None, stretch: Stretch
    ) -> tuple[dict[str, StepState], np.ndarray, Rows]:
        assert stretch.codes is not None
        rows = {}
        for name in precisions:
            steps[name], rows[name] = loop.run(
                api.logits,
                stack,
                steps[name],
                cond,
                stretch.codes,
                hop_length=P,
                periods=_heard_periods(trained, stretch),
                aim=aim,
                backend=backend,
                precision=name,
            )
        return steps, stretch.codes, rows

    steps = {name: weights.initial_state(stack, len(labels)) for name in precisions}
    start = initial(trained, len(labels))
    memory = loop.Memory(steps, start.carry, start.last)
    return (rows for rows, _ in loop.walk(trained, labels, parts, kernel, memory, backend))


def _heard_periods(trained: Trained, stretch: Stretch) -> np.ndarray | None:
    """What the kernel is told: those of the frames that it makes, if it wants them."""
    told = trained.config.model.predictor.is_periodic
    return stretch.periods[:, : stretch.num_frames] if told else None
