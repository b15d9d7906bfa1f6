"""MIDI files: the only door to mido. What is played comes out as notes in seconds."""

from __future__ import annotations

import io
import re
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from wavegen.errors import WavegenError
from wavegen.music.channels import Channel
from wavegen.music.score import Note, Score
from wavegen.music.song import Part, Song

MAX_BYTES = 4 << 20  # of a file; some hundred bytes of memory go to each event of three
MAX_SECONDS = 24 * 3600.0  # of a score
MAX_NAME = 40  # characters of a track's name
PEDAL_DOWN = 64  # values of the sustain pedal from here on hold the notes
_SUSTAIN = 64  # number of that controller
_DRUMS = 9  # channel 10, which counts from 1
_FRAMES_PER_SECOND = {24: 24.0, 25: 25.0, 29: 30 / 1.001, 30: 30.0}  # of SMPTE time
_MAX_TICKS = 2**53  # above MAX_SECONDS at any tempo, and still a float
# mido reads a number of any length; this long, it would not come to an end.
_ENDLESS_NUMBER = re.compile(rb"[\x80-\xff]{4096}")
_KIND = "a standard MIDI file (.mid)"


def read(path: str | Path) -> Score:
    """The notes of a MIDI file, sorted by onset and pitch, in seconds from its start.

    All that `song` finds but its instruments; WavegenError as there.
    """
    return song(path).score()


def song(path: str | Path) -> Song:
    """What each instrument of a MIDI file plays, in seconds from its start.

    Formats 0 and 1; the tracks of format 2 are played one after the other. The sustain
    pedal lengthens notes until it is lifted or their key is struck again. Of equal notes
    that overlap, an end belongs to the one that began first; a note that is never ended
    ends with the file. A note is of the program that its channel has at its onset. Left
    out are drums (channel 10), notes without any length, and all else that a file may say:
    other pedals and controllers, tunings, the ends of all notes at once, texts.
    WavegenError where it is no whole MIDI file, or longer than a day.
    """
    path = Path(path)
    file = _parsed(path)
    tracks = [_Track(n, _port(track), _name(track), track) for n, track in enumerate(file.tracks)]
    parts, num_drums, start = [], 0, 0.0
    for together in [[track] for track in tracks] if file.type == 2 else [tracks]:
        keys, end = _Keys(), start
        channels: dict[tuple[int, int], Channel] = defaultdict(Channel)  # of a port
        for now, track, message in _timed(path, _events(together), file.ticks_per_beat, start):
            keys.hear(now, track.number, message)
            if message.type in ("program_change", "pitchwheel", "control_change"):
                channels[track.port, message.channel].hear(now, message)
            end = now
        for (number, channel), notes in sorted(keys.finished(end).items()):
            track = tracks[number]
            parts += _parts(track, channel, channels[track.port, channel], notes)
        num_drums += keys.num_drums
        start = end
    return Song(tuple(parts), num_drums)


class _Track(NamedTuple):
    number: int
    port: int  # each has sixteen channels of its own
    name: str
    messages: Iterable[Any]


def _port(messages: Iterable[Any]) -> int:
    return next((m.port for m in messages if m.type == "midi_port"), 0)


def _name(messages: Iterable[Any]) -> str:
    """The first name that a track is given, fit for one line; '' without."""
    names = (message.name for message in messages if message.type == "track_name")
    name = next(names, "")
    with suppress(UnicodeError):  # mido takes the bytes for Latin-1; most mean UTF-8
        name = name.encode("latin-1").decode("utf-8")
    return "".join(letter for letter in name if letter.isprintable()).strip()[:MAX_NAME]


def _parts(track: _Track, number: int, channel: Channel, notes: Iterable[Note]) -> Iterator[Part]:
    """The notes of one track and channel, by the program at their onsets."""
    notes = sorted(notes, key=lambda note: (note.onset_seconds, note.pitch))
    onsets = np.array([note.onset_seconds for note in notes])
    programs = channel.program.steps().at(onsets).astype(int).tolist()
    of_program: dict[int, list[Note]] = defaultdict(list)
    for program, note in zip(programs, notes, strict=True):
        of_program[program].append(note)
    curves = (channel.bend_semitones.steps(), channel.gain.steps(), channel.pan.steps())
    for program, played in sorted(of_program.items()):
        yield Part(track.number, number, program, track.name, tuple(played), *curves)


class _Began(NamedTuple):
    track: int
    onset: float
    velocity: int


class _Keys:
    """Which keys are down and which notes ring on the pedal, as a file is played."""

    def __init__(self) -> None:
        self.num_drums = 0
        self._notes: dict[tuple[int, int], list[Note]] = defaultdict(list)  # of track, channel
        self._pedals: set[int] = set()  # channels
        # track, channel, pitch -> what began, the oldest first
        self._down: dict[tuple[int, int, int], deque[_Began]] = defaultdict(deque)
        # channel -> pitch -> the same, of keys let go while the pedal is down
        self._ringing: dict[int, dict[int, list[_Began]]] = defaultdict(dict)

    def hear(self, now: float, track: int, message: Any) -> None:
        """What one message does."""
        if message.type not in ("note_on", "note_off", "control_change"):
            return
        channel = message.channel
        if channel == _DRUMS:
            self.num_drums += message.type == "note_on" and message.velocity > 0
        elif message.type == "control_change":
            if message.control == _SUSTAIN:
                self._pedal(now, channel, message.value >= PEDAL_DOWN)
        elif message.type == "note_on" and message.velocity:
            for began in self._ringing[channel].pop(message.note, ()):
                self._add(now, channel, message.note, began)
            began = _Began(track, now, message.velocity)
            self._down[track, channel, message.note].append(began)
        elif down := self._down[track, channel, message.note]:
            if channel in self._pedals:
                self._ringing[channel].setdefault(message.note, []).append(down.popleft())
            else:
                self._add(now, channel, message.note, down.popleft())

    def finished(self, end: float) -> dict[tuple[int, int], list[Note]]:
        """All notes, by track and channel; those that still sound end here."""
        for channel in self._ringing:
            self._pedal(end, channel, down=False)
        for (_, channel, pitch), down in self._down.items():
            for began in down:
                self._add(end, channel, pitch, began)
        return self._notes

    def _pedal(self, now: float, channel: int, down: bool) -> None:
        if down:
            self._pedals.add(channel)
            return
        self._pedals.discard(channel)
        for pitch, ringing in self._ringing[channel].items():
            for began in ringing:
                self._add(now, channel, pitch, began)
        self._ringing[channel].clear()

    def _add(self, now: float, channel: int, pitch: int, began: _Began) -> None:
        onset = began.onset
        if now > onset:
            note = Note(onset, now - onset, pitch, began.velocity)
            self._notes[began.track, channel].append(note)


def _events(tracks: Iterable[_Track]) -> list[tuple[int, _Track, Any]]:
    """(tick, track, message) of several tracks, in the order of their ticks."""
    events = []
    for track in tracks:
        tick = 0
        for message in track.messages:
            tick += message.time
            events.append((tick, track, message))
    return sorted(events, key=lambda event: event[0])


def _timed(
    path: Path, events: list[tuple[int, _Track, Any]], division: int, start: float
) -> Iterator[tuple[float, _Track, Any]]:
    """Events with seconds in place of ticks, the first tick at `start`."""
    fixed = _smpte(path, division) if division < 0 else 0.0
    seconds_per_tick = fixed or 0.5 / division  # 120 beats a minute, until a tempo is given
    base, base_tick = start, 0
    for tick, track, message in events:
        now = base + (tick - base_tick) * seconds_per_tick if tick <= _MAX_TICKS else MAX_SECONDS
        if now >= MAX_SECONDS:
            raise WavegenError(f"{path} lasts more than 24 hours", "a score of less than a day")
        yield now, track, message
        if message.type == "set_tempo" and message.tempo and not fixed:
            base, base_tick, seconds_per_tick = now, tick, message.tempo * 1e-6 / division


def _smpte(path: Path, division: int) -> float:
    """Seconds in a tick where ticks divide a film's frames; tempo then means nothing."""
    rate, ticks_per_frame = -(division >> 8), division & 0xFF
    if rate not in _FRAMES_PER_SECOND or not ticks_per_frame:
        raise WavegenError(
            f"{path} divides each of {rate} frames a second into {ticks_per_frame} ticks",
            "24, 25, 29 or 30 frames a second, and at least 1 tick",
        )
    return 1 / (_FRAMES_PER_SECOND[rate] * ticks_per_frame)


def _parsed(path: Path) -> Any:
    """The mido.MidiFile, or an error that says what is wrong with it."""
    import mido

    data = _bytes(path)
    try:
        if _ENDLESS_NUMBER.search(data):
            raise ValueError("a number in it has no end")
        file = mido.MidiFile(file=io.BytesIO(data))
    except EOFError:
        raise WavegenError(f"{path} is cut short", "a whole MIDI file") from None
    except Exception as error:  # whatever mido stumbles over is the file's fault
        reason = str(error) or type(error).__name__
        raise WavegenError(f"{path} cannot be read as MIDI: {reason}", _KIND) from None
    if file.type not in (0, 1, 2):
        raise WavegenError(f"{path} says it is MIDI of format {file.type}", "format 0, 1 or 2")
    if not file.tracks:
        raise WavegenError(f"{path} has no tracks", "a MIDI file with at least one")
    if not file.ticks_per_beat:
        raise WavegenError(f"{path} divides its beats into 0 ticks", "at least 1 tick a beat")
    return file


def _bytes(path: Path) -> bytes:
    if path.is_dir():
        raise WavegenError(f"{path} is a folder", _KIND)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise WavegenError(f"{path} cannot be read: {error.strerror}", _KIND) from None
    if not data:
        raise WavegenError(f"{path} is empty: 0 bytes", _KIND)
    if len(data) > MAX_BYTES:
        raise WavegenError(f"{path} is larger than {MAX_BYTES >> 20} MiB", "a score, not a dump")
    return data
