"""The CPU backend: one loop compiled by Numba, weights read as one line of memory.

This file is the way in: packed weights, threads, interruption. What is compiled lies in
wavegen_kernels.cpu.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import numba
import numpy as np
from numba.core import event

from wavegen_kernels.cpu import loop, machine, packing
from wavegen_kernels.cpu.tile import TILE
from wavegen_kernels.predictor import Echo
from wavegen_kernels.steering import AS_NOISY, Aim
from wavegen_kernels.weights import StackWeights, StepState

Array = Any  # a numpy array or a jax array

# Words of weights, times streams, between two looks at the keyboard; an old core needs half a
# second for as many.
_WORDS_A_CALL = 2_000_000_000

_NOTHING = np.empty((0, 0, 0), np.float32)  # what the loop does not fill

_log = logging.getLogger("wavegen_kernels")
_packs: WeakKeyDictionary[StackWeights, dict[str, packing.Packed]] = WeakKeyDictionary()


def generate(
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
) -> tuple[StepState, np.ndarray, np.ndarray]:  # codes [B, F*P], measured [B, F*P, 2] or empty
    """See wavegen_kernels.generate.api.generate_measured."""
    codes = forced.copy()
    found = np.empty((*codes.shape, 2), np.float32) if measured else _NOTHING
    settings = (np.uint32(seed), streams, temperature, top_k, top_p)
    made = (codes, _NOTHING, found)
    state = _run(weights, state, cond, hop_length, settings, made, echo, aim, precision)
    return state, codes, found


def logits(
    weights: StackWeights,
    state: StepState,
    cond: Array,  # [B, F, L, 2R]
    codes: np.ndarray,  # [B, F*P]
    *,
    hop_length: int,
    echo: Echo | None,  # of [B, F]
    aim: Aim | None,  # of [B, F]
    precision: str,
) -> tuple[StepState, np.ndarray]:  # logits [B, F*P, V]
    """See wavegen_kernels.generate.api.logits."""
    frames = cond.shape[:2]
    settings = (
        np.uint32(0),
        np.zeros(frames[0], np.uint32),
        np.ones(frames, np.float32),
        np.zeros(frames, np.int32),
        np.ones(frames, np.float32),
    )
    rows = np.empty((*codes.shape, weights.n_codes), np.float32)
    made = (codes.copy(), rows, _NOTHING)
    state = _run(weights, state, cond, hop_length, settings, made, echo, aim, precision)
    return state, rows


def packed(weights: StackWeights, precision: str) -> packing.Packed:
    """The weights as the loop reads them; packed once, kept as long as the weights are."""
    packs = _packs.setdefault(weights, {})
    if precision not in packs:
        packs[precision] = packing.pack(weights, precision, machine.lanes())
    return packs[precision]


def _run(
    weights: StackWeights,
    state: StepState,
    cond: Array,
    hop_length: int,
    settings: tuple[Any, ...],
    made: tuple[np.ndarray, np.ndarray, np.ndarray],  # codes, logits, measured: see loop.py
    echo: Echo | None,
    aim: Aim | None,
    precision: str,
) -> StepState:
    """The state after all samples: threads by groups of streams, a stretch of time a call."""
    B, T = made[0].shape
    time, before = np.uint32(state.time), _own(state.codes, np.int32)
    queues, cond = _own(state.queues, np.float32), np.array(cond, np.float32)
    pack, W = packed(weights, precision), weights.window
    heard = np.empty((B, W + T if W else 0), np.float32)
    heard[:, :W] = state.heard
    errors = _own(state.errors, np.float32)
    if echo is None:
        echo = Echo(np.ones((B, 0), np.int32), np.zeros((B, 0, 0), np.float32))
    taps = np.empty((B, pack.linear.order), np.float32)
    filters = (taps, echo.delay, np.ascontiguousarray(echo.taps[..., ::-1]))
    filters = (*filters, *_held(pack, aim, cond.shape[:2]))
    parts = groups(B, threads())
    rooms = [loop.room(pack, high - low, filters[3].shape[2]) for low, high in parts]
    stretch = max(1, _WORDS_A_CALL // (parts[0][1] * pack.arena.size))
    arguments = (time, before, queues, heard, errors, *filters, cond, hop_length)
    arguments = (*arguments, *settings, *made)

    def work(group: int, first: int) -> None:
        last = min(first + stretch, T)
        loop.samples(pack, rooms[group], *arguments, weights.n_codes, first, last, *parts[group])

    with _telling():
        for first in range(0, T, stretch):
            _together([lambda g=g, first=first: work(g, first) for g in range(len(parts))])
    time = np.uint32((int(time) + T) % 2**32)
    return StepState(time, before, queues, heard[:, heard.shape[1] - W :], errors)


def _held(
    pack: packing.Packed, aim: Aim | None, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # [B, F, A], [A + W], [B, F, 3]
    """What a steered predictor is held to, as loop.samples wants it; A is 0 for others."""
    if aim is None:
        return np.empty((*shape, 0), np.float32), pack.linear.later, _NOTHING
    # An array that may not be written to is another type, which would be compiled for once more.
    anchors = _own(aim.anchors, np.float32)
    levels, noises = (np.asarray(each, np.float32) for each in (aim.levels, aim.noises))
    counts = np.append(np.ones(anchors.shape[2], np.float32), pack.linear.later)
    expected = np.exp(noises)
    held = (levels, expected / np.float32(AS_NOISY), expected * np.float32(AS_NOISY))
    return anchors, counts, np.stack(held, axis=-1)


def _own(x: Array, dtype: type) -> np.ndarray:
    """An array that may be written to: the one that came, for a state that was given is spent."""
    x = np.asarray(x, dtype, order="C")
    return x if x.flags.writeable else x.copy()


def threads() -> int:
    """Cores that are used; NUMBA_NUM_THREADS sets it, and is all that may be used by default."""
    settings: Any = numba
    return settings.config.NUMBA_NUM_THREADS


def groups(batch: int, threads: int) -> list[tuple[int, int]]:
    """First and last + 1 stream of every thread; groups fill the tiles of streams."""
    size = -(-batch // threads)
    if size > TILE // 2:
        size = -(-size // TILE) * TILE
    return [(low, min(low + size, batch)) for low in range(0, batch, size)]


def _together(tasks: list[Callable[[], None]]) -> None:
    """Every task in a thread of its own, the first one in this."""
    waiting = [_pool(len(tasks) - 1).submit(task) for task in tasks[1:]]
    tasks[0]()
    for each in waiting:
        each.result()


@cache
def _pool(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, thread_name_prefix="wavegen")


class _Notice(event.Listener):
    """Tells, once a call, that something is being compiled."""

    told = False

    def on_start(self, event: Any) -> None:
        if not self.told:
            self.told = True
            _log.info(
                "compiling the sampling kernel for this processor (%s); it is kept for next time",
                machine.target()[1],
            )

    def on_end(self, event: Any) -> None:
        pass


@contextmanager
def _telling() -> Iterator[None]:
    with event.install_listener("numba:compile", _Notice()):
        yield
