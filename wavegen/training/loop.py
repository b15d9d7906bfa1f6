"""The training loop: batches in, a run folder out.

The step is a pure function (state, batch) -> (state, Metrics); the batch of a step is a
function of (seed, step). So a training that was stopped and resumed is the same training.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import wavegen
from wavegen import checkpoint
from wavegen import config as configs
from wavegen.config import Config, Vocabulary
from wavegen.data import augmentation, batches
from wavegen.data.batches import Batch
from wavegen.data.corpus import Corpus
from wavegen.errors import WavegenError
from wavegen.model import loss, network
from wavegen.training import devices, evaluate, feed, optimizer
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


def train(
    config: Config,
    corpus: Corpus,
    run: Path,
    *,
    on_log: Callable[[Progress], None],
    on_validation: Callable[[Validation], None],
    on_note: Callable[[str], None],
) -> Outcome:
    """Trains until config.training.steps, going on from the run's newest good checkpoint.

    SIGINT (Ctrl-C) and SIGTERM end it after the current step, with a checkpoint saved.
    Raises WavegenError where corpus and config do not fit, where the run was trained with
    another config, or where the loss is no longer a number.
    """
    batches.check(corpus, config)
    mesh = devices.mesh()
    devices.check(config.training.batch_size, mesh)
    heard = augmentation.widened(corpus.vocabulary, config.augmentation)
    corpus = replace(corpus, vocabulary=heard)
    graphdef, params = network.create(config, corpus.vocabulary, config.training.seed)
    state = initial_state(config, params)
    state = devices.copied(_resume(run, config, corpus.vocabulary, state, on_note), mesh)
    first = int(state.step)
    if first >= config.training.steps:
        on_note(f"training.steps is {config.training.steps}, which the run has: nothing to do")
        return Outcome(first, False, None)
    if not _has_validation(corpus):
        on_note("the corpus has no split named valid: bits per sample will not be validated")
    if devices.is_first():
        _open_run(run, config, corpus, first)
    with (
        closing(checkpoint.manager(run, config.training.keep_checkpoints)) as writer,
        _metrics_of(run).open("a", encoding="utf-8") as log,
        _interruptible() as stop,
        feed.prefetched(corpus, config, range(first, config.training.steps), mesh) as ready,
    ):

        def record(entry: NamedTuple) -> None:
            log.write(json.dumps(entry._asdict()) + "\n")
            log.flush()

        advance = partial(compiled(mesh), config, graphdef)
        loop = _Loop(config, corpus, graphdef, advance, writer, record, on_log, on_validation)
        return loop.run(state, ready, stop)


class _Loop(NamedTuple):
    """The pieces that the stages of the loop share."""

    config: Config
    corpus: Corpus
    graphdef: nnx.GraphDef
    advance: Callable[[TrainState, Batch], tuple[TrainState, Metrics]]
    writer: Any
    record: Callable[[NamedTuple], None]
    on_log: Callable[[Progress], None]
    on_validation: Callable[[Validation], None]

    def run(self, state: TrainState, ready: Iterator[Batch], stop: threading.Event) -> Outcome:
        """Steps until the end or until `stop` is set; saves on the way and at the end."""
        plan = self.config.training
        step, bits, stopping = int(state.step), None, False
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
            stopping = self._shall_stop(step, stop)  # asked once: who stops has saved
            if step % plan.save_every == 0 or last or stopping:
                _refuse_astray(step, metrics)
                fresh = bits if step % plan.validate_every == 0 or last else None
                self._save(step, state, fresh)
            if stopping:
                break
        return Outcome(step, stopping and step < plan.steps, bits)

    def _shall_stop(self, step: int, stop: threading.Event) -> bool:
        """Whether to save and end; several processes settle that together, at log lines."""
        if jax.process_count() > 1 and step % self.config.training.log_every:
            return False
        return devices.any_of(stop.is_set())

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
        checkpoint.save(self.writer, step, trees, self.config, self.corpus.vocabulary, bits)


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


def _resume(
    run: Path,
    config: Config,
    vocabulary: Vocabulary,
    state: TrainState,
    on_note: Callable[[str], None],
) -> TrainState:
    """The newest good state of the run, or the fresh one where there is none."""
    trees = {"params": state.params, "ema": state.ema, "optimizer": state.optimizer}
    loaded = checkpoint.restore(run, config, vocabulary, trees)
    if loaded is None:
        return state
    for damaged in loaded.skipped:
        on_note(f"checkpoint passed over, {damaged}")
    on_note(f"going on from step {loaded.step}")
    return TrainState(jnp.int32(loaded.step), loaded.params, loaded.ema, loaded.optimizer)


def _has_validation(corpus: Corpus) -> bool:
    return "valid" in corpus.splits and corpus.splits["valid"].num_items > 0


def _metrics_of(run: Path) -> Path:
    """Where the metrics are written; what is not the first process's is the same once more."""
    return run / "metrics.jsonl" if devices.is_first() else Path(os.devnull)


def _open_run(run: Path, config: Config, corpus: Corpus, first: int) -> None:
    """Writes what the run is, and takes out of its metrics what is about to come again."""
    run.mkdir(parents=True, exist_ok=True)
    (run / "config.toml").write_text(configs.to_toml(config), encoding="utf-8")
    _cut_metrics(run / "metrics.jsonl", first)
    if (run / "environment.json").exists():
        return
    environment = {
        "wavegen": wavegen.__version__,
        "python": platform.python_version(),
        "jax": jax.__version__,
        "platform": platform.platform(),
        "devices": [device.device_kind for device in jax.devices()],
        "corpus": str(corpus.path),
    }
    (run / "environment.json").write_text(json.dumps(environment, indent=2), encoding="utf-8")


def _cut_metrics(path: Path, first: int) -> None:
    """Drops lines after step `first` and one that a kill cut short."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            if json.loads(line)["step"] <= first:
                kept.append(line + "\n")
        except (json.JSONDecodeError, KeyError, TypeError):
            continue
    beside = path.with_suffix(".partial")
    beside.write_text("".join(kept), encoding="utf-8")
    beside.replace(path)


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """An event that the first SIGINT or SIGTERM sets; a second one acts as usual."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread may catch signals
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def request(*_: object) -> None:
        stop.set()
        restore()

    for number in before:
        signal.signal(number, request)
    try:
        yield stop
    finally:
        restore()
