"""Checkpoints of a run: written beside and renamed into place by Orbax, proven when read.

A checkpoint is a folder `run/checkpoints/<step>` with four items: `params`, `ema`,
`optimizer`, and `about` (config, vocabulary, checksums, format version). Orbax notices
missing files, but hands back most flipped bytes without a word; hence a checksum for each
array, compared on every load.
"""

from __future__ import annotations

import itertools
import logging
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import preservation_policy

from wavegen import config as configs
from wavegen.config import Config, Vocabulary
from wavegen.errors import WavegenError
from wavegen.model import network
from wavegen.model.network import Trained

FORMAT_VERSION = 1
STEP_DIGITS = 9  # so that folders sort by name as they do by number
ARRAYS = ("params", "ema", "optimizer")

logging.getLogger("absl").setLevel(logging.ERROR)  # Orbax tells of every thread it starts


class Loaded(NamedTuple):
    """The state of a training as it was saved; `skipped` says what was wrong with newer ones."""

    step: int
    params: Any
    ema: Any
    optimizer: Any
    skipped: list[str]


class _Damaged(Exception):
    """A checkpoint that cannot be read, or is not what was written."""


@contextmanager
def _damage_told() -> Iterator[None]:
    """Whatever a reading raises becomes _Damaged: for broken files Orbax raises bare Exceptions."""
    try:
        yield
    except Exception as error:
        raise _Damaged(_short(error)) from error


def folder(run: Path) -> Path:
    """Where a run keeps its checkpoints."""
    return run / "checkpoints"


def manager(run: Path, keep: int = 3) -> ocp.CheckpointManager:
    """A writer that saves in the background and keeps the newest `keep` and the best one.

    The caller closes it, which waits for the last save.
    """
    keep_which = preservation_policy.AnyPreservationPolicy(
        [
            preservation_policy.LatestN(keep),
            preservation_policy.BestN(
                get_metric_fn=lambda metrics: metrics["bits_per_sample"], n=1, reverse=True
            ),
        ]
    )
    options = ocp.CheckpointManagerOptions(
        step_format_fixed_length=STEP_DIGITS,
        best_fn=lambda metrics: metrics["bits_per_sample"],
        best_mode="min",
        preservation_policy=keep_which,
        enable_async_checkpointing=True,
    )
    path = folder(run).absolute()
    return ocp.CheckpointManager(path, options=options, item_names=(*ARRAYS, "about"))


def _reader(run: Path, items: tuple[str, ...]) -> ocp.CheckpointManager:
    options = ocp.CheckpointManagerOptions(step_format_fixed_length=STEP_DIGITS, read_only=True)
    return ocp.CheckpointManager(folder(run).absolute(), options=options, item_names=items)


def save(
    writer: ocp.CheckpointManager,
    step: int,
    trees: dict[str, Any],  # "params", "ema", "optimizer"
    config: Config,
    vocabulary: Vocabulary,
    bits_per_sample: float | None = None,
) -> None:
    """Starts to write a checkpoint; the arrays may be overwritten as soon as this returns."""
    trees = jax.tree.map(np.asarray, trees)
    about = {
        "format_version": FORMAT_VERSION,
        "step": step,
        "config": configs.to_dict(config),
        "vocabulary": vocabulary.to_dict(),
        "checksums": {name: checksums(trees[name]) for name in ARRAYS},
    }
    items = {name: ocp.args.StandardSave(trees[name]) for name in ARRAYS}
    # Without a validation the checkpoint is no candidate for the best: it counts as infinite.
    measured = float("inf") if bits_per_sample is None else bits_per_sample
    writer.save(
        step,
        args=ocp.args.Composite(about=ocp.args.JsonSave(about), **items),
        metrics={"bits_per_sample": measured},
        force=True,
    )


def checksums(tree: Any) -> dict[str, int]:
    """CRC-32 of every array, by its path in the tree."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {
        jax.tree_util.keystr(path): zlib.crc32(np.asarray(leaf).tobytes()) for path, leaf in leaves
    }


def steps(run: Path) -> list[int]:
    """Steps of the finished checkpoints of a run, oldest first."""
    if not folder(run).is_dir():
        return []
    return sorted(int(path.name) for path in folder(run).iterdir() if path.name.isdigit())


def about(run: Path, step: int) -> dict[str, Any]:
    """What a checkpoint says of itself: config, vocabulary, checksums, format version."""
    with _damage_told(), _reader(run, ("about",)) as reader:
        found = reader.restore(step, args=ocp.args.Composite(about=ocp.args.JsonRestore()))["about"]
    missing = {"format_version", "config", "vocabulary", "checksums"} - set(found)
    if missing:
        raise _Damaged("it does not say its " + ", ".join(sorted(missing)))
    if found["format_version"] > FORMAT_VERSION:
        raise WavegenError(
            f"{folder(run) / f'{step:09d}'} has format version {found['format_version']}",
            f"{FORMAT_VERSION} or older",
            "use a newer wavegen",
        )
    return found


def load(
    run: Path, step: int | None = None, on_damage: Callable[[str], None] = lambda words: None
) -> Trained:
    """What generation needs, from a run folder alone: the newest good checkpoint, or `step`.

    The parameters are the moving average (EMA) of the training. `on_damage` is told of each
    newer checkpoint that could not be read.
    """
    errors = []
    for candidate in _candidates(run, step):
        try:
            told = about(run, candidate)
            config = configs.from_dict(told["config"], where=f"checkpoint {candidate}")
            vocabulary = Vocabulary.from_dict(told["vocabulary"])
            graphdef, shapes = network.structure(config, vocabulary)
            restored = _restore(run, candidate, {"ema": shapes}, told)
            for words in errors:
                on_damage(f"checkpoint passed over: {words}")
            return Trained(config, vocabulary, graphdef, restored["ema"], candidate)
        except _Damaged as error:
            errors.append(f"step {candidate}: {error}")
    raise _none_good(run, errors)


def restore(
    run: Path, config: Config, vocabulary: Vocabulary, trees: dict[str, Any]
) -> Loaded | None:
    """The newest good state of a training, or None where nothing was saved yet.

    `trees` gives the shapes of "params", "ema" and "optimizer". A config that differs in
    what the training depends on is refused, and so is a corpus of other labels or notes.
    Damaged checkpoints after the one that is taken are renamed to `STEP.damaged`, since
    the training will come to these steps again.
    """
    skipped = []
    for candidate in reversed(steps(run)):
        try:
            told = about(run, candidate)
            saved = configs.from_dict(told["config"], where=f"checkpoint {candidate}")
            _refuse_other_config(run, saved, config)
            if Vocabulary.from_dict(told["vocabulary"]) != vocabulary:
                raise WavegenError(
                    f"{run} was trained on a corpus of other labels or notes",
                    "the corpus that the run began with",
                    "choose another --run folder",
                )
            restored = _restore(run, candidate, trees, told)
            for damaged in (step for step in steps(run) if step > candidate):
                path = folder(run) / f"{damaged:0{STEP_DIGITS}d}"
                path.rename(_unused(path.with_suffix(".damaged")))
            return Loaded(candidate, skipped=skipped, **restored)
        except _Damaged as error:
            skipped.append(f"step {candidate}: {error}")
    if skipped:
        raise _none_good(run, skipped)
    return None


def _candidates(run: Path, step: int | None) -> list[int]:
    if not run.is_dir():
        raise WavegenError(f"there is no run at {run}", "a folder that `wavegen train` wrote")
    found = steps(run)
    if not found:
        raise WavegenError(
            f"{run} holds no checkpoint yet",
            "a run folder with checkpoints/ in it",
            "train longer, or look whether this is the folder you meant",
        )
    if step is None:
        return found[::-1]
    if step not in found:
        raise WavegenError(
            f"{run} has no checkpoint of step {step}", "one of: " + ", ".join(map(str, found))
        )
    return [step]


def _restore(run: Path, step: int, trees: dict[str, Any], told: dict[str, Any]) -> dict[str, Any]:
    """The arrays of some items of a checkpoint, compared with their checksums."""
    one = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    shapes = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=one), trees
    )
    args = {name: ocp.args.StandardRestore(tree) for name, tree in shapes.items()}
    with _damage_told(), _reader(run, tuple(trees)) as reader:
        restored = reader.restore(step, args=ocp.args.Composite(**args))
    for name in trees:
        wanted, found = told["checksums"][name], checksums(restored[name])
        damaged = [path for path in wanted if wanted[path] != found.get(path)]
        if damaged:
            raise _Damaged(f"{name}{damaged[0]} is damaged: its checksum differs")
    return {name: restored[name] for name in trees}


def _refuse_other_config(run: Path, saved: Config, config: Config) -> None:
    free = ("steps", "log_every", "validate_every", "validation_seconds", "save_every")
    watched = ("keep_checkpoints", "sample_every", "sample_seconds")
    allowed = tuple(f"training.{name}:" for name in (*free, *watched))
    changed = [line for line in configs.differences(saved, config) if not line.startswith(allowed)]
    if changed:
        raise WavegenError(
            f"{run} was trained with another config: " + "; ".join(changed),
            "the config that the run began with",
            f"use {run / 'config.toml'}, or choose another --run folder",
        )


def _unused(path: Path) -> Path:
    """`path`, or with a number after it the first that is not there."""
    numbered = (path.with_name(f"{path.name}-{n}") for n in itertools.count(2))
    return next(p for p in itertools.chain([path], numbered) if not p.exists())


def _none_good(run: Path, errors: list[str]) -> WavegenError:
    return WavegenError(
        f"no checkpoint of {run} can be read: " + "; ".join(errors), do="train again"
    )


def _short(error: Exception) -> str:
    return f"{error}".strip().split("\n")[0][:200] or type(error).__name__
