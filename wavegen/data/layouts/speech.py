"""Layout `speech`: words in folders (SC09, Speech Commands), LJSpeech, or VCTK."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from wavegen.audio import files
from wavegen.data.layouts import tables
from wavegen.data.layouts.paths import inside, walk
from wavegen.data.layouts.recordings import SUFFIXES, Dropped, Found, Ignored, Recording, attempt
from wavegen.errors import WavegenError

LISTS = {"validation_list.txt": "valid", "testing_list.txt": "test"}
_VCTK_FOLDERS = ("wav48", "wav48_silence_trimmed")
_VCTK_NAME = re.compile(r"([ps]\d+)_\d+(?:_(mic\d))?")


def recognises(source: Path) -> bool:
    """Whether the lists of SC09, LJSpeech's table and wavs, or VCTK's folders lie here."""
    return _kind(source) is not None


def find(source: Path, exclude: tuple[Path, ...] = ()) -> Found:
    """Every recording; names are paths below `source`.

    SC09 and Speech Commands: the label is `word`, the folder's name; what the two lists
    name is valid and test, the rest is train. VCTK: labels are `speaker` and, where there
    are two, the `microphone`. LJSpeech, one speaker: no labels, and only what metadata.csv
    names.
    """
    kind = _kind(source)
    if kind is None:
        raise WavegenError(
            f"{source} has none of " + ", ".join([*LISTS, "metadata.csv and wavs", *_VCTK_FOLDERS]),
            "SC09, Speech Commands, LJSpeech or VCTK, unpacked",
            "take --layout folder for plain sound files",
        )
    yield from kind(source, exclude)


def _kind(source: Path) -> Callable[[Path, tuple[Path, ...]], Found] | None:
    if any((source / name).is_file() for name in LISTS):
        return _words
    if (source / "wavs").is_dir() and (source / "metadata.csv").is_file():
        return _ljspeech
    if any((source / name).is_dir() for name in _VCTK_FOLDERS):
        return _vctk
    return None


def _words(source: Path, exclude: tuple[Path, ...]) -> Found:
    splits = {name: split for file, split in LISTS.items() for name in _listed(source / file)}
    met: set[str] = set()
    for name, path in _sounds(source, exclude):
        if isinstance(path, Dropped | Ignored):
            yield path
        elif path.parent == source:
            yield Dropped(name, "it lies in no word's folder")
        elif path.parent.name.startswith("_"):
            yield Dropped(name, f"{path.parent.name} is no word")
        else:
            met.add(name)
            split = splits.get(name, "train")
            yield _recording(name, path, {"word": path.parent.name}, split)
    for name in sorted(splits.keys() - met):
        yield Dropped(name, _why_unmet(source, name))


def _vctk(source: Path, exclude: tuple[Path, ...]) -> Found:
    for folder in (source / name for name in _VCTK_FOLDERS if (source / name).is_dir()):
        for name, path in _sounds(folder, exclude):
            if isinstance(path, Dropped | Ignored):
                yield path
            elif match := _VCTK_NAME.fullmatch(path.stem):
                speaker, microphone = match.groups()
                labels = {"speaker": speaker} | ({"microphone": microphone} if microphone else {})
                yield _recording(f"{folder.name}/{name}", path, labels)
            else:
                yield Dropped(f"{folder.name}/{name}", "its name does not say who speaks")


def _ljspeech(source: Path, exclude: tuple[Path, ...]) -> Found:
    named: set[str] = set()
    # Its texts hold quotes that nothing closes.
    for cells in tables.lines(source / "metadata.csv", delimiter="|", quoted=False):
        name = f"wavs/{cells[0].strip()}.wav"
        if name not in named:
            named.add(name)
            yield attempt(name, source, functools.partial(_spoken, source, name))
    for name, path in _sounds(source / "wavs", exclude):
        if isinstance(path, Dropped | Ignored):
            yield path
        elif f"wavs/{name}" not in named:
            yield Dropped(f"wavs/{name}", "there is no row for it in metadata.csv")


def _sounds(
    source: Path, exclude: tuple[Path, ...]
) -> Iterator[tuple[str, Path | Dropped | Ignored]]:
    """The name below `source` and the path of each sound, or what to say of another file."""
    for path in walk(source, exclude):
        if isinstance(path, OSError):
            name = Path(path.filename).relative_to(source).as_posix()
            yield name, Dropped(name, f"cannot be read: {path.strerror}")
            continue
        name = path.relative_to(source).as_posix()
        is_sound = path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
        yield name, path if is_sound else Ignored(name)


def _recording(
    name: str, path: Path, labels: dict[str, str], split: str | None = None
) -> Recording:
    load = functools.partial(files.Blocks, path)
    return Recording(name=name, load=load, path=path, split=split, labels=labels)


def _spoken(source: Path, name: str) -> Recording:
    return _recording(name, inside(source, name), {})


def _listed(path: Path) -> list[str]:
    """The names in a list, one a line; none where there is no such list."""
    if not path.is_file():
        return []
    return [cells[0].strip() for cells in tables.lines(path, delimiter="\t", quoted=False)]


def _why_unmet(source: Path, name: str) -> str:
    """Why a name in the lists belongs to no recording."""
    try:
        inside(source, name)
    except WavegenError as error:
        return error.came
    return "a list names it, but it is no sound in a word's folder"
