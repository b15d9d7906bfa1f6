"""Sets of sounds: the same kind is near, copies are found, and nothing is ever NaN."""

import json
import math

import numpy as np
import pytest

from wavegen.audio import files
from wavegen.evaluation.metrics import measures, sets, words
from wavegen.evaluation.metrics.measures import Measure, NotApplicable

RATE = 8000
NAMES = {
    "frechet_mfcc", "frechet_log_mel", "ndb_share", "jensen_shannon", "nearest_within",
    "nearest_known", "copies",
}  # fmt: skip


def number(found: Measure) -> float:
    assert isinstance(found, float)
    return found


def plucked(seed):
    """Half a second of a dying note of a random pitch, and its hiss."""
    rng = np.random.default_rng(seed)
    time = np.arange(RATE // 2) / RATE
    phases = rng.uniform(0, 2 * np.pi, 6)
    hertz = rng.uniform(200, 400)
    tone = sum(np.sin(2 * np.pi * k * hertz * time + p) / k for k, p in enumerate(phases, 1))
    return 0.2 * np.exp(-6 * time) * tone + rng.normal(0, 0.001, len(time))


def blown(seed):
    """Half a second of noise that swells."""
    rng = np.random.default_rng(seed)
    return np.linspace(0, 0.3, RATE // 2) * rng.normal(size=RATE // 2)


@pytest.fixture(scope="module")
def known():
    return [plucked(seed) for seed in range(30)]


@pytest.fixture(scope="module")
def real():
    return [plucked(seed) for seed in range(100, 130)]


@pytest.fixture(scope="module")
def same(real, known):
    return sets.compare([plucked(seed) for seed in range(200, 220)], real, known, RATE)


def test_measures_are_those_of_the_list_of_words(same):
    assert set(same.measures) == NAMES
    assert set(words.METRICS) >= NAMES
    assert not same.remarks
    assert len(same.nearest) == 20
    assert all(0 <= place < 30 and distance > 0 for place, distance in same.nearest)


def test_sounds_of_the_same_kind_are_nearer_than_of_another(same, real, known):
    other = sets.compare([blown(seed) for seed in range(20)], real, known, RATE)
    assert not other.remarks
    for name in ("frechet_mfcc", "frechet_log_mel", "jensen_shannon", "nearest_known"):
        assert number(same.measures[name]) < 0.5 * number(other.measures[name])
    assert number(same.measures["ndb_share"]) < number(other.measures["ndb_share"])
    assert same.measures["copies"] == other.measures["copies"] == 0


def test_planted_copies_are_found(real, known):
    late = np.concatenate([np.zeros(40), 0.5 * known[17]])[: RATE // 2]  # 5 ms, and 6 dB
    found = sets.compare([plucked(200), known[4], late, plucked(201)], real, known, RATE)
    assert found.measures["copies"] == 0.5
    assert found.nearest[1] == (4, 0.0)


def test_a_set_beside_itself_is_at_no_distance_and_a_repeated_sound_has_no_variety(real):
    itself = sets.compare(real, real, [], RATE).measures
    assert number(itself["frechet_mfcc"]) < 1e-6  # of dB squared, from some thousands
    assert itself["ndb_share"] == itself["jensen_shannon"] == 0
    assert sets.compare(real[:1] * 4, real, [], RATE).measures["nearest_within"] == 0


@pytest.mark.parametrize(
    "odd",
    [
        [],
        [np.zeros(RATE)],
        [plucked(0)],
        [np.zeros(0)] * 12,
        [np.zeros(RATE // 4)] * 12,
        [np.ones(1)] * 12,
        [np.zeros(50), plucked(0), blown(0)[:33]] * 5,
    ],
    ids=["none", "silence", "one", "empty", "silences", "samples", "mixed"],
)
def test_odd_sets_have_numbers_or_reasons_on_every_side(odd, real, known):
    real, known = real[:12], known[:8]
    for generated, beside, past in (
        (odd, real, known), (real, odd, known), (real, real, odd), (odd, odd, odd),
    ):  # fmt: skip
        found = sets.compare(generated, beside, past, RATE)
        assert set(found.measures) == NAMES
        assert len(found.nearest) == len(generated)
        for name, value in found.measures.items():
            is_reason = isinstance(value, NotApplicable)
            assert value.reason if is_reason else math.isfinite(value), name
        json.dumps(measures.told(found.measures), allow_nan=False)


def test_of_large_sets_and_long_sounds_a_part_is_looked_at_and_the_remarks_say_so(
    real, known, monkeypatch
):
    monkeypatch.setattr(sets, "MOST_SOUNDS", 12)
    monkeypatch.setattr(sets, "MOST_KNOWN", 20)
    monkeypatch.setattr(sets, "MOST_SECONDS", 1)
    generated = [np.tile(plucked(seed), 3) for seed in range(15)]
    found = sets.compare(generated, real, known, RATE, seed=3)
    assert found.remarks == [
        "Of 30 real sounds, 12 were looked at.",
        "Of 15 generated sounds, 12 were looked at.",
        "Of 12 generated sounds, the first 1 seconds were looked at.",
        "Of 30 sounds trained on, 20 were looked at.",
    ]
    assert [pair is None for pair in found.nearest].count(True) == 3
    assert found == sets.compare(generated, real, known, RATE, seed=3)
    assert found != sets.compare(generated, real, known, RATE, seed=4)


def test_what_was_trained_on_is_the_scale_whatever_stands_beside(same, known):
    generated = [plucked(seed) for seed in range(200, 220)]
    other = sets.compare(generated, [blown(seed) for seed in range(20)], known, RATE)
    assert other.nearest == same.nearest
    assert other.measures["nearest_within"] == same.measures["nearest_within"]


def test_what_is_known_may_be_read_one_by_one(same, real, known):
    class OnDisk:
        def __len__(self):
            return len(known)

        def __getitem__(self, place):
            return known[place].astype(np.float32)

    found = sets.compare([plucked(seed) for seed in range(200, 220)], real, OnDisk(), RATE)
    assert [pair and pair[0] for pair in found.nearest] == [
        pair and pair[0] for pair in same.nearest
    ]


def test_frames_of_a_network_have_a_distance_of_their_own(real):
    def levels(samples, sample_rate):
        assert sample_rate == RATE
        return np.square(samples).reshape(-1, 8)

    found = sets.compare(real, real, [], RATE, embed=levels).measures
    assert set(found) == NAMES | {"frechet_embedding"}
    assert found["frechet_embedding"] == pytest.approx(0, abs=1e-12)  # energies are below 1


@pytest.mark.slow
def test_real_notes_of_one_instrument_are_nearer_than_of_two(shared_data):
    def notes(name):
        found = sorted((shared_data / "notes/nsynth-train/audio").glob(f"{name}-*.wav"))
        return [files.read(path, RATE)[0] for path in found[:24]]

    guitar, reed = notes("guitar_acoustic_000"), notes("reed_acoustic_000")
    within = sets.compare(guitar[::2], guitar[1::2], [], RATE).measures
    between = sets.compare(guitar[::2], reed[1::2], [], RATE).measures
    for name in ("frechet_mfcc", "frechet_log_mel"):
        assert 5 * number(within[name]) < number(between[name])
    assert sets.compare(guitar[::2], guitar[1::2], guitar[1::2], RATE).measures["copies"] == 0
