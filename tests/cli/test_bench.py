"""`wavegen bench`: a table for people, records for machines, one message for mistakes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "bench_data.py"

QUICK = (
    "--case", "tiny_cycles", "--backend", "numba_cpu", "--precision", "float32", "--batch", 2,
    "--repeats", 1, "--seconds", 0, "--no-peers",
)  # fmt: skip


@pytest.fixture
def bench(wavegen):
    return lambda *words: wavegen("bench", "sampling", *words)


def test_the_table_goes_to_stdout_progress_to_stderr_and_json_last(bench, tmp_path):
    out = tmp_path / "records.jsonl"
    ended = bench(*QUICK, "--out", out, "--json")
    assert ended.code == 0, ended.err
    *words, last = ended.out.splitlines()
    found = json.loads(last)
    assert found["records"] == [json.loads(out.read_text())]
    assert words[-1].split()[:4] == ["tiny_cycles", "2", "numba_cpu", "float32"]
    assert "tiny_cycles, batch 2" in ended.err
    assert found["failures"] == []
    assert not found["interrupted"]


def test_quiet_says_nothing(bench):
    assert bench(*QUICK, "--quiet") == (0, "", "")


def test_what_is_wrong_is_told_and_exits_1(bench, monkeypatch):
    from wavegen_kernels.generate import numba_cpu

    right = numba_cpu.logits

    def wrong(*arguments, **keywords):
        state, logits = right(*arguments, **keywords)
        return state, logits + 1

    monkeypatch.setattr(numba_cpu, "logits", wrong)
    ended = bench(*QUICK, "--json")
    assert ended.code == 1
    found = json.loads(ended.out.splitlines()[-1])
    assert found["records"] == []
    assert "is wrong, so it is not timed" in found["failures"][0]
    assert found["failures"][0] in ended.out


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--case", "tiny_cycle"), "did you mean 'tiny_cycles'"),
        (("--backend", "numba-cpu"), "did you mean 'numba_cpu'"),
        (("--precision", "float16"), "did you mean"),
        (("--backend", "xla_scan", "--precision", "int8"), "float32 only"),
    ],
)
def test_what_cannot_run_is_one_message(bench, words, text):
    ended = bench(*words)
    assert ended.code == 1
    assert ended.out == ""
    assert ended.err.startswith("error: ")
    assert text in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("words", [("--batch", 0), ("--repeats", 0), ("--seconds", -1)])
def test_numbers_out_of_range_are_wrong_usage(bench, words):
    assert bench(*words).code == 2


def test_help_names_the_options(wavegen):
    assert "sampling" in wavegen("bench", "--help").out
    ended = wavegen("bench", "sampling", "--help")
    assert ended.code == 0
    assert all(option in ended.out for option in ("--json", "--quiet", "--case", "--out"))
    assert "data" in wavegen("bench", "--help").out
    ended = wavegen("bench", "data", "--help")
    assert ended.code == 0
    assert all(option in ended.out for option in ("--json", "--quiet", "--seconds", "--out"))


@pytest.fixture
def bench_data(wavegen, monkeypatch):
    """A function: `wavegen bench data`, of notes alone."""
    from wavegen.evaluation import throughput

    name = "prepare notes"
    monkeypatch.setattr(throughput, "CASES", {name: throughput.CASES[name]})
    return lambda *words: wavegen("bench", "data", "--repeats", 1, "--seconds", 4, *words)


def test_data_has_its_table_on_stdout_progress_on_stderr_and_json_last(bench_data, tmp_path):
    out = tmp_path / "records.jsonl"
    ended = bench_data("--out", out, "--json")
    assert ended.code == 0, ended.err
    *words, last = ended.out.splitlines()
    found = json.loads(last)
    assert found["records"] == [json.loads(out.read_text())]
    assert words[-1].startswith("prepare notes ")
    assert "prepare notes" in ended.err
    assert bench_data("--quiet") == (0, "", "")


def test_data_that_is_wrong_is_told_and_exits_1(bench_data, monkeypatch):
    from wavegen.data import listening

    monkeypatch.setattr(listening, "INT16_FULL_SCALE", 32_000)
    ended = bench_data("--json")
    assert ended.code == 1
    found = json.loads(ended.out.splitlines()[-1])
    assert found["records"] == []
    assert "is wrong, so it is not timed" in found["failures"][0]
    assert found["failures"][0] in ended.out


def test_data_refuses_what_cannot_be_before_it_begins(bench_data, wavegen, tmp_path):
    (tmp_path / "a_file").touch()
    for words, text in (
        (("--seconds", 0), "more than 0"),
        (("--seconds", "nan"), "more than 0"),
        (("--out", tmp_path / "a_file" / "o.jsonl"), "a_file is a file, not a folder"),
        (("--out", tmp_path), "is a folder"),
    ):
        ended = bench_data(*words)
        assert (ended.code, ended.out) == (1, "")
        assert ended.err.startswith("error: ")
        assert text in ended.err
    assert bench_data("--repeats", 0).code == 2
    assert wavegen("bench", "data", "--case", "notes").code == 2


def test_the_script_is_the_same_command(wavegen):
    done = subprocess.run(
        [sys.executable, SCRIPT, "--repeats", "0"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "bench data" in done.stderr
    assert "--repeats" in done.stderr


def test_training_steps_are_timed_and_told(wavegen):
    words = ("--case", "tiny_cycles", "--batch", 1, "--window", 64, "--repeats", 1, "--no-peers")
    ended = wavegen("bench", "training", *words, "--json")
    assert ended.code == 0, ended.err
    assert "tiny_cycles" in ended.out
    assert len(json.loads(ended.out.splitlines()[-1])["records"]) == 2
