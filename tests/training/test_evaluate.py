"""Bits per sample do not depend on how the recordings are cut or grouped."""

import numpy as np
import optax
import pytest

from wavegen.data import batches
from wavegen.model import network
from wavegen.model.network import Inputs
from wavegen.training import evaluate


def by_hand(graphdef, params, split, config, vocabulary):
    """Every recording alone and whole, its cross-entropy in numpy's float64."""
    net, nats, count = network.assemble(graphdef, params), 0.0, 0
    for item in range(split.num_items):
        frames = -(-int(split.lengths[item]) // config.model.hop_length)
        batch = batches.stretch(split, [item], config, vocabulary, 0, frames)
        inputs = Inputs(
            batch.codes, batch.notes, batch.labels, batch.valid, batch.periods, batch.acoustics
        )
        logits, _ = net.logits(inputs, net.initial_state(1))
        each = optax.softmax_cross_entropy_with_integer_labels(logits, batch.codes)
        nats += float((np.asarray(each, np.float64) * batch.weights).sum())
        count += int(batch.weights.sum())
    return nats / np.log(2) / count, count


def test_evaluation_equals_recordings_scored_one_by_one(monkeypatch, tiny, notes_corpus):
    split, vocabulary = notes_corpus.splits["valid"], notes_corpus.vocabulary
    graphdef, params = network.create(tiny, vocabulary, 0)
    monkeypatch.setattr(evaluate, "CHUNK_SAMPLES", 1000)  # no divisor of anything here
    found = evaluate.split(graphdef, params, split, tiny, vocabulary)
    bits, count = by_hand(graphdef, params, split, tiny, vocabulary)
    assert found.num_samples == count == split.lengths.sum()
    # Sums of float32 over some thousand samples a chunk, 6e-8 each.
    assert found.bits_per_sample == pytest.approx(bits, rel=1e-5)


def test_a_network_that_knows_nothing_scores_eight_bits(tiny, notes_corpus):
    split, vocabulary = notes_corpus.splits["valid"], notes_corpus.vocabulary
    graphdef, params = network.create(tiny, vocabulary, 0)
    params["wavenet"]["head2"] *= 0
    found = evaluate.split(graphdef, params, split, tiny, vocabulary)
    assert found.bits_per_sample == pytest.approx(8.0, abs=1e-5)


def test_a_limit_hears_about_that_much(tiny, notes_corpus):
    split, vocabulary = notes_corpus.splits["train"], notes_corpus.vocabulary
    graphdef, params = network.create(tiny, vocabulary, 0)
    found = evaluate.split(graphdef, params, split, tiny, vocabulary, max_seconds=4.0)
    assert 2.0 <= found.num_samples / 8000 <= 4.0
