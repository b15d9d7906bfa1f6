import json
import math
import os
import runpy
import subprocess
import sys
import weakref
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from jax.profiler import ProfileData

from wavegen_kernels import backends, cases, weights
from wavegen_kernels.bench import contenders, entry, limits, profile, proof, sampling, table
from wavegen_kernels.cpu import machine
from wavegen_kernels.generate import api, numba_cpu, pallas_gpu, reference

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "bench_sampling.py"
FIELDS = {
    "format", "timestamp", "version", "git_revision", "device", "processor", "jax", "case",
    "backend", "precision", "batch", "threads", "warm_up", "repeats", "compile_seconds",
    "step_microseconds_median", "step_microseconds_min", "step_microseconds_max",
    "device_step_microseconds", "queue_bytes_per_sample", "queue_bytes_per_second",
    "samples_per_second_per_stream", "samples_per_second", "times_real_time",
    "times_real_time_all_streams", "bytes_per_sample", "multiply_adds_per_sample",
    "read_bytes_per_second", "multiply_adds_per_second", "share_of_limit", "limited_by",
    "steadiness", "largest_logit_error", "mean_kl_nats", "ratio_to_xla_scan",
}  # fmt: skip
# What of them is a number on an accelerator alone.
THERE = {"device_step_microseconds", "queue_bytes_per_second"}
ONE = {"names": ["tiny_cycles"], "backends": ["numba_cpu"], "precisions": ["float32"]}
BOTH = ONE | {"backends": ["xla_scan", "numba_cpu"]}
NO_ACCELERATOR = pytest.mark.skipif(
    jax.default_backend() != "cpu", reason="it tells of a machine without an accelerator"
)


@pytest.fixture(scope="module", autouse=True)
def short_readings():
    """Readings of the machine's limits that take no time; how good they are is not tested."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("_READ_BYTES", "_MULTIPLY_ADDS", "_DOT_MULTIPLY_ADDS"):
            patch.setattr(limits, name, 1 << 24)
        patch.setattr(limits, "_DEVICE_READ_BYTES", 1 << 16)
        patch.setattr(limits, "_DEVICE_ROWS", 8)
        yield


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
    for each in whole.records:
        assert set(each) == FIELDS
        missing = {name for name, value in each.items() if value is None}
        if each["threads"] is None:  # no kernel of a TPU reads, not all devices have a clock
            assert missing <= THERE | {"threads", "read_bytes_per_second"}
        else:
            assert missing == THERE
        assert all(math.isfinite(x) for x in each.values() if isinstance(x, int | float))


def test_every_backend_and_precision_that_can_run_here_has_a_record_for_each_batch(whole):
    expected = {
        (batch, name, precision)
        for batch in (1, 2)
        for name in backends.NAMES
        for precision in backends.PRECISIONS
        if name != "reference" and backends.unavailable_reason(name, precision) is None
    }
    found = [(each["batch"], each["backend"], each["precision"]) for each in whole.records]
    assert set(found) == expected
    assert len(found) == len(expected)


def test_share_of_limit_is_arithmetic_of_the_records_own_numbers(whole):
    for each in whole.records:
        shares_rightly(each)


def shares_rightly(each):
    needed = {
        "reading": (each["bytes_per_sample"], each["read_bytes_per_second"]),
        "queues": (each["queue_bytes_per_sample"], each["queue_bytes_per_second"]),
        "arithmetic": (each["multiply_adds_per_sample"], each["multiply_adds_per_second"]),
    }
    seconds = {name: amount / rate for name, (amount, rate) in needed.items() if rate is not None}
    assert each["limited_by"] == max(seconds, key=lambda name: seconds[name])
    share = 1e6 * each["batch"] * max(seconds.values()) / each["step_microseconds_median"]
    # Half a unit of the last digit of the share (1e-4) and of the median (1e-3).
    rounding = 0.5e-4 + share * 0.5e-3 / each["step_microseconds_median"]
    assert each["share_of_limit"] == pytest.approx(share, abs=1.01 * rounding)


def test_every_thread_reads_the_weights_once_as_they_are_held(whole):
    for each in whole.records:
        if each["backend"].startswith("pallas"):
            continue  # a test of their own is below
        size = 4 * each["multiply_adds_per_sample"]
        if each["backend"] == "numba_cpu":
            stack = cases.weights(cases.CASES[each["case"]])
            size = each["threads"] * numba_cpu.packed(stack, each["precision"]).arena.nbytes
        assert each["bytes_per_sample"] == size // each["batch"]


def test_ratios_compare_with_xla_scan_of_the_same_case_and_batch(whole):
    for each in whole.records:
        (baseline,) = (
            other["step_microseconds_median"]
            for other in whole.records
            if (other["backend"], other["batch"]) == ("xla_scan", each["batch"])
        )
        ratio = baseline / each["step_microseconds_median"]
        assert each["ratio_to_xla_scan"] == pytest.approx(ratio, abs=1e-3)


def test_records_are_appended_as_json_lines(whole):
    read = lambda: [json.loads(line) for line in whole.out.read_text().splitlines()]
    assert read() == whole.records
    found, *_ = run(planned(**ONE, out=whole.out))
    assert read() == whole.records + found["records"]
    assert found["records"][0]["ratio_to_xla_scan"] is None


def test_the_table_has_a_row_a_record_and_fits_in_110_columns(whole):
    assert whole.said == [table.HEADER, *map(table.row, whole.records)]
    big = {"case": "tiny_three_taps", "backend": "torch_compiled", "batch": 8192}
    big |= {"limited_by": "queues", "share_of_limit": 1.0}
    for each in whole.records:
        assert max(map(len, "\n".join([*whole.said, table.row(each | big)]).split("\n"))) <= 110


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
    plan = planned(**BOTH)
    found, code, said, _ = run(plan)
    assert code == 1
    assert [each["backend"] for each in found["records"]] == ["xla_scan"]
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
    with pytest.raises(proof.Wrong, match="sample 63 of stream 2 is another draw by its own"):
        proof.prove(case, batch, replace(right, draw=draw))


@pytest.mark.parametrize("name", ["tiny_foretold", "tiny_periodic", "tiny_steered"])
def test_networks_with_a_predictor_are_proved_as_well(name):
    right = contenders.ours(cases.CASES[name], 2, "numba_cpu", "float32")
    assert proof.prove(cases.CASES[name], 2, right).largest_logit_error < proof.LOGIT_TOLERANCE


def test_on_an_accelerator_the_program_that_is_timed_is_proved(monkeypatch):
    case, batch = replace(cases.CASES["tiny_odd"], layers_per_cycle=8), 3
    monkeypatch.setitem(cases.CASES, case.name, case)
    host = contenders.ours(case, batch, "numba_cpu", "float32")
    deaf, good = cases.weights(case), cases.weights(case)
    deaf.gate[7, 1] = 0  # the layer that hears 128 samples ago

    def draw(cond, hop_length):
        if hop_length < contenders.HOP_LENGTH:  # what is not timed is right
            return host.draw(cond, hop_length)
        asked = {"hop_length": hop_length, "seed": contenders.SEED, "streams": np.arange(batch)}
        return api.generate(deaf, weights.initial_state(good, batch), cond, **asked)[1]

    proof.prove(case, batch, replace(host, threads=None))
    proof.prove(case, batch, replace(host, draw=draw))
    with pytest.raises(proof.Wrong, match="is another draw by the reference's logits"):
        proof.prove(case, batch, replace(host, draw=draw, threads=None))


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
    names = [(each["batch"], each["backend"]) for each in found["records"]]
    assert names == [(1, "numba_cpu"), (1, "torch_eager"), (2, "numba_cpu")]
    assert any("batch 2" in line for line in found["left_out"])
    assert any("no C++ compiler" in line for line in found["left_out"])


def test_without_pytorch_or_a_checkout_one_line_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "pip install 'wavegen[peers]'" in contenders.find_peers()[1]
    monkeypatch.setattr(contenders.record, "checkout", lambda: None)
    assert "use a checkout" in contenders.find_peers()[1]
    assert planned(**ONE | {"peers": True}).torch_wavenet is None


# Runs a program whose imports find nothing installed but jax, numpy, numba and what those need.
BARE = """
import runpy, sys
from importlib import metadata

known = {"jax", "jaxlib", "ml_dtypes", "opt_einsum", "scipy", "numpy", "numba", "llvmlite"}
others = {"wavegen", *metadata.packages_distributions()} - known - {"wavegen_kernels"}

class Bare:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in others:
            raise ModuleNotFoundError(f"{name} is not installed here", name=name)

sys.meta_path.insert(0, Bare())
sys.argv = sys.argv[1:]
sys.path.insert(0, sys.argv.pop(0))
from wavegen_kernels import backends
with backends.interpreted():
    runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_the_script_runs_where_jax_numpy_and_numba_alone_are_installed(tmp_path):
    words = "--case tiny_one_layer --backend numba_cpu --backend pallas_gpu --precision bfloat16"
    command = [sys.executable, "-c", BARE, SCRIPT.parents[1] / "kernels", SCRIPT, *words.split()]
    command += ["--batch", "1", "--no-peers", "--repeats", "1", "--seconds", "0"]
    # The suite's cache of what was compiled wants a package of its own.
    bare = {name: x for name, x in os.environ.items() if "COMPILATION_CACHE" not in name}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=bare)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert [each["backend"] for each in found["records"]] == ["numba_cpu", "pallas_gpu"]


def test_the_script_tells_what_there_is_not(monkeypatch):
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "--case", "huge"])
    monkeypatch.setattr(sys, "path", [*sys.path])
    with pytest.raises(SystemExit, match=r"^error: no case 'huge'"):
        runpy.run_path(str(SCRIPT), run_name="__main__")


@NO_ACCELERATOR
def test_a_kernel_that_is_interpreted_has_a_whole_record(interpreted):
    plan = planned(names=["tiny_one_layer"], backends=["pallas_tpu"], precisions=["float32"])
    found, code, *_ = run(plan)
    assert code == 0
    (each,) = found["records"]
    assert set(each) == FIELDS
    # The weights and queues stay in vector memory, so that nothing is read.
    missing = {"ratio_to_xla_scan", "read_bytes_per_second", *THERE}
    assert {name for name, value in each.items() if value is None} == missing
    assert each["largest_logit_error"] < proof.LOGIT_TOLERANCE
    shares_rightly(each)


@pytest.fixture
def there(monkeypatch):
    """Backends of jax run on the CPU as if it were an accelerator."""
    monkeypatch.setattr(contenders, "on_accelerator", lambda name: name != "numba_cpu")


def test_an_accelerator_has_limits_of_its_own_and_the_host_its_own(there, monkeypatch):
    monkeypatch.setattr(profile, "busy_seconds", lambda run: (run(), (3e-6 * 1024, ""))[1])
    found, code, *_ = run(planned(**BOTH))
    assert code == 0
    device, host = found["records"]
    assert (device["backend"], host["backend"]) == ("xla_scan", "numba_cpu")
    assert device["threads"] is None
    assert device["device_step_microseconds"] == 3
    assert host["device_step_microseconds"] is None
    for each in (device, host):
        assert set(each) == FIELDS
        shares_rightly(each)
    # Six layers of 8 channels; a sample reads one activation each, writes one, has 16 numbers.
    assert device["queue_bytes_per_sample"] == 4 * 6 * 8 * (1 + 1 + 2)
    assert device["queue_bytes_per_second"] > 0


@NO_ACCELERATOR
def test_a_device_that_has_no_clock_of_its_own_is_told(there):
    found, code, _, noted = run(planned(names=["tiny_cycles"], backends=["xla_scan"]))
    assert code == 0
    assert found["records"][0]["device_step_microseconds"] is None
    assert any("the profile tells of no device" in line for line in noted)


@pytest.mark.parametrize(
    ("error", "code", "where"),
    [
        (jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory"), 0, "left_out"),
        (backends.BackendUnavailable("xla_scan", "too large"), 0, "left_out"),
        (MemoryError(), 0, "left_out"),
        (jax.errors.JaxRuntimeError("INTERNAL: an illegal address"), 1, "failures"),
    ],
)
def test_what_does_not_fit_is_told_and_the_sweep_goes_on(monkeypatch, there, error, code, where):
    right = contenders.ours

    def ours(case, batch, backend, precision):
        def fail():
            raise error

        contender = right(case, batch, backend, precision)
        return replace(contender, go_on=fail) if (batch, backend) == (1, "xla_scan") else contender

    monkeypatch.setattr(contenders, "ours", ours)
    plan = planned(**BOTH | {"batches": [1, 2]})
    found, ended, *_ = run(plan)
    assert ended == code
    names = [(each["batch"], each["backend"]) for each in found["records"]]
    assert names == [(1, "numba_cpu"), (2, "xla_scan"), (2, "numba_cpu")]
    (line,) = [line for line in found[where] if line.startswith("tiny_cycles, batch 1, xla_scan")]
    assert str(error) in line or "out of memory" in line


def test_on_an_accelerator_one_is_gone_when_the_next_one_is_made(monkeypatch, there):
    right, alive = contenders.ours, []

    def ours(case, batch, backend, precision):
        assert not any(each() for each in alive)
        contender = right(case, batch, backend, precision)
        alive.append(weakref.ref(contender))
        return contender

    monkeypatch.setattr(contenders, "ours", ours)
    _, code, *_ = run(planned(names=["tiny_cycles"], backends=["xla_scan"], batches=[1, 2]))
    assert code == 0
    assert len(alive) == 2


def test_an_accelerator_is_swept_further_than_its_host(there):
    plan = planned(batches=[], backends=["xla_scan", "numba_cpu"])
    assert plan.batches == [1, 8, 32, 128, 512, 2048, 8192]
    assert plan.host_batches == [1, 8, 32]
    assert any("numba_cpu at batch > 32" in line for line in plan.left_out)
    asked = planned(batches=[64, 64])
    assert asked.batches == asked.host_batches == [64]
    assert planned(batches=[], backends=["numba_cpu"]).batches == [1, 8, 32]


@NO_ACCELERATOR
def test_a_gpu_is_swept_on_both_sides_of_where_its_kernel_changes(there, interpreted, monkeypatch):
    monkeypatch.setattr(pallas_gpu, "cores", lambda: 132)
    plan = planned(batches=[], backends=["pallas_gpu"])
    assert plan.batches == [1, 8, 32, 128, 132, 133, 512, 2048, 8192]


@NO_ACCELERATOR
def test_without_an_accelerator_all_batches_are_the_hosts():
    plan = planned(batches=[])
    assert plan.batches == plan.host_batches == [1, 8, 32]
    assert not any(line.startswith("numba_cpu at") for line in plan.left_out)
    assert any(line.startswith("pallas_gpu float32, bfloat16: ") for line in plan.left_out)


@NO_ACCELERATOR
def test_kernels_read_the_weights_once_a_tile_or_keep_them(interpreted):
    case, made = cases.CASES["small"], contenders.ours
    gpu, tpu = (made(case, 40, name, "bfloat16") for name in ("pallas_gpu", "pallas_tpu"))
    # A CPU counts as one multiprocessor, which takes 32 streams at once.
    assert (gpu.readings, tpu.readings) == (2, 0)
    # As for other backends what is multiplied counts, not the embedding, of which a step reads a
    # row of each tap; then there are the biases and the last layer's residual.
    assert 2 * case.multiply_adds < gpu.weight_bytes < 2.1 * case.multiply_adds


def test_bfloat16_is_multiplied_as_such_on_accelerators_alone():
    case = cases.CASES["tiny_one_layer"]
    host = contenders.ours(case, 1, "numba_cpu", "bfloat16")
    device = replace(host, threads=None, readings=0, queue_bytes=2**40)
    kinds = [entry.needs(case, 1, each)["arithmetic"][0][1] for each in (host, device)]
    assert kinds == ["float32", "bfloat16"]
    assert set(entry.needs(case, 1, host)) == {"reading", "arithmetic"}
    # A larger array would not be read faster, and might not fit beside the queues themselves.
    assert entry.needs(case, 1, device)["queues"][0] == (limits.reading, 2**30, None)


def test_only_the_codes_that_the_reference_draws_are_not_off():
    rng = np.random.default_rng(0)
    logits, u = rng.normal(0, 3, (50, 16)), rng.random(50)
    drawn = [reference.draw(row, x, 1.0, 0, 1.0) for row, x in zip(logits, u, strict=True)]
    cdf = np.cumsum(np.exp(logits), axis=1) / np.exp(logits).sum(axis=1, keepdims=True)
    for code in range(16):
        off = proof.off(np.full(50, code), logits, u)
        np.testing.assert_array_equal(off == 0, np.array(drawn) == code)
        above = np.array(drawn) > code
        np.testing.assert_allclose(off[above], (u - cdf[:, code])[above], rtol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_what_overlaps_is_covered_once(seed):
    rng = np.random.default_rng(seed)
    starts = rng.integers(0, 60, 30)
    intervals = np.stack([starts, starts + rng.integers(0, 9, 30)], axis=1)
    cells = {cell for start, end in intervals for cell in range(start, end)}
    assert profile.covered(intervals.astype(float)) == len(cells)
    assert profile.covered(np.array([[0.0, 10], [1, 2], [3, 4], [9, 12], [20, 21]])) == 13


def plane(name, **lines):
    """An XPlane as text; each line's events are pairs of start and duration in nanoseconds."""
    text = "".join(
        f'lines {{ name: "{name}" timestamp_ns: 100 '
        + "".join(
            f"events {{ metadata_id: 1 offset_ps: {start}000 duration_ps: {duration}000 }} "
            for start, duration in events
        )
        + "} "
        for name, events in lines.items()
    )
    return f'planes {{ name: "{name}" {text} event_metadata {{ key: 1 value {{ id: 1 }} }} }} '


HOST = plane("/host:CPU", python=[(0, 9000)])
STREAMS = {"Stream #7(Compute)": [(0, 100), (150, 50)], "Stream #8(MemcpyD2H)": [(180, 60)]}


@pytest.mark.parametrize(
    ("planes", "nanoseconds"),
    [
        (HOST, None),
        (HOST + plane("/device:GPU:0"), None),
        (HOST + plane("/device:GPU:0", **STREAMS), 190),
        # Lines that a profiler sums up from the streams bridge what lies between two kernels.
        (plane("/device:GPU:0", **STREAMS, **{"XLA Modules": [(0, 9000)]}), 190),
        (
            plane("/device:GPU:0", **STREAMS) + plane("/device:GPU:1", **{"Stream #1": [(0, 1)]}),
            190,
        ),
        (
            plane(
                "/device:TPU:0",
                **{
                    "XLA Modules": [(0, 500)],
                    "XLA Ops": [(0, 400), (10, 30)],
                    "Steps": [(0, 9000)],
                },
            ),
            500,
        ),
    ],
)
def test_a_devices_time_is_what_its_streams_or_programs_cover(planes, nanoseconds):
    found = profile.busy(ProfileData.from_text_proto(planes))
    assert found == (None if nanoseconds is None else pytest.approx(1e-9 * nanoseconds))


def test_a_profile_that_cannot_be_taken_says_why(tmp_path):
    ran = []
    assert profile.busy_seconds(lambda: ran.append(1)) == (None, "the profile tells of no device")
    assert ran
    with jax.profiler.trace(tmp_path):
        seconds, reason = profile.busy_seconds(lambda: None)
    assert seconds is None
    assert "Only one profile" in reason


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_limits_of_an_accelerator_are_positive(precision):
    assert limits.reading(1000, None)() > 0
    assert limits.multiplying(precision, None)() > 0
