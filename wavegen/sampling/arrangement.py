"""A song made ready for a model of single notes: what has to be made, and where it is put."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from wavegen.audio.bending import MOST_SEMITONES, Bend
from wavegen.config import Config, Vocabulary
from wavegen.curves import Curve
from wavegen.errors import WavegenError
from wavegen.music.score import Note
from wavegen.music.song import Song, Steps

OUT_OF_RANGE = ("octave", "refuse")  # what becomes of pitches that a voice did not learn
RELEASE_SECONDS = 0.5  # that a note rings on after its key was let go, unless told otherwise
MOST_BANDS = 8  # of velocity
WIDTH = 0.7  # how far the outermost tracks stand to the sides, of 1
# Notes whose lengths differ by less sound alike, and are made once: the share of a short note's
# length, and the seconds of a long one's.
ALIKE_SHARE = 0.06
ALIKE_SECONDS = 0.06
GLIDE_SECONDS = 0.005  # of a bend from one step of its wheel to the next, so that it cannot click


@dataclass(frozen=True)
class Voice:
    """Who plays a part: the labels that the model is given, and the pitches it learned of them."""

    name: str
    labels: tuple[float, ...]  # see wavegen.sampling.asking.label_shares
    lowest: int
    highest: int


class Kind(NamedTuple):
    """A note that is made once, however often it is played."""

    voice: int
    pitch: int
    velocity: int
    hold_frames: int


class Placed(NamedTuple):
    """A note of the song, at its place."""

    start: int  # sample
    length: int  # samples that are heard of it, release included
    kind: int  # its number among the kinds
    gain: float
    pan: float  # -1 left ... 1 right
    track: int  # number of the MIDI track
    bend: Bend | None


@dataclass(frozen=True)
class Arrangement:
    """All that is to be made, and where it goes."""

    voices: tuple[Voice, ...]
    kinds: tuple[Kind, ...]
    placed: tuple[Placed, ...]  # in the order of their starts
    release_samples: int
    moved: int  # notes that were moved by octaves
    left_out: int  # notes that have no place in the pitches of their voice

    @property
    def num_samples(self) -> int:
        """From the start to the end of the last note's release."""
        return max((note.start + note.length for note in self.placed), default=0)


def arrange(
    song: Song,
    cast: Mapping[int, Voice],  # by the place of a part in the song; who has none is not heard
    config: Config,
    vocabulary: Vocabulary,
    *,
    out_of_range: str = "octave",  # one of OUT_OF_RANGE
    release_seconds: float = RELEASE_SECONDS,
    vibrato: tuple[float, float] = (0.0, 0.0),  # Hz, semitones to each side
) -> Arrangement:
    """What the parts of a song come to.

    A note is made for the nearest band of velocities that were learned, and for a length that is
    near its own (by 3 %, or 30 ms of a long one). What its velocity has more or less than the
    band goes into the gain, by the square (40 dB a decade, as General MIDI's sounds do it).
    Pitches that the voice did not learn are moved by octaves, or refused with WavegenError.
    """
    if out_of_range not in OUT_OF_RANGE:
        raise WavegenError(f"out of range: {out_of_range}", "one of: " + ", ".join(OUT_OF_RANGE))
    rate, hop = config.audio.sample_rate, config.model.hop_length
    bands = velocity_bands(vocabulary.velocities)
    voices = tuple(dict.fromkeys(cast.values()))
    release = round(release_seconds * rate)
    kinds: dict[Kind, int] = {}
    placed, moved, left_out = [], 0, 0
    for place, voice in cast.items():
        part, voice_number = song.parts[place], voices.index(voice)
        onsets = np.array([note.onset_seconds for note in part.notes])
        gains, pans = part.gain.at(onsets).tolist(), part.pan.at(onsets).tolist()
        wheel = replace(
            part.bend_semitones,
            values=part.bend_semitones.values.clip(-MOST_SEMITONES, MOST_SEMITONES),
        )
        for note, gain, pan in zip(part.notes, gains, pans, strict=True):
            pitch = _within(note.pitch, voice, out_of_range)
            if pitch is None:
                left_out += 1
                continue
            moved += pitch != note.pitch
            bend = _bend(wheel, note, release_seconds, rate, vibrato)
            length = max(1, round(note.duration_seconds * rate))
            held = length if bend is None else bend.samples_needed(length)
            band = min(bands, key=lambda each: (abs(each - note.velocity), each))
            kind = Kind(voice_number, pitch, band, _alike(held / hop, hop / rate))
            number = kinds.setdefault(kind, len(kinds))
            start, gain = round(note.onset_seconds * rate), gain * (note.velocity / band) ** 2
            placed.append(Placed(start, length + release, number, gain, pan, part.track, bend))
    placed.sort(key=lambda each: each.start)
    kinds_in_order, placed = _in_order_of_use(list(kinds), placed)
    return Arrangement(voices, kinds_in_order, tuple(placed), release, moved, left_out)


def velocity_bands(velocities: Sequence[int]) -> list[int]:
    """At most eight of the velocities that a model learned, evenly spread; 100 if none."""
    if not velocities:
        return [100]
    if len(velocities) <= MOST_BANDS:
        return list(velocities)
    places = np.linspace(0, len(velocities) - 1, MOST_BANDS).round().astype(int)
    return [velocities[place] for place in places]


def _within(pitch: int, voice: Voice, out_of_range: str) -> int | None:
    """The pitch, or the nearest octave of it that the voice can play; None where there is none."""
    if voice.lowest <= pitch <= voice.highest:
        return pitch
    if out_of_range == "refuse":
        raise WavegenError(
            f"the song has a note of pitch {pitch}; {voice.name} learned {voice.lowest} to "
            f"{voice.highest}",
            "notes that were learned",
            "--out-of-range octave moves the others by octaves",
        )
    if pitch < voice.lowest:
        moved = pitch + 12 * math.ceil((voice.lowest - pitch) / 12)
    else:
        moved = pitch - 12 * math.ceil((pitch - voice.highest) / 12)
    return moved if voice.lowest <= moved <= voice.highest else None


def _alike(frames: float, frame_seconds: float) -> int:
    """The length in frames that a note of so many is made with: one of a few."""
    step = ALIKE_SECONDS / frame_seconds
    if frames * ALIKE_SHARE >= step:
        return max(1, round(round(frames / step) * step))
    if frames <= 1:
        return 1
    return max(1, round((1 + ALIKE_SHARE) ** round(math.log(frames) / math.log(1 + ALIKE_SHARE))))


def _bend(
    wheel: Steps,
    note: Note,
    release_seconds: float,
    sample_rate: int,
    vibrato: tuple[float, float],
) -> Bend | None:
    """How a note is bent while it sounds; None where it is not."""
    begin, end = note.onset_seconds, note.end_seconds + release_seconds
    first = float(wheel.at(begin))
    within = slice(*np.searchsorted(wheel.times, (np.nextafter(begin, np.inf), end)))
    points = {0.0: first}
    last, value = 0.0, first
    for time, semitones in zip(
        (wheel.times[within] - begin).tolist(), wheel.values[within].tolist(), strict=True
    ):
        if time - GLIDE_SECONDS > last:
            points[time - GLIDE_SECONDS] = value
        points[time] = value = semitones
        last = time
    if not any(points.values()) and not vibrato[1]:
        return None
    curve = Curve(tuple(points), tuple(points.values())) if len(points) > 1 else first
    return Bend(sample_rate, curve, *vibrato)


def _in_order_of_use(
    kinds: list[Kind], placed: list[Placed]
) -> tuple[tuple[Kind, ...], list[Placed]]:
    """The kinds in the order in which the song first needs them."""
    order = list(dict.fromkeys(note.kind for note in placed))
    number = {kind: place for place, kind in enumerate(order)}
    return (
        tuple(kinds[kind] for kind in order),
        [note._replace(kind=number[note.kind]) for note in placed],
    )


def shortened(arrangement: Arrangement, num_samples: int) -> Arrangement:
    """Only what begins in the first samples."""
    placed = [note for note in arrangement.placed if note.start < num_samples]
    kinds, placed = _in_order_of_use(list(arrangement.kinds), placed)
    return replace(arrangement, kinds=kinds, placed=tuple(placed))


def spread(arrangement: Arrangement, is_wide: bool) -> Arrangement:
    """The tracks side by side from left to right, or all in the middle."""
    tracks = sorted({note.track for note in arrangement.placed})
    width = max(1, len(tracks) - 1)
    pans = {track: (2 * place / width - 1) * WIDTH for place, track in enumerate(tracks)}
    if len(tracks) == 1 or not is_wide:
        pans = dict.fromkeys(tracks, 0.0)
    placed = tuple(note._replace(pan=pans[note.track]) for note in arrangement.placed)
    return replace(arrangement, placed=placed)
