"""Layout `fma`: the Free Music Archive's clips, with their genres and splits."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from wavegen.audio import files
from wavegen.data.layouts import tables
from wavegen.data.layouts.paths import walk
from wavegen.data.layouts.recordings import Dropped, Found, Ignored, Recording, attempt, split_of
from wavegen.errors import WavegenError

SUBSETS = ("small", "medium", "large", "full")  # each holds all of those before it
_CLIP = re.compile(r"\d{6}\.mp3")
# The two names above each column that is read.
_COLUMNS = (("set", "split"), ("set", "subset"), ("track", "genre_top"))


@dataclass(frozen=True)
class _Track:
    split: str
    subset: str
    genre: str  # empty where a track has several


def recognises(source: Path) -> bool:
    """Whether fma_metadata/tracks.csv, or tracks.csv and a folder fma_*, lies here."""
    return _table(source) is not None


def find(source: Path, exclude: tuple[Path, ...] = ()) -> Found:
    """Every clip of the folders fma_small, fma_medium, fma_large or fma_full that are there.

    Splits are FMA's; the label is genre, where a track has one. A clip that lies in two
    of the folders is taken once; one that should lie there and does not is dropped.
    Some of FMA's own files are broken: the reading drops them.
    """
    table = _table(source)
    if table is None:
        raise WavegenError(
            f"{source} has no fma_metadata/tracks.csv",
            "FMA's metadata and a folder fma_*, unpacked",
        )
    tracks = _tracks(table)
    folders = [(subset, source / f"fma_{subset}") for subset in SUBSETS]
    folders = [(subset, folder) for subset, folder in folders if folder.is_dir()]
    if not folders:
        raise WavegenError(
            f"{source} has no clips", "one of: " + ", ".join(f"fma_{name}" for name in SUBSETS)
        )
    seen: set[int] = set()
    for subset, folder in folders:
        for path in walk(folder, exclude):
            yield _clip(path, source, tracks, seen)
        held = SUBSETS[: SUBSETS.index(subset) + 1]
        for number in sorted(tracks.keys() - seen):
            if tracks[number].subset in held:
                yield Dropped(_name(subset, number), "is missing")
                seen.add(number)


def _clip(
    path: Path | OSError, source: Path, tracks: dict[int, _Track], seen: set[int]
) -> Recording | Dropped | Ignored:
    if isinstance(path, OSError):
        return Dropped(str(path.filename), f"cannot be read: {path.strerror}")
    name = path.relative_to(source).as_posix()
    if not _CLIP.fullmatch(path.name):
        return Ignored(name)
    number = int(path.stem)
    if number not in tracks:
        return Dropped(name, "there is no row for it in tracks.csv")
    if number in seen:
        return Dropped(name, "it lies in a smaller folder too")
    seen.add(number)
    return attempt(name, source, functools.partial(_recording, path, name, tracks[number]))


def _recording(path: Path, name: str, track: _Track) -> Recording:
    return Recording(
        name=name,
        load=functools.partial(files.Blocks, path),
        path=path,
        split=split_of(track.split),
        labels={"genre": track.genre} if track.genre else {},
    )


def _name(subset: str, number: int) -> str:
    stem = f"{number:06d}"
    return f"fma_{subset}/{stem[:3]}/{stem}.mp3"


def _table(source: Path) -> Path | None:
    if (source / "fma_metadata" / "tracks.csv").is_file():
        return source / "fma_metadata" / "tracks.csv"
    beside = source / "tracks.csv"
    return beside if beside.is_file() and any(source.glob("fma_*")) else None


def _tracks(path: Path) -> dict[int, _Track]:
    """What the table says of each track; its columns have two names, one above the other."""
    lines = tables.lines(path)
    names = list(zip(*islice(lines, 2), strict=False))
    if not all(column in names for column in _COLUMNS):
        raise WavegenError(
            f"{path} has no columns " + ", ".join(".".join(column) for column in _COLUMNS),
            "FMA's table, whose first two lines name its columns",
        )
    places = [names.index(column) for column in _COLUMNS]
    tracks = {}
    for cells in lines:
        if cells[0] == "track_id":  # a third line of the head, which names the index
            continue
        if not cells[0].isdecimal() or len(cells) != len(names):
            raise WavegenError(f"{path} has a row that is no track: {cells[0]:.60}")
        tracks[int(cells[0])] = _Track(*(cells[place] for place in places))
    return tracks
