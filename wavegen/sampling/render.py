"""A song from a model of single notes: each kind of note is made once, placed, and mixed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import jax
import numpy as np

from wavegen.audio import mulaw, windows
from wavegen.model.network import Trained
from wavegen.music.score import Note, Score
from wavegen.sampling import health, sampler
from wavegen.sampling.arrangement import Arrangement, Kind, Placed
from wavegen.sampling.health import Trouble
from wavegen.sampling.loop import ON_HOST
from wavegen.sampling.request import Draws, Request

BLOCK_SECONDS = 0.25  # of the mix
FADE_SHARE = 0.5  # of the release, at its end: a note that still rings is led to silence
SHORTEST_FADE_SECONDS = 0.005  # of a note without a release, which would click
BATCH = 32  # notes made side by side on a host, 256 on an accelerator
DEVICE_BATCH = 256
HURRIED_BATCH = 8  # where somebody waits for the first of them
LONG_SECONDS = 10.0  # where the notes of a batch are longer, there are fewer of them
AHEAD = 4  # batches that are looked ahead, so that those side by side are alike in length
ATTACK_SECONDS = 0.1  # in which the shortest note has to be heard


@dataclass(frozen=True)
class Failed:
    """A kind of note that collapsed, whatever was tried."""

    kind: Kind
    trouble: Trouble


def render(
    trained: Trained,
    arrangement: Arrangement,
    draws: Draws,
    backend: str = "auto",
    precision: str = "auto",
    *,
    tracks: Sequence[int] | None = None,  # numbers of the tracks to be kept apart; None: none are
    channels: int = 1,  # 2: placed from left to right
    retry: int = 0,  # so many other seeds are tried for a note that collapses
    hurried: bool = False,  # whether somebody waits for the first notes
    on_failed: Callable[[Failed], None] = lambda failed: None,
) -> Iterator[np.ndarray]:  # [n, number of tracks, C] float32; their sum is the song
    """The song from its start to its end, as its notes are made; none is held that is over.

    Every note begins at the sample nearest to its onset. What a kind of note sounds like depends
    on its voice, pitch, velocity and length, and on the seed, not on the song around it.
    """

    def make(numbers: list[int]) -> dict[int, np.ndarray]:
        made, failed = _make(trained, arrangement, numbers, draws, backend, precision, retry)
        for each in failed:
            on_failed(each)
        return made

    rate, placed = trained.config.audio.sample_rate, arrangement.placed
    fade = round(max(FADE_SHARE * arrangement.release_samples, SHORTEST_FADE_SECONDS * rate))
    batches = _batches(trained, arrangement, _most(backend, hurried), hurried)
    sounds = _sounds(arrangement, fade, batches, make)
    numbers = {track: place for place, track in enumerate(tracks or ())}
    sounding: list[tuple[Placed, np.ndarray]] = []
    begun, end, total = 0, 0, arrangement.num_samples
    while end < total:
        start, end = end, min(end + round(BLOCK_SECONDS * rate), total)
        while begun < len(placed) and placed[begun].start < end:
            sounding.append(next(sounds))
            begun += 1
        mixed = np.zeros((end - start, max(1, len(numbers)), channels), np.float32)
        for note, sound in sounding:
            first, last = max(note.start, start), min(note.start + len(sound), end)
            heard = sound[first - note.start : last - note.start, None] * _sides(note, channels)
            mixed[first - start : last - start, numbers.get(note.track, 0)] += heard
        sounding = [each for each in sounding if each[0].start + len(each[1]) > end]
        yield mixed


def speed(
    trained: Trained,
    arrangement: Arrangement,
    draws: Draws,
    backend: str,
    precision: str,
    hurried: bool = False,
) -> float:
    """Samples of notes made in a second here, from a block that is made twice and forgotten."""
    count = min(_most(backend, hurried), len(arrangement.kinds))
    kinds = list(arrangement.kinds[:count])
    request = _request(trained, arrangement, kinds)
    sampler.rehearse(trained, request, draws, backend, precision)  # compiles
    begin = time.monotonic()
    made = sampler.rehearse(trained, request, draws, backend, precision)
    return made / (time.monotonic() - begin)


def shaped(
    take: np.ndarray,  # [T] float32: a kind of note
    note: Placed,
    fade_samples: int,
) -> np.ndarray:  # [note.length] float32, or fewer
    """The note as it is heard at one place: bent, cut to its length, led to silence, so loud."""
    if note.bend is not None:
        reader = note.bend.reader()
        take = np.concatenate([reader.push(take), reader.end()])
    sound = take[: note.length] * np.float32(note.gain)
    # Of what is there to be heard: a take may be a little shorter than the note.
    fade = min(len(sound), max(1, fade_samples))
    sound[len(sound) - fade :] *= np.linspace(0.0, 1.0, fade, dtype=np.float32)[::-1]
    return sound


def _sides(note: Placed, channels: int) -> np.ndarray:  # [C]
    """The gains of the channels; of two, their squares add up to 1 (constant power)."""
    if channels == 1:
        return np.ones(1, np.float32)
    angle = (note.pan + 1) * np.pi / 4
    return np.array([np.cos(angle), np.sin(angle)], np.float32)


def _sounds(
    arrangement: Arrangement,
    fade_samples: int,
    batches: Iterator[list[int]],
    make: Callable[[list[int]], dict[int, np.ndarray]],
) -> Iterator[tuple[Placed, np.ndarray]]:
    """Each note with its sound, in the order of their starts; a take is held until its last use."""
    takes: dict[int, np.ndarray] = {}  # by the number of their kind
    left = Counter(note.kind for note in arrangement.placed)
    for note in arrangement.placed:
        while note.kind not in takes:
            takes |= make(next(batches))
        sound = shaped(takes[note.kind], note, fade_samples)
        left[note.kind] -= 1
        if not left[note.kind]:
            del takes[note.kind]
        yield note, sound


def _batches(
    trained: Trained, arrangement: Arrangement, most: int, hurried: bool
) -> Iterator[list[int]]:
    """The numbers of the kinds that are made side by side, about in the order of their use.

    All notes of a batch are made as long as its longest: some batches are looked ahead and sorted
    by length, and of long notes there are fewer in a batch, so that one that never ends takes
    neither the memory nor the time of many. Halving makes few sizes to compile for.
    """
    frames = [_frames(trained, arrangement, kind) for kind in arrangement.kinds]
    room = most * LONG_SECONDS / trained.config.frame_seconds
    ahead = most if hurried else most * AHEAD
    for first in range(0, len(frames), ahead):
        last = min(first + ahead, len(frames))
        near = sorted(range(first, last), key=frames.__getitem__)
        while near:
            count = most
            while count > 1 and len(near[:count]) * frames[near[:count][-1]] > room:
                count //= 2
            yield near[:count]
            near = near[count:]


def _most(backend: str, hurried: bool) -> int:
    """Notes that are made side by side."""
    if hurried:
        return HURRIED_BATCH
    return BATCH if backend in ON_HOST or jax.default_backend() == "cpu" else DEVICE_BATCH


def _make(
    trained: Trained,
    arrangement: Arrangement,
    numbers: list[int],
    draws: Draws,
    backend: str,
    precision: str,
    retry: int,
) -> tuple[dict[int, np.ndarray], list[Failed]]:
    """The sounds of some kinds; those that collapse are made again with the next seeds."""
    made, failed = {}, []
    for attempt in range(retry + 1):
        seeded = replace(draws, seed=(draws.seed + attempt) % 2**32)
        kinds = [arrangement.kinds[number] for number in numbers]
        sounds, troubles = _takes(trained, arrangement, kinds, seeded, backend, precision)
        made |= dict(zip(numbers, sounds, strict=True))
        failed = [
            (number, trouble)
            for number, trouble in zip(numbers, troubles, strict=True)
            if trouble is not None
        ]
        numbers = [number for number, _ in failed]
        if not numbers:
            break
    return made, [Failed(arrangement.kinds[number], trouble) for number, trouble in failed]


def _takes(
    trained: Trained,
    arrangement: Arrangement,
    kinds: list[Kind],
    draws: Draws,
    backend: str,
    precision: str,
) -> tuple[list[np.ndarray], list[Trouble | None]]:
    """A sound of each kind, all of them in one batch, and what is wrong with each."""
    config, hop = trained.config, trained.config.model.hop_length
    request = _request(trained, arrangement, kinds)
    lengths = [_frames(trained, arrangement, kind) * hop for kind in kinds]
    made = list(sampler.stream(trained, request, draws, backend, precision, measures=True))
    sound = mulaw.decode(np.concatenate([m.codes for m in made], axis=1), config.audio.n_codes)
    entropies = np.concatenate([m.measured[..., 1] for m in made], axis=1)
    troubles = [
        _trouble(trained, score, sound[row, :length], entropies[row, :length])
        for row, (score, length) in enumerate(zip(request.scores, lengths, strict=True))
    ]
    return [sound[row, :length].copy() for row, length in enumerate(lengths)], troubles


def _request(trained: Trained, arrangement: Arrangement, kinds: list[Kind]) -> Request:
    """One note in each stream, as many frames as the longest takes."""
    config = trained.config
    frame = config.frame_seconds
    labels = np.array([arrangement.voices[kind.voice].labels for kind in kinds], np.float32)
    return Request(
        num_frames=max(_frames(trained, arrangement, kind) for kind in kinds),
        scores=tuple(
            Score((Note(0.0, kind.hold_frames * frame, kind.pitch, kind.velocity),))
            for kind in kinds
        ),
        labels=labels.reshape(len(kinds), -1),
        streams=np.array([_stream(kind) for kind in kinds]),
    )


def _frames(trained: Trained, arrangement: Arrangement, kind: Kind) -> int:
    """Frames of a kind of note, its release included."""
    return kind.hold_frames + -(-arrangement.release_samples // trained.config.model.hop_length)


def _trouble(
    trained: Trained, score: Score, sound: np.ndarray, entropies: np.ndarray
) -> Trouble | None:
    """What is wrong with the sound of one note, or None."""
    audio = trained.config.audio
    watch = health.Watch(audio.sample_rate, audio.n_codes, trained.heard, health.sounding(score))
    watch.add(sound, entropies)
    watch.end()
    if watch.troubles:
        return watch.troubles[0]
    held = min(max(score.duration_seconds, ATTACK_SECONDS), health.FRESH_SECONDS)
    window = windows.describe(sound[: max(1, round(held * audio.sample_rate))], audio.sample_rate)
    if window.is_silent:  # a short note fills no window
        return Trouble(health.SILENCE, 0.0, held, f"{window.rms_dbfs:.0f} dBFS while it is held")
    return None


def _stream(kind: Kind) -> int:
    """The number of a kind's random stream: the same in every song."""
    return (kind.pitch * 128 + kind.velocity) * 4096 + kind.hold_frames % 4096
