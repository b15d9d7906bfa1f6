"""What a training costs is told before it, and is what it then costs."""

import itertools
from typing import Any

import pytest

from wavegen import config as configs
from wavegen.errors import WavegenError
from wavegen.model import network
from wavegen.training import cost, evaluate


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No more steps than have to be."""
    monkeypatch.setattr(cost, "ENOUGH_SECONDS", 0.0)


def changed(config, *overrides):
    return configs.from_dict(configs.apply_overrides(configs.to_dict(config), overrides))


def test_memory_and_time_are_measured_and_nothing_is_learnt(tiny, notes_corpus, monkeypatch):
    monkeypatch.setattr(cost, "largest_batch", lambda *_: None)
    config = changed(tiny, "training.steps=100", "training.validate_every=10")
    found = cost.measure(config, notes_corpus)
    # Parameters, their average, and Adam's two moments, all of 4 bytes, besides some counters.
    assert 0 <= found.memory.state - 4 * 4 * found.parameters < 64
    assert found.memory.total > found.memory.state + found.memory.temporaries
    assert found.fastest_seconds <= found.step_seconds <= found.slowest_seconds
    assert found.samples_per_second == pytest.approx(4 * 512 / found.step_seconds)
    assert found.steps == 100
    parts = 100 * found.step_seconds + 10 * found.validation_seconds
    assert found.seconds == pytest.approx(parts)
    assert found.validation_seconds > 0


def test_the_largest_batch_fits_and_a_little_more_would_not(tiny, notes_corpus, monkeypatch):
    free, found = 200 * 2**20, cost.largest_batch
    monkeypatch.setattr(cost, "free_bytes", lambda: free)
    asked: dict[str, Any] = {}

    def largest(needed, *given):
        most = found(needed, *given)
        assert most is not None
        asked.update({"largest": most, "that": needed(most), "more": needed(most * 11 // 10)})
        return most

    monkeypatch.setattr(cost, "largest_batch", largest)
    told = cost.measure(tiny, notes_corpus)
    assert told.largest_batch == asked["largest"]
    assert asked["largest"] > 4
    assert asked["that"] <= cost.FILLED * free < asked["more"]


def test_a_batch_that_does_not_fit_is_refused_with_one_that_would(tiny, notes_corpus, monkeypatch):
    monkeypatch.setattr(cost, "free_bytes", lambda: 2**30)

    def memory(step, state):
        return cost.Memory(0, 0, step * 2**28)

    monkeypatch.setattr(cost, "_compile", lambda *given: given[-1])  # the batch size
    monkeypatch.setattr(cost, "_memory", memory)
    config = changed(tiny, "training.batch_size=8")
    with pytest.raises(WavegenError, match=r"takes 2,048 MiB, and 1,024 MiB are free") as error:
        cost.measure(config, notes_corpus)
    assert "training.microbatches=2, or training.batch_size=3" in error.value.do
    # Where the compiler itself gives up there is no number.
    monkeypatch.setattr(cost, "_compile", lambda *given: given[-1] if given[-1] < 3 else None)
    with pytest.raises(WavegenError, match="does not fit") as error:
        cost.measure(config, notes_corpus)
    assert "training.batch_size=2" in error.value.do


def test_a_container_may_have_less_than_its_machine(tmp_path):
    assert cost._allowed(tmp_path) is None
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("4096\n")
    assert cost._allowed(tmp_path) is None
    (tmp_path / "memory.max").write_text("10000\n")
    assert cost._allowed(tmp_path) == 10000 - 4096


@pytest.mark.parametrize(
    ("free", "unit", "expected"),
    [
        (None, 1, None),
        (10_000, 1, 89),  # of 9,000 bytes, 100 a window and 100 once
        (10_000, 8, 88),
        (100, 1, 0),
        (2_000, 32, 0),
        (10**9, 8, 1000),  # the most that there may be
    ],
)
def test_the_largest_batch_is_a_multiple_of_what_devices_and_parts_need(free, unit, expected):
    assert cost.largest_batch(lambda size: 100 + 100 * size, 4, 500, free, unit, 1000) == expected


def test_where_memory_grows_in_jumps_the_largest_batch_still_fits():
    def needed(size):
        return 100 * size + (5_000 if size > 50 else 0)

    found = cost.largest_batch(needed, 4, needed(4), 10_000, 1, 10**6)
    assert found is not None
    assert needed(found) <= cost.FILLED * 10_000


def test_steps_of_a_curriculum_count_by_their_length(tiny):
    config = changed(tiny, "training.first_crop_samples=128", "training.curriculum_steps=10")
    config = changed(config, "training.steps=30", "training.crop_samples=512")
    frames = [config.at(step).window_frames / config.window_frames for step in range(30)]
    assert frames[0] < frames[9] < frames[10] == 1
    for first in (0, 4, 10, 29):
        assert cost.whole_steps(config, first) == pytest.approx(sum(frames[first:]))


def test_a_validation_takes_as_long_as_its_chunks(tiny, notes_corpus, monkeypatch):
    calls, chunk = [], evaluate._chunk

    def counted(*args):
        calls.append(args)
        return chunk(*args)

    monkeypatch.setattr(evaluate, "_chunk", counted)
    times = itertools.count(100.0, 3.0)
    monkeypatch.setattr(evaluate.time, "monotonic", lambda: next(times))
    vocabulary, valid = notes_corpus.vocabulary, notes_corpus.splits["valid"]
    graphdef, params = network.create(tiny, vocabulary, 0)
    for limit in (None, 4.0):
        told = evaluate.seconds(graphdef, params, valid, tiny, vocabulary, limit)
        calls.clear()
        evaluate.split(graphdef, params, valid, tiny, vocabulary, limit)
        assert told == 3.0 * len(calls)
