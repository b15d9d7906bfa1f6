"""Where a corpus is made: beside its name, by one process at a time, renamed when it is whole."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from wavegen.audio import files
from wavegen.data import lock, manifest, shards
from wavegen.errors import WavegenError


def partial_of(out: Path) -> Path:
    """Where the corpus `out` lies while it is made."""
    return out.with_name(out.name + ".partial")


def check(out: Path) -> None:
    """Refuses a place where no corpus can be made."""
    if out.name in ("", ".."):  # has no name to write beside
        raise WavegenError(f"{out} exists", "the name of a folder that is not there yet")
    if out.is_symlink() or (out.exists() and not (out.is_dir() and not any(out.iterdir()))):
        is_corpus = (out / manifest.FILE).is_file()
        raise WavegenError(
            f"{out} exists" + (" and holds a corpus" if is_corpus else ""),
            "the name of a folder that is not there yet",
            "choose another name, or remove it first",
        )
    partial = partial_of(out)
    if not partial.is_dir():
        files.make_room(partial)
    # A prepare that was killed at once has left its lock and nothing else.
    elif {path.name for path in partial.iterdir()} - {lock.FILE} and not (
        partial / shards.JOURNAL
    ).is_file():
        raise WavegenError(
            f"{partial} is in the way: it is not the unfinished work of a prepare",
            "a free name to work under",
            "move it, or choose another --out",
        )


@contextlib.contextmanager
def making(out: Path, *, keep_journal: bool = False) -> Iterator[Path]:
    """The folder to make a corpus in: it becomes `out` if it has a manifest at the end.

    Without one it goes; where the work is broken off it stays, for the next time. Raises
    WavegenError where another process is at work there, and where nothing can be written.
    """
    partial = partial_of(out)
    try:
        with lock.Lock(partial) as held:
            check(out)  # another process may have finished it meanwhile
            yield partial
            # What is written last of all.
            whole = (partial / manifest.FILE).is_file()
            if whole:
                _rename(partial, out, held)
                (out / lock.FILE).unlink()
                if not keep_journal:
                    (out / shards.JOURNAL).unlink()
        if not whole:
            shutil.rmtree(partial)
    except lock.Taken as taken:
        raise _taken(out, taken.holder) from None
    except OSError as error:
        raise _unwritable(partial, error) from None


def _rename(partial: Path, out: Path, held: lock.Lock) -> None:
    if out.exists():
        out.rmdir()  # an empty folder; not every system lets another be renamed onto it
    if os.name == "nt":
        held.close()  # nor a folder be renamed that holds an open file
    os.replace(partial, out)


def _taken(out: Path, holder: str) -> WavegenError:
    process = f" (process {holder})" if holder else ""
    return WavegenError(
        f"another prepare{process} is making {out}",
        "one at a time",
        "wait until it is done, or choose another --out",
    )


def _unwritable(partial: Path, error: OSError) -> WavegenError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    reason = "the disk is full" if full else error.strerror or str(error)
    return WavegenError(
        f"cannot write {error.filename or partial}: {reason}",
        "room for the corpus: 2 bytes a sample" if full else "a place that can be written to",
        "make room and run the same again: it goes on where it stopped"
        if full
        else "see to that and run the same again: it goes on where it stopped",
    )
