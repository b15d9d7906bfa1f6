"""The forms of a training step's stack are one function, and what is not is never timed."""

import importlib.util
import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from wavegen_kernels import cases, weights
from wavegen_kernels.generate import api

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "bench_forms.py"
HEAD = {
    "format", "timestamp", "version", "git_revision", "device", "processor", "jax", "bench",
    "case", "batch", "window_samples", "form", "compute_dtype", "compile_seconds",
    "temporaries_mib",
}  # fmt: skip
MEASURED = HEAD | {
    "threads", "repeats", "calls_per_repeat", "loss_error", "gradient_error",
    "exact_loss_error", "exact_gradient_error",
    "step_milliseconds_median", "step_milliseconds_min", "step_milliseconds_max",
    "ratio_to_scan", "samples_per_second", "multiply_adds_per_sample",
    "multiply_adds_per_second", "limit_multiply_adds_per_second", "share_of_limit",
}  # fmt: skip
FORETOLD = HEAD | {"compiled_only", "flops_of_one_turn", "bytes_of_one_turn"}
NAMES = ["scan", "scan_kept", "unrolled", "unrolled_remat", "conv"]
# Installed with jax and numba, which need them.
BARE = ["jax", "jaxlib", "numpy", "numba", "llvmlite", "ml_dtypes", "scipy", "opt_einsum"]
SMALL = ["--case", "tiny_one_layer", "--batch", "2", "--window", "32", "--dtype", "float32"]
CASE = cases.Case("smallest", 4, 6, 5, 2, 1, kernel_size=3, n_codes=16)
WINDOW = 8  # samples; the layers reach back 6


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("bench_forms", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path])
        spec.loader.exec_module(module)
        patch.setattr(module, "SECONDS", 0.0)  # a call a repeat
        patch.setattr(module.limits, "multiplying", lambda *_, **__: lambda: 1e9)
        yield module
    sys.modules.pop("stack_forms")


@pytest.fixture
def forms(bench, monkeypatch):
    """Few of the forms, as compiling is all that a test takes; it may add others."""
    few = {"scan": bench.stack_forms.FORMS["scan"]}
    monkeypatch.setattr(bench.stack_forms, "FORMS", few)
    return few


def measured(bench, dtypes=("float32",)):
    refused = bench.Refused()
    return [*bench.measure(bench.Problem(CASE, 2, WINDOW), dtypes, 2, refused)], refused


def test_all_forms_are_one_function_of_a_window_shorter_than_they_reach_back(bench):
    arguments, refused = bench.Problem(CASE, 2, 3).arguments(), bench.Refused()
    assert [*bench.stack_forms.FORMS] == NAMES
    assert not [*bench.stack_forms.proved(arguments, (), refused, lambda text: None)]  # to be timed
    assert refused == bench.Refused()


def test_the_loss_of_a_step_is_that_of_the_reference(bench):
    stack, codes = bench.Problem(CASE, 2, WINDOW).arguments()
    _, logits = api.logits(
        stack,
        weights.initial_state(stack, 2),
        np.zeros((2, 1, CASE.num_layers, 2 * CASE.residual_channels), np.float32),
        codes,
        hop_length=WINDOW,
        backend="reference",
    )
    own = np.take_along_axis(logits, codes[..., None], axis=-1)[..., 0]
    expected = np.mean(np.log(np.exp(logits).sum(-1)) - own)
    found = bench.stack_forms.mean_nats("scan", "float32", *jax.device_put((stack, codes)))
    assert float(found) == pytest.approx(float(expected), rel=1e-5)  # sums of float32


def test_every_record_has_all_fields_and_says_what_its_own_numbers_say(bench, forms):
    forms["again"] = forms["scan"]
    records, refused = measured(bench, bench.DTYPES)
    assert refused == bench.Refused()
    names = [(dtype, form) for dtype in bench.DTYPES for form in forms]
    assert [(entry["compute_dtype"], entry["form"]) for entry in records] == names
    scans = {entry["compute_dtype"]: entry for entry in records if entry["form"] == "scan"}
    for entry in records:
        assert set(entry) == MEASURED
        assert all(math.isfinite(x) for x in entry.values() if isinstance(x, int | float))
        median = entry["step_milliseconds_median"]
        ratio = scans[entry["compute_dtype"]]["step_milliseconds_median"] / median
        # Half a unit of the ratio's last digit, and of both medians'.
        assert entry["ratio_to_scan"] == pytest.approx(ratio, rel=1e-3, abs=6e-4)
        needed = 3 * CASE.multiply_adds * 2 * WINDOW
        assert entry["multiply_adds_per_second"] == pytest.approx(1e3 * needed / median, rel=1e-3)
        assert json.loads(json.dumps(entry)) == entry
        assert len(bench.row(bench.MEASURED, entry)) == len(bench.header(bench.MEASURED)) <= 110


@pytest.mark.parametrize("wrong", ["skips", "gradient"])
def test_a_form_that_is_wrong_is_told_and_not_timed(bench, forms, wrong):
    right = forms["scan"]
    forms["astray"] = {
        "skips": lambda stack, h: 1.01 * right(stack, h),
        "gradient": lambda stack, h: right(
            replace(stack, gate_bias=jax.lax.stop_gradient(stack.gate_bias)), h
        ),
    }[wrong]
    records, refused = measured(bench)
    assert [entry["form"] for entry in records] == ["scan"]
    (line,) = refused.wrong
    assert line.startswith("astray in exact float32 is wrong")


def test_a_form_that_is_right_until_it_is_rounded_is_told_and_not_timed(bench, forms):
    right = forms["scan"]
    forms["astray"] = lambda stack, h: right(stack, h) * (h.dtype == np.float32)
    records, refused = measured(bench, ("bfloat16",))
    assert [entry["form"] for entry in records] == ["scan"]
    (line,) = refused.wrong
    assert line.startswith("astray in bfloat16 is wrong")


def test_a_form_that_does_not_fit_is_told_with_its_reason_and_the_rest_goes_on(bench, forms):
    def large(stack, h):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory\nand much more")

    def broken(stack, h):
        raise jax.errors.JaxRuntimeError("INTERNAL: an assembler is missing")

    forms.update({"large": large, "broken": broken, "scan": forms.pop("scan")})  # which goes on
    records, refused = measured(bench)
    assert [entry["form"] for entry in records] == ["scan"]
    assert refused.too_large == [
        "large in exact float32 is left out: RESOURCE_EXHAUSTED: Out of memory"
    ]
    assert refused.wrong == [
        "broken in exact float32 is left out: INTERNAL: an assembler is missing"
    ]


def run(bench, monkeypatch, *words):
    """The exit code, or what is said in its stead."""
    monkeypatch.setattr(sys, "argv", ["bench_forms.py", *SMALL, *words])
    with pytest.raises(SystemExit) as stopped:
        bench.main()
    return stopped.value.code


@pytest.mark.usefixtures("forms")
def test_without_running_it_is_told_what_the_compiler_knows(bench, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(bench.targets, "topology", lambda name: jax.devices())
    out = tmp_path / "forms.jsonl"
    assert run(bench, monkeypatch, "--compile-for", "v5e", "--out", str(out)) == 0
    records = [json.loads(line) for line in out.read_text().splitlines()]
    said = capsys.readouterr().out.splitlines()
    (entry,) = records
    assert json.loads(said[-1]) == entry
    assert bench.row(bench.FORETOLD, entry) == said[-2]
    assert set(entry) == FORETOLD
    assert (entry["form"], entry["device"]) == ("scan", "TPU v5 lite")


def test_without_a_compiler_for_the_device_the_reason_is_told(bench, monkeypatch):
    def missing(name):
        raise RuntimeError(f"no compiler for {name} is found")

    monkeypatch.setattr(bench.targets, "topology", missing)
    assert (
        run(bench, monkeypatch, "--compile-for", "h100") == "error: no compiler for h100 is found"
    )


def test_what_is_wrong_is_the_exit_code(bench, forms, monkeypatch, capsys):
    forms["astray"] = lambda stack, h: 0 * forms["scan"](stack, h)
    assert run(bench, monkeypatch, "--repeats", "1") == 1
    assert "astray in exact float32 is wrong" in capsys.readouterr().out


def test_the_script_needs_jax_numpy_and_numba_only(tmp_path):
    bare = f"""
import runpy, sys
finders = sys.meta_path[:]
class OnlyBare:
    def find_spec(self, name, *where):
        known = (*sys.stdlib_module_names, *{BARE}, "wavegen_kernels", "stack_forms")
        if name.partition(".")[0] in known or name.startswith("_"):
            return next(filter(None, (finder.find_spec(name, *where) for finder in finders)), None)
sys.meta_path[:] = [OnlyBare()]
runpy.run_path({str(SCRIPT)!r}, run_name="__main__")
"""
    command = [sys.executable, "-c", bare, *SMALL, "--repeats", "1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines()[-len(NAMES) :]]
    assert [entry["form"] for entry in records] == NAMES
