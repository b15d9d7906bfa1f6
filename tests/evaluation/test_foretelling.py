"""What is heard of recordings is what the network says, sample by sample, however it is cut."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn import calibration

from wavegen import config as configs
from wavegen.audio import mulaw
from wavegen.data import batches, corpus
from wavegen.errors import WavegenError
from wavegen.evaluation import foretelling
from wavegen.model import network
from wavegen.model.network import Inputs, Trained
from wavegen.training import evaluate

RATE = 8000


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    """Four synthetic notes at 8 kHz, of other lengths each, none a whole number of seconds."""
    path = tmp_path_factory.mktemp("foretelling") / "notes"
    corpus.prepare([], path, layout="synthetic", sample_rate=RATE, pitches=(60, 64), limit=5)
    found = corpus.open(path).splits["train"]
    return replace(found, lengths=found.lengths - 1234 - 150 * np.arange(found.num_items))


@pytest.fixture(scope="module")
def trained(split):
    """A network of random weights that is sure of something: its logits are made larger."""
    settings = ["audio.sample_rate=8000", "model.predictor.order=8"]
    config = configs.load("tiny", [*settings, 'conditioner.signals=["notes", "past"]'])
    graphdef, params = network.create(config, split.vocabulary, 0)
    params["wavenet"]["head2"] *= 40
    return Trained(config, split.vocabulary, graphdef, params, 0)


@pytest.fixture(scope="module")
def heard(trained, split):
    return list(foretelling.hear(trained, split))


def shares_of(trained, split, item):
    """The distribution of each sample and its code, in one pass, in float64: [T, V], [T]."""
    frames = -(-int(split.lengths[item]) // trained.config.model.hop_length)
    batch = batches.stretch(split, [item], trained.config, trained.vocabulary, 0, frames)
    inputs = Inputs.of(batch)
    net = network.assemble(trained.graphdef, trained.params)
    logits, _ = net.logits(inputs, net.initial_state(1))
    logits = np.asarray(logits[0], np.float64)[: split.lengths[item]]
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True), batch.codes[0, : split.lengths[item]]


def test_bits_and_hits_are_those_of_a_validation(trained, split, heard):
    expected = evaluate.split(
        trained.graphdef, trained.params, split, trained.config, trained.vocabulary
    )
    samples = sum(each.samples.sum() for each, _ in heard)
    assert samples == expected.num_samples == split.lengths.sum()
    bits = sum(each.nats.sum() for each, _ in heard) / samples / np.log(2)
    # The same float32 logits of other batches, and sums of float32 over parts of 2048: 6e-8 each.
    assert bits == pytest.approx(expected.bits_per_sample, rel=1e-5)
    hits = sum(each.confidence[2].sum() for each, _ in heard)
    # Two codes that are as likely but for rounding: some of ten thousands.
    assert hits / samples == pytest.approx(expected.accuracy, abs=3e-4)


def test_sums_and_guesses_are_those_of_the_distributions_themselves(trained, split, heard):
    found, guess = heard[1]
    shares, codes = shares_of(trained, split, found.item)
    own = shares[np.arange(len(codes)), codes]
    # Float32 logits of some tens, 1e-6 of them off: so are logarithms and sums of shares.
    seconds = [part.sum() for part in np.split(-np.log(own), range(RATE, len(own), RATE))]
    assert found.nats == pytest.approx(seconds, rel=1e-5)
    mean = shares @ mulaw.decode(np.arange(256), 256)
    assert guess == pytest.approx(mean, abs=2e-5)
    sure = shares.max(axis=1)
    assert found.confidence[1].sum() == pytest.approx(sure.sum(), rel=1e-5)
    below = (shares * (np.arange(256) < codes[:, None])).sum(axis=1)
    assert found.pit == pytest.approx(foretelling.transformed(below, own), abs=0.1)  # of samples
    # Their bins by counting; 1e-6 from an edge may fall to either side.
    counts = np.histogram(sure, np.linspace(0, 1, foretelling.CONFIDENCE_BINS + 1))[0]
    assert np.abs(found.confidence[0] - counts).max() <= 2


def test_reliability_is_scikit_learns(trained, split, heard):
    found, _ = heard[1]
    shares, codes = shares_of(trained, split, found.item)
    is_right = shares.argmax(axis=1) == codes
    bins = foretelling.CONFIDENCE_BINS
    right, sure = calibration.calibration_curve(is_right, shares.max(axis=1), n_bins=bins)
    count, total, hits = found.confidence[:, found.confidence[0] > 0]
    # Of some hundred samples in a bin; the logits here are float64's.
    assert hits / count == pytest.approx(right, abs=1e-5)
    assert total / count == pytest.approx(sure, abs=1e-5)


def test_seconds_hold_every_sample_once(split, heard):
    for found, guess in heard:
        assert found.samples.sum() == len(guess) == split.lengths[found.item]
        assert (found.samples[:-1] == RATE).all()
        assert found.confidence[0].sum() == len(guess)
        assert found.pit.sum() == pytest.approx(len(guess))


def test_chunks_do_not_matter(trained, split, heard, monkeypatch):
    monkeypatch.setattr(evaluate, "CHUNK_SAMPLES", 3000)  # no divisor of anything here
    for (found, guess), (expected, expected_guess) in zip(
        foretelling.hear(trained, split), heard, strict=True
    ):
        # Products of other sizes round in another order: 1e-6 of the logits.
        assert found.nats == pytest.approx(expected.nats, rel=1e-5)
        assert guess == pytest.approx(expected_guess, abs=2e-5)


def test_progress_goes_on_to_the_last_sample(trained, split):
    told, few = [], split.only(np.arange(3))
    list(foretelling.hear(trained, few, progress=lambda *each: told.append(each)))
    assert told == sorted(told)
    assert told[-1] == (few.lengths.sum(),) * 2


def test_the_guess_is_as_good_as_its_ratio_says(split, heard):
    found, guess = heard[0]
    sound = split.read(found.item) / 32767
    expected = 10 * np.log10((sound**2).sum() / ((sound - guess) ** 2).sum())
    # The sound is divided in float32 there, in float64 here.
    assert found.snr_db == pytest.approx(expected, abs=1e-4)


def test_the_transform_is_flat_where_foretelling_is_right():
    """Codes drawn from what was foretold, of few values, as which any histogram would be uneven."""
    random = np.random.default_rng(0)
    shares = np.repeat([[0.5, 0.3, 0.15, 0.05], [0.01, 0.09, 0.2, 0.7]], 50_000, axis=0)
    codes = (random.random(len(shares))[:, None] > shares.cumsum(axis=1)).sum(axis=1)
    rows = np.arange(len(codes))
    own = shares[rows, codes]
    below = shares.cumsum(axis=1)[rows, codes] - own
    pit = foretelling.transformed(below, own)
    assert pit.sum() == pytest.approx(len(codes))
    # 5000 in a bin at most: four standard deviations of that many draws.
    assert pit / len(codes) == pytest.approx(0.05, abs=4 * 0.05**0.5 / len(codes) ** 0.5)
    # Foretold as a fair die it is not: of the first code there are 26 in 100, of the second 20.
    unsure = foretelling.transformed(codes / 4, np.full(len(codes), 0.25)) / len(codes)
    assert unsure[:10] == pytest.approx([0.255 / 5] * 5 + [0.195 / 5] * 5, abs=2e-3)


def test_a_code_that_was_taken_for_impossible_lies_where_it_would_be():
    found = foretelling.transformed(np.array([0.0, 0.42, 1.0]), np.zeros(3))
    assert found.tolist() == [1, *[0] * 7, 1, *[0] * 10, 1]


def test_weights_that_are_not_finite_are_told_in_a_sentence(trained, split):
    wavenet = trained.params["wavenet"]
    params = trained.params | {"wavenet": wavenet | {"head1": wavenet["head1"] * np.nan}}
    with pytest.raises(WavegenError, match="not finite"):
        next(foretelling.hear(replace(trained, params=params), split))
