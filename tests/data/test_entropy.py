"""Markov entropies whose value is known by hand."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from wavegen import config as configs
from wavegen.audio import mulaw
from wavegen.data import batches, entropy

N_CODES = 16


def split_of(*recordings) -> Any:
    """Just enough of a split: recordings of codes, kept as the int16 that decode to them."""
    sounds = [
        np.round(mulaw.decode(codes, N_CODES) * 32767).astype(np.int16) for codes in recordings
    ]
    return SimpleNamespace(num_items=len(sounds), read=lambda item: sounds[item])


def test_fair_dice_cost_the_logarithm_of_their_sides():
    rng = np.random.default_rng(0)
    train, valid = (split_of(rng.integers(0, N_CODES, 200_000)) for _ in range(2))
    for order in (0, 1, 2):
        # 4 bits of 16 codes; what the counts learned of noise costs some thousandths.
        bits = entropy.markov_bits(train, valid, N_CODES, order)
        assert bits == pytest.approx(4.0, abs=0.02)


def test_a_chain_that_needs_two_codes_costs_nothing_at_order_two_only():
    # Each code is the sum of the two before it: order 1 sees a fair die, order 2 knows.
    codes, rng = [1, 2], np.random.default_rng(0)
    for _ in range(60_000):
        step = rng.random() < 0.02  # now and then anew, or the chain would be short and periodic
        codes.append(int(rng.integers(0, N_CODES)) if step else (codes[-1] + codes[-2]) % N_CODES)
    split = split_of(np.array(codes))
    assert entropy.markov_bits(split, split, N_CODES, 1) > 3.0
    assert entropy.markov_bits(split, split, N_CODES, 2) < 0.5


def test_what_was_never_seen_costs_much_but_not_infinitely():
    train, valid = split_of(np.full(1000, 3)), split_of(np.full(10, 12))
    bits = entropy.markov_bits(train, valid, N_CODES, 2)
    assert 4.0 < bits < 40.0


def test_pieces_of_a_recording_do_not_matter(monkeypatch):
    random = np.random.default_rng(0)
    train, valid = (split_of(random.integers(0, N_CODES, 500), [3], [4, 5]) for _ in range(2))
    whole = [entropy.markov_bits(train, valid, N_CODES, order) for order in (0, 1, 2)]
    monkeypatch.setattr(entropy, "PIECE_SAMPLES", 7)
    pieces = [entropy.markov_bits(train, valid, N_CODES, order) for order in (0, 1, 2)]
    assert pieces == pytest.approx(whole, rel=1e-12)  # sums of 500 float64 in another order


def test_an_order_that_would_not_fit_in_memory_is_refused():
    split = split_of(np.zeros(10, np.int32))
    with pytest.raises(ValueError, match="order must be 0, 1 or 2"):
        entropy.markov_bits(split, split, N_CODES, 3)


def test_the_entropy_of_what_a_training_asks_for_is_that_of_its_targets(small_corpus):
    config = configs.load("tiny", ["audio.sample_rate=8000", "training.crop_samples=512"])
    split, vocabulary = small_corpus.splits["train"], small_corpus.vocabulary
    counts = np.zeros(256)
    for step in range(3):
        batch = batches.windows(split, config, vocabulary, config.training.seed, step)
        targets = batch.codes[:, -batch.weights.shape[1] :]
        np.add.at(counts, targets[batch.weights > 0], 1)
    p = counts[counts > 0] / counts.sum()
    expected = -(p * np.log2(p)).sum()
    # Sums of at most 256 float64.
    assert entropy.order0_bits(split, config, vocabulary, 3) == pytest.approx(expected, rel=1e-12)
