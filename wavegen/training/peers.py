"""The other processes of a training: who is still there.

A process that is killed leaves the others waiting for its part of a sum, for minutes, and then
they end without a word that helps. So each tells the others now and then that it is there, in
files of the run folder, which all of them share anyway.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import jax

from wavegen.errors import WavegenError

FOLDER = ".processes"
EVERY_SECONDS = 1.0
LOST_SECONDS = 30.0  # of silence; a busy file server takes some for itself
LEAVING_SECONDS = 5.0  # that a process has to end by itself when it was told to


@contextmanager
def together(run: Path, on_loss: Callable[[str], None]) -> Iterator[None]:
    """While it lasts, this process ends within bounded time of any other that ends early.

    `on_loss` is told which one is gone, and why if it could still say so.
    """
    if jax.process_count() == 1:
        yield
        return
    here, count = jax.process_index(), jax.process_count()
    folder = run / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    others = {number: _file(folder, number) for number in range(count) if number != here}
    ended = threading.Event()
    beats = threading.Thread(
        target=_watch, args=(_file(folder, here), others, ended, on_loss), daemon=True
    )
    beats.start()
    last_words = "done", ""
    try:
        yield
    except BaseException as error:
        last_words = "ended", _short(error)
        # JAX would wait for the others before the process may end.
        leaving = threading.Timer(LEAVING_SECONDS, os._exit, (1,))
        leaving.daemon = True
        leaving.start()
        if not isinstance(error, jax.errors.JaxRuntimeError):
            raise
        raise WavegenError(
            f"process {here} of {count} cannot go on: {_short(error)}",
            "all processes to the end; one that ends takes the others with it",
            "see what the others say, and start all of them again: they go on from the newest "
            "checkpoint",
        ) from None
    finally:
        ended.set()
        beats.join()
        _tell(_file(folder, here), *last_words)


def _watch(
    own: Path,
    others: dict[int, Path],
    ended: threading.Event,
    on_loss: Callable[[str], None],
) -> None:
    """Says every second that this process is there, and listens whether the others are."""
    heard = dict.fromkeys(others, "")
    silent = dict.fromkeys(others, 0.0)
    beat = 0
    while not ended.wait(EVERY_SECONDS):
        beat += 1
        _tell(own, "alive", f"{os.getpid()} {beat}")
        for number, path in others.items():
            words = _hear(path)
            silent[number] = 0.0 if words != heard[number] else silent[number] + EVERY_SECONDS
            is_new, heard[number] = words != heard[number] and beat > 1, words
            kind, _, why = words.partition(" ")
            if kind == "done":
                silent[number] = 0.0
            elif kind == "ended" and is_new:
                _leave(on_loss, f"process {number} ended: {why}")
            elif silent[number] >= LOST_SECONDS:
                _leave(on_loss, f"process {number} has not been heard of for {LOST_SECONDS:.0f} s")


def _short(error: BaseException) -> str:
    words = str(error).strip().split("\n")[0] or type(error).__name__
    return words.rpartition("Error dispatching computation: ")[2][:200]  # it comes many times


def _leave(on_loss: Callable[[str], None], words: str) -> None:
    on_loss(words)
    os._exit(1)


def _file(folder: Path, number: int) -> Path:
    return folder / f"{number}.json"


def _tell(path: Path, kind: str, words: str) -> None:
    beside = path.with_suffix(".partial")
    try:
        beside.write_text(json.dumps(f"{kind} {words}"), encoding="utf-8")
        beside.replace(path)
    except OSError:  # a full disk: the checkpoints will say so
        return


def _hear(path: Path) -> str:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
