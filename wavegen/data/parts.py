"""The parts in which several machines prepare one data set.

A part is a corpus that also keeps what joining needs: its journal, and what part.json says.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wavegen import __version__
from wavegen.audio.cleaning import Cleaning
from wavegen.data import manifest, shards
from wavegen.data.binding import About
from wavegen.errors import WavegenError

FORMAT_VERSION = 1
FILE = "part.json"


@dataclass(frozen=True)
class Part:
    """The part `number`, counted from 1, `of` so many; in words 2/4."""

    number: int
    of: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.of:
            raise _refused(str(self))

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def span(self, num_found: int) -> slice:
        """Its stretch of what was found; the stretches of all parts in order are the whole."""
        start, end = (number * num_found // self.of for number in (self.number - 1, self.number))
        return slice(start, end)


WHOLE = Part(1, 1)


@dataclass(frozen=True)
class Described:
    """What part.json says of the part in a folder."""

    path: Path
    part: Part
    work: str  # the fingerprint of all that the parts together prepare
    journal: str  # a hash of its entries
    about: About


def parse(text: str) -> Part:
    """The part that a text such as 2/4 means."""
    numbers = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
    if not numbers:
        raise _refused(text)
    return Part(*map(int, numbers.groups()))


def check(part: Part, num_recordings: int) -> None:
    """Refuses more parts than there are recordings."""
    if part.of > num_recordings:
        raise WavegenError(
            f"{part.of} parts of {num_recordings} recordings",
            "at most as many parts as recordings",
            "prepare in fewer parts, or without --part",
        )


def write(folder: Path, part: Part, work: str, about: About) -> None:
    """Makes a part of the corpus in `folder`."""
    tree = {
        "format_version": FORMAT_VERSION,
        "part": part.number,
        "parts": part.of,
        "work": work,
        "journal": _hash(folder / shards.JOURNAL),
        "about": dataclasses.asdict(about),
    }
    (folder / FILE).write_text(json.dumps(tree, indent=1) + "\n", encoding="utf-8")


def read(path: Path) -> Described:
    """What a part says of itself; WavegenError where the folder holds none."""
    if not path.exists():
        raise WavegenError(f"there is no {path}", "a part of a data set", _MAKE)
    if not (path / manifest.FILE).is_file() and (path / shards.JOURNAL).is_file():
        do = "run the prepare that makes it again: it goes on where it stopped"
        raise WavegenError(f"{path} is no part: it is unfinished", "a finished part", do)
    if not (path / FILE).is_file():
        whole = ": it is a whole corpus" if (path / manifest.FILE).is_file() else ""
        raise WavegenError(f"{path} is no part{whole}", "a part of a data set", _MAKE)
    try:
        tree = json.loads((path / FILE).read_text(encoding="utf-8"))
        if (version := tree["format_version"]) > FORMAT_VERSION:
            raise WavegenError(
                f"the part {path} has format {version}",
                f"format {FORMAT_VERSION}, which this wavegen ({__version__}) reads",
                "install a newer wavegen, or prepare the part again",
            )
        return Described(
            path=path,
            part=Part(tree["part"], tree["parts"]),
            work=tree["work"],
            journal=tree["journal"],
            about=_about(**tree["about"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(path, f"{FILE}: {type(error).__name__}: {error}") from None


def entries(told: Described) -> list[dict[str, Any]]:
    """Those of a part's journal, once it has proved to be the one that was written."""
    journal = told.path / shards.JOURNAL
    if not journal.is_file() or _hash(journal) != told.journal:
        raise damaged(told.path, f"{shards.JOURNAL} is not as it was")
    return shards.read_journal(journal)[1]


def _hash(journal: Path) -> str:
    with journal.open("rb") as file:
        file.readline()  # stands for the files on the machine that wrote it
        return hashlib.file_digest(file, "blake2b").hexdigest()


def _about(cleaning: dict[str, Any], left_out: list[list[Any]], **others: Any) -> About:
    """The inverse of `dataclasses.asdict`, after JSON."""
    counts = tuple((name, count) for name, count in left_out)
    return About(cleaning=Cleaning(**cleaning), left_out=counts, **others)


def damaged(path: Path, what: Any) -> WavegenError:
    """What is said of a part that is not as it was written."""
    return WavegenError(
        f"the part {path} is damaged: {what}",
        "a part as `wavegen prepare --part` left it",
        "remove it and prepare that part again",
    )


def _refused(text: str) -> WavegenError:
    return WavegenError(
        f"the part is '{text}'",
        "I/N, such as 2/4: part I, counted from 1, of N",
        "give every machine its own I and all of them the same N",
    )


_MAKE = "make parts with `wavegen prepare SOURCE... --part I/N --out PART`"
