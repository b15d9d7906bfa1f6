"""Layout `musicnet`: MusicNet, classical recordings with the notes that sound in them."""

from __future__ import annotations

import functools
from pathlib import Path

from wavegen.audio import files
from wavegen.data.layouts import tables
from wavegen.data.layouts.recordings import Dropped, Found, Recording, attempt
from wavegen.errors import WavegenError
from wavegen.music.score import Note

LABEL_RATE = 44_100  # Hz; labels count samples at it, whatever rate a recording has
VELOCITY = 80  # of every note, since MusicNet does not say how hard a key was struck
METADATA = "musicnet_metadata.csv"
_SPLITS = ("train", "test")


def recognises(source: Path) -> bool:
    """Whether train_data and train_labels, or those of test, lie here or two folders down."""
    return bool(_bases(source))


def find(source: Path, exclude: tuple[Path, ...] = ()) -> Found:
    """Every recording with the notes of its .csv; each note has velocity 80, for want of one.

    The splits are train and test. Labels are composer and ensemble, if there is a
    musicnet_metadata.csv beside them or in `source`. Names are such as train_data/1727.wav.
    """
    bases = _bases(source)
    if len(bases) != 1:
        came = "holds several: " + ", ".join(map(str, bases)) if bases else "has no train_data"
        raise WavegenError(
            f"{source} {came}", "MusicNet, unpacked: train_data, train_labels and those of test"
        )
    base = bases[0]
    labels = _labels(base, source)
    for split in _SPLITS:
        sounds = {path.stem: path for path in (base / f"{split}_data").glob("*.wav")}
        scores = {path.stem: path for path in (base / f"{split}_labels").glob("*.csv")}
        for number in sorted(sounds.keys() | scores.keys()):
            name = f"{split}_data/{number}.wav"
            if number not in sounds:
                yield Dropped(name, "is missing, though there are labels for it")
            elif number not in scores:
                yield Dropped(name, f"{split}_labels/{number}.csv is missing")
            elif labels and number not in labels:
                yield Dropped(name, f"there is no row for it in {METADATA}")
            else:
                here = labels.get(number, {})
                make = functools.partial(
                    _recording, name, sounds[number], scores[number], split, here
                )
                yield attempt(name, base, make)


def _bases(source: Path) -> list[Path]:
    """The folders, nearest first found, that hold sounds and labels; copies come nested."""
    for pattern in ("", "*/", "*/*/"):
        found = {
            path.parent
            for split in _SPLITS
            for path in source.glob(f"{pattern}{split}_data")
            if path.is_dir() and (path.parent / f"{split}_labels").is_dir()
        }
        if found:
            return sorted(found)
    return []


def _recording(
    name: str, sound: Path, score: Path, split: str, labels: dict[str, str]
) -> Recording:
    return Recording(
        name=name,
        load=functools.partial(files.Blocks, sound),
        path=sound,
        split=split,
        labels=labels,
        notes=_notes(score),
    )


def _notes(score: Path) -> tuple[Note, ...]:
    """The notes of a table of labels, in seconds, sorted by onset; none without any length."""
    notes = []
    for number, row in enumerate(tables.rows(score, ("start_time", "end_time", "note")), start=1):
        try:
            start, end, pitch = (int(row[name]) for name in ("start_time", "end_time", "note"))
            if start != end:
                length = (end - start) / LABEL_RATE
                notes.append(Note(start / LABEL_RATE, length, pitch, VELOCITY))
        except (ValueError, OverflowError, WavegenError) as error:
            reason = error.came if isinstance(error, WavegenError) else error
            raise WavegenError(f"row {number} of {score} is no note: {reason}") from None
    return tuple(sorted(notes, key=lambda note: (note.onset_seconds, note.pitch)))


def _labels(base: Path, source: Path) -> dict[str, dict[str, str]]:
    """Composer and ensemble of each number; empty where there is no metadata."""
    above = [base, *base.parents][: len(base.relative_to(source).parts) + 1]
    path = next((folder / METADATA for folder in above if (folder / METADATA).is_file()), None)
    if path is None:
        return {}
    return {
        row["id"]: {name: row[name] for name in ("composer", "ensemble") if row[name]}
        for row in tables.rows(path, ("id", "composer", "ensemble"))
    }
