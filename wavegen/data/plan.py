"""What a config would make of a corpus: how much of it a step takes, and what fits badly."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from wavegen.config import Config
from wavegen.data import batches
from wavegen.data.corpus import Corpus
from wavegen.errors import WavegenError

_NAMES_SHOWN = 5


def of(corpus: Corpus, config: Config, samples_per_second: float | None = None) -> dict[str, Any]:
    """Facts of training on the corpus; an epoch is every crop of the train split once.

    `refused` says why it cannot be trained on, where that is so. `shorter_than_a_crop` names
    recordings that are filled up with silence, which carries no loss. `hours_per_epoch`
    needs the speed of a training, in samples that carry loss per second.
    """
    crop, batch_size = config.training.crop_samples, config.training.batch_size
    facts: dict[str, Any] = {
        "crop_samples": crop,
        "crop_seconds": round(crop / config.audio.sample_rate, 4),
        "batch_size": batch_size,
    }
    try:
        batches.check(corpus, config)
    except WavegenError as error:
        return facts | {"refused": error.came}
    split = corpus.splits["train"]
    crops = int(np.sum(-(-split.lengths // crop)))
    steps = math.ceil(crops / batch_size)
    short = [split.names[i] for i in np.flatnonzero(split.lengths < crop)]
    facts |= {
        "recordings": split.num_items,
        "crops_per_epoch": crops,
        "steps_per_epoch": steps,
        "epochs_in_training": round(config.training.steps / steps, 2),
        "shorter_than_a_crop": short,
    }
    if samples_per_second:
        facts["hours_per_epoch"] = round(steps * batch_size * crop / samples_per_second / 3600, 4)
    return facts


def concerns(corpus: Corpus, config: Config) -> list[str]:
    """What may not be meant, in words, of a corpus that can be trained on."""
    words, split, hop = [], corpus.splits["train"], config.model.hop_length
    crop, batch_size = config.training.crop_samples, config.training.batch_size
    rate, longest, in_all = corpus.sample_rate, int(split.lengths.max()), int(split.lengths.sum())
    if longest < crop:
        words.append(
            f"no recording is as long as a crop: the longest has {longest / rate:.3g} s of "
            f"{crop / rate:.3g} s, the rest is computed for nothing; "
            f"training.crop_samples={-(-longest // hop) * hop} would do"
        )
    if batch_size * crop > in_all:
        words.append(
            f"a batch is larger than the data: {batch_size} crops of {crop / rate:.3g} s, "
            f"{in_all / rate:.3g} s of recordings; the same sound comes several times in each"
        )
    if not corpus.has_validation:
        patience = ", and training.patience has nothing to go by"
        words.append(
            "the corpus has no split named valid: bits per sample will not be validated"
            + (patience if config.training.patience else "")
        )
    if config.training.curriculum_steps >= config.training.steps and config.crop_stages[1:]:
        words.append(
            f"crops do not become whole: training.curriculum_steps is "
            f"{config.training.curriculum_steps}, training.steps {config.training.steps}"
        )
    return words


def summary(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """A table for people."""
    rows = [
        ("crop", f"{facts['crop_samples']} samples, {facts['crop_seconds']:.3g} s"),
        ("batch", f"{facts['batch_size']} crops"),
    ]
    if "refused" in facts:
        return [*rows, ("does not fit", facts["refused"])]
    short = facts["shorter_than_a_crop"]
    rows += [
        ("epoch", f"{facts['crops_per_epoch']} crops, {facts['steps_per_epoch']} steps"),
        ("training", f"{facts['epochs_in_training']:g} epochs"),
        ("shorter than a crop", f"{len(short)} of {facts['recordings']} recordings"),
    ]
    rows += [("", name) for name in short[:_NAMES_SHOWN]]
    if len(short) > _NAMES_SHOWN:
        rows.append(("", f"and {len(short) - _NAMES_SHOWN} more"))
    if "hours_per_epoch" in facts:
        rows.append(("hours per epoch", f"{facts['hours_per_epoch']:.3g}"))
    return rows
