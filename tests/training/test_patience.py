"""A training without progress ends, and ends at the same step however often it was interrupted."""

import json
from dataclasses import replace

import pytest

from wavegen import checkpoint
from wavegen.training import evaluate, health, loop
from wavegen.training.evaluate import Evaluation

COURSE = [5.0, 4.0, 4.5, 4.0, 3.9, 4.2, 3.95, 3.9, 1.0]  # 3.9 is not bettered by the three after it


@pytest.mark.parametrize(
    ("validations", "of", "expected"),
    [
        ([], 1, False),
        ([3.0], 1, False),
        ([3.0, 3.0], 1, True),
        ([3.0, 2.9], 1, False),
        ([3.0, 3.1, 2.9, 3.0], 2, False),
        ([2.9, 3.1, 3.0], 2, True),
        ([2.9, 3.1, 3.0], 0, False),
    ],
)
def test_patience_ends_with_so_many_validations_that_are_not_the_best(validations, of, expected):
    points = [(10 * k, bits) for k, bits in enumerate(validations)]
    assert health.is_exhausted(points, of) == expected


@pytest.fixture
def course(monkeypatch, tiny):
    """A config with a validation every other step, which goes as COURSE does."""
    plan = replace(tiny.training, validate_every=2, patience=3, steps=40, save_every=2, log_every=2)
    config, told = replace(tiny, training=plan), []

    def split(graphdef, params, *_):
        return Evaluation(COURSE[min(len(told), len(COURSE) - 1)], 0.5, 1, (0.0, 9.0))

    monkeypatch.setattr(evaluate, "split", split)
    return config, told


def train(course, corpus, run, stop_after=None):
    """Trains until it ends, or until a crash after so many validations; gives outcome and words."""
    config, told = course
    words = []

    def on_validation(found):
        told.append(found.validation_bits_per_sample)
        if len(told) == stop_after:
            raise KeyError("a crash, before this step is saved")

    outcome = loop.train(
        config, corpus, run,
        on_log=lambda _: None, on_validation=on_validation, on_note=words.append,
    )  # fmt: skip
    return outcome, words


def test_it_ends_in_words_with_all_saved_and_does_not_go_on(tmp_path, course, notes_corpus):
    outcome, words = train(course, notes_corpus, tmp_path)
    assert outcome.step == 16  # the eighth validation
    assert not outcome.interrupted
    assert checkpoint.steps(tmp_path)[-1] == 16
    assert any("3 validations were no better" in line for line in words)
    before = (tmp_path / "metrics.jsonl").read_text()
    again, words = train(course, notes_corpus, tmp_path)
    assert again.step == 16
    assert any("ends here" in line for line in words)
    assert (tmp_path / "metrics.jsonl").read_text() == before


def test_the_network_of_the_best_validation_is_saved_and_named(tmp_path, course, notes_corpus):
    config, told = course
    rarely = replace(config, training=replace(config.training, save_every=1000))
    _, words = train((rarely, told), notes_corpus, tmp_path)
    assert any("that of step 10 (3.900" in line and "--checkpoint 10" in line for line in words)
    assert checkpoint.steps(tmp_path) == [4, 10, 16]  # each was the best so far; the newest three


def test_a_killed_training_ends_at_the_same_step(tmp_path, course, notes_corpus):
    config, told = course
    for crash_at in (3, 7):
        with pytest.raises(KeyError, match="a crash"):
            train(course, notes_corpus, tmp_path, stop_after=crash_at)
        told.pop()  # it was told, and comes again: its step was not saved
    outcome, _ = train((config, told), notes_corpus, tmp_path)
    assert outcome.step == 16
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    steps = [line["step"] for line in lines if "validation_bits_per_sample" in line]
    assert steps == list(range(2, 17, 2))
