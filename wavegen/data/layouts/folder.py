"""Layout `folder`: any tree of sound files, of any length; or one such file."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from pathlib import Path

from wavegen.audio import files
from wavegen.data.layouts.recordings import SUFFIXES, Dropped, Found, Ignored, Recording


def recognises(source: Path) -> bool:
    """Whether there is a file or folder at all."""
    return source.exists()


def find(source: Path, exclude: tuple[Path, ...] = ()) -> Found:
    """Every file with a sound's ending or none, labelled with the `folder` it lies in.

    Names are paths below `source`. Links are followed, each folder is entered once, and
    the folders in `exclude` never.
    """
    if source.is_file():
        yield Recording(source.name, functools.partial(files.Blocks, source), source)
        return
    for path in _walk(source, exclude):
        if isinstance(path, OSError):
            yield Dropped(_name(Path(path.filename), source), f"cannot be read: {path.strerror}")
            continue
        name = _name(path, source)
        if path.name.startswith("."):
            if path.suffix.lower() in SUFFIXES:
                yield Dropped(name, "a hidden file: its name begins with a dot")
            else:
                yield Ignored(name)
        elif path.suffix and path.suffix.lower() not in SUFFIXES:
            yield Ignored(name)
        elif not path.exists():
            yield Dropped(name, "a link to a file that does not exist")
        else:
            yield Recording(
                name=name,
                load=functools.partial(files.Blocks, path),
                path=path,
                labels={"folder": path.parent.name or path.parent.resolve().name},
            )


def _name(path: Path, source: Path) -> str:
    return path.relative_to(source).as_posix()


def _walk(source: Path, exclude: tuple[Path, ...]) -> Iterator[Path | OSError]:
    """Every file below `source`, in the order of the names; errors for unreadable folders."""
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
