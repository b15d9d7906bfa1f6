"""What a judgement remarks on: where its figures mean something else than one would think."""

from contextlib import contextmanager

import pytest

from wavegen import config as configs
from wavegen.data import corpus
from wavegen.evaluation import judgement
from wavegen.evaluation.judgement import Asked
from wavegen.model import network
from wavegen.model.network import Trained

RATE = 8000


@contextmanager
def silent(doing, unit):
    yield lambda done, total: None


@pytest.fixture(scope="module")
def notes(tmp_path_factory):
    path = tmp_path_factory.mktemp("remarks") / "notes"
    corpus.prepare([], path, layout="synthetic", sample_rate=RATE, pitches=(60, 64), limit=30)
    return corpus.open(path)


def remarks(found, vocabulary, **asked):
    config = configs.load(
        "tiny", ['conditioner.signals=["notes"]', 'conditioner.labels=["instrument"]']
    )
    graphdef, params = network.create(config, vocabulary, 0)
    trained = Trained(config, vocabulary, graphdef, params, 0)
    return judgement.of_run(trained, found, "valid", Asked(limit=2, **asked), silent).facts[
        "remarks"
    ]


def test_labels_that_the_network_never_met_are_told(notes):
    known = notes.vocabulary
    assert remarks(notes, known, num=0) == []
    other = known.__class__(**vars(known) | {"labels": {"instrument": ("kazoo", "organ")}})
    (told,) = remarks(notes, other, num=0)
    assert told.startswith("Of ")
    assert "recordings the network does not know the instrument, such as" in told


def test_fewer_sounds_than_were_asked_for_have_the_reason_of_those_that_were_heard(notes):
    told = remarks(notes, notes.vocabulary, num=9, seconds=0.2)
    assert any("that were heard are 2, and others are needed" in remark for remark in told)
