"""A sound read at a varying speed: pitch bends and vibrato."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from wavegen import curves
from wavegen.curves import Curve
from wavegen.errors import WavegenError

TAPS = 32  # of the interpolation
MOST_SEMITONES = 24.0  # up or down
_BLOCK = 1024  # samples put out at once; positions are summed block by block, whatever comes in
_BETA = 8.0  # of the Kaiser window: what is mirrored lies 80 dB below
_DISTANCES = np.linspace(0, TAPS / 2, 4096)  # where the window is known; straight between
_WINDOW = np.i0(_BETA * np.sqrt(1 - np.square(2 * _DISTANCES / TAPS))) / np.i0(_BETA)


@dataclass(frozen=True)
class Bend:
    """How far a sound is bent, in semitones over time, and how it is let tremble."""

    sample_rate: int
    semitones: float | Curve = 0.0
    vibrato_hz: float = 0.0
    vibrato_semitones: float = 0.0  # to each side

    def __post_init__(self) -> None:
        low, high = curves.extremes(self.semitones)
        for name, value, least, most in (
            ("bend", low, -MOST_SEMITONES, MOST_SEMITONES),
            ("bend", high, -MOST_SEMITONES, MOST_SEMITONES),
            ("vibrato's rate", self.vibrato_hz, 0.0, 100.0),
            ("vibrato's depth", self.vibrato_semitones, 0.0, MOST_SEMITONES),
        ):
            if not least <= value <= most:
                raise WavegenError(f"a {name} of {value:g}", f"{least:g} to {most:g}")

    def speed(
        self,
        seconds: np.ndarray,  # [n], of what is put out
    ) -> np.ndarray:  # [n]
        """Samples of the sound that pass in one sample of what is put out."""
        swing = np.sin(2 * np.pi * self.vibrato_hz * seconds)
        semitones = curves.at(self.semitones, seconds) + self.vibrato_semitones * swing
        return np.exp2(semitones / 12)

    def samples_needed(self, num_samples: int) -> int:
        """Samples of the sound that so many of what is put out are read from."""
        end = sum(
            float(
                self.speed(
                    np.arange(first, min(first + 65_536, num_samples)) / self.sample_rate
                ).sum()
            )
            for first in range(0, num_samples, 65_536)
        )
        return math.ceil(end) + TAPS

    def reader(self) -> Reader:
        """Reads one sound, from its begin."""
        return Reader(self)


class Reader:
    """Takes a sound in blocks and gives it bent; the same samples, however it is cut."""

    def __init__(self, bend: Bend) -> None:
        self._bend = bend
        self._known = np.zeros(TAPS // 2, np.float32)  # silence before the sound
        self._first = -TAPS // 2  # place in the sound of the first that is known
        self._place = 0.0  # in the sound, of the next sample that is put out
        self._done = 0  # samples put out

    def push(
        self,
        samples: np.ndarray,  # [n] float32
    ) -> np.ndarray:  # [m] float32
        """Takes what comes next; what can be put out now, in whole blocks."""
        self._known = np.concatenate([self._known, samples])
        parts = [samples[:0].astype(np.float32)]
        while (places := self._places())[-1] + TAPS // 2 + 1 < self._first + len(self._known):
            parts.append(self._read(places))
        return np.concatenate(parts)

    def end(self) -> np.ndarray:  # [m] float32
        """What is left, up to the end of the sound."""
        last = self._first + len(self._known)
        self._known = np.concatenate([self._known, np.zeros(2 * _BLOCK + TAPS, np.float32)])
        parts = [self._known[:0]]
        while self._place < last:
            places = self._places()
            parts.append(self._read(places)[: int(np.searchsorted(places, last))])
        return np.concatenate(parts)

    def _places(self) -> np.ndarray:  # [_BLOCK] float64
        """Where in the sound the samples of the next block lie."""
        seconds = (self._done + np.arange(_BLOCK)) / self._bend.sample_rate
        return self._place + np.concatenate([[0.0], np.cumsum(self._bend.speed(seconds))])[:-1]

    def _read(self, places: np.ndarray) -> np.ndarray:
        speed = self._bend.speed((self._done + np.arange(_BLOCK)) / self._bend.sample_rate)
        out = read_at(self._known, places - self._first, speed)
        self._place, self._done = float(places[-1] + speed[-1]), self._done + _BLOCK
        unused = max(0, int(self._place) - TAPS // 2 - self._first)
        self._known, self._first = self._known[unused:], self._first + unused
        return out


def read_at(
    samples: np.ndarray,  # [N] float32
    places: np.ndarray,  # [n] float64, in samples
    speed: np.ndarray,  # [n]: samples from one place to the next
) -> np.ndarray:  # [n] float32
    """The sound between its samples, with silence around it.

    Sinc interpolation under a Kaiser window; where it is read faster, what would rise beyond
    half the sample rate is taken off (Smith and Gossett 1984, "A flexible sampling-rate
    conversion method", section 3).
    """
    whole = np.floor(places).astype(np.int64)
    offsets = np.arange(-TAPS // 2 + 1, TAPS // 2 + 1)
    at = whole[:, None] + offsets  # [n, TAPS]
    distance = places[:, None] - at
    scale = np.maximum(speed, 1.0)[:, None]
    window = np.interp(np.abs(distance), _DISTANCES, _WINDOW)
    weights = np.sinc(distance / scale) / scale * window
    inside = (at >= 0) & (at < len(samples))
    values = np.where(inside, samples[np.clip(at, 0, max(0, len(samples) - 1))], 0.0)
    return np.einsum("nt,nt->n", weights, values).astype(np.float32)
