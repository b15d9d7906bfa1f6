"""Going on with a run: from its newest good checkpoint, and only as the run that it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import jax.numpy as jnp

from wavegen import checkpoint
from wavegen import config as configs
from wavegen.checkpoint import About
from wavegen.errors import WavegenError
from wavegen.training.step import TrainState

# Of [training]: what is shown and kept, how long it goes on, and how a step finds room in
# memory (which may change its rounding). All else decides what is learnt.
FREE = (
    "steps",
    "patience",
    "microbatches",
    "remat",
    "log_every",
    "validate_every",
    "validation_seconds",
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

    def agree(before: About) -> None:
        _refuse_other_config(run, before, about)
        _refuse_other_corpus(run, before, about)

    loaded = checkpoint.restore(run, trees, agree)
    if loaded is None:
        return state
    for damaged in loaded.skipped:
        on_note(f"checkpoint passed over, {damaged}")
    on_note(f"going on from step {loaded.step}")
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
