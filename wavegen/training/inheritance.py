"""A new run that begins with what another one has learnt: fine-tuning."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from wavegen import checkpoint, instrument
from wavegen import config as configs
from wavegen.config import Config, Vocabulary
from wavegen.errors import WavegenError
from wavegen.model import network
from wavegen.model.network import Params, Trained
from wavegen.training import folder

_SHOWN = 8  # parameters that do not fit; the others are counted


class Beginning(NamedTuple):
    """What a run begins with."""

    params: Params
    parent: dict[str, Any] | None = None  # "run" and "step" that they are of; None: drawn
    notes: tuple[str, ...] = ()  # what there is to say of it
    temperature: float = 1.0  # that what it begins with sounds best at


def begin(
    run: Path, parent: Path | None, config: Config, vocabulary: Vocabulary, params: Params
) -> Beginning:
    """The moving average of the run `parent`, or `params` as they were drawn without one.

    A run that has checkpoints goes on from them, if it once began from the same parent.
    """
    if parent is None:
        return Beginning(params)
    name = instrument.called(parent.resolve())
    if checkpoint.steps(run):
        before = folder.begun_from(run)
        if before != name:
            raise WavegenError(
                f"{run} already holds a training, which "
                + (f"began from {before}" if before else "did not begin from another run"),
                "a new run with --init-from, or the one that it was given before",
                "leave --init-from out to go on with it, or choose another --run folder",
            )
        return Beginning(params)
    notes: list[str] = []
    # One that was killed before its first save begins with the same step again.
    again = folder.begun_at(run) if folder.begun_from(run) == name else None
    again = again if again in checkpoint.steps(parent) else None
    trained = checkpoint.load(parent, again, notes.append)
    _refuse_other_shapes(parent, trained, config, vocabulary)
    params, new = inherit(trained, config, vocabulary, params)
    notes.append(f"begins with what {instrument.called(parent)} had learnt by step {trained.step}")
    for label, values in new.items():
        of = len(vocabulary.labels[label])
        known = trained.config.conditioner.labels
        where = "the mean of those known" if label in known else "random"
        notes.append(f"{label}: {len(values)} of {of} values begin at {where}: {_few(values)}")
    told = {"run": name, "step": trained.step}
    return Beginning(params, told, tuple(notes), trained.temperature)


def inherit(
    trained: Trained, config: Config, vocabulary: Vocabulary, params: Params
) -> tuple[Params, dict[str, list[str]]]:
    """The parameters of a trained network of the same shapes, and what it does not know.

    Embeddings of labels go by the names of label and value. Values that the network does not
    know, which are told by label, begin at the mean of those that it does, so that they sound
    like something from the first step on; where it does not know the label, as in `params`.
    """
    unknown: dict[str, list[str]] = {}
    # Copies: a training gives its buffers away.
    result = jax.tree.map(jnp.copy, trained.params)
    known = trained.config.conditioner.labels
    for index, label in enumerate(config.conditioner.labels):
        table = np.array(params["conditioner"]["labels"][index]["embed"])
        learnt = {}
        if label in known:
            rows = trained.params["conditioner"]["labels"][known.index(label)]["embed"]
            learnt = dict(zip(trained.vocabulary.labels[label], np.asarray(rows), strict=True))
            table[:] = np.mean(rows, axis=0)
        for place, value in enumerate(vocabulary.labels[label]):
            if value in learnt:
                table[place] = learnt[value]
            else:
                unknown.setdefault(label, []).append(value)
        result["conditioner"]["labels"][index]["embed"] = jnp.asarray(table)
    return result, unknown


def _refuse_other_shapes(
    parent: Path, trained: Trained, config: Config, vocabulary: Vocabulary
) -> None:
    labels = {**vocabulary.labels, **trained.vocabulary.labels}
    either = Vocabulary(labels)  # shapes ask for no more than labels, of either config
    old, new = _shapes(trained.config, either), _shapes(config, either)
    other = [
        f"{name}: {old.get(name, 'none')} -> {new.get(name, 'none')}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]
    keys = _shaping(trained.config, config, old, either) if other else []
    # Labels that stand elsewhere would be taken for each other.
    before, now = trained.config.conditioner.labels, config.conditioner.labels
    if any(name in before and before.index(name) != i for i, name in enumerate(now)):
        keys = keys or [f"conditioner.labels: {list(before)} -> {list(now)}"]
    if keys:
        told_in = instrument.ABOUT if instrument.is_one(parent) else folder.CONFIG
        raise WavegenError(
            "\n    ".join([f"what {parent} has learnt does not fit, because of", *keys])
            + "\n    ".join(["\n  parameters that differ:", *_some(other)] if other else []),
            "a model and conditioner of the same shapes",
            f"give these keys the values that they have in {parent / told_in}",
        )


def _shapes(config: Config, vocabulary: Vocabulary) -> dict[str, tuple[int, ...]]:
    """The shape of each parameter by its name; of labels' embeddings that of one value."""
    _, tree = network.structure(config, vocabulary)
    return {
        name: leaf.shape[1:] if name.startswith("conditioner.labels.") else leaf.shape
        for name, leaf in network.named(tree).items()
    }


def _shaping(
    old: Config, new: Config, shapes: dict[str, tuple[int, ...]], vocabulary: Vocabulary
) -> list[str]:
    """The differences between two configs that change shapes, found by making them one by one."""
    found = []
    changed = configs.differences(old, new)
    for line in changed:
        key = line.split(":")[0]
        *sections, last = key.split(".")
        tree, table, wanted = configs.to_dict(old), None, configs.to_dict(new)
        table = tree
        for section in sections:
            table, wanted = table[section], wanted[section]
        table[last] = wanted[last]
        try:
            differs = _shapes(configs.from_dict(tree), vocabulary) != shapes
        except WavegenError:  # it makes no sense alone
            differs = not key.startswith(("training.", "augmentation."))
        if differs:
            found.append(line)
    return found or changed


def _some(lines: list[str]) -> list[str]:
    more = len(lines) - _SHOWN
    return lines[:_SHOWN] + ([f"and {more} more"] if more > 0 else [])


def _few(words: list[str]) -> str:
    return ", ".join(_some(words))
