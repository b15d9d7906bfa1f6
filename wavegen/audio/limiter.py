"""A limiter that looks ahead: peaks below a ceiling, without a click and without a delay."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np

from wavegen.audio import blocks as blocks_of

AHEAD_SECONDS = 0.005  # in which the gain goes down before a peak
RELEASE_SECONDS = 0.1  # in which all but 1/e of it comes back
_BLOCK_SECONDS = 0.1
_NOTHING = 2.0**-26  # a reduction that no float32 sample shows


def limit(
    blocks: Iterable[np.ndarray],  # [n, C] float32 each
    sample_rate: int,
    ceiling_dbfs: float,
) -> Iterator[np.ndarray]:  # [m, C] float32, as many samples in all
    """The sound with no sample above the ceiling; bit for bit itself where it needs no limit.

    One gain for all channels. It is the smallest that any peak of the next 5 ms needs, returns
    exponentially, and is then averaged over 5 ms, so that it arrives at a peak as a slope.
    """
    from scipy import ndimage

    ceiling = np.float32(10 ** (ceiling_dbfs / 20))
    if float(ceiling) > 10 ** (ceiling_dbfs / 20):
        ceiling = np.nextafter(ceiling, np.float32(0))  # rounded, but not upwards
    ahead = math.ceil(AHEAD_SECONDS * sample_rate)
    slope = np.hanning(ahead + 3)[1:-1]  # [ahead + 1]
    slope /= slope.sum()
    sound: np.ndarray | None = None  # [ahead, C]: not given yet
    needed = np.zeros(ahead)  # the reduction, 0 to 1, that each of its samples needs
    before = np.zeros(ahead)  # the reduction of the time before it
    early = ahead  # samples of the silence that was put before the sound
    for block in blocks_of.recut(_ringing(blocks, ahead), math.ceil(_BLOCK_SECONDS * sample_rate)):
        n = len(block)
        if sound is None:
            sound = np.zeros((ahead, block.shape[1]), np.float32)
        sound = np.concatenate([sound, block])
        needed = np.concatenate([needed, _needed(block, ceiling)])
        soon = ndimage.maximum_filter1d(
            needed, ahead + 1, origin=-((ahead + 1) // 2), mode="constant"
        )[:n]
        before = np.concatenate([before, _released(soon, before[-1], sample_rate)])
        gain = 1 - np.convolve(before, slope, "valid")
        made = np.clip(sound[:n] * gain[:, None], -ceiling, ceiling).astype(np.float32)
        yield made[early:]
        sound, needed, before, early = sound[n:], needed[n:], before[n:], 0


def _needed(block: np.ndarray, ceiling: np.floating) -> np.ndarray:  # [n] float64
    """The reductions that bring every channel down to the ceiling; 0 where all are below."""
    peaks = np.abs(block).max(axis=1).astype(np.float64)
    return 1 - float(ceiling) / np.maximum(peaks, float(ceiling))


def _released(
    wanted: np.ndarray,  # [n]
    held: float,
    sample_rate: int,
) -> np.ndarray:  # [n]
    """The reductions wanted, each falling exponentially until a greater one comes.

    That is max over k <= n of wanted[k] exp(-(n - k) / tau): in logarithms, a running maximum.
    """
    fall = np.arange(1, len(wanted) + 1) / (RELEASE_SECONDS * sample_rate)
    with np.errstate(divide="ignore"):  # the logarithm of no reduction
        levels = np.log(np.append(held, wanted)) + np.append(0.0, fall)
    released = np.exp(np.maximum.accumulate(levels)[1:] - fall)
    return np.maximum(np.where(released < _NOTHING, 0.0, released), wanted)


def _ringing(blocks: Iterable[np.ndarray], count: int) -> Iterator[np.ndarray]:
    """The blocks, and so many samples of silence."""
    silence = None
    for block in blocks:
        silence = np.zeros((count, block.shape[1]), np.float32)
        yield block
    if silence is not None:
        yield silence
