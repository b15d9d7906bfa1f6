"""Which backend and which precision "auto" means, and why.

bfloat16 halves what a sample reads of memory, and nearly halves its time. A network may
still be the odd one that rounding its weights harms, so it is asked before it is used.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from wavegen.config import ACOUSTIC
from wavegen.errors import BackendError
from wavegen.model.network import Trained
from wavegen.music.score import Note, Score
from wavegen.sampling import blocks
from wavegen.sampling import request as requests
from wavegen.sampling.request import Draws, Request
from wavegen_kernels import backends, divergence

CHECK_SAMPLES = 512  # that the two precisions are compared on, rounded up to whole frames
# Mean divergence below which bfloat16 counts as float32: it costs at most 0.00015 bits per
# sample, a seventh of the last digit that bits per sample are told with.
AGREES_NATS = 1e-4


class Choice(NamedTuple):
    """What runs."""

    backend: str
    precision: str
    note: str = ""  # what a person should know about it


def choose(trained: Trained, backend: str = "auto", precision: str = "auto") -> Choice:
    """Backend and precision that run, after "auto" was settled.

    A precision that is "auto" becomes bfloat16 where the backend has it and the checkpoint
    was shown to agree with it, else float32; this depends on the checkpoint alone. Raises
    BackendError for what was named and cannot run here.
    """
    if precision != "auto":
        return Choice(backend_of(backend, precision), precision)
    name = backend_of(backend, "float32")
    if backends.unavailable_reason(name, "bfloat16") is not None:
        return Choice(name, "float32")
    nats = disagreement(trained, name, "bfloat16")
    if nats <= AGREES_NATS:
        return Choice(name, "bfloat16")
    note = (
        f"sampling in float32: bfloat16 is {nats:.1e} nats per sample away from it on this "
        f"checkpoint ({AGREES_NATS:.0e} is allowed)"
    )
    return Choice(name, "float32", note)


def backend_of(name: str, precision: str) -> str:
    """The backend that a name means here; "auto" means the fastest that can run so precisely.

    Raises BackendError where there is none, or the named one cannot run.
    """
    try:
        return backends.choose(name, precision)
    except (backends.BackendUnavailable, ValueError) as error:
        raise BackendError(str(error)) from None


def usable() -> list[str]:
    """The precisions that some backend has here, float32 first."""
    reasons = {
        precision: [backends.unavailable_reason(name, precision) for name in backends.FASTEST_FIRST]
        for precision in backends.PRECISIONS
    }
    return [precision for precision, found in reasons.items() if None in found]


def disagreement(trained: Trained, backend: str, precision: str) -> float:
    """Mean divergence from float32, in nats per sample, on codes that the network draws itself.

    It plays one note that depends on the checkpoint only, so that no stream depends on what
    else is asked for. The codes are drawn in float32, then both precisions are forced
    through them.
    """
    request = _request(trained)
    made = blocks.draw(trained, request, Draws(), backend, "float32")
    codes = np.concatenate([block.codes for block in made], axis=1)
    parts = requests.stretches(trained.config, replace(request, forced=codes), cuts=True)
    nats = [
        divergence.nats(*(np.asarray(rows[name], np.float64) for name in ("float32", precision)))
        for rows in blocks.logits(trained, request.labels, parts, backend, ("float32", precision))
    ]
    return float(np.concatenate(nats, axis=1).mean())


def _request(trained: Trained) -> Request:
    """The note compared on: of the checkpoint's middle pitch and velocity and its first labels."""
    config, vocabulary = trained.config, trained.vocabulary
    frames = -(-CHECK_SAMPLES // config.model.hop_length)
    width = sum(ACOUSTIC[name] for name in config.conditioner.acoustic)
    pitches, velocities = vocabulary.pitches or (60,), vocabulary.velocities or (100,)
    pitch, velocity = pitches[len(pitches) // 2], velocities[len(velocities) // 2]
    return Request(
        num_frames=frames,
        scores=(Score((Note(0.0, frames * config.frame_seconds, pitch, velocity),)),),
        labels=np.zeros((1, len(config.conditioner.labels)), np.int32),
        streams=np.zeros(1, np.int64),
        acoustics=np.zeros((1, frames, width), np.float32),
    )
