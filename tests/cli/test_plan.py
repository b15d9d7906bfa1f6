"""`wavegen train --plan` and `--smoke-test`: what is known of a training before it begins."""

import json

import pytest

from wavegen.training import cost


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No more steps than have to be, and no batches of other sizes: see test_cost."""
    monkeypatch.setattr(cost, "ENOUGH_SECONDS", 0.0)
    monkeypatch.setattr(cost, "largest_batch", lambda *_: 99)


def test_a_plan_is_told_and_nothing_is_written(corpus, small, tmp_path, wavegen):
    run = tmp_path / "run"
    words = ("train", "tiny", "--data", corpus, "--run", run, *small, "--steps", 8)
    ended = wavegen(*words, "--plan", "--json")
    assert ended.code == 0, ended.err
    assert not run.exists()
    for name in ("parameters", "receptive field", "memory", "largest batch", "a step", "time"):
        assert f"  {name} " in ended.out
    told = json.loads(ended.out.splitlines()[-1])
    assert told["steps"] == 8
    assert told["largest_batch"] == 99
    assert told["memory"]["total"] > told["memory"]["state"] > 0
    # One validation at the last step, where none is due.
    assert told["seconds"] == 8 * told["step_seconds"] + told["validation_seconds"]


def test_of_a_training_that_is_under_way_the_rest_is_planned(corpus, small, run, wavegen):
    words = ("train", "tiny", "--data", corpus, *small, "--steps", 24)
    before = sorted(run.rglob("*"))
    ended = wavegen(*words, "--plan", "--run", run)
    assert ended.code == 0, ended.err
    assert "after the" in ended.out
    assert sorted(run.rglob("*")) == before


def test_without_a_run_there_has_to_be_a_plan(corpus, wavegen):
    assert wavegen("train", "tiny", "--data", corpus).code == 2
    ended = wavegen("train", "tiny", "--data", corpus / "nowhere", "--plan")
    assert ended.code == 1
    assert "nowhere" in ended.err


def test_a_smoke_test_does_all_that_a_training_does_and_keeps_nothing(
    corpus, small, tmp_path, wavegen, monkeypatch
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    words = ("train", "tiny", "--data", corpus, *small, "--smoke-test", "--json")
    ended = wavegen(*words)
    assert ended.code == 0, ended.err
    for done in ("step 3/3", "validation", "going on from step 2", "samples/"):
        assert done in ended.err, ended.err
    assert json.loads(ended.out.splitlines()[-1])["smoke_test"] == "passed"
    assert list(tmp_path.iterdir()) == []


def test_a_smoke_test_finds_what_would_fail_later(corpus, small, wavegen):
    words = ("train", "tiny", "--data", corpus, *small, "--set", "audio.sample_rate=16000")
    ended = wavegen(*words, "--smoke-test")
    assert ended.code == 1
    assert "16000" in ended.err
