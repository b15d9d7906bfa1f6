"""A model judged: every part of the facts, each a number or a reason, and none twice."""

import contextlib
import json

import numpy as np
import pytest

from wavegen import config as configs
from wavegen.data import corpus
from wavegen.evaluation import judgement, renditions
from wavegen.evaluation.judgement import Asked
from wavegen.evaluation.metrics import measures, pairs, sets
from wavegen.evaluation.metrics.measures import NotApplicable
from wavegen.evaluation.metrics.words import METRICS
from wavegen.model import network
from wavegen.model.network import Trained
from wavegen.training import evaluate

RATE = 8000
SETTINGS = ("audio.sample_rate=8000", "model.residual_channels=8", "model.layers_per_cycle=3")


@contextlib.contextmanager
def silent(doing, unit):
    yield lambda done, total=None: None


@pytest.fixture(scope="module")
def notes(tmp_path_factory):
    path = tmp_path_factory.mktemp("judgement") / "notes"
    corpus.prepare([], path, layout="synthetic", sample_rate=RATE, pitches=(60, 64), limit=60)
    return corpus.open(path)


def untrained(found, *settings):
    config = configs.load("tiny", [*SETTINGS, *settings])
    graphdef, params = network.create(config, found.vocabulary, 0)
    return Trained(config, found.vocabulary, graphdef, params, 0)


@pytest.fixture(scope="module")
def judged(notes):
    asked = Asked(num=4, seconds=0.3, precisions=("float32",), with_baselines=True)
    return judgement.of_run(untrained(notes), notes, "valid", asked, silent)


def test_all_parts_are_there_and_json_holds_them(judged, notes):
    told = measures.told(judged.facts)
    json.dumps(told, allow_nan=False)
    assert set(told) == {
        "subject", "remarks", "likelihood", "baselines", "precisions", "reconstruction",
        "generated", "sets", "not_applicable",
    }  # fmt: skip
    split = notes.splits["valid"]
    assert told["subject"]["recordings"] == split.num_items
    assert told["subject"]["seconds"] == pytest.approx(split.lengths.sum() / RATE)
    for part in ("reconstruction", "generated", "sets"):
        for side in ("model", "mu_law", "real", "generated"):
            assert set(told[part].get(side) or {}) <= set(METRICS)


def test_bits_are_those_of_training_and_of_the_kernels(judged, notes):
    trained = untrained(notes)
    split = notes.splits["valid"]
    expected = evaluate.split(
        trained.graphdef, trained.params, split, trained.config, trained.vocabulary
    )
    found = judged.facts["likelihood"]["bits_per_sample"]
    assert found == pytest.approx(expected.bits_per_sample, abs=1e-6)  # sums in another order
    kernels = judged.facts["precisions"]["float32"]["bits_per_sample"]
    assert found == pytest.approx(kernels, abs=1e-4)  # float32 in another order


def test_mu_law_alone_reconstructs_better_than_an_untrained_model(judged):
    model, coded = (judged.facts["reconstruction"][side] for side in ("model", "mu_law"))
    assert list(model) == list(pairs.reconstruction(np.zeros(9), np.zeros(9), RATE))
    assert coded["snr_db"] > 25 > model["snr_db"]  # 38 dB at full scale, less at these levels
    assert coded["mse"] < model["mse"]


def test_each_clip_tells_what_was_asked_and_its_sounds_follow(judged, notes):
    clips = judged.facts["generated"]["clips"]
    assert len(clips) == len(judged.renditions) == 4
    for clip, made in zip(clips, judged.renditions, strict=True):
        assert (clip["name"], clip["asked"]) == (made.name, made.asked)
        assert clip["seconds"] == len(made.generated) / RATE == 0.3
        assert clip["nearest_known"] in notes.splits["train"].names


def test_what_asked_is_not_in_the_set_that_both_are_compared_with(notes, monkeypatch):
    seen = {}

    def compare_each(several, real, known, *_, **__):
        seen.update(several=several, real=real, known=known)
        return [sets.Sets({"copies": 0.0}, [None] * len(each), []) for each in several]

    monkeypatch.setattr(sets, "compare_each", compare_each)
    trained = untrained(notes)
    judged = judgement.of_run(trained, notes, "valid", Asked(num=500, seconds=9.0), silent)
    made, asking = seen["several"]
    split = notes.splits["valid"]
    assert [each.tobytes() for each in asking] == [r.real.tobytes() for r in judged.renditions]
    assert [each.tobytes() for each in made] == [r.generated.tobytes() for r in judged.renditions]
    assert len(made) == -(-split.num_items // 2)
    assert len(seen["real"]) + len(made) == split.num_items
    assert not {each.tobytes() for each in asking} & {each.tobytes() for each in seen["real"]}
    assert len(seen["known"]) == notes.splits["train"].num_items


def test_nothing_is_played_where_nothing_shall_be(notes):
    judged = judgement.of_run(untrained(notes), notes, "valid", Asked(num=0, limit=2), silent)
    assert set(judged.facts) == {"subject", "remarks", "likelihood", "reconstruction"}
    assert judged.facts["subject"]["recordings"] == 2
    assert judged.renditions == []


def test_a_model_that_hears_nothing_is_judged_by_its_sounds(notes):
    deaf = untrained(notes, "conditioner.signals=[]", "conditioner.labels=[]")
    judged = judgement.of_run(deaf, notes, "train", Asked(num=2, seconds=0.2), silent)
    found = judged.facts["generated"]["model"]
    assert found["pitch_error_cents"] == NotApplicable("the model hears no notes")
    assert isinstance(found["loudness_distance_db"], float)
    # What it learned from is not held back from it: nothing else is known.
    assert isinstance(judged.facts["sets"]["generated"]["copies"], NotApplicable)


def test_the_same_is_found_twice(notes):
    asked = Asked(num=3, seconds=0.2)
    one, two = (
        measures.told(judgement.of_run(untrained(notes), notes, "valid", asked, silent).facts)
        for _ in range(2)
    )
    assert one == two
    assert renditions.BATCH > 3
