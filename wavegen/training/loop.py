"""The training loop: batches in, a run folder out.

The step is a pure function (state, batch) -> (state, Metrics); the batch of a step is a
function of (seed, step). So a training that was stopped and resumed is the same training.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from flax import nnx

from wavegen import checkpoint
from wavegen.checkpoint import About, Source
from wavegen.config import Config
from wavegen.data import augmentation, batches, entropy, hearing
from wavegen.data import plan as plans
from wavegen.data.batches import Batch
from wavegen.data.corpus import Corpus
from wavegen.model import network
from wavegen.model.network import Trained
from wavegen.training import (
    devices,
    evaluate,
    feed,
    folder,
    health,
    inheritance,
    interruption,
    resumption,
    saving,
)
from wavegen.training.health import Tally
from wavegen.training.journal import Journal
from wavegen.training.meter import Meter
from wavegen.training.progress import Outcome, Progress, Validation
from wavegen.training.step import Metrics, TrainState, compiled, initial_state

SETTLED_EVERY = 8  # steps, after which several processes ask each other for signals
ENTROPY_BATCHES = 16  # a quarter of a million codes, where four windows of 4096 are a batch


@devices.memory_told()
def train(
    config: Config,
    corpus: Corpus,
    run: Path,
    *,
    init_from: Path | None = None,
    on_log: Callable[[Progress], None],
    on_validation: Callable[[Validation], None],
    on_note: Callable[[str], None],
    on_begin: Callable[[int], None] = lambda step: None,
    on_warning: Callable[[str], None] = lambda words: None,
    on_sample: Callable[[Trained], None] = lambda trained: None,
) -> Outcome:
    """Trains until config.training.steps, going on from the run's newest good checkpoint.

    A new run begins with the moving average of the run `init_from`, if one is named. `on_begin`
    is told the step that is gone on from, `on_warning` what health says, and `on_sample` gets
    the averaged network every `training.sample_every` steps: what it does with it changes
    nothing in the training and counts in no rate.

    SIGINT (Ctrl-C) and SIGTERM end it after the current step, with a checkpoint saved. Raises
    WavegenError where corpus and config do not fit, where the run is another's or was trained
    otherwise, where nothing can be saved, or where several steps in a row have gone astray
    (wavegen.training.health).
    """
    batches.check(corpus, config)
    mesh = devices.mesh()
    devices.check(config.training.batch_size, mesh, config.training.microbatches)
    heard = augmentation.widened(corpus.vocabulary, config.augmentation)
    corpus = replace(corpus, vocabulary=heard)
    source = Source(str(corpus.path), corpus.digest)
    sound = hearing.measure(corpus.splits["train"], corpus.sample_rate)
    graphdef, params = network.create(config, heard, config.training.seed)
    begun = inheritance.begin(run, init_from, config, heard, params)
    about = About(config, heard, source, heard=sound, temperature=begun.temperature)
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
        on_begin(first)
        with (
            interruption.heard() as wish,  # until the last save is done
            closing(_journal(run, config, corpus, first, on_warning)) as journal,
            closing(saving.Writer(run, config.training)) as writer,
            feed.prefetched(corpus, config, range(first, config.training.steps), mesh) as ready,
        ):
            about = _going_on(about, run, first)
            step = partial(compiled(mesh), config, graphdef)
            tell = (on_log, on_validation, on_note, on_sample)
            loop = _Loop(config, corpus, about, graphdef, step, writer, journal, *tell)
            if loop.is_exhausted():
                return Outcome(first, False, loop.best()[1])
            on_note(f"training on {devices.describe(mesh)}; compiling the step ...")
            return loop.run(state, ready, wish)


def _going_on(about: About, run: Path, step: int) -> About:
    """The same, with what the checkpoint of that step says besides, if there is one."""
    before = checkpoint.about(run, step) if step else None
    if before is None:
        return about
    about = about._replace(temperature=before.temperature)
    if about.heard is None or before.heard is None:
        return about
    return about._replace(heard=replace(about.heard, nats=before.heard.nats))


def _journal(
    run: Path, config: Config, corpus: Corpus, first: int, on_warning: Callable[[str], None]
) -> Journal:
    bits = entropy.order0_bits(corpus.splits["train"], config, corpus.vocabulary, ENTROPY_BATCHES)
    return Journal(folder.metrics(run), first, config.training, bits, on_warning)


class _Loop(NamedTuple):
    """The pieces that the stages of the loop share."""

    config: Config
    corpus: Corpus
    about: About
    graphdef: nnx.GraphDef
    advance: Callable[[TrainState, Batch], tuple[TrainState, Metrics]]
    writer: saving.Writer
    journal: Journal
    on_log: Callable[[Progress], None]
    on_validation: Callable[[Validation], None]
    on_note: Callable[[str], None]
    on_sample: Callable[[Trained], None]

    def run(self, state: TrainState, ready: feed.Ready, wish: interruption.Wish) -> Outcome:
        """Steps until the end or until there is a wish for it; saves on the way and at the end."""
        plan = self.config.training
        step, found, signal, last = int(state.step), None, 0, False
        shape, meter = None, Meter(self.config, self.journal.tally, step)
        for batch in meter.batches(ready):
            state, metrics = self.advance(state, batch)
            step += 1
            last = step == plan.steps
            meter.add(step, metrics)
            if batch.codes.shape != shape and step % plan.log_every and not last:
                meter.restart(step)  # so that no rate counts the compiling
            shape = batch.codes.shape
            if step % plan.log_every == 0 or last:
                line = meter.line(step, batch, metrics)
                self.journal.log(line)
                self.on_log(line)
            best = False
            if step % plan.validate_every == 0 or last:
                before = self.best()[1]
                found = self._validate(step, state)
                best = found is not None and found.bits_per_sample < before
                meter.restart(step)
                last = last or self.is_exhausted()
            self.writer.check()
            signal = self._wished(step, wish)  # asked once: who stops has saved
            if saving.is_due(step, plan) or best or last or signal:
                meter.settle()
                if last or signal or not meter.tally.astray_in_a_row:
                    is_fresh = step % plan.validate_every == 0 or last
                    self._save(step, state, found, is_fresh, meter.tally)
            if plan.sample_every and step % plan.sample_every == 0 and not signal:
                self._sample(step, state)
                meter.restart(step)
            if last or signal:
                break
        signal = 0 if last else signal
        return Outcome(step, signal != 0, found and found.bits_per_sample, signal)

    def is_exhausted(self) -> bool:
        """Whether patience is at its end, which is said; the first process's decides for all."""
        patience = self.config.training.patience
        if not patience:
            return False
        own = health.is_exhausted(self.journal.validations, patience)
        exhausted = devices.highest(own and devices.is_first()) > 0
        if exhausted:
            step, bits = self.best()
            self.on_note(
                f"the last {patience} validations were no better than that of step {step} "
                f"({bits:.3f} bits/sample; training.patience): the training ends here, and "
                f"--checkpoint {step} names the best"
            )
        return exhausted

    def best(self) -> tuple[int, float]:
        """The step of the best validation so far, and its bits per sample."""
        known = [point for point in self.journal.validations if math.isfinite(point[1])]
        return min(known, key=lambda point: point[1], default=(0, math.inf))

    def _wished(self, step: int, wish: interruption.Wish) -> int:
        """The signal that asked for an end; several processes settle that every few steps."""
        if jax.process_count() > 1 and step % SETTLED_EVERY:
            return 0
        return devices.highest(wish.signal)

    def _validate(self, step: int, state: TrainState) -> evaluate.Evaluation | None:
        if not self.corpus.has_validation:
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
        return found

    def _save(
        self,
        step: int,
        state: TrainState,
        found: evaluate.Evaluation | None,  # by the newest validation
        is_fresh: bool,  # whether that was at this step
        tally: Tally,
    ) -> None:
        self.journal.saved(step, tally)
        trees = {"params": state.params, "ema": state.ema, "optimizer": state.optimizer}
        about = self.about
        if found is not None and about.heard is not None:
            about = about._replace(
                bits_per_sample=found.bits_per_sample if is_fresh else None,
                heard=replace(about.heard, nats=found.nats),
            )
        self.writer.save(step, trees, about)

    def _sample(self, step: int, state: TrainState) -> None:
        # Copied, since the next step gives the state's memory away; onto one device.
        ema = jax.tree.map(lambda leaf: jax.device_put(np.array(leaf)), state.ema)
        vocabulary = self.corpus.vocabulary
        self.on_sample(Trained(self.config, vocabulary, self.graphdef, ema, step))
