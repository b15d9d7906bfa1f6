"""A model that sometimes heard no conditioning plays without any, if nothing is asked for."""

import json

import pytest

from wavegen import checkpoint
from wavegen.audio import files
from wavegen.music.score import Score
from wavegen.sampling import asking
from wavegen.sampling import request as requests

DROPPED = ("--set", "training.condition_dropout=0.5", "--set", "training.crop_samples=256")
HEARD = ("--set", 'conditioner.signals=["notes", "f0_loudness"]')


@pytest.fixture(scope="module")
def free_run(corpus, small, tmp_path_factory, wavegen):
    """A run of two steps that hears notes, an instrument and a recording, or nothing of it."""
    path = tmp_path_factory.mktemp("free") / "run"
    follows = ("--set", "model.predictor.order=4", "--set", "model.predictor.follows=notes")
    words = (*small, *DROPPED, *HEARD, *follows, "--steps", 2)
    ended = wavegen("train", "tiny", "--data", corpus, "--run", path, *words)
    assert ended.code == 0, ended.err
    return path


def test_asked_for_nothing_it_plays_without_conditioning(free_run, tmp_path, wavegen):
    out = tmp_path / "free.wav"
    ended = wavegen("generate", "--run", free_run, "--out", out, "--seconds", 0.1, "--json")
    assert ended.code == 0, ended.err
    assert "without conditioning, which this model learnt in 50% of its training" in ended.err
    said = json.loads(ended.out.splitlines()[-1])
    assert said["labels"] == {}
    assert said["files"][0]["pitch"] is None
    assert len(files.read(out)[0]) == 800


def test_asked_for_a_part_it_wants_the_rest_as_before(free_run, tmp_path, wavegen):
    arguments = ("generate", "--run", free_run, "--out", tmp_path / "a.wav", "--seconds", 0.1)
    ended = wavegen(*arguments, "--velocity", 90)
    assert ended.code == 1
    assert "no pitch was asked for" in ended.err
    ended = wavegen(*arguments, "--pitch", 60)
    assert ended.code == 1
    assert "--like" in ended.err


def test_a_model_that_never_did_without_still_wants_a_pitch(run, tmp_path, wavegen):
    ended = wavegen("generate", "--run", run, "--out", tmp_path / "a.wav", "--seconds", 0.1)
    assert ended.code == 1
    assert "no pitch was asked for" in ended.err


def test_playing_without_conditioning_hears_what_dropped_windows_heard(free_run):
    # tests/training/test_step.py says that those are zeros and unknown labels.
    trained = checkpoint.load(free_run)
    labels = asking.unknown_labels(trained)
    request = asking.request(trained, [Score()], labels, [0], 0.2)
    assert request.labels.shape == (1, len(trained.vocabulary.labels["instrument"]))
    assert not request.labels.any()
    stretches = list(requests.stretches(trained.config, request, cuts=True))
    assert sum(stretch.num_frames for stretch in stretches) == request.num_frames
    for stretch in stretches:
        assert stretch.notes.shape[-1] == 256
        assert stretch.acoustics.shape[-1] == 2
        assert not any(x.any() for x in (stretch.notes, stretch.periods, stretch.acoustics))
