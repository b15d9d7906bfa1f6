"""Runs beside each other: what differs is told, what is best is marked, where it can be."""

import json

import numpy as np
import pytest

from wavegen import config as configs
from wavegen.audio import files
from wavegen.errors import WavegenError
from wavegen.evaluation import comparison
from wavegen.evaluation.comparison import page as comparison_page
from wavegen.evaluation.comparison import runs
from wavegen.evaluation.comparison.rows import Row
from wavegen.evaluation.comparison.runs import Kept
from wavegen.evaluation.figures import curves

STEPS_PER_SECOND, LOG_EVERY = 5.0, 10
DIGEST = "c0d57caf46ffc78a"


def write_run(path, *overrides, bits=(3.0, 2.0), environment=None):
    """A run folder of 20 steps, with a validation every ten."""
    path.mkdir(parents=True)
    config = configs.from_dict(configs.apply_overrides({}, overrides))
    (path / "config.toml").write_text(configs.to_toml(config))
    told = {"wavegen": "0.1.0", "devices": ["cpu"], "corpus": "notes", "begun_from": None}
    (path / "environment.json").write_text(json.dumps(told | (environment or {})))
    lines = []
    for place, found in enumerate(bits, start=1):
        step = place * LOG_EVERY
        rates = {"steps_per_second": STEPS_PER_SECOND, "samples_per_second": 4e4}
        lines.append({"step": step, "bits_per_sample": found + 0.1, "audio_hours": 0.5, **rates})
        lines.append({"step": step, "validation_bits_per_sample": found})
    (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def write_report(run, step=20, name="report", split="valid", version=1, subject=None, **parts):
    told = {"kind": "run", "step": step, "data": "notes", "split": split, "sample_rate": 8000}
    told |= {"recordings": 3, "seconds": 12.0, **(subject or {})}
    path = run / "evaluation" / name / "report.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"format_version": version, "subject": told, **parts}))


def laid(*paths, digests=(DIGEST,) * 9):
    """The comparison of runs whose checkpoint tells of such corpora."""
    kept = [Kept([10, 20], None, 1000, "notes", digest) for digest in digests]
    return comparison.of(
        [runs.read(path.name, path, each) for path, each in zip(paths, kept, strict=False)]
    )


def row(found, name, group=""):
    (only,) = [each for each in found.rows if each.name == name and group in each.group]
    return only


def names(found, group):
    return [each.name for each in found.rows if each.group == group]


def test_only_settings_that_differ_are_listed(tmp_path):
    one = write_run(tmp_path / "one")
    other = write_run(tmp_path / "other", "model.hop_length=32", "model.predictor.floor=0.5")
    found = laid(one, other, one)
    assert names(found, "config") == ["model.hop_length", "model.predictor.floor"]
    assert row(found, "model.hop_length").values == [64, 32, 64]


def test_equal_configs_are_called_the_same(tmp_path):
    found = laid(write_run(tmp_path / "one"), write_run(tmp_path / "other"))
    assert names(found, "config") == []
    assert "The configs are the same." in found.remarks


def test_the_best_validation_counts_and_not_the_last(tmp_path):
    one = write_run(tmp_path / "one", bits=(2.5, 1.5, 1.9))
    other = write_run(tmp_path / "other", bits=(2.0, 1.75))
    found = laid(one, other)
    assert found.is_same_data
    assert found.verdict == (
        "one validates best on the same data: 1.5000 bits per sample at step 20, 0.2500 below "
        "other."
    )
    assert row(found, "best_validation").best == [0]
    assert row(found, "last_validation").best == [1]
    assert row(found, "last_validation").values == [1.9, 1.75]
    third = write_run(tmp_path / "third", bits=(1.6, 1.6))
    found = laid(third, one, other)
    assert found.verdict.endswith("0.1000 below third.")  # which is the next best
    assert row(found, "best_validation_step").values == [10, 20, 20]  # of equal ones the first


def test_equal_validations_are_called_alike(tmp_path):
    one, other = write_run(tmp_path / "one"), write_run(tmp_path / "other")
    found = laid(one, other)
    assert found.verdict.startswith("one and other validate alike")
    assert row(found, "best_validation").best == []
    found = laid(
        one, other, write_run(tmp_path / "worse", bits=(2.5,)), write_run(tmp_path / "new", bits=())
    )
    assert found.verdict.startswith("one and other validate alike")
    assert found.verdict.endswith("0.5000 below worse. Not validated: new.")
    assert row(found, "best_validation").best == [0, 1]


@pytest.mark.parametrize(
    ("override", "digest", "differs"),
    [
        ("training.steps=7", "another", "the corpus"),
        ("training.validation_seconds=9.0", DIGEST, "training.validation_seconds"),
        ("audio.n_codes=64", DIGEST, "audio.n_codes"),
        ("audio.sample_rate=8000", DIGEST, "audio.sample_rate"),
    ],
)
def test_validations_on_other_data_are_not_compared(tmp_path, override, digest, differs):
    one = write_run(tmp_path / "one")
    found = laid(one, write_run(tmp_path / "other", override), digests=(DIGEST, digest))
    assert found.is_same_data is False
    assert "cannot be compared" in found.verdict
    assert differs in found.verdict
    assert row(found, "best_validation").best == []


def test_on_what_a_run_would_be_validated_that_was_not_does_not_matter(tmp_path):
    one, other = write_run(tmp_path / "one"), write_run(tmp_path / "other", bits=(1.0,))
    new = write_run(tmp_path / "new", bits=())
    found = laid(one, other, new, digests=(DIGEST, DIGEST, "another"))
    assert found.is_same_data
    assert found.verdict.startswith("other validates best")


def test_a_corpus_without_a_digest_is_taken_for_no_other(tmp_path):
    one, other = write_run(tmp_path / "one"), write_run(tmp_path / "other", bits=(1.0,))
    found = laid(one, other, digests=(DIGEST, ""))
    assert found.is_same_data is None
    assert "cannot be told" in found.verdict
    assert "other" in found.verdict
    assert row(found, "best_validation").best == []


def test_times_are_those_of_the_steps(tmp_path):
    found = laid(write_run(tmp_path / "one"), write_run(tmp_path / "other", bits=(3.0,)))
    assert row(found, "seconds").values == [20 / STEPS_PER_SECOND, 10 / STEPS_PER_SECOND]
    assert row(found, "audio_seconds").values == [1800.0, 1800.0]
    assert row(found, "step").values == [20, 20]  # the second has a checkpoint there
    assert row(found, "checkpoint").values == [20, 20]


def test_the_rate_is_that_of_most_log_lines(tmp_path):
    one, other = write_run(tmp_path / "one"), write_run(tmp_path / "other")
    lines = [{"step": n, "samples_per_second": rate} for n, rate in enumerate((2e4, 1e4, 3e4))]
    (one / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert row(laid(one, other), "samples_per_second").values == [2e4, 4e4]


def test_of_evaluations_the_newest_of_each_split_counts(tmp_path):
    one, other = write_run(tmp_path / "one"), write_run(tmp_path / "other")
    write_report(one, 20, "a", likelihood={"bits_per_sample": 2.0, "top1_accuracy": 1})
    write_report(one, 10, "b", likelihood={"bits_per_sample": 1.0})
    write_report(one, 30, "d", subject={"kind": "sounds"}, likelihood={"bits_per_sample": 5.0})
    write_report(one, 20, "c", "test", likelihood={"bits_per_sample": 4.0})
    write_report(other, 15, likelihood={"bits_per_sample": 3.0, "top1_accuracy": None})
    found = laid(one, other)
    assert row(found, "bits_per_sample", "valid").values == [2.0, 3.0]
    assert row(found, "bits_per_sample", "valid").best == [0]
    assert row(found, "top1_accuracy").cells == ["100.0", "-"]
    assert row(found, "bits_per_sample", "test").cells == ["4.0000", "-"]
    assert row(found, "step", "valid").values == [20, 15]


def test_each_metric_knows_which_way_is_better(tmp_path):
    one, other = write_run(tmp_path / "one"), write_run(tmp_path / "other")
    for run, value in ((one, 1.0), (other, 2.0)):
        model = {"snr_db": value, "mse": value}
        write_report(
            run,
            reconstruction={"model": model, "mu_law": {"snr_db": 99.0}},
            baselines={"markov_0_bits": value},
            generated={"model": {"voiced_share": value}, "real": {"voiced_share": 0.0}},
        )
    found = laid(one, other)
    assert row(found, "snr_db").values == [1.0, 2.0]
    assert (row(found, "snr_db").best, row(found, "mse").best) == ([1], [0])
    assert row(found, "markov_0_bits").best == row(found, "voiced_share").best == []


@pytest.mark.parametrize(
    "subject",
    [{"corpus_digest": "other"}, {"recordings": 4}, {"seconds": 13.0}, {"sample_rate": 16000}],
)
def test_evaluations_on_other_data_have_no_best(tmp_path, subject):
    one, other = write_run(tmp_path / "one"), write_run(tmp_path / "other")
    write_report(one, likelihood={"bits_per_sample": 1.0})
    write_report(other, subject=subject, likelihood={"bits_per_sample": 2.0})
    found = laid(one, other)
    assert row(found, "bits_per_sample").best == []
    assert any("heard different data" in remark for remark in found.remarks)


def test_sounds_made_by_other_settings_have_no_best(tmp_path):
    one, other = write_run(tmp_path / "one"), write_run(tmp_path / "other")
    for run, num in ((one, 8), (other, 32)):
        made = {"model": {"pitch_within_50_cents": num / 40}, "settings": {"num": num}}
        write_report(
            run,
            likelihood={"bits_per_sample": num},
            generated=made,
            sets={"generated": {"frechet_mfcc": num}},
        )
    found = laid(one, other)
    assert row(found, "frechet_mfcc").best == []
    assert row(found, "pitch_within_50_cents").best == []
    assert row(found, "bits_per_sample").best == [0]
    assert any("by different settings" in remark for remark in found.remarks)


def test_evaluations_in_other_codes_have_no_best(tmp_path):
    one, other = write_run(tmp_path / "one"), write_run(tmp_path / "other", "audio.n_codes=64")
    for run, bits in ((one, 1.0), (other, 2.0)):
        write_report(run, likelihood={"bits_per_sample": bits})
    assert row(laid(one, other), "bits_per_sample").best == []


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", "\udcff", '{"format_version": 9, "subject": {"kind": "run"}}']
)
def test_a_report_that_cannot_be_read_is_remarked_on(tmp_path, text):
    one, other = write_run(tmp_path / "one"), write_run(tmp_path / "other")
    write_report(one)
    report = one / "evaluation" / "report" / "report.json"
    report.write_bytes(text.encode("utf-8", "surrogateescape"))
    (remark,) = [each for each in laid(one, other).remarks if "report.json" in each]
    assert remark.startswith("one: report/report.json")


@pytest.mark.parametrize(
    "told",
    [
        {"step": "ten", "seconds": "many", "recordings": None, "data": 3},
        {"step": None, "seconds": -1.0, "sample_rate": []},
    ],
)
def test_a_report_of_odd_values_is_no_trouble(tmp_path, told):
    one, other = write_run(tmp_path / "one"), write_run(tmp_path / "other")
    odd = {"bits_per_sample": "two", "top1_accuracy": float("nan"), "calibration_error": True}
    write_report(one, subject=told, likelihood=odd, reconstruction=[], generated={"settings": 1})
    found = laid(one, other)
    assert all(len(each.cells) == 2 for each in found.rows)
    metrics = ("bits_per_sample", "top1_accuracy", "calibration_error")
    assert not {*names(found, "evaluation on valid")} & {*metrics}
    assert "NaN" not in json.dumps(found.told())


def test_damaged_metrics_are_remarked_on_and_the_rest_is_shown(tmp_path):
    one, other, third = (write_run(tmp_path / name) for name in ("one", "other", "third"))
    (one / "metrics.jsonl").write_bytes(b"\xff\xfe\x00")
    with (other / "metrics.jsonl").open("a") as file:
        file.write("{broken\n[1]\n")
    (third / "metrics.jsonl").unlink()
    cut = write_run(tmp_path / "cut", bits=())
    (cut / "metrics.jsonl").write_text('{"step": 10}\n{"step": 2')  # as a kill leaves it
    found = laid(one, other, third, cut)
    assert found.remarks[1:] == [
        "one: metrics.jsonl is damaged: it is no text",
        "other: 2 lines of metrics.jsonl are damaged and were passed over",
        "third: no metrics.jsonl",
    ]
    assert found.verdict.startswith("Only other has been validated: 2.0000")
    assert row(found, "parameters").values == [1000] * 4


def test_a_config_of_another_version_is_remarked_on(tmp_path):
    one, other = write_run(tmp_path / "one"), write_run(tmp_path / "other")
    with (other / "config.toml").open("a") as file:
        file.write("[sorcery]\nlevel = 3\n")
    found = laid(one, other)
    assert any("sorcery" in remark for remark in found.remarks)
    assert "The configs are the same." not in found.remarks  # one is not known
    assert row(found, "receptive_field_samples").cells[1] == "-"
    assert row(found, "best_validation").values == [2.0, 2.0]
    kept = configs.from_dict({})
    assert runs.read("other", other, Kept([20], kept)).config == kept  # the checkpoint's then
    (other / "config.toml").unlink()
    assert runs.read("other", other, Kept([20], kept)).config == kept


def test_environments_are_told_where_they_differ(tmp_path):
    one = write_run(tmp_path / "one")
    begun = {"run": "runs/a", "step": 7}
    other = write_run(
        tmp_path / "other",
        environment={"devices": ["H200", "H200"], "begun_from": begun, "corpus": "elsewhere"},
    )
    found = laid(one, other)
    assert names(found, "environment") == ["devices", "begun_from"]
    assert row(found, "devices").cells == ["cpu", "H200, H200"]
    assert row(found, "begun_from").cells == ["-", "run runs/a, step 7"]


def test_what_is_no_run_is_refused(tmp_path):
    one, corpus = write_run(tmp_path / "one"), tmp_path / "corpus"
    corpus.mkdir()
    with pytest.raises(WavegenError, match="a folder, but no run"):
        runs.check([one, corpus])
    (corpus / "manifest.json").write_text("{}")
    with pytest.raises(WavegenError, match="a corpus, but no run"):
        runs.check([one, corpus])
    with pytest.raises(WavegenError, match="does not exist"):
        runs.check([one, tmp_path / "nowhere"])
    with pytest.raises(WavegenError, match="only one run"):
        runs.check([one])
    with pytest.raises(WavegenError, match="given twice"):
        runs.check([one, corpus / ".." / "one"])


@pytest.mark.parametrize(
    ("values", "unit", "label", "cells"),
    [
        ([5400.0, 7200.0], "s", "x (h)", ["1.50", "2.00"]),
        ([90.0, 120.0], "s", "x (min)", ["1.50", "2.00"]),
        ([90.0, 119.0], "s", "x (s)", ["90", "119"]),
        ([0.064, None], "s", "x (s)", ["0.0640", "-"]),
        ([0.5, 1.0], "%", "x (%)", ["50.0", "100.0"]),
        ([123.456, 1.0], "dB", "x (dB)", ["123.5", "1.0"]),
        ([3.2e-5, 1e-6], "", "x", ["3.2e-05", "1e-06"]),
        ([0.0, 0.0], "ms", "x (ms)", ["0", "0"]),
        ([51234.5, 9.9], "samples/s", "x (samples/s)", ["51234", "10"]),
        ([None, None], "s", "x (s)", ["-", "-"]),
    ],
)
def test_values_of_a_row_are_told_in_one_unit(values, unit, label, cells):
    each = Row("training", "x", "x", values, unit, "lower")
    assert (each.label, each.cells) == (label, cells)


def test_settings_are_told_as_they_were_written():
    each = Row("config", "x", "x", [3e-4, 0.25, True, False, ["notes", "past"], []])
    assert each.cells == ["0.0003", "0.25", "yes", "no", "notes, past", "none"]


def sound(run, name, seconds=0.2):
    time = np.arange(round(seconds * 8000)) / 8000
    files.write(run / "samples" / name, 0.5 * np.sin(2 * np.pi * 440 * time), 8000)


def test_the_newest_sounds_of_kinds_that_runs_share_are_found(tmp_path):
    one, other, third = (write_run(tmp_path / name) for name in ("one", "other", "third"))
    sound(one, "step_000000010_t0.95_seed0.wav")
    sound(one, "step_000000020_t0.95_seed0.wav")
    sound(one, "step_000000030_t1_seed3.wav")
    sound(one, "followed.wav")
    sound(third, "step_000000005_t0.95_seed0.wav")
    found = laid(one, other, third).sounds
    assert list(found) == ["t0.95_seed0"]
    assert [path and path.name[:14] for path in found["t0.95_seed0"]] == [
        "step_000000020", None, "step_000000005",
    ]  # fmt: skip


def test_the_page_stands_alone_and_shows_names_as_text(tmp_path):
    one = write_run(tmp_path / "<script>alert(1)<")
    other = write_run(tmp_path / "other", bits=(1.0,))
    for run in (one, other):
        sound(run, "step_000000020_t0.95_seed0.wav")
    (other / "samples" / "step_000000020_t1_seed0.wav").write_bytes(b"no sound")
    sound(one, "step_000000020_t1_seed0.wav")
    comparison_page.write(tmp_path / "page.html", laid(one, other))
    page = (tmp_path / "page.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")
    assert page.count("data:audio/wav;base64,") == 3
    assert page.count("data:image/png;base64,") == 3
    assert page.count("data:image/svg+xml;base64,") == 1
    assert "temperature 1, seed 0" in page
    *_, of_other = page.split("<strong>other</strong>")
    assert "cannot be read as sound" in of_other
    assert "other validates best" in page
    assert "<strong>1.0000" in page


def test_a_page_of_runs_that_tell_nothing_is_a_page(tmp_path):
    one, other = write_run(tmp_path / "one", bits=()), write_run(tmp_path / "other", bits=())
    comparison_page.write(tmp_path / "page.html", laid(one, other))
    page = (tmp_path / "page.html").read_text()
    assert "None of the runs has been validated yet." in page
    assert "Without a curve: one, other" in page
    assert "No two of the runs have sounds" in page


def test_sounds_too_long_to_be_sent_and_curves_too_many_are_named(tmp_path, monkeypatch):
    one = write_run(tmp_path / "one", bits=())
    (one / "metrics.jsonl").write_text('{"step": 10, "bits_per_sample": 3.0}\n')
    other = write_run(tmp_path / "other")
    for run in (one, other):
        sound(run, "step_000000020_t1_seed0.wav")
    monkeypatch.setattr(comparison_page, "LARGEST_SOUND", 1000)
    monkeypatch.setattr(curves, "MOST", 1)
    comparison_page.write(tmp_path / "page.html", laid(one, other))
    page = (tmp_path / "page.html").read_text()
    assert page.count("too long to be held by a page") == 2
    assert "<audio" not in page
    assert "Without a curve: other." in page
