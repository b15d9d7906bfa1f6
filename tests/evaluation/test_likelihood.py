"""Bits per sample through the sampling kernels are those of training, however they are cut."""

import dataclasses
import math

import numpy as np
import pytest

from wavegen import config as configs
from wavegen.data import corpus
from wavegen.errors import BackendError
from wavegen.evaluation import excerpts, likelihood
from wavegen.model import network
from wavegen.model.network import Trained
from wavegen.sampling import precision
from wavegen.training import evaluate

SETTINGS = ["audio.sample_rate=8000", 'conditioner.signals=["notes", "past"]']


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    """Synthetic notes at 8 kHz, each cut a little shorter than the one before."""
    path = tmp_path_factory.mktemp("likelihood") / "notes"
    corpus.prepare([], path, layout="synthetic", sample_rate=8000, pitches=(60, 64), limit=30)
    found = corpus.open(path).splits["train"]
    return dataclasses.replace(found, lengths=found.lengths - 150 * np.arange(found.num_items))


@pytest.fixture(scope="module")
def trained(split):
    """A network of random weights that is sure of something: its logits are made larger."""
    config = configs.load("tiny", SETTINGS)
    graphdef, params = network.create(config, split.vocabulary, 0)
    params["wavenet"]["head2"] *= 4
    return Trained(config, split.vocabulary, graphdef, params, 0)


def few(split, num):
    return split.only(excerpts.spread(split.num_items, num))


@pytest.fixture(scope="module")
def measured(trained, split):
    """Six recordings, the least that fills no batch, in every precision that runs here."""
    return likelihood.measure(trained, few(split, 6), precision.usable())


def test_float32_is_what_the_evaluation_of_training_says(trained, split):
    found = likelihood.measure(trained, split)
    expected = evaluate.split(
        trained.graphdef, trained.params, split, trained.config, trained.vocabulary
    )
    assert list(found.precisions) == ["float32"]
    assert found.num_recordings == split.num_items
    assert found.num_samples == expected.num_samples == split.lengths.sum()
    bits = found.precisions["float32"].bits_per_sample
    assert abs(bits - 8) > 0.1  # as would be said of a network that knows nothing
    # float32 logits near 8, 1e-6 off each, and sums of float32 over some thousand samples.
    assert bits == pytest.approx(expected.bits_per_sample, abs=1e-4)


def test_neither_chunks_nor_batches_matter(trained, split, measured, monkeypatch):
    monkeypatch.setattr(likelihood, "BATCH", 4)
    # Chunks of three frames, which divide nothing here.
    hop = trained.config.model.hop_length
    monkeypatch.setattr(likelihood, "CHUNK_LOGITS", 3 * 4 * 256 * hop)
    found = likelihood.measure(trained, few(split, 6), precision.usable())
    assert found[:2] == measured[:2]
    for name, expected in measured.precisions.items():
        # Sums in another order, and conditioning of another batch: 1e-6 in a logit.
        assert found.precisions[name] == pytest.approx(expected, abs=1e-4)


def test_every_precision_is_compared_with_float32(measured):
    assert list(measured.precisions) == precision.usable()
    assert measured.precisions["float32"][1:] == (0.0, 0.0, 1.0)
    coarser = [each for name, each in measured.precisions.items() if name != "float32"]
    for each in coarser:
        assert each.cost_bits == each.bits_per_sample - measured.precisions["float32"][0]
        assert 0 < each.nats_from_float32 < 0.01
        assert 0.5 < each.same_likeliest < 1
    away = [each.nats_from_float32 for each in coarser]
    assert away == sorted(away)  # bfloat16 before int8


def test_float32_is_measured_unasked_since_the_others_need_it(trained, split):
    found = likelihood.measure(trained, few(split, 1), ["bfloat16"])
    assert list(found.precisions) == ["float32", "bfloat16"]


def test_a_network_that_knows_nothing_scores_eight_bits(trained, split):
    params = trained.params | {
        "wavenet": {
            name: np.zeros_like(each) if name == "head2" else each
            for name, each in trained.params["wavenet"].items()
        }
    }
    found = likelihood.measure(dataclasses.replace(trained, params=params), few(split, 2))
    assert found.precisions["float32"].bits_per_sample == pytest.approx(8, abs=1e-6)


def test_progress_ends_with_all_samples(trained, split):
    told = []
    found = likelihood.measure(
        trained, few(split, 2), progress=lambda done, total: told.append((done, total))
    )
    assert told == sorted(told)
    assert told[-1] == (found.num_samples, found.num_samples)


def test_a_precision_that_cannot_run_is_refused_before_the_work(trained, split):
    with pytest.raises(BackendError, match="computes in float32 only"):
        likelihood.measure(trained, split, ["bfloat16"], backend="xla_scan")
    with pytest.raises(BackendError, match="no precision 'int9'"):
        likelihood.measure(trained, split, ["int9"])


def test_bits_of_known_logits_are_known():
    """Two samples, the second without weight: logits of 1/2, 1/4, 1/8 and 1/8."""
    rows = np.log(np.array([[[4, 2, 1, 1], [4, 2, 1, 1]]], np.float32))
    batch = likelihood.Batch(
        np.array([[2, 0]], np.int32), np.array([[1, 0]], np.float32), *[np.zeros((1, 1))] * 6
    )
    nats, away, same = likelihood._score(rows, rows, batch)
    assert nats == pytest.approx(3 * math.log(2), rel=1e-6)
    assert (away, same) == (0, 1)
