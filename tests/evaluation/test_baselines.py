"""Trivial models cost what they must, and the linear one what a network that adds nothing does."""

import math
from dataclasses import replace

import numpy as np
import pytest

from wavegen import config as configs
from wavegen.data import corpus, entropy
from wavegen.evaluation import baselines
from wavegen.evaluation.metrics.measures import NotApplicable
from wavegen.model import network
from wavegen.training import evaluate
from wavegen_kernels import predictor

NAMES = ["markov_0_bits", "markov_1_bits", "markov_2_bits", "linear_predictor_bits"]


@pytest.fixture(scope="module")
def notes(tmp_path_factory):
    """Some synthetic notes at 8 kHz, that fade."""
    path = tmp_path_factory.mktemp("baselines") / "notes"
    corpus.prepare([], path, layout="synthetic", sample_rate=8000, pitches=(60, 64), limit=12)
    return corpus.open(path)


@pytest.fixture(scope="module")
def found(notes):
    told: list[tuple[float, float]] = []
    train, held = notes.splits["train"], notes.splits["valid"]
    figures = baselines.bits(train, held, 256, lambda *done: told.append(done))
    return figures, told


def test_the_linear_predictor_beats_counting_on_tones(found):
    figures, _ = found
    assert list(figures) == NAMES
    assert 8 > figures["markov_0_bits"] > figures["markov_1_bits"]
    assert figures["linear_predictor_bits"] < min(figures[name] for name in NAMES[:3]) - 1


def test_the_chains_are_those_of_the_corpus(notes, found):
    train, held = notes.splits["train"], notes.splits["valid"]
    for order in range(3):
        assert found[0][f"markov_{order}_bits"] == entropy.markov_bits(train, held, 256, order)


def test_the_width_is_learnt_from_the_training_recordings(notes, found):
    width = baselines.fitted_log_width(notes.splits["train"], 256)
    expected = baselines.linear_bits(notes.splits["valid"], 256, width)
    assert found[0]["linear_predictor_bits"] == expected


def test_progress_goes_up_to_all_there_is(found):
    _, told = found
    done, total = zip(*told, strict=True)
    assert list(done) == sorted(done)
    assert len(set(total)) == 1
    assert done[-1] == total[-1]


def test_a_network_that_adds_nothing_costs_the_same(notes):
    """The network's own head is zero, so its logits are the predictor's: another road, in jax."""
    settings = ["audio.sample_rate=8000", "model.predictor.order=64", "conditioner.signals=[]"]
    config = configs.load("tiny", settings)
    config = replace(config, conditioner=replace(config.conditioner, labels=()))
    assert config.model.predictor == baselines.LINEAR
    graphdef, params = network.create(config, notes.vocabulary, 0)
    params["wavenet"]["head2"] *= 0
    held = notes.splits["valid"]
    held = replace(held, lengths=np.maximum(1, held.lengths - 777))  # no whole number of fits
    scored = evaluate.split(graphdef, params, held, config, notes.vocabulary)
    bits = baselines.linear_bits(held, 256, math.log(predictor.INITIAL_WIDTH))
    # Float32 logarithms of shares down to 1e-8 there, float64 here.
    assert bits == pytest.approx(scored.bits_per_sample, abs=1e-4)


def test_the_width_is_the_cheapest_of_all(notes):
    train = notes.splits["train"]
    best = baselines.fitted_log_width(train, 256)
    whole = replace(train, lengths=np.minimum(train.lengths, baselines.WIDTH_SAMPLES // 10))
    cheapest = baselines.linear_bits(whole, 256, best)
    for aside in (-0.3, 0.3):
        assert baselines.linear_bits(whole, 256, best + aside) > cheapest


def test_chunks_do_not_matter(notes, monkeypatch):
    held = notes.splits["valid"]
    expected = baselines.linear_bits(held, 256, -0.8)
    monkeypatch.setattr(baselines, "CHUNK_SAMPLES", 5 * baselines.LINEAR.refit)
    # The running means of the errors are cut elsewhere: float32, 6e-8 each.
    assert baselines.linear_bits(held, 256, -0.8) == pytest.approx(expected, abs=1e-5)


def test_shares_of_all_codes_add_up_to_one():
    value = np.array([0.0, -1.0, 0.99, 0.003])
    error = np.array([1e-4, 0.5, 4.0, 1e-6])
    every = [baselines.Foretold(np.full(4, code), value, error) for code in range(256)]
    for log_width in (-4.0, 0.0, 4.0):
        shares = sum(np.exp(-baselines._nats(each, 256, log_width)) for each in every)
        assert shares == pytest.approx(1, abs=1e-12)  # sums of 256 float64


def test_silence_costs_next_to_nothing(notes):
    """And is no trouble: nothing to fit, no error to be as wide as."""
    held = notes.splits["valid"]
    silent = replace(held, samples=tuple(np.zeros_like(each) for each in held.samples))
    figures = baselines.bits(silent, silent, 256)
    for each in figures.values():
        assert isinstance(each, float)
        assert 0 <= each < 0.1


def test_without_training_recordings_nothing_applies(notes):
    held = notes.splits["valid"]
    empty = replace(held, names=(), lengths=held.lengths[:0])
    for train in (None, empty):
        figures = baselines.bits(train, held, 256)
        assert list(figures) == NAMES
        for each in figures.values():
            assert isinstance(each, NotApplicable)
            assert "train" in each.reason


def test_counts_that_would_not_fit_in_memory_are_left_out(notes):
    held = notes.splits["valid"]
    figures = baselines.bits(held, replace(held, lengths=held.lengths // 20), 1024)
    assert isinstance(figures["markov_2_bits"], NotApplicable)
    assert "1e+09 counts" in figures["markov_2_bits"].reason
    assert isinstance(figures["markov_1_bits"], float)
