"""The training loop: batches in, a run folder out.

The step is a pure function (state, batch) -> (state, Metrics); the batch of a step is a
function of (seed, step). So a training that was stopped and resumed is the same training.
"""

from __future__ import annotations

import json
import platform
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
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
from wavegen.data import augmentation, batches, entropy
from wavegen.data.corpus import Corpus
from wavegen.model import network
from wavegen.model.network import Trained
from wavegen.training import evaluate, feed
from wavegen.training.health import Tally
from wavegen.training.journal import Journal
from wavegen.training.meter import Meter
from wavegen.training.progress import Outcome, Progress, Validation
from wavegen.training.step import TrainState, initial_state, train_step

ENTROPY_BATCHES = 16  # a quarter of a million codes, where four windows of 4096 are a batch


def train(
    config: Config,
    corpus: Corpus,
    run: Path,
    *,
    on_log: Callable[[Progress], None],
    on_validation: Callable[[Validation], None],
    on_note: Callable[[str], None],
    on_begin: Callable[[int], None] = lambda step: None,
    on_warning: Callable[[str], None] = lambda words: None,
    on_sample: Callable[[Trained], None] = lambda trained: None,
) -> Outcome:
    """Trains until config.training.steps, going on from the run's newest good checkpoint.

    `on_begin` is told the step that is gone on from, `on_warning` what health says, and
    `on_sample` gets the averaged network every `training.sample_every` steps: what it does
    with it changes nothing in the training and counts in no rate.

    SIGINT (Ctrl-C) and SIGTERM end it after the current step, with a checkpoint saved.
    Raises WavegenError where corpus and config do not fit, where the run was trained with
    another config, or where several steps in a row have gone astray (wavegen.training.health).
    """
    batches.check(corpus, config)
    heard = augmentation.widened(corpus.vocabulary, config.augmentation)
    corpus = replace(corpus, vocabulary=heard)
    graphdef, params = network.create(config, corpus.vocabulary, config.training.seed)
    state = initial_state(config, params)
    state = _resume(run, config, corpus.vocabulary, state, on_note)
    first = int(state.step)
    if first >= config.training.steps:
        on_note(f"training.steps is {config.training.steps}, which the run has: nothing to do")
        return Outcome(first, False, None)
    if not _has_validation(corpus):
        on_note("the corpus has no split named valid: bits per sample will not be validated")
    _open_run(run, config, corpus)
    on_begin(first)
    with (
        closing(_journal(run, config, corpus, first, on_warning)) as journal,
        closing(checkpoint.manager(run, config.training.keep_checkpoints)) as writer,
        _interruptible() as stop,
        feed.prefetched(corpus, config, range(first, config.training.steps)) as ready,
    ):
        loop = _Loop(config, corpus, graphdef, writer, journal, on_log, on_validation, on_sample)
        return loop.run(state, ready, stop)


def _journal(
    run: Path, config: Config, corpus: Corpus, first: int, on_warning: Callable[[str], None]
) -> Journal:
    bits = entropy.order0_bits(corpus.splits["train"], config, corpus.vocabulary, ENTROPY_BATCHES)
    return Journal(run / "metrics.jsonl", first, config.training, bits, on_warning)


class _Loop(NamedTuple):
    """The pieces that the stages of the loop share."""

    config: Config
    corpus: Corpus
    graphdef: nnx.GraphDef
    writer: Any
    journal: Journal
    on_log: Callable[[Progress], None]
    on_validation: Callable[[Validation], None]
    on_sample: Callable[[Trained], None]

    def run(self, state: TrainState, ready: feed.Ready, stop: threading.Event) -> Outcome:
        """Steps until the end or until `stop` is set; saves on the way and at the end."""
        plan = self.config.training
        step, bits, stopping = int(state.step), None, False
        first, meter = step + 1, Meter(self.config, self.journal.tally, step)
        for batch in meter.batches(ready):
            state, metrics = train_step(self.config, self.graphdef, state, batch)
            step += 1
            last = step == plan.steps
            meter.add(step, metrics)
            if step == first and step % plan.log_every and not last:
                meter.restart(step)  # so that no rate counts the compiling
            if step % plan.log_every == 0 or last:
                line = meter.line(step, batch, metrics)
                self.journal.log(line)
                self.on_log(line)
            if step % plan.validate_every == 0 or last:
                bits = self._validate(step, state)
                meter.restart(step)
            stopping = stop.is_set()  # asked once: who stops has saved
            if step % plan.save_every == 0 or last or stopping:
                meter.settle()
                if last or stopping or not meter.tally.astray_in_a_row:
                    fresh = bits if step % plan.validate_every == 0 or last else None
                    self._save(step, state, fresh, meter.tally)
            if plan.sample_every and step % plan.sample_every == 0 and not stopping:
                self._sample(step, state)
                meter.restart(step)
            if stopping:
                break
        return Outcome(step, stopping and step < plan.steps, bits)

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
        self.journal.validation(entry)
        self.on_validation(entry)
        return found.bits_per_sample

    def _save(self, step: int, state: TrainState, bits: float | None, tally: Tally) -> None:
        self.journal.saved(step, tally)
        trees = {"params": state.params, "ema": state.ema, "optimizer": state.optimizer}
        checkpoint.save(self.writer, step, trees, self.config, self.corpus.vocabulary, bits)

    def _sample(self, step: int, state: TrainState) -> None:
        # Copied, since the next step gives the state's memory away; onto one device.
        ema = jax.tree.map(lambda leaf: jax.device_put(np.array(leaf)), state.ema)
        vocabulary = self.corpus.vocabulary
        self.on_sample(Trained(self.config, vocabulary, self.graphdef, ema, step))


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


def _open_run(run: Path, config: Config, corpus: Corpus) -> None:
    """Writes what the run is."""
    run.mkdir(parents=True, exist_ok=True)
    (run / "config.toml").write_text(configs.to_toml(config), encoding="utf-8")
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
