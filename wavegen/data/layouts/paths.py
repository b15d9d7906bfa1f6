"""Files of a data set: those its indexes name, and all that lie below a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from wavegen.errors import WavegenError


def leads_out(name: str) -> bool:
    """Whether a file's name in an index could lead out of the folder it counts from."""
    path = PurePosixPath(name)
    return not path.parts or path.is_absolute() or ".." in path.parts or bool({*"\\\0"} & {*name})


def inside(root: Path, name: str) -> Path:
    """The file below `root` that an index calls `name`; WavegenError if there is none."""
    if leads_out(name):
        raise WavegenError(f"its name '{name}' leads out of the data set's folder")
    path = root / name
    if not os.path.isfile(path):  # unlike Path.is_file, never raises, however odd the name
        raise WavegenError(f"{name} is missing")
    return path


def walk(source: Path, exclude: tuple[Path, ...] = ()) -> Iterator[Path | OSError]:
    """Every file below `source`, in the order of the names; errors for unreadable folders.

    Links are followed, each folder is entered once, and the folders in `exclude` and
    hidden ones never.
    """
    entered = {_identity(folder) for folder in exclude if folder.exists()}
    errors: list[OSError] = []
    for here, folders, names in os.walk(source, onerror=errors.append, followlinks=True):
        if _identity(Path(here)) in entered:
            folders.clear()
            continue
        entered.add(_identity(Path(here)))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(here, name) for name in sorted(names))
    yield from errors


def _identity(folder: Path) -> tuple[int, int]:
    """What tells a folder from all others, whatever links lead to it."""
    status = folder.stat()
    return status.st_dev, status.st_ino
