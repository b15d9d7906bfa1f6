"""One note of a SoundFont, as SoundFont 2.04 describes it: pitch, envelopes, filter, loops.

What is left out: effects (reverb, chorus), the places of stereo, and modulators but that of
velocity to loudness. Everything is computed for the whole note at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wavegen.audio.soundfont import DEFAULTS, Sample, SoundFont, Zone

RATE = 48_000  # Hz
_FILTER_OPEN = 13_500  # cents above 8.176 Hz; no filter from here on
_FILTER_BLOCK = 64  # samples with the same coefficients
_LOWEST_HZ = 8.176  # of absolute cents


@dataclass(frozen=True)
class _Time:
    """The instants of a note, and when its key is let go."""

    seconds: np.ndarray  # [N] float64
    hold: float  # seconds


def note(
    font: SoundFont,
    zones: tuple[Zone, ...],
    key: int,
    velocity: int,
    hold_seconds: float,
    release_seconds: float,
) -> np.ndarray:  # [N] float32 at RATE, N that of hold and release together
    """What sounds when a key is held and let go: all zones it lies in, summed to mono."""
    count = round((hold_seconds + release_seconds) * RATE)
    time = _Time(np.arange(count) / RATE, hold_seconds)
    out = np.zeros(count)
    for zone in zones:
        if sounds(zone, key, velocity) and (sample := font.sample(zone)):
            out += _voice(sample, zone.generators, key, velocity, time)
    return out.astype(np.float32)


def sounds(zone: Zone, key: int, velocity: int) -> bool:
    """Whether a zone sounds for a key struck with a velocity."""
    return (
        zone.keys[0] <= key <= zone.keys[1] and zone.velocities[0] <= velocity <= zone.velocities[1]
    )


def _voice(
    sample: Sample, generators: dict[int, int], key: int, velocity: int, time: _Time
) -> np.ndarray:  # [N] float64
    def amount(kind: int) -> int:
        return generators.get(kind, DEFAULTS.get(kind, 0))

    key = amount(46) if 0 <= amount(46) <= 127 else key
    velocity = amount(47) if 0 <= amount(47) <= 127 else velocity
    root = amount(58) if 0 <= amount(58) <= 127 else sample.pitch
    wobble = _triangle(time, amount(21), amount(22))
    vibrato = _triangle(time, amount(23), amount(24))
    swell = _envelope(time, [amount(kind) for kind in range(25, 33)], key, in_decibels=False)
    loudness = _envelope(time, [amount(kind) for kind in range(33, 41)], key, in_decibels=True)

    cents = (key - root) * amount(56) + 100 * amount(51) + amount(52) + sample.correction
    cents = cents + amount(5) * wobble + amount(6) * vibrato + amount(7) * swell
    wave = _wave(sample, amount, cents, time)
    cutoff = amount(8) + amount(10) * wobble + amount(11) * swell
    if cutoff.min() < _FILTER_OPEN:
        wave = _low_pass(wave, cutoff, amount(9) / 10)
    decibels = -40 * np.log10(127 / velocity) if velocity else -np.inf
    decibels = decibels - max(amount(48), 0) / 10 + amount(13) / 10 * wobble
    angle = (np.clip(amount(17), -500, 500) + 500) / 1000 * np.pi / 2
    mono = (np.cos(angle) + np.sin(angle)) / 2  # the mean of what two speakers would play
    return wave * loudness * mono * 10 ** (np.minimum(decibels, 40) / 20)


def _wave(sample: Sample, amount, cents: np.ndarray, time: _Time) -> np.ndarray:
    """The sample at a pitch that may change: looped, and 0 after its end."""
    end = len(sample.wave) + min(amount(1) + 32768 * amount(12), 0)
    start = max(amount(0) + 32768 * amount(4), 0)
    loop_start = sample.loop[0] + amount(2) + 32768 * amount(45)
    loop_end = sample.loop[1] + amount(3) + 32768 * amount(50)
    # At most ten octaves up, so that no place is beyond what a float counts exactly.
    step = sample.rate / RATE * 2 ** (np.clip(cents, -12_000, 12_000) / 1200)
    place = start + np.concatenate([[0.0], np.cumsum(step)[:-1]])
    mode = amount(54) & 3
    if mode in (1, 3) and start <= loop_start < loop_end - 1 and loop_end <= end:
        length = loop_end - loop_start
        turns = np.maximum(np.floor((place - loop_start) / length), 0)
        if mode == 3:  # once the key is let go, it plays on to the end
            held = time.seconds < time.hold
            turns = np.where(held, turns, turns[held].max(initial=0))
        place = place - turns * length
    out = _between(sample.wave, place)
    return np.where(place <= max(end - 1, 0), out, 0.0)


def _between(wave: np.ndarray, place: np.ndarray) -> np.ndarray:
    """The wave between its samples, on cubic curves through four neighbours."""
    whole = np.floor(place)
    part = place - whole
    last = len(wave) - 1
    before, left, right, after = (
        wave[np.clip(whole + shift, 0, last).astype(np.int64)] for shift in (-1, 0, 1, 2)
    )
    slope = 0.5 * (right - before)
    square = before - 2.5 * left + 2 * right - 0.5 * after
    cube = 0.5 * (after - before) + 1.5 * (left - right)
    return ((cube * part + square) * part + slope) * part + left


def _envelope(
    time: _Time, amounts: list[int], key: int, in_decibels: bool
) -> np.ndarray:  # [N] in [0, 1]
    """Delay, attack, hold, decay, sustain, release; the last two amounts: what a key changes.

    Decay and release are given for all the way down, which is 100 dB where in decibels.
    """
    delay, attack, hold, decay, sustain, release, key_to_hold, key_to_decay = amounts
    begin = _seconds(delay)
    top = begin + _seconds(attack)
    fall = top + _seconds(hold + key_to_hold * (60 - key))
    level = 1 - np.clip(sustain, 0, 1000) / 1000

    def held(seconds: np.ndarray) -> np.ndarray:
        rise = np.clip((seconds - begin) / (top - begin), 0, 1)
        down = 1 - np.maximum(seconds - fall, 0) / _seconds(decay + key_to_decay * (60 - key))
        down = np.maximum(down, level)
        return rise * (_from_decibels(down) if in_decibels else down)

    at_release = held(np.array([time.hold]))[0]
    gone = np.maximum(1 - np.maximum(time.seconds - time.hold, 0) / _seconds(release), 0)
    falling = at_release * (_from_decibels(gone) if in_decibels else gone)
    return np.where(time.seconds < time.hold, held(time.seconds), falling)


def _from_decibels(share: np.ndarray) -> np.ndarray:
    """Amplitude of a share of 100 dB; none at 0."""
    return np.where(share > 0, 10 ** (5 * (share - 1)), 0.0)


def _triangle(time: _Time, delay: int, pitch: int) -> np.ndarray:  # [N] in [-1, 1]
    turns = np.maximum(time.seconds - _seconds(delay), 0) * _hertz(pitch)
    return 1 - 4 * np.abs((turns + 0.25) % 1 - 0.5)


def _low_pass(wave: np.ndarray, cutoff: np.ndarray, resonance_db: float) -> np.ndarray:
    """A resonant low-pass of two poles whose cutoff (cents) moves block by block."""
    from scipy.signal import lfilter

    quality = 10 ** ((np.clip(resonance_db, 0, 96) - 3.01) / 20)
    out, state = np.empty_like(wave), np.zeros(2)
    for begin in range(0, len(wave), _FILTER_BLOCK):
        block = slice(begin, begin + _FILTER_BLOCK)
        hertz = min(_hertz(cutoff[begin]), 0.45 * RATE)
        angle = 2 * np.pi * hertz / RATE
        alpha, cosine = np.sin(angle) / (2 * quality), np.cos(angle)
        b = np.array([(1 - cosine) / 2, 1 - cosine, (1 - cosine) / 2])
        out[block], state = lfilter(b, [1 + alpha, -2 * cosine, 1 - alpha], wave[block], zi=state)
    return out


def _seconds(timecents: int) -> float:
    return float(2 ** (np.clip(timecents, -12_000, 8_000) / 1200))


def _hertz(cents: float) -> float:
    return float(_LOWEST_HZ * 2 ** (np.clip(cents, -16_000, _FILTER_OPEN) / 1200))
