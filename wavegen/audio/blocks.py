"""Decoded frames cut anew, spread, made mono, resampled and looked at, block by block."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

FULL_SCALE = 1 - 2**-15  # the highest sample of 16 bits, of which more bits only come closer to 1
FULL_SCALE_8_BITS = 1 - 2**-7
_RUN = 3  # so many equal samples at full scale in a row are a clipped wave, not a peak


class Mono:
    """Takes blocks of frames, gives blocks of mono samples in [-1, 1] at another rate.

    The blocks given, put together, are what one block of all frames would give. Channels
    are averaged; what lies beyond full scale is clipped. The counts stand for what was
    taken so far, on every channel.
    """

    def __init__(self, own_rate: int, sample_rate: int, full_scale: float = FULL_SCALE) -> None:
        self.num_frames = 0
        self.clipped = 0  # samples at or beyond full scale
        self.clipped_runs = 0  # three or more equal ones in a row
        self.not_finite = 0  # NaN or infinite samples; from the first one on nothing is given
        self._full_scale = full_scale
        self._rates = own_rate, sample_rate
        self._given = 0
        self._before: np.ndarray | None = None  # [_RUN, C], the end of the block before
        self._resampler = None
        if own_rate != sample_rate:
            import soxr

            self._resampler = soxr.ResampleStream(own_rate, sample_rate, 1, dtype="float32")

    def push(
        self,
        frames: np.ndarray,  # [n, C] float32
    ) -> np.ndarray:  # [m] float32
        """The samples that these frames complete; a resampler holds some back."""
        self.num_frames += len(frames)
        low, high = float(frames.min()), float(frames.max())
        if self.not_finite or not np.isfinite(low + high):
            self.not_finite += int(np.count_nonzero(~np.isfinite(frames)))
            return np.zeros(0, np.float32)
        beyond = max(-low, high) >= self._full_scale
        self._count(frames, beyond)
        samples = _mean(frames)
        if self._resampler is not None:
            samples = self._resampler.resample_chunk(samples)
        elif not beyond:
            self._given += len(samples)
            return samples
        self._given += len(samples)
        return np.clip(samples, -1.0, 1.0)

    def end(self) -> np.ndarray:  # [m] float32
        """The samples that were held back; in all there are as many as the frames last, rounded up.

        soxr rounds to the nearest, so one may be missing; silence takes its place.
        """
        if self._resampler is None or self.not_finite:
            return np.zeros(0, np.float32)
        rest = self._resampler.resample_chunk(np.zeros(0, np.float32), last=True)
        own_rate, sample_rate = self._rates
        wanted = -(-self.num_frames * sample_rate // own_rate) - self._given
        return np.clip(np.pad(rest, (0, max(0, wanted - len(rest))))[:wanted], -1.0, 1.0)

    def _count(self, frames: np.ndarray, beyond: bool) -> None:
        before = np.zeros((_RUN, frames.shape[1]), np.float32)
        before = self._before if self._before is not None else before
        if beyond:
            full = np.abs(frames) >= self._full_scale
            joined = np.concatenate([before, frames])
            same = joined[1:] == joined[:-1]
            thirds = full & same[2:] & same[1:-1] & ~same[:-2]  # each run has one third sample
            self.clipped += int(np.count_nonzero(full))
            self.clipped_runs += int(np.count_nonzero(thirds))
        short = len(frames) < _RUN
        self._before = np.concatenate([before, frames])[-_RUN:] if short else frames[-_RUN:].copy()


def _mean(
    frames: np.ndarray,  # [n, C]
) -> np.ndarray:  # [n]
    """The mean of the channels; column by column, for numpy is slow along short rows."""
    if frames.shape[1] == 1:
        return frames[:, 0]
    total = frames[:, 0] + frames[:, 1]
    for channel in range(2, frames.shape[1]):
        total += frames[:, channel]
    return total / np.float32(frames.shape[1])


def recut(
    blocks: Iterable[np.ndarray],  # [n, C] each
    size: int,
) -> Iterator[np.ndarray]:  # [size, C] each, the last may be shorter
    """The same frames in blocks of one size, so that nothing can depend on how they came."""
    kept: list[np.ndarray] = []
    count = 0
    for block in blocks:
        kept.append(block)
        count += len(block)
        if count < size:
            continue
        joined = np.concatenate(kept)
        whole = count // size * size
        yield from np.split(joined[:whole], whole // size)
        kept, count = [joined[whole:].copy()], count - whole
    if count:
        yield np.concatenate(kept)


def spread(
    blocks: Iterable[np.ndarray],  # [n, 1] or [n, C] each
    channels: int,
) -> Iterator[np.ndarray]:  # [n, C]
    """Mono sound on every one of `channels`; what has as many already stays as it is."""
    for block in blocks:
        yield np.repeat(block, channels // block.shape[1], axis=1)


def resample(
    blocks: Iterable[np.ndarray],  # [n, C] float32 each
    own_rate: int,
    sample_rate: int,
) -> Iterator[np.ndarray]:  # [m, C] float32
    """Blocks at another rate, by soxr; the whole is as long in seconds, to the nearest sample."""
    import soxr

    stream, nothing = None, np.zeros((0, 0), np.float32)
    for block in blocks:
        if stream is None:
            nothing = block[:0]
            stream = soxr.ResampleStream(own_rate, sample_rate, block.shape[1], dtype="float32")
        yield stream.resample_chunk(block)
    if stream is not None:
        yield stream.resample_chunk(nothing, last=True)
