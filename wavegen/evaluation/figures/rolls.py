"""The notes of a score as bars over time: a piano roll."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from wavegen.music.score import Note

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's, without the yellow that white paper swallows.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
OTHER = "#999999"  # all parts that are left when the colours are used up
FAINTEST = 0.4  # share of its colour that a note of velocity 0 would have
BAR = 0.85  # semitones high
MARGIN = 1.5  # semitones beyond the lowest and the highest note
OCTAVE = 12
LONGEST_NAME = 24  # characters of a part in the legend


class Voice(NamedTuple):
    """A part of a score: what it is called, and what it plays."""

    name: str
    notes: Sequence[Note]


def draw(
    axes: Axes,
    voices: Sequence[Voice],
    start_seconds: float,
    end_seconds: float,
) -> None:
    """Draws the notes that sound in the stretch: time, pitch, velocity as shade, voice as colour.

    The pitches shown are those that are played, and at least an octave. The voices with the
    most notes have a colour each, the others one together.
    """
    shown = [
        Voice(name, heard)
        for name, notes in voices
        if (heard := _heard(notes, start_seconds, end_seconds))
    ]
    groups = _grouped(shown)
    for colour, voice in groups:
        _bars(axes, voice.notes, colour)
    _scale(axes, [note.pitch for _, notes in shown for note in notes])
    count = sum(len(notes) for _, notes in shown)
    words = f"{count:,} note" + "s" * (count != 1) + ", darker where struck harder"
    named = [(colour, voice.name) for colour, voice in groups]
    _legend(axes, words, named if len(named) > 1 else [])


def _heard(notes: Sequence[Note], start: float, end: float) -> list[Note]:
    return [note for note in notes if note.onset_seconds < end and note.end_seconds > start]


def _grouped(voices: Sequence[Voice]) -> list[tuple[str, Voice]]:
    """Voices with their colours, in their own order; those without one put together."""
    by_size = sorted(range(len(voices)), key=lambda index: -len(voices[index].notes))
    coloured = sorted(by_size[: len(COLOURS)])
    groups = [(colour, voices[i]) for colour, i in zip(COLOURS, coloured, strict=False)]
    if others := by_size[len(COLOURS) :]:
        notes = [note for index in others for note in voices[index].notes]
        name = f"{len(others)} others" if len(others) > 1 else voices[others[0]].name
        groups.append((OTHER, Voice(name, notes)))
    return groups


def _bars(axes: Axes, notes: Sequence[Note], colour: str) -> None:
    from matplotlib.collections import PolyCollection
    from matplotlib.colors import to_rgb

    played = np.array([(n.onset_seconds, n.end_seconds, n.pitch, n.velocity) for n in notes])
    left, right, pitch, velocity = played.T
    low, high = pitch - BAR / 2, pitch + BAR / 2
    corners = np.stack([left, low, left, high, right, high, right, low], axis=1)
    strength = FAINTEST + (1 - FAINTEST) * velocity[:, None] / 127
    shades = 1 - strength * (1 - np.array(to_rgb(colour)))
    # The line around a bar keeps the shortest of them visible on the longest axis.
    bars = PolyCollection(
        list(corners.reshape(-1, 4, 2)), facecolors=shades, edgecolors=shades, linewidths=0.4
    )
    axes.add_collection(bars, autolim=False)


def _legend(axes: Axes, words: str, named: Sequence[tuple[str, str]]) -> None:
    """Says what is seen, and names the colours, above the notes."""
    from matplotlib.patches import Patch

    legend = axes.legend(
        [Patch(color=colour) for colour, _ in named], ["name"] * len(named), ncols=4,
        title=words, title_fontsize="small", alignment="left", fontsize="small", frameon=False,
        loc="lower left", bbox_to_anchor=(0, 1), borderpad=0, borderaxespad=0.3,
        handlelength=1.0, columnspacing=1.2,
    )  # fmt: skip
    # Not given as labels, for of these matplotlib leaves out what begins with an underscore.
    for text, (_, name) in zip(legend.get_texts(), named, strict=True):
        text.set_text(name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…")
        text.set_parse_math(False)


def _scale(axes: Axes, pitches: Sequence[int]) -> None:
    """The axis of pitches, with a line and a name at each C."""
    low, high = min(pitches, default=60), max(pitches, default=60)
    lack = max(0, OCTAVE - (high - low))  # an octave or more always has a C in it
    low, high = low - lack // 2, high + lack - lack // 2
    axes.set_ylim(low - MARGIN, high + MARGIN)
    octaves = range(-(-low // OCTAVE) * OCTAVE, high + 1, OCTAVE)
    axes.set_yticks(octaves, [f"C{pitch // OCTAVE - 1}" for pitch in octaves])
    axes.set_ylabel("MIDI pitch\n(C4 is 60)")
    axes.grid(axis="y", color="0.85", linewidth=0.6)
    axes.set_axisbelow(True)
