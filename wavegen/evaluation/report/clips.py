"""Sounds that a page plays: their bytes, their pictures, and what was measured of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from wavegen.errors import WavegenError
from wavegen.evaluation import pages
from wavegen.evaluation.figures import outlines, plots
from wavegen.evaluation.report import tables

MOST = 12  # clips that are heard on the page
MOST_BYTES = 24_000_000  # of sound in a page, so that it can still be sent by mail
SIDES = ("generated", "real", "reference", "estimate")  # fields that name a sound, as shown


class Player(NamedTuple):
    """One sound: what it is, the bytes as a data URI, or why it cannot be heard here."""

    title: str
    source: str
    reason: str = ""


class Clip(NamedTuple):
    """A sound beside another one."""

    name: str
    asked: str
    players: Sequence[Player]
    picture: str  # data URI of their spectrograms; "" where there is none
    measured: Sequence[tuple[str, tables.Cell]]
    trouble: Sequence[str]


def of(folder: Path, entries: Sequence[Mapping[str, Any]], path: str, reasons: Mapping) -> list:
    """Up to 12 Clips of what the facts name, chosen evenly; `path` is where they lie in the facts.

    Files that are missing, or that would make the page too heavy to send, are named instead.
    """
    heard = [i for i, entry in enumerate(entries) if any(entry.get(side) for side in SIDES)]
    chosen = np.unique(np.linspace(0, len(heard) - 1, min(MOST, len(heard))).round().astype(int))
    room, made = MOST_BYTES, []
    for number in (heard[i] for i in chosen):
        entry = entries[number]
        sounds = {side: entry[side] for side in SIDES if entry.get(side)}
        there = [folder / name for name in sounds.values() if (folder / name).is_file()]
        size = sum(sound.stat().st_size for sound in there)
        fits = size <= room
        room -= size * fits
        players = [_player(folder, side, name, fits) for side, name in sounds.items()]
        made.append(
            Clip(
                str(entry.get("name", f"clip {number}")),
                str(entry.get("asked") or ""),
                players,
                _picture(folder, sounds),
                tables.measured(entry, f"{path}[{number}]", reasons),
                entry.get("trouble") or (),
            )
        )
    return made


def _player(folder: Path, side: str, name: str, fits: bool) -> Player:
    sound = folder / name
    if not sound.is_file():
        return Player(side, "", f"{name} is not there")
    if not fits:
        return Player(side, "", f"too long to be held in this page: see {name} beside it")
    return Player(side, pages.data_uri(sound.read_bytes(), ".wav"))


def _picture(folder: Path, sounds: Mapping[str, str]) -> str:
    shown = []
    for side, name in sounds.items():
        try:
            shown.append(plots.Shown(side, outlines.read(folder / name)))
        except WavegenError:  # it is not there, or has no sound: its player says so
            continue
    return pages.data_uri(plots.png(plots.figure(shown)), ".png") if shown else ""
