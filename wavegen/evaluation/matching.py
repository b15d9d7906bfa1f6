"""Sound files beside each other: which of two folders belong together, read at one rate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from wavegen.audio import files
from wavegen.data.layouts import paths
from wavegen.data.layouts.recordings import SUFFIXES
from wavegen.errors import WavegenError
from wavegen.evaluation.metrics import measures, pairs, sets
from wavegen.evaluation.metrics.measures import Measure
from wavegen.evaluation.metrics.sets import Embed

SIDES = ("reference", "estimate")
FEWEST_IN_A_SET = 2
NAMED = 3  # files that a remark names
HEARD = 12  # pairs whose sounds are kept, evenly chosen


class Sound(NamedTuple):
    """A sound file that can be read to its end."""

    path: Path
    sample_rate: int  # Hz
    seconds: float
    peak: float  # of its channels' mean; what of it is beyond 1.0 is not heard


class Side(NamedTuple):
    """The sounds of one side by what they are matched by, and what was left out."""

    path: Path
    sounds: dict[str, Sound]
    refused: list[str]


class Compared(NamedTuple):
    """What was found, and some of the sounds that it speaks of."""

    facts: dict[str, Any]
    heard: dict[int, tuple[np.ndarray, np.ndarray]]  # of some pairs: reference and estimate [T]


def compare(
    reference: Side,
    estimate: Side,
    *,
    embed: Embed | None = None,
    progress: Callable[[float, float], None] = lambda done, total: None,
) -> Compared:
    """Two sound files, or the files of two folders that have one name, and the folders as sets.

    Files of another rate than the lowest there is are brought to it; of two lengths the shorter
    one counts. What of a folder cannot be read is left out, and told in the remarks.
    `progress` is told the seconds of sound that are measured and that there are. Raises
    WavegenError where there is nothing to compare.
    """
    sides = reference, estimate
    rate = min(sound.sample_rate for side in sides for sound in side.sounds.values())
    matched = match(*sides)
    if not matched and min(len(side.sounds) for side in sides) < FEWEST_IN_A_SET:
        raise WavegenError(
            f"no sound of {reference.path} is called as one of {estimate.path}",
            "two files, folders with equal names of files, or two sets of sounds",
        )
    rows, heard, shorter = _measured(sides, matched, rate, progress)
    remarks = _remarks(matched, sides, rate, shorter)
    facts: dict[str, Any] = {
        "subject": {
            "kind": "sounds", "reference": str(reference.path), "estimate": str(estimate.path),
            "sample_rate": rate, "pairs": len(matched),
            "seconds": sum(sides[0].sounds[name].seconds for name, _ in matched),
        },
        "remarks": remarks,
    }  # fmt: skip
    if rows:
        facts["pair"] = measures.means([*rows.values()])
        facts["pairs"] = [{"name": name, **row} for name, row in rows.items()]
    if all(len(side.sounds) >= FEWEST_IN_A_SET for side in sides):
        real, generated = (_Files(tuple(side.sounds.values()), rate) for side in sides)
        found = sets.compare(generated, real, (), rate, embed=embed)
        facts["sets"] = {"generated": found.measures}
        remarks += found.remarks
    return Compared(facts, heard)


def _measured(
    sides: tuple[Side, Side],
    matched: list[tuple[str, str]],
    rate: int,
    progress: Callable[[float, float], None],
) -> tuple[dict[str, dict[str, Measure]], dict[int, tuple[np.ndarray, np.ndarray]], list[str]]:
    """The metrics of each pair by its name, the sounds of some, and who differ in length."""
    total = sum(sides[0].sounds[name].seconds for name, _ in matched)
    kept = set(np.linspace(0, len(matched) - 1, min(HEARD, len(matched))).round().astype(int))
    rows, heard, shorter, done = {}, {}, [], 0.0
    for number, names in enumerate(matched):
        both = [side.sounds[name] for side, name in zip(sides, names, strict=True)]
        one, two = (files.read(sound.path, rate)[0] for sound in both)
        if len(one) != len(two):
            shorter.append(names[0])
        one, two = one[: len(two)], two[: len(one)]
        rows[names[0]] = pairs.compare(one, two, rate)
        if number in kept:
            heard[number] = one, two
        done += both[0].seconds
        progress(done, total)
    return rows, heard, shorter


@dataclass(frozen=True)
class _Files(Sequence[np.ndarray]):
    """Sound files, read when they are looked at."""

    sounds: tuple[Sound, ...]
    sample_rate: int  # Hz, of what is given

    def __len__(self) -> int:
        return len(self.sounds)

    def __getitem__(self, number):  # type: ignore[no-untyped-def]
        return files.read(self.sounds[number].path, self.sample_rate)[0]


def look(path: Path, progress: Callable[[float, float], None] = lambda done, total: None) -> Side:
    """A sound file, or all of a folder and those below it, each read once to its end.

    A file's name in it is its path there, without the ending unless another one has the same
    without. Hidden files are no sounds: macOS lays a "._name.wav" beside each. `progress` is told
    how many were read and how many there are. Raises WavegenError where there is none that can
    be read.
    """
    if not path.is_dir():
        return Side(path, {path.stem: _sound(path)}, [])
    side = Side(path, {}, [])
    found = []
    for each in paths.walk(path):
        if isinstance(each, OSError):
            side.refused.append(f"{each.filename} cannot be read: {each.strerror}")
        elif each.suffix.lower() in SUFFIXES and not each.name.startswith("."):
            found.append(each)
    for number, (name, each) in enumerate(_named(path, found), 1):
        try:
            side.sounds[name] = _sound(each)
        except WavegenError as error:
            side.refused.append(error.came)
        progress(number, len(found))
    if not side.sounds:
        first = f": {side.refused[0]}" if side.refused else ""
        raise WavegenError(
            f"the folder {path} holds no sound that can be read{first}",
            "WAV, FLAC or other sound files",
        )
    return side


def _named(folder: Path, found: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    """The files of a folder with their names; those that differ in their ending alone keep it."""
    whole = [each.relative_to(folder) for each in found]
    times = Counter(each.with_suffix("") for each in whole)
    for name, each in zip(whole, found, strict=True):
        short = name.with_suffix("")
        yield (short if times[short] == 1 else name).as_posix(), each


def _sound(path: Path) -> Sound:
    frames, num_samples, peak = files.Frames(path), 0, 0.0
    for block in frames:
        num_samples += len(block)
        peak = max(peak, float(np.abs(block.mean(axis=1)).max(initial=0)))
    return Sound(path, frames.sample_rate, num_samples / frames.sample_rate, peak)


def match(reference: Side, estimate: Side) -> list[tuple[str, str]]:
    """Names of the two sides that belong together.

    Two single files do, whatever they are called. In folders equal paths belong together, or,
    where none are, equal names of files.
    """
    if len(reference.sounds) == len(estimate.sounds) == 1:
        return list(zip(reference.sounds, estimate.sounds, strict=True))
    same = [(name, name) for name in reference.sounds if name in estimate.sounds]
    if same:
        return same
    one, two = _by_end(reference), _by_end(estimate)
    return [(one[end], two[end]) for end in one if end in two]


def _by_end(side: Side) -> dict[str, str]:
    """Paths by their last part, where it occurs once."""
    ends = [name.rpartition("/")[2] for name in side.sounds]
    return {end: name for end, name in zip(ends, side.sounds, strict=True) if ends.count(end) == 1}


def _remarks(
    matched: list[tuple[str, str]], sides: tuple[Side, Side], rate: int, shorter: list[str]
) -> list[str]:
    """What a person should know of how the sides were brought together."""
    told = [f"Left out: {why}." for side in sides for why in side.refused[:NAMED]]
    more = sum(max(0, len(side.refused) - NAMED) for side in sides)
    if more:
        told.append(f"Left out: {more} further files.")
    if not matched:
        told.append("No sound of one folder is called as one of the other: only the sets compare.")
    for number, side in enumerate(sides):
        alone = [name for name in side.sounds if name not in {pair[number] for pair in matched}]
        if matched and alone:
            told.append(f"Nothing lies beside {_some(alone)} of the {SIDES[number]}.")
    faster = [n for side in sides for n, sound in side.sounds.items() if sound.sample_rate != rate]
    if faster:
        told.append(f"{_some(faster)}: brought to {rate} Hz, the lowest rate there is.")
    loud = [name for side in sides for name, sound in side.sounds.items() if sound.peak > 1]
    if loud:
        told.append(f"{_some(loud)}: beyond full scale in places, and cut off there.")
    if shorter:
        told.append(f"{_some(shorter)}: of two lengths the shorter one counts.")
    return told


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
