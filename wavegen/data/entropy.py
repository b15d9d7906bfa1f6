"""What a Markov chain makes of a corpus: the figure that a network must beat to be worth it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from wavegen import config as configs
from wavegen.audio import mulaw
from wavegen.config import Config, Vocabulary
from wavegen.data import batches
from wavegen.data.items import Split

# Weight, in counts, of the lower order's guess in a context's distribution. Of 2, 8 and 32
# this gave the lowest figures on recorded notes at order 2, at 8 and at 16 kHz.
PRIOR_COUNTS = 32.0
PIECE_SAMPLES = 1 << 20  # of a recording that are counted at one time


def markov_bits(train: Split, valid: Split, n_codes: int, order: int) -> float:
    """Bits per sample of `valid` under a Markov chain of codes counted on `train`.

    Order 0, 1 or 2. Each context's distribution leans on that of the next lower order with
    PRIOR_COUNTS counts (MacKay and Peto 1995, "A hierarchical Dirichlet language model"), and
    order 0 on the uniform one, so that nothing unseen costs infinitely much.
    """
    if not 0 <= order <= 2:
        raise ValueError(f"order must be 0, 1 or 2, got {order}")
    counts = [np.zeros(n_codes ** (k + 1), np.uint32) for k in range(order + 1)]
    for contexts in _contexts(train, n_codes, order):
        for k, index in enumerate(contexts):
            np.add.at(counts[k], index, np.uint32(1))
    totals = [c.reshape(-1, n_codes).sum(axis=1) for c in counts]
    bits, num_samples = 0.0, 0
    for contexts in _contexts(valid, n_codes, order):
        p = np.full(len(contexts[0]), 1.0 / n_codes)
        for k, index in enumerate(contexts):
            seen = totals[k][index // n_codes]
            p = (counts[k][index] + PRIOR_COUNTS * p) / (seen + PRIOR_COUNTS)
        bits -= float(np.log2(p).sum())
        num_samples += len(p)
    return bits / num_samples


def order0_bits(split: Split, config: Config, vocabulary: Vocabulary, num_batches: int) -> float:
    """Entropy of the codes that the first batches of a training ask for, in bits per sample.

    It is what foretelling costs that knows how frequent each code is and nothing else.
    """
    # What the network hears beside the codes does not change them, and may take long to make.
    deaf = replace(config.model, predictor=configs.Predictor())
    training = replace(config.training, condition_dropout=0.0)  # there is nothing to leave out
    plain = replace(config, model=deaf, conditioner=configs.Conditioner(), training=training)
    counts = np.zeros(config.audio.n_codes)
    for step in range(num_batches):
        batch = batches.windows(split, plain, vocabulary, config.training.seed, step)
        counts += np.bincount(batch.codes.ravel(), batch.weights.ravel(), counts.size)
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log2(p)).sum())


def _contexts(
    split: Split, n_codes: int, order: int
) -> Iterator[list[np.ndarray]]:  # order + 1 of [T] int64
    """For each piece of a recording, for each order up to `order`: the index of (past, code)."""
    table = mulaw.int16_codes(n_codes)
    for item in range(split.num_items):
        samples = split.read(item)
        for start in range(0, len(samples), PIECE_SAMPLES):
            piece = samples[max(0, start - order) : start + PIECE_SAMPLES].astype(np.int32)
            silence = np.full(max(0, order - start), mulaw.silence(n_codes), np.int64)
            codes = np.concatenate([silence, table[piece + 32768].astype(np.int64)])
            found = [codes[order:]]
            for k in range(1, order + 1):
                found.append(found[-1] + codes[order - k : -k] * n_codes**k)
            yield found
