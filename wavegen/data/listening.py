"""Recordings read one after the other, or by several processes, always in order."""

from __future__ import annotations

import collections
import math
import multiprocessing
import signal
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import numpy as np

from wavegen.data.layouts import Recording
from wavegen.errors import WavegenError

FULL_SCALE = 32767  # the int16 sample of 1.0
SHORTEST = 64  # samples
QUIETEST = -80.0  # dBFS RMS; what lies below is silence to a model
_AHEAD = 4  # recordings in work for each process: bounds what waits in memory

# int16 samples, or None where dropped, and the line of the journal
Heard = tuple[np.ndarray | None, dict[str, Any]]


def hear(
    recordings: Sequence[Recording], sample_rate: int, workers: int = 1
) -> Generator[Heard, None, None]:
    """Each recording's int16 samples at `sample_rate`, or why it is dropped; in order."""
    if workers <= 1:
        for recording in recordings:
            yield _hear(recording, sample_rate)
        return
    pool = ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), _leave_interrupts_to_the_parent
    )
    waiting: collections.deque[Future[Heard]] = collections.deque()
    try:
        for recording in recordings:
            waiting.append(pool.submit(_hear, recording, sample_rate))
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


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _hear(recording: Recording, sample_rate: int) -> Heard:
    try:
        samples, facts = recording.load(sample_rate)
    except WavegenError as error:
        # The report names the file already.
        reason = error.came.replace(str(recording.path), "the file")
        return None, {"name": recording.name, "kept": False, "reason": reason}
    reason = _reason(samples)
    if reason and facts["channels"] > 1:
        reason += f" (the mean of {facts['channels']} channels)"
    if reason:
        return None, {"name": recording.name, "kept": False, "reason": reason} | facts
    entry = {
        "name": recording.name,
        "kept": True,
        "peak": _peak(samples),
        "rms_dbfs": _dbfs(samples),
    }
    return np.round(samples * FULL_SCALE).astype(np.int16), entry | facts


def _reason(samples: np.ndarray) -> str:
    if len(samples) < SHORTEST:
        plural = "" if len(samples) == 1 else "s"
        return f"{len(samples)} sample{plural} long; at least {SHORTEST} are needed"
    if not samples.any():
        return "silent: every sample is 0"
    if _dbfs(samples) < QUIETEST:
        return f"as good as silent: {_dbfs(samples):.1f} dBFS RMS, below {QUIETEST:.0f}"
    return ""


def _peak(samples: np.ndarray) -> float:
    return round(float(np.abs(samples).max()), 5)


def _dbfs(samples: np.ndarray) -> float:
    power = float(np.mean(np.square(samples, dtype=np.float64)))
    return round(10 * math.log10(max(power, 1e-20)), 2)
