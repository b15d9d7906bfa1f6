"""All contenders of a case and batch: proved first, then timed in turns, with the limits between.

What disturbs the machine for a while thereby disturbs all of them alike, and the readings of what
the machine could do are as old as the timings that they are compared with. On an accelerator each
is proved and timed by itself: nothing else disturbs it, and it has all the memory.
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import jax

from wavegen_kernels import cases
from wavegen_kernels.backends import BackendUnavailable
from wavegen_kernels.bench import contenders, entry, limits, profile, proof, record, table
from wavegen_kernels.bench.contenders import SAMPLES, Contender
from wavegen_kernels.bench.entry import WARM_UP, LimitKey, Measured

CASES = ["small", "reference", "big"]
BATCHES = [1, 8, 32]  # of the host
ACCELERATOR_BATCHES = [*BATCHES, 128, 512, 2048, 8192]
REPEATS = 7
SECONDS = 0.25  # of each repeat
STEADY = 0.85  # a median reading that is a smaller part of the best one is worth a word

Say = Callable[[str], None]
# (doing, unit, total) -> a context that gives a function, to be told how many are done.
Progress = Callable[[str, str, float], AbstractContextManager[Callable[..., None]]]
Pair = tuple[str, str]  # backend, precision
Proved = tuple[Contender, float, proof.Proof]  # the seconds of its first call, how right it is


class Group(NamedTuple):
    """What is proved and timed in turns."""

    name: str  # that people read
    pairs: list[Pair]
    torch_wavenet: ModuleType | None  # where PyTorch is among them


@dataclass(frozen=True)
class Plan:
    """What shall be compared, checked."""

    cases: list[cases.Case]
    batches: list[int]
    host_batches: list[int]  # those of them that backends on the host take, too
    pairs: list[Pair]
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
    there = [pair for pair in pairs if contenders.on_accelerator(pair[0])]
    all_batches = list(dict.fromkeys(batches)) or (_sweep(there) if there else BATCHES)
    host_batches = all_batches if batches else BATCHES
    for name in dict.fromkeys(name for name, _ in pairs if not contenders.on_accelerator(name)):
        if len(host_batches) < len(all_batches):
            most = max(host_batches)
            left_out.append(f"{name} at batch > {most}: it takes long; --batch asks for it")
    torch_wavenet = None
    if peers:
        torch_wavenet, reason = contenders.find_peers()
        rest = [batch for batch in all_batches if batch not in contenders.PEER_BATCHES]
        if torch_wavenet is None:
            left_out.append(reason)
        elif rest:
            left_out.append(f"PyTorch at batch {', '.join(map(str, rest))}: it takes too long")
    return Plan(
        cases=[cases.CASES[name] for name in dict.fromkeys(names or CASES)],
        batches=all_batches,
        host_batches=host_batches,
        pairs=pairs,
        torch_wavenet=torch_wavenet,
        left_out=left_out,
        repeats=repeats,
        seconds=seconds,
        out=out,
    )


def _sweep(there: list[Pair]) -> list[int]:
    """Batches of an accelerator, those on both sides of where a GPU's kernel changes as well."""
    if not any(name == "pallas_gpu" for name, _ in there):
        return ACCELERATOR_BATCHES
    from wavegen_kernels.generate import pallas_gpu  # takes its time

    cores = pallas_gpu.cores()
    return sorted({*ACCELERATOR_BATCHES, cores, cores + 1})


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
            for each in new.records:
                found.records.append(each)
                if plan.out:
                    record.append(plan.out, each)
                say(table.row(each))
            for line in new.failures:
                say(line)
    except KeyboardInterrupt:
        stopped = True
        note("interrupted; what stands above was measured" if found.records else "interrupted")
    code = 130 if stopped else 1 if found.failures else 0
    return {**vars(found), "interrupted": stopped}, code


def measure(plan: Plan, case: cases.Case, batch: int, note: Say, progress: Progress) -> Found:
    """All contenders of one case and batch, compared.

    What runs out of memory is left out, a device's failure is told; the others go on.
    """
    found = Found()
    for group in _groups(plan, case, batch):
        with _told(found, group.name, note):
            _measure(found, plan, case, batch, group, note, progress)
    entry.compare(found.records)
    return found


def _groups(plan: Plan, case: cases.Case, batch: int) -> Iterator[Group]:
    """An accelerator's contenders each by itself, those of the host together."""
    where = f"{case.name}, batch {batch}"
    there = [pair for pair in plan.pairs if contenders.on_accelerator(pair[0])]
    for pair in there:
        yield Group(f"{where}, {' '.join(pair)}", [pair], None)
    here = [pair for pair in plan.pairs if pair not in there and batch in plan.host_batches]
    peers = plan.torch_wavenet if batch in contenders.PEER_BATCHES else None
    if here or peers:
        yield Group(where, here, peers)


@contextmanager
def _told(found: Found, who: str, note: Say) -> Iterator[None]:
    """What ends one group of contenders and nothing else becomes a line."""
    try:
        yield
    except (jax.errors.JaxRuntimeError, BackendUnavailable, MemoryError) as error:
        reason = str(error).partition("\n")[0] or "out of memory"
        if isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" not in str(error):
            found.failures.append(f"{who} failed: {reason}")
        else:
            found.left_out.append(f"{who}: {reason}")
            note(f"left out: {found.left_out[-1]}")


def _measure(
    found: Found,  # is added to
    plan: Plan,
    case: cases.Case,
    batch: int,
    group: Group,
    note: Say,
    progress: Progress,
) -> None:
    """Proves and times a group, whose memory is free again afterwards."""
    making = _contenders(case, batch, group, note, found.left_out)
    total = len(group.pairs) + len(group.torch_wavenet.MODES if group.torch_wavenet else ())
    with progress(f"{group.name}, proving", "backends", total) as update:
        proved = _proved(case, batch, making, found.failures, update)
    running = [contender for contender, *_ in proved]
    keys = [key for each in running for key, _ in entry.needs(case, batch, each).values()]
    gauges = {key: key[0](*key[1:]) for key in dict.fromkeys(keys)}
    with progress(f"{group.name}, timing", "rounds", WARM_UP + plan.repeats) as update:
        steps, readings, calls = _in_turns(plan, running, gauges, update)
    records = []
    for (contender, first_seconds, near), times, count in zip(proved, steps, calls, strict=True):
        on_device = _on_device(contender, count, group.name, note)
        measured = Measured(contender, near, first_seconds, times, on_device)
        records.append(entry.made(case, batch, measured, readings))
    found.records += records
    if any(each["steadiness"] < STEADY for each in records):
        note(f"{group.name}: something else ran on this machine; it is not what it could be")


def _contenders(
    case: cases.Case,
    batch: int,
    group: Group,
    note: Say,
    left_out: list[str],  # is added to
) -> Iterator[Contender]:
    """One after the other, as making one may take minutes."""
    for backend, precision in group.pairs:
        yield contenders.ours(case, batch, backend, precision)
    if group.torch_wavenet is None:
        return
    for mode in group.torch_wavenet.MODES:
        if mode == "compiled":
            note("PyTorch compiles, which may take minutes")
        try:
            contender = contenders.peer(case, batch, mode, group.torch_wavenet)
        except RuntimeError as error:
            left_out.append(f"PyTorch {mode}, {case.name}, batch {batch}: {error}")
            note(f"left out: {left_out[-1]}")
        else:
            yield contender


def _proved(
    case: cases.Case,
    batch: int,
    making: Iterator[Contender],
    failures: list[str],  # is added to
    update: Callable[..., None],
) -> list[Proved]:
    """Those that are right."""
    proved: list[Proved] = []
    for done, contender in enumerate(making, 1):
        start = time.perf_counter()
        contender.go_on()  # compiles
        first_seconds = contender.made_seconds + time.perf_counter() - start
        try:
            proved.append((contender, first_seconds, proof.prove(case, batch, contender)))
        except proof.Wrong as error:
            who = f"{case.name}, batch {batch}, {contender.name}"
            failures.append(f"{who} is wrong, so it is not timed: {error}")
        update(done)
    return proved


def _in_turns(
    plan: Plan,
    running: list[Contender],
    gauges: dict[LimitKey, limits.Gauge],
    update: Callable[..., None],
) -> tuple[list[list[float]], dict[LimitKey, list[float]], list[int]]:
    """Microseconds a step in every repeat of each contender; the readings of each gauge; calls."""
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
                steps[i].append(1e6 * seconds / SAMPLES)
        for key, gauge in gauges.items():
            readings[key].append(gauge())
        update(number + 1)
    return steps, readings, calls


def _on_device(contender: Contender, calls: int, who: str, note: Say) -> float | None:
    """Microseconds a step by the device's own clock, of so many calls; None on a host."""
    if contender.threads is not None:
        return None
    seconds, reason = profile.busy_seconds(lambda: [contender.go_on() for _ in range(calls)])
    if seconds is None:
        note(f"{who}: no time by the device's own clock: {reason}")
        return None
    return 1e6 * seconds / (calls * SAMPLES)
