"""A small synthesiser: notes of a few timbres, for demos and tests without any data.

Every timbre is a sum of partials, each with its own loudness, attack and decay; so all of
them are exactly in tune and hold nothing above what the sample rate can carry.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from wavegen.errors import WavegenError

MAX_PARTIALS = 24
HIGHEST = 0.45  # of the sample rate; no partial lies above
PEAK = 0.9  # of a note at velocity 127
RELEASE_DB = 70.0  # how far a note sinks in its release


@dataclass(frozen=True)
class Timbre:
    """How partials of one instrument sound; partial 0 is the fundamental."""

    ratios: tuple[float, ...]  # frequencies over the fundamental
    levels: tuple[float, ...]  # dB at full velocity
    decay: float  # dB a second of the fundamental at middle C
    decay_slope: float = 0.0  # dB a second more, per unit of ratio
    attack: float = 0.005  # seconds
    attack_slope: float = 0.0  # seconds more, per unit of ratio: brass opens slowly
    dulling: float = 1.2  # dB per unit of ratio that the softest touch takes away
    breath: float = -90.0  # dB of noise, over the loudest partial
    tremolo: float = 0.0  # depth, as a share of the level


def _harmonic(slope: float, even: float = 0.0, count: int = MAX_PARTIALS) -> tuple:
    """Ratios 1, 2, 3, ... and levels that fall `slope` dB an octave, `even` ones further."""
    ratios = tuple(float(k) for k in range(1, count + 1))
    levels = tuple(-slope * np.log2(k) - (even if k % 2 == 0 else 0) for k in ratios)
    return ratios, levels


TIMBRES = {
    "pluck": Timbre(*_harmonic(7.0), decay=9, decay_slope=3.5, attack=0.003, dulling=2.0),
    "bar": Timbre(
        (1, 2.756, 5.404, 8.933),
        (0, -14, -20, -26),
        decay=14,
        decay_slope=14,
        attack=0.002,
        dulling=2.5,
    ),
    "organ": Timbre(
        (1, 2, 3, 4, 6, 8), (0, -4, -9, -11, -18, -20), decay=0, attack=0.02, dulling=0.8
    ),
    "brass": Timbre(
        *_harmonic(5.0, count=16), decay=1.5, attack=0.03, attack_slope=0.008, dulling=2.5
    ),
    "flute": Timbre(
        (1, 2, 3, 4),
        (0, -14, -20, -32),
        decay=1,
        attack=0.05,
        attack_slope=0.01,
        dulling=3.0,
        breath=-46,
        tremolo=0.1,
    ),
    "electric_piano": Timbre(
        (1, 2, 3, 4, 7.03, 14.1), (0, -9, -17, -24, -20, -28), decay=7, decay_slope=6, dulling=2.2
    ),
    "reed": Timbre(*_harmonic(6.0, even=16.0, count=15), decay=1, attack=0.025, dulling=1.8),
}


def note(
    timbre: str,
    pitch: int,  # MIDI
    velocity: int,  # 1 to 127; more is louder and brighter
    duration_seconds: float,  # the key is held
    release_seconds: float,  # it dies away
    sample_rate: int,
    seed: int = 0,
) -> np.ndarray:  # [T] float32, T = round((duration + release) * sample_rate)
    """One note, peak at most 0.9; the same arguments give the same samples."""
    if timbre not in TIMBRES:
        raise WavegenError(f"there is no timbre '{timbre}'", "one of: " + ", ".join(TIMBRES))
    sound = TIMBRES[timbre]
    rng = np.random.default_rng([seed, pitch, velocity, zlib.crc32(timbre.encode())])
    time = np.arange(round((duration_seconds + release_seconds) * sample_rate)) / sample_rate
    samples = _partials(sound, pitch, velocity, time, sample_rate)
    samples *= 1 + sound.tremolo * np.sin(2 * np.pi * (5.0 * time + rng.random()))
    samples += _breath(sound, velocity, time, samples, rng)
    samples *= _release(time, duration_seconds, release_seconds)
    peak = np.abs(samples).max(initial=1e-9)
    return (samples * (PEAK * (velocity / 127) ** 0.7 / peak)).astype(np.float32)


def _partials(
    sound: Timbre,
    pitch: int,
    velocity: int,
    time: np.ndarray,
    sample_rate: int,
) -> np.ndarray:
    fundamental = 440.0 * 2.0 ** ((pitch - 69) / 12)
    softness = 1 - velocity / 127
    height = 2.0 ** ((pitch - 60) / 24)  # high notes die away faster
    samples = np.zeros_like(time)
    # All partials start at phase 0, as those of a struck or blown thing are locked together.
    # With random phases every note would be a waveform of its own, to be learnt by heart.
    for ratio, level in zip(sound.ratios, sound.levels, strict=True):
        if fundamental * ratio > HIGHEST * sample_rate:
            continue
        decibels = level - sound.dulling * softness * (ratio - 1)
        fall = (sound.decay + sound.decay_slope * (ratio - 1)) * height
        attack = sound.attack + sound.attack_slope * (ratio - 1)
        envelope = 10 ** ((decibels - fall * time) / 20) * np.sin(
            np.pi / 2 * np.minimum(1, time / attack)
        )
        samples += envelope * np.sin(2 * np.pi * fundamental * ratio * time)
    return samples


def _breath(
    sound: Timbre,
    velocity: int,
    time: np.ndarray,
    samples: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Noise that grows with the attack, smoothed so that it is air and not hiss."""
    level = (
        10 ** (sound.breath / 20) * (0.5 + 0.5 * velocity / 127) * np.abs(samples).max(initial=0)
    )
    white = rng.standard_normal(len(time) + 3)
    air = (white[:-3] + white[1:-2] + white[2:-1] + white[3:]) / 2
    return level * np.minimum(1, time / sound.attack) * air


def _release(time: np.ndarray, duration_seconds: float, release_seconds: float) -> np.ndarray:
    """1 while the key is held, then a fall of RELEASE_DB that ends at 0."""
    if release_seconds <= 0:
        return np.ones_like(time)
    part = np.clip((time - duration_seconds) / release_seconds, 0, 1)
    return 10 ** (-RELEASE_DB / 20 * part) * (1 - part**8)
