"""A training step's stack in several forms: proved to be one function, then timed in turns.

    python benchmarks/bench_forms.py --out benchmarks/results/forms.jsonl
    python benchmarks/bench_forms.py --compile-for h100

Forward and backward, gradients of all weights, no optimizer; `scan` is what the model trains
with. Needs jax, numpy and numba only. A table for people comes first, then a line of JSON for
every record. With --compile-for nothing runs: the device's compiler, if it is installed, tells
what it knows. What it counts (not every compiler does) is one turn of each loop, so of a scan
one layer, and of the loss one chunk.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

HERE = Path(__file__).resolve().parent
# Works in a checkout that is not installed, and for those who load this file from elsewhere.
sys.path[:0] = [str(HERE.parent / "kernels"), str(HERE)]

import stack_forms  # noqa: E402
from stack_forms import SCAN, Program, Refused  # noqa: E402

from wavegen_kernels import cases  # noqa: E402
from wavegen_kernels.bench import contenders, limits, record, targets  # noqa: E402

Entry = dict[str, Any]

CASES = [name for name, case in cases.CASES.items() if not case.order]  # the stack alone
DTYPES = ("float32", "bfloat16")
SECONDS = 0.2  # of a repeat, at least
STEP_MULTIPLY_ADDS = 3  # times those of a forward pass; recomputing does not count


class Problem(NamedTuple):
    """One step: which stack, for how much sound."""

    case: cases.Case
    batch: int
    window: int  # samples

    def arguments(self) -> tuple:
        """Random weights and codes [B, T]."""
        codes = np.random.default_rng(0).integers(
            0, self.case.n_codes, (self.batch, self.window), np.int32
        )
        return cases.weights(self.case), codes


def main() -> None:
    options = _options()
    problem, refused = Problem(cases.CASES[options.case], options.batch, options.window), Refused()
    dtypes, records = tuple(dict.fromkeys(options.dtype or DTYPES)), []
    if options.compile_for:
        jax.config.update("jax_platforms", "cpu")  # else it looks for the device, and may wait
        entries = foretell(options.compile_for, problem, dtypes, refused)
        columns, legend = FORETOLD, FORETOLD_LEGEND
    else:
        entries = measure(problem, dtypes, options.repeats, refused)
        columns, legend = MEASURED, MEASURED_LEGEND
    try:
        for entry in entries:
            if not records:
                print(legend, header(columns), sep="\n")
            print(row(columns, entry), flush=True)
            records.append(entry)
            if options.out:
                record.append(options.out, entry)
    except RuntimeError as error:  # no compiler for the target, or not even SCAN runs
        sys.exit(f"error: {error}")
    for line in (*refused.too_large, *refused.wrong):
        print(line)
    for entry in records:
        print(json.dumps(entry))
    sys.exit(1 if refused.wrong else 0)


def measure(
    problem: Problem,
    dtypes: tuple[str, ...],
    repeats: int,
    refused: Refused,  # is added to
) -> Iterator[Entry]:
    """Records of all forms that are right and fit, timed in turns; dtype by dtype.

    Raises RuntimeError where not even SCAN runs, so that nothing can be proved.
    """
    threads = contenders.cores() if jax.default_backend() == "cpu" else None
    # They take memory too: who fits now does so when it is timed.
    gauges = {dtype: limits.multiplying(dtype, threads, exact=False) for dtype in dtypes}
    arguments = jax.device_put(problem.arguments())
    programs = list(stack_forms.proved(arguments, dtypes, refused, _note))
    readings, shared = _time(programs, arguments, gauges, repeats), _shared(problem)
    for dtype in dtypes:
        running = [program for program in programs if program.dtype == dtype]
        medians = {program.form: float(np.median(program.seconds)) for program in running}
        for program in running:
            entry = _entry(problem, program, max(readings[dtype]), medians.get(SCAN))
            yield {**shared, "threads": threads, **entry}


def foretell(
    target: str,  # of targets.TARGETS
    problem: Problem,
    dtypes: tuple[str, ...],
    refused: Refused,  # is added to
) -> Iterator[Entry]:
    """Records of what is known of each form before it runs; nothing is proved.

    Raises RuntimeError where the compiler of that device is missing.
    """
    there = NamedSharding(Mesh(targets.topology(target)[:1], ("x",)), PartitionSpec())
    arguments = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=there), problem.arguments()
    )
    shared = _shared(problem) | {"device": targets.TARGETS[target].kind, "compiled_only": True}
    for dtype in dtypes:
        for form in stack_forms.FORMS:
            _note(f"{form} in {dtype} ...")
            try:
                program = stack_forms.compiled(form, dtype, None, arguments)
            except jax.errors.JaxRuntimeError as error:
                refused.add(f"{form} in {dtype}", error)
                continue
            counted = program.step.cost_analysis() or {}
            yield {
                **shared,
                "form": form,
                "compute_dtype": dtype,
                "compile_seconds": round(program.compile_seconds, 2),
                "temporaries_mib": program.temporaries_mib,
                "flops_of_one_turn": counted.get("flops"),
                "bytes_of_one_turn": counted.get("bytes accessed"),
            }


def _time(
    programs: list[Program],
    arguments: tuple,
    gauges: dict[str, limits.Gauge],
    repeats: int,
) -> dict[str, list[float]]:
    """Times all in turns, each call waited for; gives what the gauges read between, by dtype."""
    readings: dict[str, list[float]] = {dtype: [] for dtype in gauges}
    for repeat in range(-1, repeats):  # the first tells how many calls a repeat is of
        for program in programs:
            start = time.perf_counter()
            for _ in range(program.calls):
                jax.block_until_ready(program.step(*arguments))
            seconds = (time.perf_counter() - start) / program.calls
            if repeat < 0:
                program.calls = max(1, round(SECONDS / seconds))
            else:
                program.seconds.append(seconds)
        for dtype, gauge in gauges.items():
            readings[dtype].append(gauge())
        _note(f"timing {len(programs)} programs: {repeat + 1} of {repeats}")
    return readings


def _shared(problem: Problem) -> Entry:
    return {
        **record.origin(),
        "bench": "forms",
        "case": problem.case.name,
        "batch": problem.batch,
        "window_samples": problem.window,
    }


def _entry(problem: Problem, program: Program, limit: float, scan: float | None) -> Entry:
    """What was measured; `limit` is in multiply-adds a second, `scan` the median of SCAN's."""
    median = float(np.median(program.seconds))
    samples = problem.batch * problem.window
    needed = STEP_MULTIPLY_ADDS * problem.case.multiply_adds
    return {
        "form": program.form,
        "compute_dtype": program.dtype,
        "repeats": len(program.seconds),
        "calls_per_repeat": program.calls,
        "loss_error": program.off.loss,
        "gradient_error": program.off.gradient,
        "exact_loss_error": program.exactly_off.loss,
        "exact_gradient_error": program.exactly_off.gradient,
        "compile_seconds": round(program.compile_seconds, 2),
        "temporaries_mib": program.temporaries_mib,
        "step_milliseconds_median": round(1e3 * median, 4),
        "step_milliseconds_min": round(1e3 * min(program.seconds), 4),
        "step_milliseconds_max": round(1e3 * max(program.seconds), 4),
        "ratio_to_scan": None if scan is None else round(scan / median, 3),
        "samples_per_second": round(samples / median),
        "multiply_adds_per_sample": needed,
        "multiply_adds_per_second": round(samples * needed / median),
        "limit_multiply_adds_per_second": round(limit),
        "share_of_limit": round(samples * needed / median / limit, 4),
    }


# Title, what of the record, how it is told.
Columns = tuple[tuple[str, str, str], ...]
MEASURED: Columns = (
    ("ms/step", "step_milliseconds_median", "{:,.2f}"),
    ("least", "step_milliseconds_min", "{:,.2f}"),
    ("most", "step_milliseconds_max", "{:,.2f}"),
    ("x scan", "ratio_to_scan", "{:.2f}"),
    ("  samples/s", "samples_per_second", "{:,}"),
    ("MiB", "temporaries_mib", "{:,}"),
    ("compile", "compile_seconds", "{:.1f}"),
    ("ma/s", "multiply_adds_per_second", "{:.2e}"),
    ("of limit", "share_of_limit", "{:.1%}"),
)
FORETOLD: Columns = (
    ("MiB", "temporaries_mib", "{:,}"),
    ("compile", "compile_seconds", "{:.1f}"),
    ("flops*", "flops_of_one_turn", "{:.2e}"),
    ("bytes*", "bytes_of_one_turn", "{:.2e}"),
)
MEASURED_LEGEND = """\
ms/step: the median of the repeats; x scan: times as fast as scan; MiB: temporaries, by the
compiler; compile: seconds; ma/s: multiply-adds a second of those that a step must do; of limit:
of those that the machine does at best
"""
FORETOLD_LEGEND = """\
MiB: temporaries; compile: seconds; *: of one turn of each loop, where the compiler counts them
"""


def header(columns: Columns) -> str:
    """The titles of a table; its rows are as wide."""
    return _line("form", "dtype", columns, [title for title, *_ in columns])


def row(columns: Columns, entry: Entry) -> str:
    """One line for one record; what is not known is left blank."""
    cells = ["" if entry[name] is None else text.format(entry[name]) for _, name, text in columns]
    return _line(entry["form"], entry["compute_dtype"], columns, cells)


def _line(form: str, dtype: str, columns: Columns, cells: list[str]) -> str:
    widths = [max(9, len(title)) for title, *_ in columns]
    told = (f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
    return f"{form:<15}{dtype:<9}{''.join(told)}"


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--case", default="reference", choices=CASES)
    parser.add_argument("--batch", type=_count, default=4, help="windows a step (4)")
    parser.add_argument("--window", type=_count, default=8192, help="samples (8192)")
    parser.add_argument("--dtype", action="append", choices=DTYPES, help="(both)")
    parser.add_argument("--repeats", type=_count, default=5, help="(5)")
    parser.add_argument("--out", type=Path, help="a .jsonl file that records are added to")
    parser.add_argument("--compile-for", choices=targets.TARGETS, help="a device, in its stead")
    return parser.parse_args()


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


if __name__ == "__main__":
    main()
