"""Recordings read one after the other, or by several processes, always in order."""

from __future__ import annotations

import collections
import multiprocessing
import os
import signal
import threading
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np

from wavegen.audio import cleaning as cleanings
from wavegen.audio.cleaning import Cleaning
from wavegen.audio.levels import QUIETEST_DBFS, Levels
from wavegen.audio.mulaw import INT16_FULL_SCALE
from wavegen.data import shards
from wavegen.data.layouts import Dropped, Recording
from wavegen.data.spool import Spool
from wavegen.errors import WavegenError

SHORTEST = 64  # samples
LONGEST_CLEANED = 2**26  # samples; what is cleaned is held whole, and takes up to 2 GB then
_AHEAD = 4  # recordings in work for each process: bounds what waits in memory

# int16 samples, or a file of them, or None where dropped; and the line of the journal
Heard = tuple[np.ndarray | Path | None, dict[str, Any]]


def hear(
    found: Sequence[Recording | Dropped],
    sample_rate: int,
    cleaning: Cleaning,
    spool: Path,
    workers: int = 1,
) -> Generator[Heard, None, None]:
    """Each recording's int16 samples at `sample_rate`, or why it is dropped; in order.

    Long ones come as files in the folder `spool`. A file that is no longer there ends it all:
    what vanishes half-way, such as a disk, is not to be left out of a corpus.
    """
    if workers <= 1:
        for i, item in enumerate(found):
            yield _hear(item, sample_rate, cleaning, spool / _name(i))
        return
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _begin)
    waiting: collections.deque[Future[Heard]] = collections.deque()
    try:
        for i, item in enumerate(found):
            job = (item, sample_rate, cleaning, spool / _name(i))
            waiting.append(pool.submit(_hear, *job))
            if len(waiting) > workers * _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool:
        raise WavegenError(
            "a worker process ended without a word, as when memory runs out",
            do="run the same again with fewer --workers; it goes on where it stopped",
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _name(i: int) -> str:
    """A file that no worker of a killed run may still be writing to."""
    return f"{os.getpid()}-{i}.int16"


def _begin() -> None:
    """A worker leaves interrupts to its parent, and ends when that was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _hear(item: Recording | Dropped, sample_rate: int, cleaning: Cleaning, spool: Path) -> Heard:
    entry: dict[str, Any] = {"name": item.name, "kept": False}
    if isinstance(item, Dropped):
        return None, entry | {"reason": item.reason}
    samples, levels, digest = Spool(spool), Levels(sample_rate), shards.digest()
    try:
        loaded = item.load(sample_rate)
        blocks = [loaded[0]] if isinstance(loaded, tuple) else loaded
        blocks, cleaned = _clean(blocks, sample_rate, cleaning)
        for block in blocks:
            levels.add(block)
            scaled = block * np.float32(INT16_FULL_SCALE)
            stored = np.rint(scaled, out=scaled).astype(np.int16)
            digest.update(stored.data)
            samples.add(stored)
        facts = loaded[1] if isinstance(loaded, tuple) else loaded.facts
    except WavegenError as error:
        samples.discard()
        if item.path is not None and not item.path.exists():
            raise _gone(item.path) from None
        # The report names the file already.
        return None, entry | {"reason": error.came.replace(str(item.path), "the file")}
    except BaseException:
        samples.discard()
        raise
    reason = _reason(levels)
    if reason:
        samples.discard()
        if facts["channels"] > 1:
            reason += f" (the mean of {facts['channels']} channels)"
        return None, entry | {"reason": reason} | facts
    told: dict[str, Any] = levels.facts() | {"digest": digest.hexdigest()}
    if cleaned:
        told["cleaning"] = cleaned
    return samples.end(), entry | {"kept": True} | told | facts


def _clean(
    blocks: Iterable[np.ndarray], sample_rate: int, cleaning: Cleaning
) -> tuple[Iterable[np.ndarray], dict[str, Any]]:
    """The blocks with what was asked done to them, and what that came to."""
    if not cleaning.needs_whole:
        if not cleaning.highpass:
            return blocks, {}
        filtered = cleanings.highpass_blocks(blocks, sample_rate)
        return filtered, {"highpass_hz": cleanings.CUTOFF_HZ}
    levels, held = Levels(sample_rate), [np.zeros(0, np.float32)]
    for block in blocks:
        levels.add(block)
        held.append(block)
        if levels.num_samples > LONGEST_CLEANED:
            raise WavegenError(
                f"over {LONGEST_CLEANED / sample_rate / 60:.0f} min long at {sample_rate} Hz: too "
                "long to be trimmed, denoised or normalized, for which it is held in memory whole; "
                "cut it into shorter files, or ask for no more than the high-pass"
            )
    if _reason(levels):  # before a gain makes a loud recording of a silent one
        return held, {}
    samples, told = cleanings.clean(np.concatenate(held), sample_rate, cleaning)
    return [samples], told


def _reason(levels: Levels) -> str:
    """Why a recording cannot be used; empty if it can."""
    count = levels.num_samples
    if count < SHORTEST:
        plural = "" if count == 1 else "s"
        return f"{count} sample{plural} long; at least {SHORTEST} are needed"
    if levels.peak == 0:
        return "silent: every sample is 0"
    if levels.rms_dbfs < QUIETEST_DBFS:
        return f"as good as silent: {levels.rms_dbfs:.1f} dBFS RMS, below {QUIETEST_DBFS:.0f}"
    return ""


def _gone(path: Path) -> WavegenError:
    return WavegenError(
        f"{path} was found, but is no longer there",
        "sources that stay in place until prepare has read them",
        "put it back and run the same again: it goes on where it stopped",
    )
