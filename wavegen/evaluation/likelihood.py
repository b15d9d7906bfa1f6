"""Bits per sample of whole recordings, through the kernels that sample, in each precision.

training.evaluate asks the network, this asks what generation runs on: the same weights, the
same loop over samples, teacher forced. So it tells what a precision costs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from wavegen.data import batches
from wavegen.data.batches import Batch
from wavegen.data.corpus import Split
from wavegen.model.network import Trained
from wavegen.sampling import blocks, precision
from wavegen.sampling.request import Stretch
from wavegen_kernels import divergence

YARDSTICK = "float32"
BATCH = 8  # recordings side by side
CHUNK_LOGITS = 1 << 21  # that exist at one time in each precision: 8 MiB, which caches can hold


class Likelihood(NamedTuple):
    """What one precision makes of the recordings: means over their samples."""

    bits_per_sample: float
    cost_bits: float  # above float32
    nats_from_float32: float  # KL(float32 || this)
    same_likeliest: float  # share of samples whose likeliest code is that of float32


class Evaluation(NamedTuple):
    """What was heard, and what each precision made of it."""

    num_recordings: int
    num_samples: int
    precisions: dict[str, Likelihood]


def measure(
    trained: Trained,
    recordings: Split,
    precisions: Sequence[str] = (YARDSTICK,),
    *,
    backend: str = "auto",
    progress: Callable[[float, float], None] = lambda done, total: None,
) -> Evaluation:
    """What the precisions make of a split.

    float32 is measured in any case, for the others are compared with it. `progress` is told
    the samples done and those there are. Raises BackendError where a precision cannot run.
    """
    names = list(dict.fromkeys([YARDSTICK, *precisions]))
    backend = precision.backend_of(backend, YARDSTICK)
    for name in names:
        precision.backend_of(backend, name)
    # The longest first, so that those side by side are alike.
    indices = np.argsort(-recordings.lengths, kind="stable")
    total = int(recordings.lengths.sum())
    sums, done = {name: np.zeros(3) for name in names}, 0
    for start in range(0, len(indices), BATCH):
        group = indices[start : start + BATCH]
        for batch, rows in _hear(trained, recordings, group, backend, names):
            for name in names:
                sums[name] += _score(rows[YARDSTICK], rows[name], batch)
            done += int(batch.weights.sum())
            progress(done, total)
    means = {name: (found / total).tolist() for name, found in sums.items()}
    bits = {name: nats / math.log(2) for name, (nats, _, _) in means.items()}
    return Evaluation(
        len(indices),
        total,
        {
            name: Likelihood(bits[name], bits[name] - bits[YARDSTICK], away, same)
            for name, (_, away, same) in means.items()
        },
    )


def _hear(
    trained: Trained,
    recordings: Split,
    group: np.ndarray,  # up to BATCH items
    backend: str,
    names: Sequence[str],
) -> Iterator[tuple[Batch, blocks.Rows]]:
    """The group's recordings, chunk by chunk, and what their codes were to be drawn from."""
    hop, n_codes = trained.config.model.hop_length, trained.config.audio.n_codes
    num_frames = max(1, CHUNK_LOGITS // (BATCH * n_codes * hop))
    end = -(-int(recordings.lengths[group].max()) // hop)

    def stretch(first: int) -> Batch:
        return batches.stretch(
            recordings, group, trained.config, trained.vocabulary, first, num_frames
        )

    heard, forced = itertools.tee(stretch(first) for first in range(0, end, num_frames))
    stretches = (
        Stretch(batch.notes, batch.periods, batch.ages, batch.acoustics, batch.codes, num_frames)
        for batch in forced
    )
    rows = blocks.logits(trained, stretch(0).labels, stretches, backend, names)
    return zip(heard, rows, strict=True)


def _score(
    reference: np.ndarray,  # [B, T, V] logits in float32
    rows: np.ndarray,  # [B, T, V] logits
    batch: Batch,
) -> np.ndarray:  # [3]
    """Sums over the samples with weight: nats, divergence in nats, likeliest codes in common."""
    reference, rows = np.asarray(reference), np.asarray(rows)
    high = rows.max(axis=-1)
    found = np.take_along_axis(rows, batch.codes[..., None], axis=-1)[..., 0]
    nats = np.log(np.exp(rows - high[..., None]).sum(axis=-1)) + high - found
    away = divergence.nats(reference, rows)
    same = reference.argmax(axis=-1) == rows.argmax(axis=-1)
    heard = batch.weights > 0
    return np.array([each[heard].sum(dtype=np.float64) for each in (nats, away, same)])
