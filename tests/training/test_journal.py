"""metrics.jsonl: what a resume finds there, and what it does not repeat."""

import json
import math
from contextlib import closing

from wavegen import config as configs
from wavegen.training import health, journal
from wavegen.training.health import Tally
from wavegen.training.journal import Journal
from wavegen.training.progress import Validation

PLAN = configs.Training()


def opened(path, first=0, on_warning=lambda words: None):
    return closing(Journal(path, first, PLAN, order0_bits=5.0, on_warning=on_warning))


def no_constant(name):
    raise AssertionError(f"{name} is no JSON")


def entries(path):
    return [json.loads(text, parse_constant=no_constant) for text in path.read_text().splitlines()]


def test_a_resume_reads_back_what_came_up_to_its_step(tmp_path, line):
    path = tmp_path / "metrics.jsonl"
    with opened(path) as first:
        for step in (20, 40, 60):
            first.log(line(step=step, bits=step / 10))
        first.validation(Validation(40, 3.5, 0.4))
        first.saved(40, Tally(4000, 1))
        first.saved(60, Tally(6000, 2))
    with opened(path, first=40) as second:
        assert second.curve == [(20, 2.0), (40, 4.0)]
        assert second.validations == [(40, 3.5)]
        assert second.tally == Tally(4000, 1)
    assert [entry["step"] for entry in entries(path)] == [20, 40, 40, 40]


def test_a_run_of_an_older_wavegen_is_gone_on_with(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 4, "nats": 2.0, "bits_per_sample": 2.885}\n[]\n{"step": 8, "nats')
    with opened(path, first=8) as found:
        assert found.curve == [(4, 2.885)]
        assert found.tally == Tally()
    assert len(entries(path)) == 1


def test_numbers_that_json_has_not_are_written_as_null(tmp_path, line):
    path = tmp_path / "metrics.jsonl"
    with opened(path) as found:
        found.log(line(bits=math.nan))
        found.validation(Validation(1000, math.inf, 0.0))
    assert entries(path)[0]["bits_per_sample"] is None
    assert entries(path)[1]["validation_bits_per_sample"] is None
    with opened(path, first=1000) as found:
        assert (found.curve, found.validations) == ([], [])


def test_each_warning_is_said_once_until_it_was_over(tmp_path, line):
    said, path = [], tmp_path / "metrics.jsonl"
    with opened(path, on_warning=said.append) as found:
        for waiting in (0.5, 0.5, 0.5, 0.1, 0.5, 0.5):
            found.log(line(waiting=waiting))
        assert len(said) == 1
        for waiting in (*[0.0] * health.RECENT, 0.6, 0.6):
            found.log(line(waiting=waiting))
    assert len(said) == 2
    assert "60%" in said[1]
    warned = [entry for entry in entries(path) if "warning" in entry]
    assert [entry["words"] for entry in warned] == said
    assert {entry["warning"] for entry in warned} == {"starved"}


def test_a_resume_goes_on_as_if_nothing_had_been(tmp_path, line):
    waits = (0.5, 0.5, 0.5, 0.1, 0.5, 0.1, 0.1, 0.1, 0.1, 0.1, 0.6, 0.6)
    told = {}
    for cut in (0, 1, 2, 5, 8, 11):
        said, path = [], tmp_path / f"{cut}.jsonl"
        for first, last in ((0, cut), (cut, len(waits))):
            with opened(path, first, said.append) as found:
                for step in range(first, last):
                    skipped = 2 if step >= 1 else 0
                    found.log(line(step=step + 1, waiting=waits[step], skipped=skipped))
        told[cut] = said, entries(path)
    assert all(each == told[0] for each in told.values())
    assert len(told[0][0]) == 3  # waiting twice, and the skipped steps


def test_overfitting_is_seen_across_a_resume(tmp_path, line):
    said, path = [], tmp_path / "metrics.jsonl"
    curve = [(step, 4 - step / 1000) for step in range(100, 2501, 100)]
    validations = {500: 4.0, 1000: 3.6, 1500: 3.7, 2000: 3.75, 2500: 3.8}
    for first, last in ((0, 1500), (1500, 2500)):
        with opened(path, first, said.append) as found:
            for step, bits in curve:
                if first < step <= last:
                    found.log(line(step=step, bits=bits))
                    if step in validations:
                        found.validation(Validation(step, validations[step], 0.4))
    (words,) = said
    assert "best at step 1000" in words


def test_reading_what_is_not_there_gives_nothing(tmp_path):
    assert journal.read(tmp_path / "metrics.jsonl") == []
