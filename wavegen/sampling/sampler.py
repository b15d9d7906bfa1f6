"""What becomes of a request: codes, as they are made.

The sampler is given weights, never paths, and hands back codes, never files. What it draws
depends on (seed, stream), on the backend and its precision, and not on how the time is cut
into blocks or on who shares the batch.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from wavegen.model.network import Trained
from wavegen.sampling import blocks
from wavegen.sampling import precision as precisions
from wavegen.sampling.blocks import Draws, Request


def stream(
    trained: Trained,
    request: Request,
    draws: Draws,
    backend: str = "auto",
    precision: str = "auto",
) -> Iterator[np.ndarray]:  # each [B, block] int32
    """Codes as they are made, block after block; F*P of each stream in all.

    A block is one frame where the network feeds on its own past, else a quarter second.
    "auto" is what wavegen.sampling.precision.choose makes of it. Raises BackendError at once
    where the backend that was named cannot run here, or not so precisely.
    """
    chosen = precisions.choose(trained, backend, precision)
    return blocks.draw(trained, request, draws, chosen.backend, chosen.precision)


def generate(
    trained: Trained,
    request: Request,
    draws: Draws,
    backend: str = "auto",
    precision: str = "auto",
) -> np.ndarray:  # [B, F*P] int32
    """All codes of `stream` in one array."""
    return np.concatenate(list(stream(trained, request, draws, backend, precision)), axis=1)
