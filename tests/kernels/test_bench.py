import json
import math
import subprocess
import sys
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from wavegen_kernels import backends, cases
from wavegen_kernels.bench import contenders, limits, proof, sampling, table
from wavegen_kernels.cpu import machine
from wavegen_kernels.generate import numba_cpu

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "bench_sampling.py"
FIELDS = {
    "format", "timestamp", "version", "git_revision", "device", "processor", "jax", "case",
    "backend", "precision", "batch", "threads", "warm_up", "repeats", "compile_seconds",
    "step_microseconds_median", "step_microseconds_min", "step_microseconds_max",
    "samples_per_second_per_stream", "samples_per_second", "times_real_time",
    "times_real_time_all_streams", "bytes_per_sample", "multiply_adds_per_sample",
    "read_bytes_per_second", "multiply_adds_per_second", "share_of_limit", "limited_by",
    "steadiness", "largest_logit_error", "mean_kl_nats", "ratio_to_xla_scan",
}  # fmt: skip
ONE = {"names": ["tiny_cycles"], "backends": ["numba_cpu"], "precisions": ["float32"]}


def planned(**changes):
    usual = {"names": [], "backends": [], "precisions": [], "batches": [2], "peers": False}
    return sampling.plan(**{**usual, "repeats": 2, "seconds": 0.0, **changes})


def run(plan, progress=lambda *_: nullcontext(lambda done: None)):
    """What was found, the exit code, what was said and what was noted."""
    said, noted = [], []
    found, code = sampling.report(plan, said.append, noted.append, progress)
    return found, code, said, noted


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """One run of all that can run here, its file and its exit code."""
    out = tmp_path_factory.mktemp("bench") / "new" / "sampling.jsonl"
    found, code, said, _ = run(planned(names=["tiny_cycles"], batches=[1, 2], out=out))
    return SimpleNamespace(records=found["records"], out=out, code=code, said=said)


def test_every_record_has_all_fields_and_finite_numbers(whole):
    assert whole.code == 0
    for entry in whole.records:
        assert set(entry) == FIELDS
        assert all(math.isfinite(x) for x in entry.values() if isinstance(x, int | float))


def test_every_backend_and_precision_that_can_run_here_has_a_record_for_each_batch(whole):
    expected = {
        (batch, name, precision)
        for batch in (1, 2)
        for name in backends.NAMES
        for precision in backends.PRECISIONS
        if name != "reference" and backends.unavailable_reason(name, precision) is None
    }
    found = [(entry["batch"], entry["backend"], entry["precision"]) for entry in whole.records]
    assert set(found) == expected
    assert len(found) == len(expected)


def test_share_of_limit_is_arithmetic_of_the_records_own_numbers(whole):
    for entry in whole.records:
        needed = {
            "reading": entry["bytes_per_sample"] / entry["read_bytes_per_second"],
            "arithmetic": entry["multiply_adds_per_sample"] / entry["multiply_adds_per_second"],
        }
        assert entry["limited_by"] == max(needed, key=lambda name: needed[name])
        share = 1e6 * entry["batch"] * max(needed.values()) / entry["step_microseconds_median"]
        # Half a unit of the last digit of the share (1e-4) and of the median (1e-3).
        rounding = 0.5e-4 + share * 0.5e-3 / entry["step_microseconds_median"]
        assert entry["share_of_limit"] == pytest.approx(share, abs=1.01 * rounding)


def test_every_thread_reads_the_weights_once_as_they_are_held(whole):
    for entry in whole.records:
        size = 4 * entry["multiply_adds_per_sample"]
        if entry["backend"] == "numba_cpu":
            stack = cases.weights(cases.CASES[entry["case"]])
            size = entry["threads"] * numba_cpu.packed(stack, entry["precision"]).arena.nbytes
        assert entry["bytes_per_sample"] == size // entry["batch"]


def test_ratios_compare_with_xla_scan_of_the_same_case_and_batch(whole):
    for entry in whole.records:
        (baseline,) = (
            other["step_microseconds_median"]
            for other in whole.records
            if (other["backend"], other["batch"]) == ("xla_scan", entry["batch"])
        )
        ratio = baseline / entry["step_microseconds_median"]
        assert entry["ratio_to_xla_scan"] == pytest.approx(ratio, abs=1e-3)


def test_records_are_appended_as_json_lines(whole):
    read = lambda: [json.loads(line) for line in whole.out.read_text().splitlines()]
    assert read() == whole.records
    found, *_ = run(planned(**ONE, out=whole.out))
    assert read() == whole.records + found["records"]
    assert found["records"][0]["ratio_to_xla_scan"] is None


def test_the_table_has_a_row_a_record_and_fits_in_110_columns(whole):
    assert whole.said == [table.HEADER, *map(table.row, whole.records)]
    big = {"case": "tiny_three_taps", "backend": "torch_compiled", "batch": 32}
    for entry in whole.records:
        assert max(map(len, "\n".join([*whole.said, table.row(entry | big)]).split("\n"))) <= 110


def perturbed(function, change):
    def wrong(*arguments, **keywords):
        state, found, *others = function(*arguments, **keywords)
        return state, change(found), *others

    return wrong


@pytest.mark.parametrize(
    ("function", "change", "reason"),
    [
        ("logits", lambda logits: logits + np.float32(2e-4), "logits differ by 0.0002"),
        ("logits", lambda logits: logits * np.float32(np.nan), "logits differ by nan"),
        ("generate", lambda codes: (codes + 1) % 256, "another draw"),
    ],
)
def test_a_wrong_backend_is_refused_and_not_timed(monkeypatch, function, change, reason):
    monkeypatch.setattr(numba_cpu, function, perturbed(getattr(numba_cpu, function), change))
    plan = planned(names=["tiny_cycles"], precisions=["float32"])
    found, code, said, _ = run(plan)
    assert code == 1
    assert [entry["backend"] for entry in found["records"]] == ["xla_scan"]
    (failure,) = found["failures"]
    assert "numba_cpu float32 is wrong" in failure
    assert reason in failure
    assert said[-1] == failure


def test_rounded_weights_are_refused_by_their_distributions(monkeypatch):
    noise = lambda logits: logits + np.float32(0.1) * (np.arange(logits.shape[-1]) % 2)[None, None]
    monkeypatch.setattr(numba_cpu, "logits", perturbed(numba_cpu.logits, noise))
    found, code, *_ = run(planned(**{**ONE, "precisions": ["bfloat16"]}))
    assert code == 1
    assert not found["records"]
    assert "nats" in found["failures"][0]


def test_only_the_first_and_last_stream_need_the_reference_but_all_draws_are_checked():
    case, batch = cases.CASES["tiny_odd"], 5
    right = contenders.ours(case, batch, "numba_cpu", "float32")

    def draw(cond, hop_length):
        codes = right.draw(cond, hop_length).copy()
        codes[2, -1] = (codes[2, -1] + 1) % case.n_codes
        return codes

    assert proof.prove(case, batch, right).largest_logit_error < proof.LOGIT_TOLERANCE
    with pytest.raises(proof.Wrong, match="sample 63 of stream 2"):
        proof.prove(case, batch, contenders.Contender(**{**vars(right), "draw": draw}))


def test_the_divergence_of_two_distributions_is_that_computed_by_hand():
    expected, found = np.log([[[0.5, 0.5]]]), np.log([[[0.25, 0.75]]])
    nats = 0.5 * math.log(2) + 0.5 * math.log(2 / 3)
    assert proof.compare(found + 7, expected).mean_kl_nats == pytest.approx(nats)
    assert proof.compare(expected, expected) == proof.Proof(0.0, 0.0)


def test_int8_is_left_out_with_its_reason_where_the_machine_has_no_dot_product(monkeypatch):
    monkeypatch.setattr(machine, "dot_product", lambda: None)
    plan = planned(names=["tiny_cycles"])
    assert ("numba_cpu", "int8") not in plan.pairs
    assert ("numba_cpu", "float32") in plan.pairs
    assert any("numba_cpu int8: " in line and "VNNI" in line for line in plan.left_out)
    with pytest.raises(backends.BackendUnavailable, match="VNNI"):
        planned(precisions=["float32", "int8"])


@pytest.mark.parametrize(
    ("names", "error", "text"),
    [
        ({"backends": ["xla_scan"], "precisions": ["bfloat16"]}, RuntimeError, "float32 only"),
        ({"backends": ["numba"]}, ValueError, "did you mean 'numba_cpu'"),
        ({"precisions": ["int4"]}, ValueError, "did you mean 'int8'"),
        ({"names": ["bigg"]}, ValueError, "did you mean 'big'"),
    ],
)
def test_what_was_named_and_cannot_run_is_an_error(names, error, text):
    with pytest.raises(error, match=text):
        planned(**names)


@pytest.mark.parametrize("threads", [1, 2])
def test_limits_are_positive(threads):
    assert limits.reading(5000, threads)() > 0
    assert limits.multiplying("float32", threads)() > 0
    if machine.dot_product():
        assert limits.multiplying("int8", threads)() > 0


def test_ctrl_c_keeps_what_was_measured(tmp_path):
    @contextmanager
    def progress(doing, unit, total):
        if "batch 3" in doing:
            raise KeyboardInterrupt
        yield lambda done: None

    out = tmp_path / "sampling.jsonl"
    found, code, said, noted = run(planned(**ONE | {"batches": [2, 3], "out": out}), progress)
    assert code == 130
    assert found["interrupted"]
    assert said[-1] == table.row(found["records"][0])
    assert json.loads(out.read_text()) == found["records"][0]
    assert "interrupted" in noted[-1]


class Peer:
    """In PyTorch's place: a program that computes what our own backend does."""

    def __init__(self, weights, batch, mode):
        if mode == "compiled":
            raise RuntimeError("there is no C++ compiler")
        case = next(case for case in cases.CASES.values() if case.dilations == weights.dilations)
        self.ours = contenders.ours(case, batch, "numba_cpu", "float32")
        self.logits = self.ours.logits

    def generate(self, cond, *, hop_length, seed, streams):
        assert seed == contenders.SEED
        assert len(streams) == len(cond)
        return self.ours.draw(cond, hop_length)


def test_peers_are_proved_and_timed_like_the_others_and_their_reasons_told(monkeypatch):
    peers = SimpleNamespace(MODES=("eager", "compiled"), TorchWaveNet=Peer)
    monkeypatch.setattr(contenders, "find_peers", lambda: (peers, ""))
    found, code, *_ = run(planned(**ONE | {"batches": [1, 2], "peers": True}))
    assert code == 0
    names = [(entry["batch"], entry["backend"]) for entry in found["records"]]
    assert names == [(1, "numba_cpu"), (1, "torch_eager"), (2, "numba_cpu")]
    assert any("batch 2" in line for line in found["left_out"])
    assert any("no C++ compiler" in line for line in found["left_out"])


def test_without_pytorch_or_a_checkout_one_line_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "pip install 'wavegen[peers]'" in contenders.find_peers()[1]
    monkeypatch.setattr(contenders.record, "checkout", lambda: None)
    assert "use a checkout" in contenders.find_peers()[1]
    assert planned(**ONE | {"peers": True}).torch_wavenet is None


def test_the_script_runs_where_nothing_is_installed(tmp_path):
    words = "--case tiny_cycles --backend numba_cpu --precision float32 --batch 1 --no-peers"
    command = [sys.executable, SCRIPT, *words.split(), "--repeats", "1", "--seconds", "0"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert [entry["backend"] for entry in found["records"]] == ["numba_cpu"]
    wrong = subprocess.run([*command, "--case", "huge"], capture_output=True, text=True)
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("error: no case 'huge'")
