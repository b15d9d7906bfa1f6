"""What decides what a prepare makes: the same fingerprint, the same corpus."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from wavegen import __version__
from wavegen.data import manifest
from wavegen.data.binding import About
from wavegen.data.layouts import Dropped, Recording
from wavegen.data.parts import Described, Part


def of_work(found: Iterable[Recording | Dropped], about: About) -> str:
    """Stands for all that a prepare found and was asked; the same on every machine.

    So no path and no time is in it, nor the files that are no sound.
    """

    def told() -> Iterator[Any]:
        yield manifest.FORMAT_VERSION, __version__, about.layout, about.sample_rate, about.cleaning
        for item in found:
            yield item.name
            if isinstance(item, Recording):
                yield item.split, sorted(item.labels.items()), item.notes
                yield (status := _status(item)) and status.st_size

    return _digest(told())


def of_files(work: str, part: Part | None, found: Iterable[Recording | Dropped]) -> str:
    """Stands for what the journal of such work holds on this machine: a change starts over."""

    def told() -> Iterator[Any]:
        yield work, part
        resolved = functools.cache(Path.resolve)  # asks for every folder above
        for item in found:
            if isinstance(item, Recording) and item.path and (status := _status(item)):
                yield str(resolved(item.path.parent) / item.path.name), status.st_mtime_ns

    return _digest(told())


def of_parts(told: Iterable[Described]) -> str:
    """Stands for what the journal of a join holds: all that those of the parts say, in order."""
    return _digest([__version__, *(one.journal for one in told)])


def _status(item: Recording) -> os.stat_result | None:
    try:
        return item.path.stat() if item.path else None
    except OSError:  # it is gone; who reads it says so
        return None


def _digest(told: Iterable[Any]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for line in told:
        digest.update(repr(line).encode("utf-8", "surrogatepass") + b"\n")
    return digest.hexdigest()
