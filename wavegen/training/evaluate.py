"""Bits per sample over whole recordings, with carried state: exact, whatever the chunks."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from wavegen.config import Config, Vocabulary
from wavegen.data import batches
from wavegen.data.batches import Batch
from wavegen.data.corpus import Split
from wavegen.model import loss, network
from wavegen.model.loss import Score
from wavegen.model.network import Inputs, Params, SequenceState

BATCH = 8  # recordings side by side
CHUNK_SAMPLES = 8192  # of each recording, per call; rounded to whole frames


class Evaluation(NamedTuple):
    """Means over every sample that was scored."""

    bits_per_sample: float
    accuracy: float  # share of samples whose likeliest code was the true one
    num_samples: int


def split(
    graphdef: nnx.GraphDef,
    params: Params,
    recordings: Split,
    config: Config,
    vocabulary: Vocabulary,
    max_seconds: float | None = None,
) -> Evaluation:
    """Evaluation of a split, or of about `max_seconds` of it, spread evenly over the items.

    With `max_seconds`, a recording longer than its share is heard from its start only.
    """
    limit = None if max_seconds is None else round(max_seconds * config.audio.sample_rate)
    indices, longest = _choose(recordings.lengths, limit)
    totals = np.zeros(3)
    for start in range(0, len(indices), BATCH):
        group = indices[start : start + BATCH]
        batch = batches.whole(recordings, group, config, vocabulary)
        totals += _recordings(graphdef, params, batch, config, longest)
    nats, hits, weight = totals.tolist()
    return Evaluation(loss.bits(nats / weight), hits / weight, int(weight))


def _choose(lengths: np.ndarray, limit: int | None) -> tuple[np.ndarray, int | None]:
    """Which recordings to hear, longest first so that groups are alike, and how much of each."""
    if limit is None or lengths.sum() <= limit:
        return np.argsort(-lengths, kind="stable"), None
    count = int(np.clip(limit // max(1, np.median(lengths)), 1, len(lengths)))
    chosen = np.unique(np.linspace(0, len(lengths) - 1, count).round().astype(int))
    order = np.argsort(-lengths[chosen], kind="stable")
    return chosen[order], max(1, limit // len(chosen))


def _recordings(
    graphdef: nnx.GraphDef, params: Params, batch: Batch, config: Config, longest: int | None
) -> np.ndarray:
    """Sums of nats, hits and weights over up to BATCH recordings."""
    P = config.model.hop_length
    chunk_frames = max(1, CHUNK_SAMPLES // P)
    weights = batch.weights
    if longest is not None:
        weights = weights * (np.arange(weights.shape[1]) < longest)
    frames = -(-int(np.flatnonzero(weights.any(axis=0)).max() + 1) // P)
    batch, weights = _pad(batch, weights, -(-frames // chunk_frames) * chunk_frames, P)

    state = network.assemble(graphdef, params).initial_state(BATCH)
    total = np.zeros(3)
    for first in range(0, frames, chunk_frames):
        last = first + chunk_frames
        inputs = Inputs(
            codes=batch.codes[:, first * P : last * P],
            notes=batch.notes[:, first:last],
            labels=batch.labels,
            valid=batch.valid[:, first:last],
        )
        score, state = _chunk(graphdef, params, inputs, weights[:, first * P : last * P], state)
        total += np.array([float(part) for part in score])
    return total


def _pad(batch: Batch, weights: np.ndarray, frames: int, P: int) -> tuple[Batch, np.ndarray]:
    """Exactly BATCH rows and `frames` frames, so that all chunks share one compilation."""

    def fit(array: np.ndarray, size: int | None) -> np.ndarray:
        rows = BATCH - array.shape[0]
        array = np.pad(array, [(0, rows)] + [(0, 0)] * (array.ndim - 1), mode="edge")
        if size is None:
            return array
        array = array[:, :size]
        more = [(0, 0), (0, size - array.shape[1])] + [(0, 0)] * (array.ndim - 2)
        return np.pad(array, more)

    weights = fit(weights, frames * P)
    weights[batch.codes.shape[0] :] = 0.0
    padded = Batch(
        codes=fit(batch.codes, frames * P),
        weights=weights,
        valid=fit(batch.valid, frames),
        notes=fit(batch.notes, frames),
        labels=fit(batch.labels, None),
    )
    return padded, weights


@partial(jax.jit, static_argnums=0)
def _chunk(
    graphdef: nnx.GraphDef,
    params: Params,
    inputs: Inputs,
    weights: np.ndarray,  # [B, T]
    state: SequenceState,
) -> tuple[Score, SequenceState]:
    net = network.assemble(graphdef, params)
    skip_sum, state = net.skip_sum(inputs, state)
    return loss.score(net.wavenet, skip_sum, jnp.asarray(inputs.codes), weights), state
