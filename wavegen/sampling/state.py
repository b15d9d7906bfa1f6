"""What generation remembers between two blocks, and how a recording is remembered at once."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from wavegen.config import Config
from wavegen.model import network
from wavegen.model.conditioner import Carry
from wavegen.model.network import Inputs, Params, SequenceState, Trained
from wavegen.sampling import request as requests
from wavegen.sampling.request import Request
from wavegen_kernels.weights import StepState, amplitudes

PRIMED_SAMPLES = 8192  # of a recording that are heard at once, rounded to whole frames


class State(NamedTuple):
    """A generation that stopped; a value, which files can keep.

    It is that before a block of conditioning, and the codes that were made in it: what goes on
    from here makes this block again, so that the same numbers meet in the same program, and the
    codes are bit for bit those of a generation that never stopped.
    """

    frame: int  # of the block's start: frames made before it
    step: StepState
    carry: Carry
    last: np.ndarray  # [B, P] int32: the codes of the frame before
    begun: np.ndarray  # [B, n] int32: codes made since

    @property
    def num_samples(self) -> int:
        """Samples made of each stream."""
        return self.frame * self.last.shape[1] + self.begun.shape[1]

    def upto(self, num_samples: int) -> State:
        """The same after fewer samples, of those that were begun."""
        return self._replace(begun=self.begun[:, : num_samples - self.frame * self.last.shape[1]])


def kept(tree: Any) -> Any:
    """A copy in numpy that stays when the arrays are given away."""
    return jax.tree.map(np.array, tree)


def primed_frames(config: Config, forced: np.ndarray | None) -> int:  # forced [B, n]
    """Frames that `prime` hears of a request: whole blocks of codes that stand fixed."""
    if forced is None:
        return 0
    free = np.flatnonzero((forced < 0).any(axis=0))
    known = int(free[0]) if len(free) else forced.shape[1]
    block = _block(config)
    return known // (block * config.model.hop_length) * block


def _block(config: Config) -> int:
    return max(1, PRIMED_SAMPLES // config.model.hop_length)


def prime(trained: Trained, request: Request, num_frames: int) -> State:
    """The state after the first frames of a request, all of whose codes stand fixed.

    The network hears them in parallel, as in training, which is faster than the loop over
    samples; the two agree up to the rounding of float32. Streams that hear the same are one.
    """
    config, batch = trained.config, len(request.scores)
    if request.forced is None or num_frames % _block(config):
        raise ValueError(f"{num_frames} frames are no whole blocks of codes that are known")
    known = replace(
        request,
        num_frames=num_frames,
        forced=request.forced[:, : num_frames * config.model.hop_length],
    )
    if _alike(known, num_frames * config.frame_seconds):
        known = _first_row(known)
    state = network.assemble(trained.graphdef, trained.params).initial_state(len(known.scores))
    labels = jnp.asarray(known.labels)
    for part in requests.stretches(config, known, cuts=False, block=_block(config)):
        assert part.codes is not None
        heard = Inputs(
            jnp.asarray(part.codes),
            jnp.asarray(part.notes),
            labels,
            jnp.ones(part.notes.shape[:2]),
            jnp.asarray(part.periods),
            jnp.asarray(part.ages),
            jnp.asarray(part.acoustics),
        )
        state = _hear(trained.graphdef, trained.params, heard, state)
    return _stepwise(trained, state, num_frames, batch)


@partial(jax.jit, static_argnames="graphdef")
def _hear(
    graphdef: nnx.GraphDef, params: Params, inputs: Inputs, state: SequenceState
) -> SequenceState:
    # Accelerators round to bfloat16 or TF32 else, and the loop over samples does not.
    with jax.default_matmul_precision("highest"):
        # Skips and logits are not asked for, so the compiler leaves them out.
        return network.assemble(graphdef, params).hidden(inputs, state)[1]


def _stepwise(trained: Trained, state: SequenceState, num_frames: int, batch: int) -> State:
    """The sequence path's state as the loop over samples keeps it, for all streams of the batch."""
    model, n_codes = trained.config.model, trained.config.audio.n_codes
    time, taps, window = num_frames * model.hop_length, model.kernel_size, model.predictor.window
    codes, queues = np.asarray(state.codes), np.asarray(state.queues)  # [B, n], [L, B, reach, R]
    rows = []
    for layer, dilation in enumerate(model.dilations):
        length = (taps - 1) * dilation
        # Row r of a queue holds the activation of the last time t with t mod length = r.
        times = time - length + np.arange(length)
        newest = np.moveaxis(queues[layer, :, queues.shape[2] - length :], 1, 0)  # [length, B, R]
        rows.append(newest[np.argsort(times % length)])
    heard = codes[:, codes.shape[1] - window :] if model.predictor.order else codes[:, :0]
    step = StepState(
        time=np.uint32(time % 2**32),
        codes=_repeated(codes[:, : -taps - 1 : -1].T, batch, 1),
        queues=_repeated(np.concatenate(rows), batch, 1),
        heard=_repeated(amplitudes(n_codes)[heard].astype(np.float32), batch, 0),
        errors=_repeated(np.asarray(state.errors), batch, 0),
    )
    last = _repeated(codes[:, codes.shape[1] - model.hop_length :], batch, 0)
    carry = jax.tree.map(lambda memory: _repeated(np.asarray(memory), batch, 0), state.carry)
    return State(num_frames, step, carry, last, np.zeros((batch, 0), np.int32))


def _repeated(array: np.ndarray, batch: int, axis: int) -> np.ndarray:
    """One stream as often as there are streams; all of them as they are."""
    count = batch // array.shape[axis]
    return np.ascontiguousarray(np.repeat(array, count, axis) if count > 1 else array)


def _alike(request: Request, seconds: float) -> bool:
    """Whether all streams hear the same up to this time."""
    begun = [
        tuple(note for note in score.notes if note.onset_seconds < seconds)
        for score in request.scores
    ]
    heard = (request.labels, request.forced, request.acoustics)
    same = all(array is None or (array == array[:1]).all() for array in heard)
    return same and begun.count(begun[0]) == len(begun)


def _first_row(request: Request) -> Request:
    one = slice(0, 1)
    return replace(
        request,
        scores=request.scores[one],
        labels=request.labels[one],
        streams=request.streams[one],
        forced=None if request.forced is None else request.forced[one],
        acoustics=None if request.acoustics is None else request.acoustics[one],
    )
