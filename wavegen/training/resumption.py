"""Going on with a run: from its newest good checkpoint, and only as the run that it is."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from wavegen import checkpoint
from wavegen import config as configs
from wavegen.checkpoint import About
from wavegen.config import Config
from wavegen.errors import WavegenError
from wavegen.training import optimizer
from wavegen.training.step import TrainState

# Of [training]: what it began from, what is shown and kept, how long it goes on, and how a step
# finds room in memory (which may change its rounding). All else decides what is learnt, or what
# validations are compared by; of `steps` the cosine schedule is told of where it changes.
FREE = (
    "init_from",
    "steps",
    "patience",
    "microbatches",
    "remat",
    "log_every",
    "validate_every",
    "save_every",
    "keep_checkpoints",
    "keep_every",
    "sample_every",
    "sample_seconds",
)


def resume(
    run: Path, about: About, state: TrainState, on_note: Callable[[str], None]
) -> TrainState:
    """The newest good state of the run, or the fresh one where nothing was saved yet.

    `about` is what the training is now. Where the run is of another config or another corpus
    it is refused.
    """
    trees = {"params": state.params, "ema": state.ema, "optimizer": state.optimizer}

    before = about

    def agree(found: About) -> None:
        nonlocal before
        before = found
        _refuse_other_config(run, found, about)
        _refuse_other_corpus(run, found, about)

    loaded = checkpoint.restore(run, trees, agree)
    if loaded is None:
        return state
    for damaged in loaded.skipped:
        on_note(f"checkpoint passed over, {damaged}")
    on_note(f"going on from step {loaded.step}")
    for words in _of_another_length(before.config, about.config, loaded.step):
        on_note(words)
    return TrainState(jnp.int32(loaded.step), loaded.params, loaded.ema, loaded.optimizer)


def _refuse_other_config(run: Path, before: About, now: About) -> None:
    free = tuple(f"training.{name}:" for name in FREE)
    changed = configs.differences(before.config, now.config)
    changed = [line for line in changed if not line.startswith(free)]
    if changed:
        raise WavegenError(
            "\n    ".join([f"{run} was trained with another config:", *changed]),
            "the config that the run began with",
            f"use {run / 'config.toml'}, or choose another --run folder "
            f"(with --init-from {run} it begins with what this one has learnt)",
        )


def _of_another_length(before: Config, now: Config, step: int) -> list[str]:
    """What more or fewer steps do to a learning rate that depends on their number."""
    rates = [
        float(np.asarray(optimizer.schedule(config.training)(step))) for config in (before, now)
    ]
    if math.isclose(*rates, rel_tol=1e-3):
        return []
    return [
        f"training.steps was {before.training.steps} and is {now.training.steps}: the learning "
        f"rate goes on at {rates[1]:.1e}, where it was {rates[0]:.1e}; training.schedule "
        "constant or inverse_sqrt would not depend on it, in a new run"
    ]


def _refuse_other_corpus(run: Path, before: About, now: About) -> None:
    old, new = before.source, now.source
    if old and new and old.digest != new.digest:
        came = (
            f"the corpus {new.path} has changed since {run} was trained on it: "
            f"its digest was {old.digest} and is {new.digest}"
            if old.path == new.path
            else f"{run} was trained on {old.path} (digest {old.digest}), "
            f"not on {new.path} (digest {new.digest})"
        )
    elif before.vocabulary != now.vocabulary:  # of runs that are older than digests
        came = f"{run} was trained on a corpus of other labels or notes"
    else:
        return
    raise WavegenError(
        came,
        "the corpus that the run began with",
        f"choose another --run folder "
        f"(with --init-from {run} it begins with what this one has learnt)",
    )
