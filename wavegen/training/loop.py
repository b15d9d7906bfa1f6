"""The training loop: batches in, a run folder out.

The step is a pure function (state, batch) -> (state, Metrics); the batch of a step is a
function of (seed, step). So a training that was stopped and resumed is the same training.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from flax import nnx

from wavegen.checkpoint import About, Source
from wavegen.config import Config, Training
from wavegen.data import augmentation, batches
from wavegen.data import plan as plans
from wavegen.data.batches import Batch
from wavegen.data.corpus import Corpus
from wavegen.errors import WavegenError
from wavegen.model import loss, network
from wavegen.training import (
    devices,
    evaluate,
    feed,
    folder,
    inheritance,
    interruption,
    optimizer,
    resumption,
    saving,
)
from wavegen.training.step import Metrics, TrainState, compiled, initial_state


class Progress(NamedTuple):
    """What a log line says; `metrics.jsonl` holds the same."""

    step: int
    steps: int
    nats: float
    bits_per_sample: float
    accuracy: float
    learning_rate: float
    gradient_norm: float
    steps_per_second: float
    samples_per_second: float  # that carried loss
    audio_hours_per_hour: float
    seconds_left: float


class Validation(NamedTuple):
    """What a validation says; of the moving average of the parameters."""

    step: int
    validation_bits_per_sample: float
    validation_accuracy: float


class Outcome(NamedTuple):
    """How a training ended."""

    step: int
    interrupted: bool
    validation_bits_per_sample: float | None
    signal: int = 0  # the number of the one that interrupted it


def train(
    config: Config,
    corpus: Corpus,
    run: Path,
    *,
    init_from: Path | None = None,
    on_log: Callable[[Progress], None],
    on_validation: Callable[[Validation], None],
    on_note: Callable[[str], None],
) -> Outcome:
    """Trains until config.training.steps, going on from the run's newest good checkpoint.

    A new run begins with the moving average of the run `init_from`, if one is named. SIGINT
    (Ctrl-C) and SIGTERM end it after the current step, with a checkpoint saved. Raises
    WavegenError where corpus and config do not fit, where the run is another's or was trained
    otherwise, where nothing can be saved, or where the loss is no longer a number.
    """
    batches.check(corpus, config)
    mesh = devices.mesh()
    devices.check(config.training.batch_size, mesh)
    heard = augmentation.widened(corpus.vocabulary, config.augmentation)
    corpus = replace(corpus, vocabulary=heard)
    about = About(config, heard, Source(str(corpus.path), corpus.digest))
    graphdef, params = network.create(config, heard, config.training.seed)
    begun = inheritance.begin(run, init_from, config, heard, params)
    with folder.held(run):
        state = initial_state(config, begun.params)
        if devices.is_first():
            state = resumption.resume(run, about, state, on_note)
        state = devices.shared(state, mesh)
        first = int(state.step)
        if first >= config.training.steps:
            on_note(f"training.steps is {config.training.steps}, which the run has: nothing to do")
            return Outcome(first, False, None)
        for words in (*begun.notes, *plans.concerns(corpus, config)):
            on_note(words)
        folder.open(run, config, corpus, first, begun.parent)
        with (
            interruption.heard() as wish,  # until the last save is done
            closing(saving.Writer(run, config.training)) as writer,
            folder.metrics(run).open("a", encoding="utf-8") as log,
            feed.prefetched(corpus, config, range(first, config.training.steps), mesh) as ready,
        ):

            def record(entry: NamedTuple) -> None:
                log.write(json.dumps(entry._asdict()) + "\n")
                log.flush()

            on_note("compiling the training step ...")
            step = partial(compiled(mesh), config, graphdef)
            loop = _Loop(
                config, corpus, about, graphdef, step, writer, record, on_log, on_validation
            )
            return loop.run(state, ready, wish)


class _Loop(NamedTuple):
    """The pieces that the stages of the loop share."""

    config: Config
    corpus: Corpus
    about: About
    graphdef: nnx.GraphDef
    advance: Callable[[TrainState, Batch], tuple[TrainState, Metrics]]
    writer: saving.Writer
    record: Callable[[NamedTuple], None]
    on_log: Callable[[Progress], None]
    on_validation: Callable[[Validation], None]

    def run(self, state: TrainState, ready: Iterator[Batch], wish: interruption.Wish) -> Outcome:
        """Steps until the end or until there is a wish for it; saves on the way and at the end."""
        plan = self.config.training
        step, bits, stopping, signal = int(state.step), None, False, 0
        first, since = step + 1, (step, time.monotonic())
        for batch in ready:
            state, metrics = self.advance(state, batch)
            step += 1
            last = step == plan.steps
            if step == first and step % plan.log_every and not last:
                jax.block_until_ready(metrics)  # so that no rate counts the compiling
                since = (step, time.monotonic())
            if step % plan.log_every == 0 or last:
                since = self._log(step, metrics, since)
            if step % plan.validate_every == 0 or last:
                bits = self._validate(step, state)
                since = (step, time.monotonic())
            self.writer.check()
            signal = self._wished(step, wish)  # asked once: who stops has saved
            stopping = signal != 0
            if _is_saved(step, plan) or last or stopping:
                _refuse_astray(step, metrics)
                fresh = bits if step % plan.validate_every == 0 or last else None
                self._save(step, state, fresh)
            if stopping:
                break
        interrupted = stopping and step < plan.steps
        return Outcome(step, interrupted, bits, signal if interrupted else 0)

    def _wished(self, step: int, wish: interruption.Wish) -> int:
        """The signal that asked for an end; several processes settle that at lines of the log."""
        if jax.process_count() > 1 and step % self.config.training.log_every:
            return 0
        return devices.highest(wish.signal)

    def _log(self, step: int, metrics: Metrics, since: tuple[int, float]) -> tuple[int, float]:
        _refuse_astray(step, metrics)
        nats = float(metrics.nats)
        now, plan = time.monotonic(), self.config.training
        rate = (step - since[0]) / max(1e-6, now - since[1])
        samples = float(metrics.weight) * rate
        entry = Progress(
            step=step,
            steps=plan.steps,
            nats=nats,
            bits_per_sample=loss.bits(nats),
            accuracy=float(metrics.accuracy),
            learning_rate=float(np.asarray(optimizer.schedule(plan)(step - 1))),
            gradient_norm=float(metrics.gradient_norm),
            steps_per_second=rate,
            samples_per_second=samples,
            audio_hours_per_hour=samples / self.config.audio.sample_rate,
            seconds_left=(plan.steps - step) / rate,
        )
        self.record(entry)
        self.on_log(entry)
        return step, now

    def _validate(self, step: int, state: TrainState) -> float | None:
        if not _has_validation(self.corpus):
            return None
        found = evaluate.split(
            self.graphdef,
            state.ema,
            self.corpus.splits["valid"],
            self.config,
            self.corpus.vocabulary,
            self.config.training.validation_seconds,
        )
        entry = Validation(step, found.bits_per_sample, found.accuracy)
        self.record(entry)
        self.on_validation(entry)
        return found.bits_per_sample

    def _save(self, step: int, state: TrainState, bits: float | None) -> None:
        trees = {"params": state.params, "ema": state.ema, "optimizer": state.optimizer}
        self.writer.save(step, trees, self.about._replace(bits_per_sample=bits))


def _is_saved(step: int, plan: Training) -> bool:
    """Whether a checkpoint is due: those that stay for good are made as well as kept."""
    return step % plan.save_every == 0 or bool(plan.keep_every and step % plan.keep_every == 0)


def _refuse_astray(step: int, metrics: Metrics) -> None:
    """Ends a training that computes no numbers any more, before it is saved; waits for the step."""
    # The gradient tells it one step before the loss does: the parameters are already spoilt.
    for name, value in (("loss", metrics.nats), ("gradient", metrics.gradient_norm)):
        if not np.isfinite(float(value)):
            raise WavegenError(
                f"the {name} is {float(value)} at step {step}: the training has gone astray",
                "a finite number",
                "begin another --run with a lower training.learning_rate; what was saved is kept",
            )


def _has_validation(corpus: Corpus) -> bool:
    return "valid" in corpus.splits and corpus.splits["valid"].num_items > 0
