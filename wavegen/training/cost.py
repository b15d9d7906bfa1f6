"""What a training will cost, before it: memory from the compiler, time from a few steps."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx
from jax.sharding import Mesh

from wavegen.config import Config
from wavegen.data import augmentation, batches
from wavegen.data.batches import Batch
from wavegen.data.corpus import Corpus
from wavegen.errors import WavegenError
from wavegen.model import network
from wavegen.training import devices, evaluate, feed
from wavegen.training.step import TrainState, compiled, initial_state

ENOUGH_SECONDS = 10.0  # of steps to take the median of, and
FEWEST_STEPS = 3  # after the first one
FILLED = 0.9  # of what is free, at most: compiling, validating and the data need some too
LARGEST = 2**31  # samples in one array; no index of XLA's goes further


class Memory(NamedTuple):
    """Bytes on one device in a step."""

    state: int  # parameters, their average, and what the optimizer keeps
    temporaries: int
    total: int  # with the batch and what else there is


class Cost(NamedTuple):
    """What a training takes."""

    parameters: int
    memory: Memory
    free_bytes: int | None  # on one device before the training; None: the system does not say
    largest_batch: int | None  # windows on all devices that fit; None: not known
    compile_seconds: float
    step_seconds: float  # median of those measured, with crops that are whole
    fastest_seconds: float
    slowest_seconds: float
    samples_per_second: float  # that carry loss, at most
    validation_seconds: float  # of each; an estimate from a part of one
    steps: int  # that are left
    seconds: float  # for these and their validations


@devices.memory_told()
def measure(config: Config, corpus: Corpus, first: int = 0) -> Cost:
    """What training from step `first` on takes here.

    A few steps are taken, of a network that is thrown away, at the longest crops that there
    will be. What is not counted: sounds of `sample_every`, and reading the corpus from a disk
    that is slow at first. Raises WavegenError where a step does not fit, and says what would.
    """
    mesh, plan = devices.mesh(), config.training
    batches.check(corpus, config)
    devices.check(plan.batch_size, mesh, plan.microbatches)
    heard = augmentation.widened(corpus.vocabulary, config.augmentation)
    corpus = replace(corpus, vocabulary=heard)
    graphdef, params = network.create(config, heard, plan.seed)
    state = devices.shared(initial_state(config, params), mesh)
    whole = range(plan.curriculum_steps, 2**31)  # their crops are
    with feed.prefetched(corpus, config, whole, mesh) as ready:
        batch = next(ready)

        def needed(batch_size: int) -> float:
            step = _compile(config, graphdef, mesh, state, batch, batch_size)
            return math.inf if step is None else _memory(step, state).total

        begin, free = time.monotonic(), free_bytes()
        step = _compile(config, graphdef, mesh, state, batch, plan.batch_size)
        compile_seconds = time.monotonic() - begin
        memory = None if step is None else _memory(step, state)
        taken = math.inf if memory is None else memory.total
        unit, most = mesh.size * plan.microbatches, LARGEST // batch.codes.shape[1]
        largest = largest_batch(needed, plan.batch_size, taken, free, unit, most)
        if memory is None or (free is not None and taken > free):
            raise _too_large(config, memory, free, largest)
        state, seconds = _clock(step, state, batch, ready)
    each = float(np.median(seconds))
    validation, validations = _validations(config, corpus, graphdef, state, first)
    return Cost(
        parameters=network.count(params),
        memory=memory,
        free_bytes=free,
        largest_batch=largest,
        compile_seconds=compile_seconds,
        step_seconds=each,
        fastest_seconds=min(seconds),
        slowest_seconds=max(seconds),
        samples_per_second=plan.batch_size * plan.crop_samples / each,
        validation_seconds=validation,
        steps=max(0, plan.steps - first),
        seconds=each * whole_steps(config, first) + validation * validations,
    )


def whole_steps(config: Config, first: int = 0) -> float:
    """The steps from `first` on, each counted by how much of the longest window its own has."""
    longest = config.window_frames
    grown = config.training.curriculum_steps
    growing = range(first, min(grown, config.training.steps))
    shorter = sum(config.at(step).window_frames / longest for step in growing)
    return shorter + max(0, config.training.steps - max(first, grown))


def largest_batch(
    needed: Callable[[int], float],  # bytes by batch size; infinite where it does not compile
    size: int,
    taken: float,  # bytes at `size`
    free: int | None,
    unit: int,  # what a batch size has to be a multiple of
    most: int,
) -> int | None:
    """The most windows whose step fits into what is free; 0 where not even `unit` do.

    Bytes grow in proportion to windows, very nearly; what that comes to is looked up, and
    taken back where it was too much.
    """
    if free is None:
        return None
    room = FILLED * free
    while math.isinf(taken) and size >= 2 * unit:
        size = size // 2 // unit * unit
        taken = needed(size)
    more = needed(2 * size)
    slope = max(1.0, (more - taken) / size) if math.isfinite(more) else taken / size
    guess = min(most, size + (room - taken) / slope) if math.isfinite(taken) else 0
    while guess >= unit:
        fitting = int(guess // unit) * unit
        bytes_ = needed(fitting)
        if bytes_ <= room:
            return fitting
        between = (size + fitting) / 2 if size < fitting and taken <= room else fitting / 2
        guess = min(fitting - unit, between if math.isinf(bytes_) else fitting * room / bytes_)
    return 0


def free_bytes() -> int | None:
    """What one device can still take: its share of the machine's memory where it is a processor."""
    stats = jax.local_devices()[0].memory_stats()
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"]
    found = [each for each in (_available(), _allowed()) if each is not None]
    return min(found) // jax.local_device_count() if found else None


def _available() -> int | None:
    """Of the machine."""
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        for line in meminfo.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return 1024 * int(line.split()[1])
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _allowed(group: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Of a container or a batch job, which may have less than the machine."""
    try:
        most, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
    except (OSError, ValueError):  # "max": as much as there is
        return None
    return max(0, most - used)


def _compile(
    config: Config,
    graphdef: nnx.GraphDef,
    mesh: Mesh,
    state: TrainState,
    batch: Batch,
    batch_size: int,
) -> Any:
    """The step for batches like this one, of so many windows; None where it does not fit."""

    def resized(rows: jax.Array) -> jax.ShapeDtypeStruct:
        shape = (batch_size, *rows.shape[1:])
        return jax.ShapeDtypeStruct(shape, rows.dtype, sharding=rows.sharding)

    lowered = compiled(mesh).lower(config, graphdef, state, jax.tree.map(resized, batch))
    try:
        return lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        if devices.is_full(error):
            return None
        raise


def _too_large(
    config: Config, memory: Memory | None, free: int | None, largest: int | None
) -> WavegenError:
    asked = config.training.batch_size
    takes = f" takes {memory.total / 2**20:,.0f} MiB" if memory else " does not fit"
    of = f", and {free / 2**20:,.0f} MiB are free on a device" if free else ""
    fits = f", or training.batch_size={largest}, which fits" if largest else ""
    return WavegenError(
        f"a step with training.batch_size {asked}{takes}{of}",
        "a step that fits into memory",
        f"take training.microbatches={min(asked, 2 * config.training.microbatches)}{fits}, or a "
        "lower training.crop_samples",
    )


def _clock(
    step: Any, state: TrainState, batch: Batch, ready: feed.Ready
) -> tuple[TrainState, list[float]]:
    """The state after some steps, and the seconds of each but the first, data included."""
    seconds: list[float] = []
    state, metrics = step(state, batch)
    jax.block_until_ready(metrics)
    # Several processes have to take as many steps: one that waits for another waits for ever.
    while devices.highest(len(seconds) < FEWEST_STEPS or sum(seconds) < ENOUGH_SECONDS):
        begin = time.monotonic()
        state, metrics = step(state, next(ready))
        jax.block_until_ready(metrics)
        seconds.append(time.monotonic() - begin)
    return state, seconds


def _validations(
    config: Config, corpus: Corpus, graphdef: nnx.GraphDef, state: TrainState, first: int
) -> tuple[float, int]:
    """Seconds of a validation, and how many there are after step `first`."""
    plan = config.training
    if not corpus.has_validation:
        return 0.0, 0
    split, heard = corpus.splits["valid"], corpus.vocabulary
    each = evaluate.seconds(graphdef, state.ema, split, config, heard, plan.validation_seconds)
    # At the last step there is one more where none is due.
    last = -(-plan.steps // plan.validate_every)
    return each, last - first // plan.validate_every if plan.steps > first else 0


def _memory(step: Any, state: TrainState) -> Memory:
    found = step.memory_analysis()
    once = found.argument_size_in_bytes + found.output_size_in_bytes - found.alias_size_in_bytes
    return Memory(
        state=sum(leaf.nbytes for leaf in jax.tree.leaves(state)),
        temporaries=found.temp_size_in_bytes,
        total=once + found.temp_size_in_bytes,
    )
