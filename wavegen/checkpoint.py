"""Checkpoints of a run: written beside and renamed into place by Orbax, proven when read.

A checkpoint is a folder `run/checkpoints/<step>` with four items: `params`, `ema`,
`optimizer`, and `about` (config, vocabulary, corpus, checksums, format version). Orbax
hands back most flipped bytes without a word, and is loud about missing ones; hence a
checksum for each file, compared before it is asked, and for each array that it hands back.
"""

from __future__ import annotations

import functools
import itertools
import json
import logging
import re
import shutil
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp

from wavegen import config as configs
from wavegen import instrument
from wavegen.config import Config, Vocabulary
from wavegen.errors import WavegenError
from wavegen.heard import Heard
from wavegen.model import network
from wavegen.model.network import Trained

FORMAT_VERSION = 2  # since 2, there are checksums of the files
STEP_DIGITS = 9  # so that folders sort by name as they do by number
ARRAYS = ("params", "ema", "optimizer")
FILES = "files.json"  # the checksum of every other file

_UNFINISHED = re.compile(r"[0-9]+\.(unfinished|removed|orbax-checkpoint-tmp).*")

# Orbax tells of every thread it starts, and with a traceback of each that fails.
logging.getLogger("absl").setLevel(logging.CRITICAL)


class Source(NamedTuple):
    """The corpus that a run is trained on; `digest` stands for what it holds."""

    path: str
    digest: str


class About(NamedTuple):
    """What a checkpoint says of itself, besides its step."""

    config: Config
    vocabulary: Vocabulary
    source: Source | None = None  # None: it is older than that
    bits_per_sample: float | None = None  # of a validation at its step; None: there was none
    heard: Heard | None = None  # in training; None: it is older than that
    temperature: float = 1.0  # that what it began from sounds best at


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


def _path(run: Path, step: int) -> Path:
    return folder(run).absolute() / f"{step:0{STEP_DIGITS}d}"


def steps(run: Path) -> list[int]:
    """Steps of the finished checkpoints of a run, oldest first."""
    if not folder(run).is_dir():
        return []
    names = (path.name for path in folder(run).iterdir())
    return sorted(int(name) for name in names if re.fullmatch(rf"[0-9]{{{STEP_DIGITS},}}", name))


def write(
    run: Path,
    step: int,
    trees: dict[str, Any],  # "params", "ema", "optimizer"
    about: About,
) -> None:
    """Writes a checkpoint, which is there as a whole or not at all; only one may write at a time.

    Raises whatever Orbax does where it cannot; nothing of the checkpoint stays then.
    """
    told = {
        "format_version": FORMAT_VERSION,
        "step": step,
        "config": configs.to_dict(about.config),
        "vocabulary": about.vocabulary.to_dict(),
        "corpus": about.source and about.source._asdict(),
        "bits_per_sample": about.bits_per_sample,
        "heard": about.heard and about.heard.to_dict(),
        "temperature": about.temperature,
        "checksums": {name: checksums(trees[name]) for name in ARRAYS},
    }
    items = {name: ocp.args.StandardSave(trees[name]) for name in ARRAYS}
    args = ocp.args.Composite(about=ocp.args.JsonSave(told), **items)
    path = _path(run, step)
    partial = path.with_suffix(".unfinished")
    try:
        options = ocp.CompositeOptions(multiprocessing_options=_alone())
        handler = ocp.CompositeCheckpointHandler(composite_options=options)
        with ocp.Checkpointer(handler, multiprocessing_options=_alone()) as checkpointer:
            checkpointer.save(partial, args=args)
        files = (file for file in sorted(partial.rglob("*")) if file.is_file())
        sums = {file.relative_to(partial).as_posix(): _checksum(file) for file in files}
        (partial / FILES).write_text(json.dumps(sums, indent=0), encoding="utf-8")
        partial.rename(path)
    finally:
        clear_unfinished(run)  # of a save that failed: a full disk needs the room


def remove(run: Path, step: int) -> None:
    """Removes a checkpoint; one that is half removed does not pass for a damaged one."""
    path = _path(run, step)
    shutil.rmtree(path.rename(_unused(path.with_suffix(".removed"))), ignore_errors=True)


def clear_unfinished(run: Path) -> None:
    """Removes what killed processes left half written or half removed; for the only writer."""
    for path in folder(run).glob("*"):
        if _UNFINISHED.fullmatch(path.name):
            shutil.rmtree(path, ignore_errors=True)


def checksums(tree: Any) -> dict[str, int]:
    """CRC-32 of every array, by its path in the tree."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {
        jax.tree_util.keystr(path): zlib.crc32(np.asarray(leaf).reshape(-1).view(np.uint8).data)
        for path, leaf in leaves
    }


def _checksum(file: Path) -> int:
    with file.open("rb") as opened:
        blocks = iter(lambda: opened.read(1 << 20), b"")
        return functools.reduce(lambda sum, block: zlib.crc32(block, sum), blocks, 0)


def about(run: Path, step: int) -> About | None:
    """What a checkpoint says of itself; None where it is damaged."""
    try:
        return _about(run, step)[0]
    except _Damaged:
        return None


def _about(run: Path, step: int) -> tuple[About, dict[str, Any]]:
    """What a checkpoint says of itself, and the checksums of its arrays."""
    path = _path(run, step)
    with _damage_told():
        told = dict(_read(path / "about", ocp.JsonCheckpointHandler()))
        version = int(told["format_version"])
        if version > 1 or (path / FILES).exists():
            _compare_files(path, "about")
    if version > FORMAT_VERSION:
        raise WavegenError(
            f"{path} has format version {version}",
            f"{FORMAT_VERSION} or older",
            "use a newer wavegen",
        )
    with _damage_told():
        if version == 1:
            told |= {"corpus": None, "bits_per_sample": _bits_of_version_1(run, step)}
        found = About(
            configs.from_dict(told["config"], where=f"checkpoint {step}"),
            Vocabulary.from_dict(told["vocabulary"]),
            told["corpus"] and Source(**told["corpus"]),
            told["bits_per_sample"],
            Heard.from_dict(told["heard"]) if told.get("heard") else None,
            float(told.get("temperature", 1.0)),
        )
        return found, dict(told["checksums"])


def _bits_of_version_1(run: Path, step: int) -> float | None:
    try:
        with _damage_told():
            found = _read(_path(run, step) / "metrics", ocp.JsonCheckpointHandler("metrics"))
            bits = float(found["bits_per_sample"])  # infinite: there was no validation
    except _Damaged:
        return None
    return bits if np.isfinite(bits) else None


def load(
    run: Path, step: int | None = None, on_damage: Callable[[str], None] = lambda words: None
) -> Trained:
    """What generation needs, from a run folder alone: the newest good checkpoint, or `step`.

    The parameters are the moving average (EMA) of the training. `on_damage` is told of each
    newer checkpoint that could not be read. The folder of an instrument, which is a checkpoint
    made small, will do as well.
    """
    if instrument.is_one(run):
        found = instrument.read(run)
        if step not in (None, found.step):
            raise WavegenError(f"{run} is an instrument of step {found.step}", "no other step")
        return found
    errors = []
    for candidate in _candidates(run, step):
        try:
            told, sums = _about(run, candidate)
            graphdef, shapes = network.structure(told.config, told.vocabulary)
            restored = _restore(run, candidate, {"ema": shapes}, sums)
            for words in errors:
                on_damage(f"checkpoint passed over: {words}")
            known = (told.config, told.vocabulary, graphdef, restored["ema"])
            return Trained(*known, candidate, told.heard, told.temperature)
        except _Damaged as error:
            errors.append(f"step {candidate}: {error}")
    raise _none_good(run, errors)


def restore(
    run: Path, trees: dict[str, Any], agree: Callable[[About], None] = lambda about: None
) -> Loaded | None:
    """The newest good state of a training, or None where nothing was saved yet.

    `trees` gives the shapes of "params", "ema" and "optimizer". `agree` is asked before they
    are read, and raises where they do not belong to what is going on. Damaged checkpoints
    after the one that is taken are renamed to `STEP.damaged`, since the training will come to
    these steps again.
    """
    skipped = []
    for candidate in reversed(steps(run)):
        try:
            told, sums = _about(run, candidate)
            agree(told)
            restored = _restore(run, candidate, trees, sums)
            for damaged in (step for step in steps(run) if step > candidate):
                path = _path(run, damaged)
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


def _restore(
    run: Path, step: int, trees: dict[str, Any], sums: dict[str, dict[str, int]]
) -> dict[str, Any]:
    """The arrays of some items of a checkpoint, compared with their checksums."""
    one = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    shapes = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=one), trees
    )
    restored, path = {}, _path(run, step)
    for name, tree in shapes.items():
        with _damage_told():
            if (path / FILES).exists():  # without, it is of format version 1
                _compare_files(path, name)
            args = ocp.args.StandardRestore(tree)
            handler = ocp.StandardCheckpointHandler(multiprocessing_options=_alone())
            restored[name] = _read(path / name, handler, args)
            wanted, found = sums[name], checksums(restored[name])
        damaged = [path for path in wanted if wanted[path] != found.get(path)]
        if damaged:
            raise _Damaged(f"{name}{damaged[0]} is damaged: its checksum differs")
    return restored


def _compare_files(path: Path, item: str) -> None:
    """ValueError or OSError where a file of an item is not as it was written."""
    for name, wanted in json.loads((path / FILES).read_text(encoding="utf-8")).items():
        if name.startswith(item + "/") and _checksum(path / name) != wanted:
            raise ValueError(f"{name} is damaged: its checksum differs")


def _alone() -> ocp.options.MultiprocessingOptions:
    """Of several processes, the one that reads or writes does so without waiting for the others.

    Each has all arrays, so one of them is enough to save a training.
    """
    here = jax.process_index()
    return ocp.options.MultiprocessingOptions(
        primary_host=here, active_processes={here}, barrier_sync_key_prefix=f"process{here}"
    )


def _read(item: Path, handler: Any, args: Any = None) -> Any:
    with ocp.Checkpointer(handler, multiprocessing_options=_alone()) as reader:
        return reader.restore(item, args=args or ocp.args.JsonRestore())


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
