"""Parts weigh up to the whole; intervals cover what they say."""

import math
from dataclasses import replace

import numpy as np
import pytest

from wavegen import config as configs
from wavegen.audio import mulaw
from wavegen.config import Vocabulary
from wavegen.data.items import Split
from wavegen.evaluation import foretelling, likelihoods
from wavegen.evaluation.foretelling import Foretelling
from wavegen.evaluation.metrics import measures
from wavegen.evaluation.metrics.measures import NotApplicable
from wavegen.model import network
from wavegen.model.network import Trained

RATE = 1000
LABELS = {"instrument": ("harp", "lute", "viol"), "speaker": ("anna",)}


def split_of(sounds, labels) -> Split:
    """A split in memory: recordings of int16, and their places in LABELS."""
    lengths = np.array([len(sound) for sound in sounds])
    nothing = np.zeros(0)
    return Split(
        name="valid", vocabulary=Vocabulary(LABELS, (), ()),
        names=tuple(f"sound-{i}" for i in range(len(sounds))),
        shard=np.zeros(len(sounds), np.int32), offset=np.cumsum(lengths) - lengths,
        lengths=lengths, label_ids=np.array(labels, np.int32),
        note_start=np.zeros(len(sounds) + 1, np.int64), onset_seconds=nothing,
        note_seconds=nothing, pitch=nothing.astype(np.uint8), velocity=nothing.astype(np.uint8),
        samples=(np.concatenate(sounds),),
    )  # fmt: skip


def foretelling_of(item, random, num_samples):
    """Some sums as they may come."""
    samples = np.diff(np.append(np.arange(0, num_samples, RATE), num_samples))
    counts = random.multinomial(num_samples, np.full(foretelling.CONFIDENCE_BINS, 1 / 15))
    sure = counts * (np.arange(15) + random.random(15)) / 15
    confidence = np.stack([counts, sure, random.binomial(counts, 0.3)]).astype(float)
    pit = random.multinomial(num_samples, np.full(20, 1 / 20)).astype(float)
    return Foretelling(item, samples, samples * random.uniform(1, 3), confidence, pit, 20.0)


@pytest.fixture
def split():
    """Twelve recordings of other lengths: four harps, seven lutes, one that nobody knows."""
    sounds = [np.zeros(1500 + 700 * i, np.int16) for i in range(12)]
    return split_of(sounds, [(i % 3 // 2 if i else -1, 0 if i < 6 else -1) for i in range(12)])


@pytest.fixture
def heard(split):
    random = np.random.default_rng(0)
    return [foretelling_of(item, random, int(n)) for item, n in enumerate(split.lengths)]


def test_recordings_weigh_up_to_the_whole(split, heard):
    found = likelihoods.likelihood(heard, split, RATE)
    each = found["by_recording"]
    assert [one["name"] for one in each] == list(split.names)
    seconds = np.array([one["seconds"] for one in each])
    assert seconds == pytest.approx(split.lengths / RATE)
    for name in ("bits_per_sample", "top1_accuracy"):
        mean = np.average([one[name] for one in each], weights=seconds)
        assert mean == pytest.approx(found[name])
    hits = sum(each.confidence[2].sum() for each in heard)
    assert found["top1_accuracy"] == pytest.approx(hits / split.lengths.sum())
    pit = sum(each.pit for each in heard)
    assert found["pit"] == pytest.approx(pit / split.lengths.sum())  # long ones count for more


def test_a_label_is_what_its_recordings_are(split, heard):
    found = likelihoods.likelihood(heard, split, RATE)["by_label"]
    assert {name: list(values) for name, values in found.items()} == {
        "instrument": ["harp", "lute"],  # no viol was heard
        "speaker": ["anna"],
    }
    for name, column in (("instrument", 0), ("speaker", 1)):
        for value, told in found[name].items():
            place = LABELS[name].index(value)
            those = [each for each in heard if split.label_ids[each.item, column] == place]
            alone = likelihoods.likelihood(those, split, RATE)
            assert told["recordings"] == len(those)
            seconds = sum(split.lengths[each.item] for each in those) / RATE
            assert told["seconds"] == pytest.approx(seconds)
            for figure in ("bits_per_sample", "bits_per_sample_low", "top1_accuracy"):
                assert told[figure] == alone[figure]


def test_calibration_is_how_far_confidence_lies_from_accuracy(split, heard):
    bins = np.zeros((3, 15))
    # Of 100 samples 80 at 0.9, of which 60 are right; the others at 0.1, of which none is.
    bins[:, 13], bins[:, 1] = (80, 72, 60), (20, 2, 0)
    found = likelihoods.likelihood([heard[0]._replace(confidence=bins)], split, RATE)
    assert found["calibration"] == {
        "confidence": pytest.approx([0.1, 0.9]),
        "accuracy": pytest.approx([0.0, 0.75]),
        "share": pytest.approx([0.2, 0.8]),
    }
    assert found["calibration_error"] == pytest.approx(0.2 * 0.1 + 0.8 * 0.15)
    assert sum(found["pit"]) == pytest.approx(1)


def test_a_fair_guess_of_noise_costs_eight_bits_and_is_well_calibrated():
    """A network that says nothing of codes that nobody could foretell."""
    random = np.random.default_rng(0)
    sounds = [random.choice(_one_of_each_code(), 4000) for _ in range(2)]
    split = split_of(sounds, [(0, -1), (1, -1)])
    config = configs.load("tiny", ["audio.sample_rate=1000", "conditioner.signals=[]"])
    config = replace(config, conditioner=replace(config.conditioner, labels=()))
    graphdef, params = network.create(config, split.vocabulary, 0)
    params["wavenet"]["head2"] *= 0
    trained = Trained(config, split.vocabulary, graphdef, params, 0)
    heard = [each for each, _ in foretelling.hear(trained, split)]
    found = likelihoods.likelihood(heard, split, RATE)
    # Sums of 256 float32 near 1/256 each.
    assert found["bits_per_sample"] == pytest.approx(8, abs=1e-5)
    deviation = math.sqrt(1 / 256 / 8000)  # of the share of codes that are 0, the first of all
    assert found["top1_accuracy"] == pytest.approx(1 / 256, abs=4 * deviation)
    assert found["calibration_error"] < 4 * deviation
    # Each bin holds 400 of 8000, four standard deviations more or less.
    assert found["pit"] == pytest.approx([0.05] * 20, abs=4 * math.sqrt(0.05 * 0.95 / 8000))


def _one_of_each_code() -> np.ndarray:  # [256] int16
    codes = mulaw.int16_codes(256)
    return np.array([np.flatnonzero(codes == code).mean() - 32768 for code in range(256)], np.int16)


def interval(nats, samples):
    """Where there is one."""
    low, high = likelihoods.interval(nats, samples)
    assert isinstance(low, float)
    assert isinstance(high, float)
    return low, high


def test_the_interval_covers_what_it_says():
    """Recordings of unlike length and cost, whose mean is known: 95 of 100 intervals hold it."""
    random = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        samples = [np.array([n]) for n in random.integers(500, 1500, 30)]
        nats = [each * random.normal(2, 0.5) for each in samples]
        low, high = interval(nats, samples)
        covered += low <= 2 / math.log(2) <= high
    # Of 30 recordings the percentiles are a little narrow; and three standard deviations.
    assert 0.88 <= covered / 200 <= 0.99


def test_the_interval_is_narrower_the_more_there_is():
    random = np.random.default_rng(0)

    def width(count):
        samples = [np.array([1000])] * count
        low, high = interval([each * random.normal(2, 0.5) for each in samples], samples)
        return high - low

    # Sixteen times as many: a quarter, by the law of large numbers.
    assert width(1600) == pytest.approx(width(100) / 4, rel=0.3)


def test_what_always_costs_the_same_has_an_interval_without_width():
    samples = [np.array([100 * n]) for n in range(1, 21)]
    low, high = interval([2.0 * each for each in samples], samples)
    assert low == pytest.approx(high)  # the quotient counts, however much sound was drawn


def test_ten_recordings_are_drawn_whole():
    """All cost the same in all, though their seconds do not."""
    samples, nats = [np.full(2, 1000)] * 10, [np.array([1000.0, 3000.0])] * 10
    low, high = interval(nats, samples)
    assert low == pytest.approx(high)
    low, high = interval(nats[:9], samples[:9])
    assert low < high


def test_every_recording_can_be_drawn():
    samples = [np.array([1000])] * 10
    for dear in (0, 9):
        nats = [np.array([1000.0 * (place == dear)]) for place in range(10)]
        # Of one in ten, two draws of three hold it, and one in three does not.
        low, high = interval(nats, samples)
        assert low == 0 < high


def test_few_recordings_are_drawn_second_by_second():
    random = np.random.default_rng(0)
    samples = [np.full(20, 1000)] * 2
    nats = [1000 * random.normal(2, 0.5, 20) for _ in range(2)]
    low, high = interval(nats, samples)
    deviation = 0.5 / math.sqrt(40) / math.log(2)
    assert high - low == pytest.approx(2 * 1.96 * deviation, rel=0.35)  # of 40 draws
    bits = np.mean(np.concatenate(nats)) / 1000 / math.log(2)
    assert low < bits < high


def test_too_little_to_draw_from_is_said(split, heard):
    found = likelihoods.likelihood(heard[:1], split, RATE)
    assert isinstance(found["bits_per_sample_low"], NotApplicable)
    told = measures.told({"likelihood": found})
    assert told["likelihood"]["bits_per_sample_high"] is None
    assert "10 recordings or 10 seconds" in told["not_applicable"]["likelihood.bits_per_sample_low"]


def test_the_same_is_told_twice(split, heard):
    assert likelihoods.likelihood(heard, split, RATE) == likelihoods.likelihood(heard, split, RATE)
