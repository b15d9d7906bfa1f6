"""Loudness and peak of sound of any length, measured block by block in one pass."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np

from wavegen.audio import cleaning

ABSOLUTE_GATE_LUFS = -70.0  # what is quieter is no part of the programme
RELATIVE_GATE_LU = -10.0  # nor what is so far below the rest
_OFFSET_LU = -0.691  # of BS.1770's sum of powers
_OVERLAP = 4  # gating blocks of 0.4 s start every quarter of one


class Meter:
    """Integrated loudness by ITU-R BS.1770-4 of the one or two channels that were pushed.

    Held are the first 0.4 s and one number for every 0.1 s. The numbers are those of
    pyloudnorm, whose weighting filters it runs.
    """

    def __init__(self, sample_rate: int, channels: int) -> None:
        import pyloudnorm

        cleaning.check_loudness_rate(sample_rate)
        assert channels in (1, 2), channels  # more would have weights of their own
        self.num_samples = 0  # of each channel
        self._sample_rate = sample_rate
        self._filters = list(pyloudnorm.Meter(sample_rate)._filters.values())
        self._states = [np.zeros((2, channels)) for _ in self._filters]
        self._start = np.zeros((0, channels), np.float32)  # of a sound that may be too short
        self._energies = [0.0]  # of each step of 0.1 s, all channels together

    def push(
        self,
        block: np.ndarray,  # [n, C] float32
    ) -> None:
        """Takes the next block."""
        shortest = math.ceil(cleaning.SHORTEST_LOUDNESS_SECONDS * self._sample_rate)
        if len(self._start) < shortest:
            self._start = np.concatenate([self._start, block[: shortest - len(self._start)]])
        energy = np.square(self._weighted(block)).sum(axis=1)
        first, self.num_samples = self.num_samples, self.num_samples + len(block)
        edges = []  # where in this block a new step begins
        while (edge := self._step(len(self._energies) + len(edges))) < self.num_samples:
            edges.append(edge - first)
        begun, *new = np.split(energy, edges)
        self._energies[-1] += float(begun.sum())
        self._energies += [float(step.sum()) for step in new]

    @property
    def lufs(self) -> float:
        """Loudness in LUFS so far; -inf where all is below the gate of -70 LUFS.

        It is defined from 0.4 s on; anything shorter is heard in a loop.
        """
        seconds = cleaning.SHORTEST_LOUDNESS_SECONDS
        if not self.num_samples:
            return -math.inf
        if self.num_samples < seconds * self._sample_rate:
            return cleaning.loudness(self._start, self._sample_rate)
        duration = self.num_samples / self._sample_rate
        count = int(np.round((duration - seconds) / (seconds / _OVERLAP) + 1))
        energies = np.pad(self._energies, (0, count + _OVERLAP))[: count + _OVERLAP - 1]
        powers = np.convolve(energies, np.ones(_OVERLAP), "valid") / (seconds * self._sample_rate)
        heard = powers[_lufs(powers) >= ABSOLUTE_GATE_LUFS]
        if not len(heard):
            return -math.inf
        return float(_lufs(heard[_lufs(heard) > _lufs(heard.mean()) + RELATIVE_GATE_LU].mean()))

    def _weighted(self, block: np.ndarray) -> np.ndarray:  # [n, C] float64
        """What the ear makes of a block: BS.1770's two filters, going on from the block before."""
        from scipy import signal

        for index, stage in enumerate(self._filters):
            state = self._states[index]
            block, state = signal.lfilter(stage.b, stage.a, block, axis=0, zi=state)
            block, self._states[index] = block * stage.passband_gain, state
        return block

    def _step(self, number: int) -> int:
        """The first sample of a step; rounded as pyloudnorm does, for 0.1 s may be no whole one."""
        seconds = cleaning.SHORTEST_LOUDNESS_SECONDS
        return int(seconds * (number / _OVERLAP) * self._sample_rate)


class Measure:
    """Peak, loudness and duration of the blocks that went through it."""

    def __init__(self, sample_rate: int, channels: int) -> None:
        self.peak = 0.0  # 1 is full scale
        self.num_samples = 0  # of each channel
        self._sample_rate = sample_rate
        audible = sample_rate >= cleaning.LOWEST_LOUDNESS_RATE
        self._meter = Meter(sample_rate, channels) if audible else None

    def through(
        self,
        blocks: Iterable[np.ndarray],  # [n, C] float32 each
    ) -> Iterator[np.ndarray]:
        """The same blocks, each heard as it goes by."""
        for block in blocks:
            self.num_samples += len(block)
            self.peak = max(self.peak, float(np.abs(block).max(initial=0.0)))
            if self._meter is not None:
                self._meter.push(block)
            yield block

    def facts(self) -> dict[str, float | None]:
        """`seconds`, `peak_dbfs` and `lufs`: -inf for silence, None where the rate has none."""
        return {
            "seconds": self.num_samples / self._sample_rate,
            "peak_dbfs": 20 * math.log10(self.peak) if self.peak > 0 else -math.inf,
            "lufs": None if self._meter is None else self._meter.lufs,
        }


def _lufs(power: np.ndarray | np.floating) -> np.ndarray:
    with np.errstate(divide="ignore"):  # of blocks that hold only zeros
        return _OFFSET_LU + 10 * np.log10(power)
