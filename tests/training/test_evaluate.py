"""Bits per sample do not depend on how the recordings are cut or grouped."""

import math
from dataclasses import replace

import numpy as np
import optax
import pytest

from wavegen import checkpoint
from wavegen.data import batches
from wavegen.model import loss, network
from wavegen.model.network import Inputs
from wavegen.training import evaluate, loop


def each_by_hand(graphdef, params, split, config, vocabulary):
    """Nats of each sample of every recording, each alone and whole."""
    net = network.assemble(graphdef, params)
    for item in range(split.num_items):
        frames = -(-int(split.lengths[item]) // config.model.hop_length)
        batch = batches.stretch(split, [item], config, vocabulary, 0, frames)
        inputs = Inputs.of(batch)
        logits, _ = net.logits(inputs, net.initial_state(1))
        each = optax.softmax_cross_entropy_with_integer_labels(logits, batch.codes)
        yield np.asarray(each, np.float64)[batch.weights > 0]


def by_hand(*given):
    """Their mean in numpy's float64, as bits, and their number."""
    nats = np.concatenate(list(each_by_hand(*given)))
    return nats.mean() / np.log(2), len(nats)


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


def test_nats_are_those_of_all_parts_but_the_rarest(tiny, notes_corpus):
    split, vocabulary = notes_corpus.splits["train"], notes_corpus.vocabulary
    graphdef, params = network.create(tiny, vocabulary, 0)
    found = evaluate.split(graphdef, params, split, tiny, vocabulary)
    size, parts = loss.CHUNK_SAMPLES, []
    for nats in each_by_hand(graphdef, params, split, tiny, vocabulary):
        whole = nats[: len(nats) // size * size].reshape(-1, size)
        parts += whole.mean(axis=1).tolist()
    assert len(parts) > 50
    # Sums of float32 over 2048 samples, 6e-8 each, of logits that were cut otherwise.
    assert found.nats == pytest.approx(tuple(np.percentile(parts, (1, 99))), rel=1e-5)
    assert found.nats[0] < found.nats[1]


def test_one_part_that_is_unlike_all_others_is_left_out(monkeypatch, tiny, notes_corpus):
    split, vocabulary = notes_corpus.splits["train"], notes_corpus.vocabulary
    graphdef, params = network.create(tiny, vocabulary, 0)
    monkeypatch.setattr(evaluate, "_groups", lambda indices: [indices[:1]])
    parts = np.full(300, 2048.0)  # a nat each
    parts[7], parts[9] = 1e9, 0
    score = loss.Score(parts, parts, np.full(300, 2048.0), parts)
    monkeypatch.setattr(evaluate, "_chunk", lambda graphdef, params, batch, state: (score, state))
    assert evaluate.split(graphdef, params, split, tiny, vocabulary).nats == (1, 1)


def test_recordings_shorter_than_a_part_have_their_mean_for_a_range(tiny, notes_corpus):
    split, vocabulary = notes_corpus.splits["valid"], notes_corpus.vocabulary
    split = replace(split, lengths=np.minimum(split.lengths, loss.CHUNK_SAMPLES - 100))
    graphdef, params = network.create(tiny, vocabulary, 0)
    found = evaluate.split(graphdef, params, split, tiny, vocabulary)
    assert found.nats == pytest.approx((found.bits_per_sample * math.log(2),) * 2)


def test_a_network_that_knows_nothing_is_equally_unsure_of_all_parts(tiny, notes_corpus):
    split, vocabulary = notes_corpus.splits["train"], notes_corpus.vocabulary
    graphdef, params = network.create(tiny, vocabulary, 0)
    params["wavenet"]["head2"] *= 0
    found = evaluate.split(graphdef, params, split, tiny, vocabulary)
    assert found.nats == pytest.approx((math.log(256),) * 2, abs=1e-5)  # float32 sums


def test_a_checkpoint_says_what_the_newest_validation_found(tmp_path, tiny, notes_corpus):
    def train(steps, **changed):
        plan = replace(
            tiny.training, steps=steps, validate_every=4, save_every=2, keep_checkpoints=9
        )
        config = replace(tiny, training=replace(plan, schedule="constant", **changed))
        tell = dict.fromkeys(("on_log", "on_validation", "on_note"), lambda said: None)
        loop.train(config, notes_corpus, tmp_path, **tell)

    def nats(step):
        about = checkpoint.about(tmp_path, step)
        assert about is not None
        assert about.heard is not None
        assert about.heard.rms_dbfs[0] > -60
        return about.heard.nats

    train(4)
    assert nats(2) is None  # nothing was validated yet
    first = nats(4)
    assert first is not None
    assert 0 < first[0] <= first[1] < 2 * math.log(256)
    train(8)  # going on, the same until something newer is known
    assert nats(6) == first
    assert nats(8) not in (None, first)
