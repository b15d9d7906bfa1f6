"""Checkpoints saved while the training goes on, and which of them stay."""

from __future__ import annotations

import errno
import math
import os
import shutil
import tempfile
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax

from wavegen import checkpoint
from wavegen.checkpoint import About
from wavegen.config import Training
from wavegen.errors import WavegenError
from wavegen.training import devices

_SPARE_BYTES = 1 << 20  # of a checkpoint besides its arrays, and more


class Writer:
    """Saves the checkpoints of a run one after the other, in a thread of its own.

    Only one may be open for a run: what killed processes left unfinished is cleared away.
    The caller closes it, which waits for the last save. WavegenError where nothing can be saved
    in the run, now or later.
    """

    def __init__(self, run: Path, plan: Training) -> None:
        self._run, self._plan = run, plan
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._saving: Future[None] | None = None
        if not devices.is_first():
            return
        try:
            checkpoint.folder(run).mkdir(parents=True, exist_ok=True)
            checkpoint.clear_unfinished(run)
            _try_room(checkpoint.folder(run), {})  # now, not hours later
        except OSError as error:
            raise _unsaved(run, "checkpoints", error) from error
        told = {step: checkpoint.about(run, step) for step in checkpoint.steps(run)}
        self._bits = {step: about and about.bits_per_sample for step, about in told.items()}

    def save(
        self,
        step: int,
        trees: dict[str, Any],  # "params", "ema", "optimizer"
        about: About,
    ) -> None:
        """Starts to save; the arrays may be given away as soon as this returns.

        Waits for the save before, and raises what that one failed by. Of several processes the
        first one saves; the others have the same arrays.
        """
        if not devices.is_first():
            return
        self.wait()
        # On a CPU these are views: jax keeps what they show, even of an array given away.
        self._saving = self._thread.submit(self._save, step, jax.device_get(trees), about)

    def check(self) -> None:
        """Raises what the last save failed by, as soon as that is known; never waits."""
        if self._saving and self._saving.done():
            self.wait()

    def wait(self) -> None:
        """Returns when the last save is done; raises what it failed by."""
        saving, self._saving = self._saving, None
        if saving:
            saving.result()

    def close(self) -> None:
        """Waits for the last save and ends the thread."""
        try:
            self.wait()
        finally:
            self._thread.shutdown()

    def _save(self, step: int, trees: dict[str, Any], about: About) -> None:
        try:
            _try_room(checkpoint.folder(self._run), trees)
            checkpoint.write(self._run, step, trees, about)
            self._bits[step] = about.bits_per_sample
            found = {step: self._bits.get(step) for step in checkpoint.steps(self._run)}
            for old in found.keys() - kept(found, self._plan):
                checkpoint.remove(self._run, old)
        except Exception as error:  # of any kind, for Orbax raises bare ones
            raise _unsaved(self._run, f"the checkpoint of step {step}", error) from error


def is_due(step: int, plan: Training) -> bool:
    """Whether a checkpoint is due: those that stay for good are made as well as kept."""
    return step % plan.save_every == 0 or bool(plan.keep_every and step % plan.keep_every == 0)


def kept(saved: Mapping[int, float | None], plan: Training) -> set[int]:
    """Which of the saved steps stay: the newest ones, those of `keep_every`, and the best.

    `saved` gives the bits per sample that were found at each, None where it was not validated.
    """
    known = {step: bits for step, bits in saved.items() if bits is not None}
    measured = [(bits, -step) for step, bits in known.items() if math.isfinite(bits)]
    best = {-min(measured)[1]} if measured else set()
    regular = {step for step in saved if plan.keep_every and step % plan.keep_every == 0}
    return best | regular | set(sorted(saved)[-plan.keep_checkpoints :])


def _try_room(place: Path, trees: dict[str, Any]) -> None:
    """OSError where a folder is gone, not to be written to, or has no room for the arrays.

    Orbax would make the folder again, and tell the rest in tracebacks of many threads.
    """
    num_bytes = sum(leaf.nbytes for leaf in jax.tree.leaves(trees)) + _SPARE_BYTES
    with tempfile.TemporaryFile(dir=place) as file:
        if hasattr(os, "posix_fallocate"):  # hears of quotas, too
            os.posix_fallocate(file.fileno(), 0, num_bytes)
        elif shutil.disk_usage(place).free < num_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _unsaved(run: Path, what: str, error: Exception) -> WavegenError:
    """What is said where something cannot be saved."""
    words = getattr(error, "strerror", None) or f"{error}".strip().split("\n")[0][:300]
    full = getattr(error, "errno", None) == errno.ENOSPC or "No space left" in words
    place, reason = checkpoint.folder(run), "the disk is full" if full else words
    if not place.is_dir():
        reason = "the folder is gone"
    return WavegenError(
        f"{what} cannot be saved in {place}: {reason}",
        do=("make room" if full else "see to that")
        + " and run the same again: it goes on from the newest checkpoint",
    )
