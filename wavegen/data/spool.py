"""A recording's samples on their way into the store: in memory while short, else in a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from wavegen.data import shards

MOST_IN_MEMORY = 2**21  # samples of one recording: some of each process wait for their turn


class Spool:
    """Takes blocks of int16 samples; `end` gives them all, or the file that they are in.

    The file lies beside the store, where there has to be room for it anyway.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._in_file = False
        self._blocks: list[np.ndarray] = []
        self._num_samples = 0

    def add(
        self,
        samples: np.ndarray,  # [n] int16
    ) -> None:
        """Takes the next block."""
        self._blocks.append(samples)
        self._num_samples += len(samples)
        if self._num_samples > MOST_IN_MEMORY:
            self._path.parent.mkdir(exist_ok=True)
            with self._path.open("ab" if self._in_file else "wb") as file:
                for block in self._blocks:
                    file.write(block.astype(shards.DTYPE).tobytes())
            self._in_file = True
            self._blocks.clear()

    def end(self) -> np.ndarray | Path:
        """All samples, or the file."""
        if self._in_file:
            return self._path
        return np.concatenate([np.zeros(0, np.int16), *self._blocks])

    def discard(self) -> None:
        """Forgets all."""
        self._blocks.clear()
        if self._in_file:
            self._path.unlink()
