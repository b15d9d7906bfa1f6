"""Sound made fit to be heard: each step takes blocks and gives blocks, whatever their sizes.

A step gives the same samples however the sound is cut, and holds no more of it than it needs:
sound of hours takes no more memory than a minute. Blocks are [n, C] float32, C one or two
channels; nothing but the limiter clips.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from wavegen.audio import blocks as blocks_of
from wavegen.audio import cleaning, limiter, loudness, room
from wavegen.errors import WavegenError

Blocks = Iterator[np.ndarray]  # [n, C] float32 each

CEILING_DBFS = -1.0  # of the limiter, where a loudness is asked for and no ceiling
_MIX_SAMPLES = 1 << 14  # mixed at once
_LSB = 2.0**-15  # a step of 16 bits


@dataclass(frozen=True)
class Mastering:
    """What was asked to be done to a sound: nothing, unless told."""

    remove_dc: bool = False
    reverb_db: float | None = None  # level of the room, of the sound's own
    reverb_seconds: float = room.SECONDS
    gain_db: float = 0.0
    fade_in_seconds: float = 0.0
    fade_out_seconds: float = 0.0
    loudness_lufs: float | None = None
    limit_dbfs: float | None = None
    dither: bool = False

    def __post_init__(self) -> None:
        _check("the reverb's level", self.reverb_db, -80, 20, "dB")
        _check("the reverb's length", self.reverb_seconds, 0.05, 10, "seconds")
        _check("the gain", self.gain_db, -120, 120, "dB")
        _check("the fade-in", self.fade_in_seconds, 0, math.inf, "seconds")
        _check("the fade-out", self.fade_out_seconds, 0, math.inf, "seconds")
        _check("the loudness asked for", self.loudness_lufs, -70, 0, "LUFS")
        _check("the limiter's ceiling", self.limit_dbfs, -60, 0, "dBFS")

    @property
    def ceiling_dbfs(self) -> float | None:
        """The limiter's; sound that is made louder never goes without one."""
        if self.limit_dbfs is None and self.loudness_lufs is not None:
            return CEILING_DBFS
        return self.limit_dbfs

    @property
    def num_passes(self) -> int:
        """How often `master` walks through the sound."""
        return 1 if self.loudness_lufs is None else 2


def master(
    open_blocks: Callable[[], Blocks],  # called for each pass: the sound from its start
    sample_rate: int,
    num_samples: int,  # of each channel, in all
    channels: int,
    mastering: Mastering,
    seed: int = 0,
) -> tuple[Blocks, dict[str, Any]]:
    """The sound as it was asked for, and the facts: what was done, and `num_samples` of it now.

    The order is: offset, room, gain, fades, loudness, limiter, dither. Where a loudness is
    asked for, the sound is first walked through to measure it, before this returns; the limiter
    comes after, and what it takes off is not made up for. Silence gets no gain, and is called
    `silent`.
    """
    facts: dict[str, Any] = {"num_samples": num_samples}
    if mastering.reverb_db is not None and num_samples:
        facts["num_samples"] += room.impulse_samples(sample_rate, mastering.reverb_seconds) - 1
    _check_fades(mastering, facts["num_samples"] / sample_rate)
    facts |= _asked(mastering)
    shape = lambda: _shaped(open_blocks(), sample_rate, facts["num_samples"], mastering)
    raised_db = 0.0
    if mastering.loudness_lufs is not None:
        meter = loudness.Meter(sample_rate, channels)
        for block in shape():
            meter.push(block)
        if math.isfinite(meter.lufs):
            raised_db = mastering.loudness_lufs - meter.lufs
        else:
            facts["silent"] = True
        facts["loudness_gain_db"] = round(raised_db, 2)
    blocks = gain(shape(), raised_db)
    if mastering.ceiling_dbfs is not None:
        blocks = limiter.limit(blocks, sample_rate, mastering.ceiling_dbfs)
    return (dither(blocks, seed) if mastering.dither else blocks), facts


def quieter(mastering: Mastering, peak: float, highest: float) -> Mastering:
    """The same, and so much quieter that a sound with this peak has the highest one allowed."""
    return replace(mastering, gain_db=mastering.gain_db - 20 * math.log10(peak / highest))


def remove_dc(
    blocks: Iterable[np.ndarray],
    sample_rate: int,
) -> Blocks:
    """The sound without an offset or anything else below 20 Hz: `cleaning.highpass`, unclipped."""
    # The filter's start is the mean of so many samples, which must be there at once.
    size = math.ceil(cleaning.OFFSET_SECONDS * sample_rate)
    for block in cleaning.without_lows(blocks_of.recut(blocks, size), sample_rate):
        yield block.astype(np.float32)


def gain(
    blocks: Iterable[np.ndarray],
    gain_db: float,
) -> Blocks:
    """The sound so many dB louder; bit for bit itself at 0 dB."""
    factor = np.float32(10 ** (gain_db / 20))
    for block in blocks:
        yield block * factor


def fade(
    blocks: Iterable[np.ndarray],
    sample_rate: int,
    in_seconds: float,
    out_seconds: float,
    num_samples: int,
) -> Blocks:
    """The sound coming from silence and going to it, each in a raised cosine.

    Its first sample is 0 where it fades in, and the last of its `num_samples` where it fades out.
    """
    start = 0
    for block in blocks:
        place = np.arange(start, start + len(block), dtype=np.float64)
        start += len(block)
        curve = _rise(place, in_seconds * sample_rate)
        curve *= _rise(num_samples - 1 - place, out_seconds * sample_rate)
        yield (block * curve[:, None]).astype(np.float32)


def dither(
    blocks: Iterable[np.ndarray],
    seed: int,
) -> Blocks:
    """The sound and noise that makes rounding to 16 bits inaudible: no distortion, only hiss.

    The noise is triangular, up to one step of 16 bits either way (Lipshitz, Wannamaker and
    Vanderkooy 1992, "Quantization and Dither: A Theoretical Survey"). It is a function of the seed,
    the channel and the place of a sample. It comes last: a peak may be a step above a ceiling.
    """
    random: list[np.random.Generator] = []
    for block in blocks:
        for channel in range(len(random), block.shape[1]):
            key = np.array([seed % 2**64, channel], np.uint64)
            random.append(np.random.Generator(np.random.Philox(key=key)))
        draws = [each.random((len(block), 2)).sum(axis=1) - 1 for each in random]
        yield (block + _LSB * np.stack(draws, axis=1)).astype(np.float32)


def mix(
    tracks: Sequence[Iterable[np.ndarray]],  # each [n, C]: one C, lengths and cuts of their own
    gains_db: Sequence[float],
) -> Blocks:
    """The sum of the tracks, each so many dB louder, as long as the longest."""
    factors = [10 ** (gain_db / 20) for gain_db in gains_db]
    even = [blocks_of.recut(track, _MIX_SAMPLES) for track in tracks]
    for blocks in itertools.zip_longest(*even):
        sounding = [(b, f) for b, f in zip(blocks, factors, strict=True) if b is not None]
        longest = max((block for block, _ in sounding), key=len)
        total = np.zeros(longest.shape)
        for block, factor in sounding:
            total[: len(block)] += block * np.float64(factor)
        yield total.astype(np.float32)


def _shaped(
    blocks: Iterable[np.ndarray], sample_rate: int, num_samples: int, mastering: Mastering
) -> Blocks:
    """The steps before the level: whose loudness is measured is what the limiter will meet."""
    if mastering.remove_dc:
        blocks = remove_dc(blocks, sample_rate)
    if mastering.reverb_db is not None:
        blocks = room.reverb(blocks, sample_rate, mastering.reverb_db, mastering.reverb_seconds)
    if mastering.gain_db:
        blocks = gain(blocks, mastering.gain_db)
    fades = mastering.fade_in_seconds, mastering.fade_out_seconds
    if any(fades):
        blocks = fade(blocks, sample_rate, *fades, num_samples)
    yield from blocks


def _asked(mastering: Mastering) -> dict[str, Any]:
    """What is to be done, and nothing of what is not."""
    facts: dict[str, Any] = {}
    if mastering.remove_dc:
        facts["highpass_hz"] = cleaning.CUTOFF_HZ
    if mastering.reverb_db is not None:
        facts["reverb_db"] = mastering.reverb_db
        facts["reverb_seconds"] = mastering.reverb_seconds
    for name in ("gain_db", "fade_in_seconds", "fade_out_seconds"):
        if value := getattr(mastering, name):
            facts[name] = value
    if mastering.loudness_lufs is not None:
        facts["loudness_lufs"] = mastering.loudness_lufs
    if mastering.ceiling_dbfs is not None:
        facts["limit_dbfs"] = mastering.ceiling_dbfs
    if mastering.dither:
        facts["dither"] = True
    return facts


def _rise(
    place: np.ndarray,  # [n], of a fade's first sample 0
    num_samples: float,
) -> np.ndarray:  # [n], 0 to 1
    if not num_samples:
        return np.ones(len(place))
    return 0.5 - 0.5 * np.cos(np.pi * np.clip(place / num_samples, 0, 1))


def _check(what: str, value: float | None, low: float, high: float, unit: str) -> None:
    if value is not None and not low <= value <= high:
        most = f"to {high}" if math.isfinite(high) else "or more"
        raise WavegenError(f"{what} is {value} {unit}", f"{low} {most} {unit}")


def _check_fades(mastering: Mastering, seconds: float) -> None:
    for what, fading in (("in", mastering.fade_in_seconds), ("out", mastering.fade_out_seconds)):
        if fading > seconds:
            raise WavegenError(
                f"a fade-{what} of {fading:g} seconds in a sound of {seconds:.3g}",
                "a fade no longer than the sound",
            )
