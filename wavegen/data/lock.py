"""One process at a time in a folder."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import IO

FILE = ".lock"  # holds the process's number; the system lets go of it when that ends, however


class Taken(Exception):
    """Another process holds the folder; `holder` is its number, where it can be told."""

    def __init__(self, holder: str) -> None:
        super().__init__(holder)
        self.holder = holder


class Lock:
    """A folder that no other process can hold until this is closed; it is made if need be.

    The folder may be renamed meanwhile, and its lock file removed. On a file system that
    knows no locks nobody is kept out.
    """

    def __init__(self, folder: Path) -> None:
        self._file = _acquire(folder)

    def close(self) -> None:
        """Lets go of the folder."""
        self._file.close()

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _acquire(folder: Path) -> IO[str]:
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            file = (folder / FILE).open("a+", encoding="ascii")
        except FileNotFoundError:  # the process that held the folder has just renamed it
            continue
        if not _lock(file):
            file.seek(0)
            holder = file.read().strip()
            file.close()
            raise Taken(holder)
        # That process may also have taken folder and file away between the two lines above.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), (folder / FILE).stat()):
                file.truncate(0)
                file.write(str(os.getpid()))
                file.flush()
                return file
        file.close()


def _lock(file: IO[str]) -> bool:
    """Takes the lock, unless another process has it."""
    try:
        if os.name == "nt":
            import msvcrt

            # Beyond the number, which the other process shall be able to read.
            file.seek(1 << 20)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:  # this file system has no locks
        return True
    return True
