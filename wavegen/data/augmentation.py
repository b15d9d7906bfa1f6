"""Recordings as they might have been as well: louder, turned over, a little late, transposed,
their notes played more softly, or let go sooner.

What is changed in a window is a function of (seed, step), like the window itself, and the
notes are changed along.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import NamedTuple

import numpy as np

from wavegen.audio.mulaw import INT16_FULL_SCALE
from wavegen.config import Augmentation, Vocabulary
from wavegen.data.items import Split

_MARGIN = 256  # samples beside what is resampled: more than its filter hears

DECIBELS_PER_DECADE = 40.0  # of velocity: loudness as its square, as General MIDI recommends
SHORTEST_SECONDS = 0.1  # of a note that is let go
FADE_SECONDS = 0.15  # in which it fades to 1/e from there on: a damper's, about


class Changes(NamedTuple):
    """What is done to the recording of each of B windows, before the window is cut."""

    gains: np.ndarray  # [B] float64; below 0 where the polarity is turned
    delays: np.ndarray  # [B] int64 samples of silence before the recording
    semitones: np.ndarray  # [B] int64; by playing it faster or slower, as a tape does
    softer_db: np.ndarray  # [B] float64; in `gains` already, and in the notes' velocities
    ends: np.ndarray  # [B] float64 samples at which its only note is let go; inf: as it was

    @property
    def speeds(self) -> np.ndarray:  # [B] float64
        """How many times as fast each recording is played."""
        return 2.0 ** (self.semitones / 12)


def none(count: int) -> Changes:
    """Changes that leave `count` recordings as they are."""
    none = np.zeros(count, np.int64)
    return Changes(np.ones(count), none, none, np.zeros(count), np.full(count, np.inf))


def draw(
    split: Split, items: np.ndarray, plan: Augmentation, sample_rate: int, seed: int, step: int
) -> Changes:
    """The changes of a step, for the recordings `items` [B] of its windows.

    No note is moved beyond the keys that there are, and only recordings of one note are let go.
    """
    # Far from the numbers that chose the windows, under the same key.
    random = np.random.Generator(np.random.Philox(key=[seed, step], counter=[0, 0, 0, 1]))
    size = len(items)
    gains = 10 ** (random.uniform(-plan.gain_db, plan.gain_db, size) / 20)
    turned = random.random(size) < plan.polarity_fraction
    delays = random.integers(0, plan.delay_samples + 1, size)
    semitones = random.integers(-plan.transpose_semitones, plan.transpose_semitones + 1, size)
    lowest, highest = _keys(split)
    semitones = np.clip(semitones, -lowest[items], 127 - highest[items])
    softer = random.uniform(0, plan.softer_db, size)
    gains = np.where(turned, -gains, gains) * 10 ** (-softer / 20)
    let_go, share = random.random(size) < plan.let_go_fraction, random.random(size)
    firsts, counts = split.note_start[items], np.diff(split.note_start)[items]
    if not (let_go & (counts == 1)).any():
        return Changes(gains, delays, semitones, softer, np.full(size, np.inf))
    at = np.where(counts == 1, firsts, 0)
    shortest = np.minimum(SHORTEST_SECONDS, split.note_seconds[at])
    held = shortest + share * (split.note_seconds[at] - shortest)
    ends = (split.onset_seconds[at] + held) * sample_rate / 2.0 ** (semitones / 12) + delays
    return Changes(gains, delays, semitones, softer, np.where(let_go & (counts == 1), ends, np.inf))


def lengths(split: Split, items: np.ndarray, changes: Changes) -> np.ndarray:  # [B] int64
    """Samples of each recording once changed, its delay included."""
    played = split.lengths[items] / changes.speeds
    return np.rint(played).astype(np.int64) + changes.delays


def read(
    split: Split,
    items: np.ndarray,  # [B]
    begins: np.ndarray,  # [B] samples from the changed recording's start; may be negative
    count: int,  # T
    changes: Changes,
    sample_rate: int,
) -> np.ndarray:  # [B, T] int16; zeros before and after a recording
    """A stretch of each recording, changed. None becomes so loud that it clips."""
    out = np.zeros((len(items), count), np.int16)
    speeds, firsts = changes.speeds, begins - changes.delays
    for row, item in enumerate(items):  # before the first is waited for
        split.expect(item, *_source(firsts[row], count, speeds[row]))
    for row, item in enumerate(items):
        if changes.semitones[row]:
            _resample(split.read(item), firsts[row], speeds[row], out[row])
        else:
            _copy(split.read(item), firsts[row], out[row])
        if np.isfinite(changes.ends[row]):
            _let_go(out[row], changes.ends[row] - begins[row], FADE_SECONDS * sample_rate)
    if (changes.gains != 1).any():
        peaks = np.abs(out.astype(np.int32)).max(axis=1, initial=1)
        gains = np.clip(changes.gains, -INT16_FULL_SCALE / peaks, INT16_FULL_SCALE / peaks)
        out = np.rint(out * gains[:, None].astype(np.float32)).astype(np.int16)
    return out


def notes(
    split: Split,
    events: np.ndarray,  # [N] places of notes in the split
    rows: np.ndarray,  # [N] the change of each
    changes: Changes,
    sample_rate: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:  # [N] each
    """Onsets and durations in seconds, MIDI pitches and velocities of notes, changed like their
    recordings; velocities are float64 and at least 1.
    """
    speeds, delays = changes.speeds[rows], changes.delays[rows] / sample_rate
    onsets = split.onset_seconds[events] / speeds + delays
    pitches = split.pitch[events].astype(np.int64) + changes.semitones[rows]
    seconds = np.minimum(
        split.note_seconds[events] / speeds, changes.ends[rows] / sample_rate - onsets
    )
    softer = 10 ** (-changes.softer_db[rows] / DECIBELS_PER_DECADE)
    return onsets, seconds, pitches, np.maximum(split.velocity[events] * softer, 1.0)


def widened(vocabulary: Vocabulary, plan: Augmentation) -> Vocabulary:
    """The vocabulary with all pitches and velocities that the changes make of its own."""
    reach = range(-plan.transpose_semitones, plan.transpose_semitones + 1)
    heard = {pitch + step for pitch in vocabulary.pitches for step in reach}
    pitches = tuple(sorted(pitch for pitch in heard if 0 <= pitch <= 127))
    velocities = vocabulary.velocities
    if plan.softer_db and velocities:
        softest = min(velocities) * 10 ** (-plan.softer_db / DECIBELS_PER_DECADE)
        velocities = tuple(range(max(1, round(softest)), max(velocities) + 1))
    return dataclasses.replace(vocabulary, pitches=pitches, velocities=velocities)


def _copy(samples: np.ndarray, first: int, out: np.ndarray) -> None:
    """Writes samples[first : first + len(out)], as far as there are any."""
    part = samples[max(0, first) : max(0, first + len(out))]
    at = max(0, -first)
    out[at : at + len(part)] = part


def _let_go(samples: np.ndarray, end: float, fade_samples: float) -> None:
    """Fades the samples [T] from `end` on, which may lie before the first."""
    late = np.arange(max(0, math.ceil(end)), len(samples))
    samples[late] = np.rint(samples[late] * np.exp((end - late) / fade_samples))


def _source(first: int, count: int, speed: float) -> tuple[int, int]:
    """Where that lies in a recording which becomes `count` samples from `first` on at `speed`."""
    begin = int(np.floor(first * speed)) - _MARGIN
    return begin, begin + int(np.ceil(count * speed)) + 2 * _MARGIN


def _resample(samples: np.ndarray, first: int, speed: float, out: np.ndarray) -> None:
    """Writes what begins at sample `first` of the recording played at `speed`.

    It may lie up to half a sample beside its place, all of it alike.
    """
    import soxr

    begin, end = _source(first, len(out), speed)
    source = np.zeros(end - begin, np.int16)
    _copy(samples, begin, source)
    made = soxr.resample(source.astype(np.float32), speed, 1.0)
    skipped = round((first * speed - begin) / speed)
    made = made[skipped : skipped + len(out)]
    out[: len(made)] = np.clip(np.rint(made), -INT16_FULL_SCALE, INT16_FULL_SCALE)


@functools.lru_cache(maxsize=8)
def _keys(split: Split) -> tuple[np.ndarray, np.ndarray]:  # [N], [N] int64
    """The lowest and the highest pitch of each recording; 127 and 0 where it has no notes."""
    lowest, highest = np.full(split.num_items, 127), np.zeros(split.num_items, np.int64)
    rows = np.repeat(np.arange(split.num_items), np.diff(split.note_start))
    np.minimum.at(lowest, rows, split.pitch)
    np.maximum.at(highest, rows, split.pitch)
    return lowest, highest
