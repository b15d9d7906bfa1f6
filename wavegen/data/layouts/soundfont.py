"""Layout `soundfont`: notes of a SoundFont's instruments, shaped as NSynth's are."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np

from wavegen.audio import files, soundfont, voices
from wavegen.data.layouts.recordings import SUFFIXES, Dropped, Found, Recording
from wavegen.errors import WavegenError
from wavegen.music.score import Note

SUFFIXES_OF_FONTS = frozenset((".sf2", ".sf3"))
HOLD_SECONDS = 3.0
RELEASE_SECONDS = 1.0
PITCHES = range(24, 97)
VELOCITIES = (50, 100, 127)


def recognises(source: Path) -> bool:
    """Whether it is an .sf2 or .sf3 file, or a folder of them without sound files beside."""
    return bool(_fonts(source)) and not any(
        path.suffix.lower() in SUFFIXES for path in (source.glob("*") if source.is_dir() else ())
    )


def find(source: Path, exclude: tuple[Path, ...] = ()) -> Found:
    """Every preset at pitches 24 to 96 and three velocities, rendered when it is loaded.

    A key is held for 3 s and rings for 1 s. The label is `instrument`, the preset's name;
    drum kits are dropped, and keys for which a preset has no sample are passed over.
    """
    fonts = _fonts(source)
    if not fonts:
        raise WavegenError(f"{source} has no .sf2 or .sf3 file", "a SoundFont, or a folder of some")
    for path in fonts:
        try:
            font = soundfont.open(path)
        except WavegenError as error:
            if len(fonts) == 1:
                raise
            yield Dropped(path.name, error.came.replace(str(path), "the file"))
            continue
        prefix = f"{path.stem}/" if len(fonts) > 1 else ""
        names: set[str] = set()
        for preset in font.presets:
            name = prefix + (preset.name or "preset")
            if name in names:
                name += f" {preset.bank}:{preset.number}"
            names.add(name)
            yield from _notes(font, preset, name)


def _fonts(source: Path) -> list[Path]:
    paths = sorted(source.glob("*")) if source.is_dir() else [source]
    return [path for path in paths if path.suffix.lower() in SUFFIXES_OF_FONTS and path.is_file()]


def _notes(font: soundfont.SoundFont, preset: soundfont.Preset, name: str) -> Found:
    if preset.bank == soundfont.DRUM_BANK:
        yield Dropped(name, "a drum kit: its keys are no pitches")
        return
    try:
        zones = font.zones(preset)
    except WavegenError as error:
        yield Dropped(name, error.came.replace(str(font.path), "the file"))
        return
    for pitch in PITCHES:
        for velocity in VELOCITIES:
            if any(voices.sounds(zone, pitch, velocity) for zone in zones):
                yield Recording(
                    name=f"{name}-{pitch:03d}-{velocity:03d}",
                    load=functools.partial(_load, font.path, preset.place, pitch, velocity),
                    path=font.path,
                    labels={"instrument": name},
                    notes=(Note(0.0, HOLD_SECONDS, pitch, velocity),),
                )


def _load(
    path: Path, place: int, pitch: int, velocity: int, sample_rate: int
) -> tuple[np.ndarray, dict[str, Any]]:
    font = soundfont.open(path)
    preset = next(preset for preset in font.presets if preset.place == place)
    zones = font.zones(preset)
    samples = voices.note(font, zones, pitch, velocity, HOLD_SECONDS, RELEASE_SECONDS)
    samples, facts = files.checked(path, samples, voices.RATE, sample_rate)
    return samples, facts | {"format": "SoundFont"}
