"""What becomes of a request: codes, as they are made.

The sampler is given weights, never paths, and hands back codes, never files. What it draws
depends on (seed, stream), on the backend and its precision, and not on how the time is cut
into blocks or on who shares the batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from wavegen.model.network import Trained
from wavegen.sampling import blocks
from wavegen.sampling import precision as precisions
from wavegen.sampling import request as requests
from wavegen.sampling.blocks import Made
from wavegen.sampling.request import Draws, Request
from wavegen.sampling.state import State


def stream(
    trained: Trained,
    request: Request,
    draws: Draws,
    backend: str = "auto",
    precision: str = "auto",
    *,
    state: State | None = None,
    measures: bool = False,
    keeps: bool = False,
) -> Iterator[Made]:
    """Codes as they are made; F*P of each stream in all, those of the primer first.

    "auto" is what wavegen.sampling.precision.choose makes of it. Raises BackendError at once
    where the backend that was named cannot run here, or not so precisely. With `state`, which
    `keeps` asks for, a generation goes on where it stopped, bit for bit; `measures` asks for
    the likelihood of every code.
    """
    chosen = precisions.choose(trained, backend, precision)
    return blocks.draw(
        trained,
        request,
        draws,
        chosen.backend,
        chosen.precision,
        state=state,
        measures=measures,
        keeps=keeps,
    )


def rehearse(trained: Trained, request: Request, draws: Draws, backend: str, precision: str) -> int:
    """Makes a block of a request and forgets it: all that has to be compiled is so then.

    Gives the number of samples that were made, of all streams.
    """
    some = replace(request, num_frames=requests.block_frames(trained.config), forced=None)
    made = stream(trained, some, draws, backend, precision, measures=True)
    return sum(block.codes.size for block in made)


def generate(
    trained: Trained,
    request: Request,
    draws: Draws,
    backend: str = "auto",
    precision: str = "auto",
) -> np.ndarray:  # [B, F*P] int32
    """All codes of `stream` in one array."""
    made = stream(trained, request, draws, backend, precision)
    return np.concatenate([block.codes for block in made], axis=1)
