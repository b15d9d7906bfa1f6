"""A run's folder: one trainer in it at a time, what the run is, and its metrics."""

from __future__ import annotations

import errno
import json
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax

import wavegen
from wavegen import config as configs
from wavegen.config import Config
from wavegen.data import lock
from wavegen.data.corpus import Corpus
from wavegen.errors import WavegenError
from wavegen.training import devices, peers

CONFIG, ENVIRONMENT, METRICS = "config.toml", "environment.json", "metrics.jsonl"


@contextmanager
def held(run: Path) -> Iterator[None]:
    """Keeps other trainers out of the run while this lasts; WavegenError where one is in it.

    And so where the run vanishes meanwhile, or its disk is full. Of the processes of one training
    the first holds it for all.
    """
    if not devices.is_first():
        yield
        return
    try:
        held = lock.Lock(run)
    except lock.Taken as taken:
        process = f" (process {taken.holder})" if taken.holder else ""
        raise WavegenError(
            f"another training{process} is at work in {run}",
            "one at a time",
            "wait until it ends, or choose another --run folder",
        ) from None
    with held:
        try:
            yield
        except OSError as error:
            raise _mishap(run, error) from error
        finally:
            (run / lock.FILE).unlink(missing_ok=True)


def _mishap(run: Path, error: OSError) -> Exception:
    if error.errno == errno.ENOSPC:
        return WavegenError(
            f"cannot write to {run}: the disk is full",
            do="make room and run the same again: it goes on from the newest checkpoint",
        )
    if not run.is_dir():
        return WavegenError(f"{run} is gone: {error}", "a folder that stays while it is trained in")
    return error


def open(
    run: Path, config: Config, corpus: Corpus, first: int, begun_from: dict[str, Any] | None
) -> None:
    """Writes what the run is; it goes on from step `first`.

    `begun_from` says which run and step a new one has its parameters from. Of several
    processes the first one writes.
    """
    if not devices.is_first():
        return
    _replace(run / CONFIG, configs.to_toml(config))
    if first and (run / ENVIRONMENT).exists():
        return  # it tells of the beginning
    environment = {
        "wavegen": wavegen.__version__,
        "python": platform.python_version(),
        "jax": jax.__version__,
        "platform": platform.platform(),
        "devices": [device.device_kind for device in jax.devices()],
        "corpus": str(corpus.path),
        "begun_from": begun_from,
    }
    _replace(run / ENVIRONMENT, json.dumps(environment, indent=2))


def metrics(run: Path) -> Path:
    """Where this process writes the metrics: what is not the first's is the same once more."""
    if devices.is_first():
        return run / METRICS
    return run / peers.FOLDER / f"metrics-{jax.process_index()}.jsonl"


def begun_from(run: Path) -> str:
    """The run that this one has its first parameters from; empty where it began at random."""
    return _beginning(run).get("run", "")


def begun_at(run: Path) -> int | None:
    """The step of that run that they are of."""
    return _beginning(run).get("step")


def _beginning(run: Path) -> dict[str, Any]:
    try:
        told = json.loads((run / ENVIRONMENT).read_text(encoding="utf-8"))["begun_from"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return told if isinstance(told, dict) else {}


def _replace(path: Path, text: str) -> None:
    beside = path.with_name(path.name + ".partial")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
