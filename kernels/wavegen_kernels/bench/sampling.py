"""All contenders of a case and batch: proved first, then timed in turns, with the limits between.

What disturbs the machine for a while thereby disturbs all of them alike, and the readings of what
the machine could do are as old as the timings that they are compared with.
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from wavegen_kernels import cases
from wavegen_kernels.bench import contenders, limits, proof, record, table
from wavegen_kernels.bench.contenders import FRAMES, HOP_LENGTH, Contender

SAMPLE_RATE = 16_000  # Hz; what times_real_time is told for
CASES = ["small", "reference", "big"]
BATCHES = [1, 8, 32]
REPEATS = 7
SECONDS = 0.25  # of each repeat
WARM_UP = 1  # rounds that are not counted
STEADY = 0.85  # a median reading that is a smaller part of the best one is worth a word

Say = Callable[[str], None]
# (doing, unit, total) -> a context that gives a function, to be told how many are done.
Progress = Callable[[str, str, float], AbstractContextManager[Callable[..., None]]]
LimitKey = tuple[Callable[..., limits.Gauge], int | str, int | None]


@dataclass(frozen=True)
class Plan:
    """What shall be compared, checked."""

    cases: list[cases.Case]
    batches: list[int]
    pairs: list[tuple[str, str]]  # backend, precision
    torch_wavenet: ModuleType | None
    left_out: list[str]  # what cannot run here and why, a line each
    repeats: int
    seconds: float  # of each repeat
    out: Path | None  # a .jsonl file that records are added to


@dataclass
class Found:
    """What came of it so far."""

    records: list[dict[str, Any]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)  # what was wrong, so not timed
    left_out: list[str] = field(default_factory=list)  # what could not run


def plan(
    *,
    names: list[str],  # of cases
    backends: list[str],
    precisions: list[str],
    batches: list[int],
    repeats: int = REPEATS,
    seconds: float = SECONDS,
    peers: bool = True,
    out: Path | None = None,
) -> Plan:
    """What to do; an empty list means what is usual, see contenders.choose.

    Raises ValueError for a case, backend or precision that there is not, and BackendUnavailable
    for one that was named and cannot run here.
    """
    for name in names:
        if name not in cases.CASES:
            close = difflib.get_close_matches(name, cases.CASES, 1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise ValueError(f"no case {name!r}; {hint}there are {', '.join(cases.CASES)}")
    pairs, left_out = contenders.choose(backends, precisions)
    torch_wavenet = None
    if peers:
        torch_wavenet, reason = contenders.find_peers()
        rest = [batch for batch in batches or BATCHES if batch not in contenders.PEER_BATCHES]
        if torch_wavenet is None:
            left_out.append(reason)
        elif rest:
            left_out.append(f"PyTorch at batch {', '.join(map(str, rest))}: it takes too long")
    return Plan(
        cases=[cases.CASES[name] for name in dict.fromkeys(names or CASES)],
        batches=list(dict.fromkeys(batches or BATCHES)),
        pairs=pairs,
        torch_wavenet=torch_wavenet,
        left_out=left_out,
        repeats=repeats,
        seconds=seconds,
        out=out,
    )


def report(plan: Plan, say: Say, note: Say, progress: Progress) -> tuple[dict[str, Any], int]:
    """Everything found, ready for JSON, and the exit code: 1 if anything was wrong, 130 if stopped.

    The table's rows are said, and added to the plan's file, as soon as their case and batch is
    done; Ctrl-C loses no more than those that are being measured.
    """
    found, stopped = Found(left_out=list(plan.left_out)), False
    for line in plan.left_out:
        note(f"left out: {line}")
    say(table.HEADER)
    try:
        for case, batch in [(case, batch) for case in plan.cases for batch in plan.batches]:
            new = measure(plan, case, batch, note, progress)
            found.left_out += new.left_out
            found.failures += new.failures
            for entry in new.records:
                found.records.append(entry)
                if plan.out:
                    record.append(plan.out, entry)
                say(table.row(entry))
            for line in new.failures:
                say(line)
    except KeyboardInterrupt:
        stopped = True
        note("interrupted; what stands above was measured" if found.records else "interrupted")
    code = 130 if stopped else 1 if found.failures else 0
    return {**vars(found), "interrupted": stopped}, code


def measure(plan: Plan, case: cases.Case, batch: int, note: Say, progress: Progress) -> Found:
    """All contenders of one case and batch, compared."""
    found, proved = Found(), []
    where = f"{case.name}, batch {batch}"
    torch_wavenet = plan.torch_wavenet if batch in contenders.PEER_BATCHES else None
    total = len(plan.pairs) + len(torch_wavenet.MODES if torch_wavenet else ())
    with progress(f"{where}, proving", "backends", total) as update:
        for contender in _contenders(plan, case, batch, torch_wavenet, note, found.left_out):
            start = time.perf_counter()
            contender.go_on()  # compiles
            first_seconds = contender.made_seconds + time.perf_counter() - start
            try:
                proved.append((contender, first_seconds, proof.prove(case, batch, contender)))
            except proof.Wrong as error:
                who = f"{where}, {contender.name}"
                found.failures.append(f"{who} is wrong, so it is not timed: {error}")
            update(len(proved) + len(found.failures))
    running = [contender for contender, *_ in proved]
    wanted = [key for each in running for key in _limit_keys(each)]
    gauges = {key: key[0](*key[1:]) for key in dict.fromkeys(wanted)}
    with progress(f"{where}, timing", "rounds", WARM_UP + plan.repeats) as update:
        steps, readings = _in_turns(plan, running, gauges, update)
    for (contender, first_seconds, near), microseconds in zip(proved, steps, strict=True):
        limited = [readings[key] for key in _limit_keys(contender)]
        found.records.append(
            _entry(case, batch, contender, first_seconds, near, microseconds, *limited)
        )
    _compare(found.records)
    if any(entry["steadiness"] < STEADY for entry in found.records):
        note(f"{where}: something else ran on this machine; it is not what it could be")
    return found


def _contenders(
    plan: Plan,
    case: cases.Case,
    batch: int,
    torch_wavenet: ModuleType | None,
    note: Say,
    left_out: list[str],  # is added to
) -> Iterator[Contender]:
    """One after the other, as making one may take minutes."""
    for backend, precision in plan.pairs:
        yield contenders.ours(case, batch, backend, precision)
    if torch_wavenet is None:
        return
    for mode in torch_wavenet.MODES:
        if mode == "compiled":
            note("PyTorch compiles, which may take minutes")
        try:
            contender = contenders.peer(case, batch, mode, torch_wavenet)
        except RuntimeError as error:
            left_out.append(f"PyTorch {mode}, {case.name}, batch {batch}: {error}")
            note(f"left out: {left_out[-1]}")
        else:
            yield contender


def _limit_keys(contender: Contender) -> tuple[LimitKey, LimitKey]:
    """What the machine's limits for a contender depend on: its reading and its arithmetic."""
    kind = "int8" if contender.precision == "int8" else "float32"  # bfloat16 is multiplied so
    threads = contender.threads
    return (limits.reading, contender.weight_bytes, threads), (limits.multiplying, kind, threads)


def _in_turns(
    plan: Plan,
    running: list[Contender],
    gauges: dict[LimitKey, limits.Gauge],
    update: Callable[..., None],
) -> tuple[list[list[float]], dict[LimitKey, list[float]]]:
    """Microseconds a step in every repeat of each contender; the readings of each gauge."""
    steps: list[list[float]] = [[] for _ in running]
    calls = [1] * len(running)  # of a repeat
    readings: dict[LimitKey, list[float]] = {key: [] for key in gauges}
    for number in range(WARM_UP + plan.repeats):
        for i, contender in enumerate(running):
            start = time.perf_counter()
            for _ in range(calls[i]):
                contender.go_on()
            seconds = (time.perf_counter() - start) / calls[i]
            if number < WARM_UP:
                calls[i] = max(1, round(plan.seconds / seconds))
            else:
                steps[i].append(1e6 * seconds / (FRAMES * HOP_LENGTH))
        for key, gauge in gauges.items():
            readings[key].append(gauge())
        update(number + 1)
    return steps, readings


def _entry(
    case: cases.Case,
    batch: int,
    contender: Contender,
    first_seconds: float,
    near: proof.Proof,
    microseconds: list[float],  # one a repeat: wall clock of a step of all streams
    reading: list[float],  # bytes a second, one a round
    multiplying: list[float],  # multiply-adds a second
) -> dict[str, Any]:
    """The record of one measurement, ready for JSON; times in the units that the keys name."""
    median = float(np.median(microseconds))
    bytes_per_step = contender.readings * contender.weight_bytes
    return {
        **record.origin(),
        "device": contender.device,
        "case": case.name,
        "backend": contender.backend,
        "precision": contender.precision,
        "batch": batch,
        "threads": contender.threads,
        "warm_up": WARM_UP,
        "repeats": len(microseconds),
        "compile_seconds": round(max(0.0, first_seconds - 1e-6 * median * FRAMES * HOP_LENGTH), 2),
        "step_microseconds_median": round(median, 3),
        "step_microseconds_min": round(min(microseconds), 3),
        "step_microseconds_max": round(max(microseconds), 3),
        "samples_per_second_per_stream": round(1e6 / median),
        "samples_per_second": round(1e6 * batch / median),
        "times_real_time": round(1e6 / median / SAMPLE_RATE, 3),
        "times_real_time_all_streams": round(1e6 * batch / median / SAMPLE_RATE, 3),
        "bytes_per_sample": bytes_per_step // batch,
        "multiply_adds_per_sample": case.multiply_adds,
        **_limit(median, bytes_per_step, case.multiply_adds * batch, reading, multiplying),
        "largest_logit_error": near.largest_logit_error,
        "mean_kl_nats": near.mean_kl_nats,
    }


def _limit(
    median: float,  # microseconds a step
    num_bytes: int,  # of a step
    multiply_adds: int,  # of a step
    reading: list[float],
    multiplying: list[float],
) -> dict[str, Any]:
    """How near the median comes to what the machine could do.

    share_of_limit is the time that the machine would need at its read bandwidth or arithmetic
    rate, whichever is longer (limited_by), over the time that was needed: medians of the same
    rounds all, so that a neighbour who slows the machine slows both alike. steadiness is the
    median of these rates over the best, the worse of the two.
    """
    rates = {"reading": float(np.median(reading)), "arithmetic": float(np.median(multiplying))}
    seconds = {
        "reading": num_bytes / rates["reading"],
        "arithmetic": multiply_adds / rates["arithmetic"],
    }
    limited_by = max(seconds, key=lambda name: seconds[name])
    steadiness = min(np.median(each) / max(each) for each in (reading, multiplying))
    return {
        "read_bytes_per_second": round(rates["reading"]),
        "multiply_adds_per_second": round(rates["arithmetic"]),
        "share_of_limit": round(1e6 * seconds[limited_by] / median, 4),
        "limited_by": limited_by,
        "steadiness": round(float(steadiness), 3),
    }


def _compare(records: list[dict[str, Any]]) -> None:
    """How many times as fast as xla_scan each is, where that ran."""
    medians = {entry["backend"]: entry["step_microseconds_median"] for entry in records}
    baseline = medians.get("xla_scan")
    for entry in records:
        ratio = baseline and round(baseline / entry["step_microseconds_median"], 3)
        entry["ratio_to_xla_scan"] = ratio
