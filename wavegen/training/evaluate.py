"""Bits per sample over whole recordings, with carried state: exact, whatever the chunks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import jax
import numpy as np
from flax import nnx

from wavegen.config import Config, Vocabulary
from wavegen.data import batches
from wavegen.data.batches import Batch
from wavegen.data.corpus import Split
from wavegen.model import loss, network
from wavegen.model.loss import Score
from wavegen.model.network import Inputs, Params, SequenceState

BATCH = 8  # recordings side by side, at most
CHUNK_SAMPLES = 8192  # of each recording, per call; rounded to whole frames


class Evaluation(NamedTuple):
    """Means over every sample that was scored."""

    bits_per_sample: float
    accuracy: float  # share of samples whose likeliest code was the true one
    num_samples: int
    # Of parts of 2048 samples, all but the lowest and the highest hundredth: nats per sample.
    nats: tuple[float, float]


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
    indices, longest = _choose(recordings.lengths, config, max_seconds)
    totals, parts = np.zeros(3), [np.zeros(0)]
    groups = _groups(indices)
    fresh = network.assemble(graphdef, params).initial_state(len(groups[0]))
    for group in groups:
        state = fresh
        for batch in chunks(recordings, group, len(groups[0]), config, vocabulary, longest):
            score, state = _chunk(graphdef, params, batch, state)
            found = np.array([score.nats, score.hits, score.weight], np.float64)  # [3, parts]
            totals += found.sum(axis=1)
            whole = found[2] == loss.CHUNK_SAMPLES
            parts.append(found[0, whole] / loss.CHUNK_SAMPLES)
    nats, hits, weight = totals.tolist()
    each = np.concatenate(parts)
    low, high = np.percentile(each if len(each) else [nats / weight], (1, 99)).tolist()
    return Evaluation(loss.bits(nats / weight), hits / weight, int(weight), (low, high))


def seconds(
    graphdef: nnx.GraphDef,
    params: Params,
    recordings: Split,
    config: Config,
    vocabulary: Vocabulary,
    max_seconds: float | None = None,
) -> float:
    """About how long `split` takes here: the number of its chunks, by the time of one."""
    indices, longest = _choose(recordings.lengths, config, max_seconds)
    groups = _groups(indices)
    count = sum(len(_first_frames(recordings, group, config, longest)) for group in groups)
    state = network.assemble(graphdef, params).initial_state(len(groups[0]))
    chunk = next(chunks(recordings, groups[0], len(groups[0]), config, vocabulary, longest))
    jax.block_until_ready(_chunk(graphdef, params, chunk, state))  # compiles
    begin = time.monotonic()
    jax.block_until_ready(_chunk(graphdef, params, chunk, state))
    return count * (time.monotonic() - begin)


def chunks(
    recordings: Split,
    group: np.ndarray,  # up to num_rows items
    num_rows: int,
    config: Config,
    vocabulary: Vocabulary,
    longest: int | None = None,  # samples; what lies beyond is not heard
) -> Iterator[Batch]:
    """The group's recordings chunk by chunk, as many rows always: one compilation serves all."""
    P = config.model.hop_length
    rows = np.resize(group, num_rows)  # repeats some where there are fewer
    end = _end(recordings, group, longest)
    for first in _first_frames(recordings, group, config, longest):
        batch = batches.stretch(recordings, rows, config, vocabulary, first, _num_frames(config))
        batch.weights[len(group) :] = 0
        batch.weights[:, max(0, end - first * P) :] = 0
        yield batch


def _choose(
    lengths: np.ndarray, config: Config, max_seconds: float | None
) -> tuple[np.ndarray, int | None]:
    """Which recordings to hear, longest first so that groups are alike, and how much of each."""
    limit = None if max_seconds is None else round(max_seconds * config.audio.sample_rate)
    if limit is None or lengths.sum() <= limit:
        return np.argsort(-lengths, kind="stable"), None
    count = int(np.clip(limit // max(1, np.median(lengths)), 1, len(lengths)))
    chosen = np.unique(np.linspace(0, len(lengths) - 1, count).round().astype(int))
    order = np.argsort(-lengths[chosen], kind="stable")
    return chosen[order], max(1, limit // len(chosen))


def _groups(indices: np.ndarray) -> list[np.ndarray]:
    """The recordings that are heard side by side."""
    return [indices[start : start + BATCH] for start in range(0, len(indices), BATCH)]


def _num_frames(config: Config) -> int:
    return max(1, CHUNK_SAMPLES // config.model.hop_length)


def _end(recordings: Split, group: np.ndarray, longest: int | None) -> int:  # samples
    end = int(recordings.lengths[group].max())
    return end if longest is None else min(end, longest)


def _first_frames(
    recordings: Split, group: np.ndarray, config: Config, longest: int | None
) -> range:
    """The first frame of every chunk."""
    end = _end(recordings, group, longest)
    return range(0, -(-end // config.model.hop_length), _num_frames(config))


@partial(jax.jit, static_argnums=0)
def _chunk(
    graphdef: nnx.GraphDef, params: Params, batch: Batch, state: SequenceState
) -> tuple[Score, SequenceState]:
    net = network.assemble(graphdef, params)
    inputs = Inputs.of(batch)
    hidden, state = net.hidden(inputs, state)
    return loss.score_parts(net.wavenet, hidden, batch.codes, batch.weights), state
