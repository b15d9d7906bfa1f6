"""What was measured of one contender as a record, and how near it came to the machine's limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from wavegen_kernels import cases
from wavegen_kernels.bench import limits, record
from wavegen_kernels.bench.contenders import SAMPLES, Contender
from wavegen_kernels.bench.proof import Proof

SAMPLE_RATE = 16_000  # Hz; what times_real_time is told for
WARM_UP = 1  # rounds that are not counted
_BEYOND_CACHES = 1 << 30  # bytes: more tell nothing more of an accelerator's memory

LimitKey = tuple[Callable[..., limits.Gauge], int | str, int | None]


@dataclass(frozen=True)
class Measured:
    """One contender, proved and timed."""

    contender: Contender
    near: Proof
    first_seconds: float  # of the first call, which compiles
    microseconds: list[float]  # one a repeat: wall clock of a step of all streams
    device_microseconds: float | None  # the same by the device's own clock, once


def queue_bytes(case: cases.Case) -> int:
    """Bytes of queues and conditioning that a sample of one stream moves, whatever holds them.

    Each layer reads K - 1 activations from before, writes one, and is given 2R numbers.
    """
    return 4 * case.num_layers * (case.kernel_size + 2) * case.residual_channels


def needs(case: cases.Case, batch: int, contender: Contender) -> dict[str, tuple[LimitKey, int]]:
    """What a step needs of the machine: which of its limits bears on it, and how much is asked.

    Only an accelerator multiplies bfloat16 as such; numba_cpu makes it float32 before.
    """
    threads, found = contender.threads, {}
    precision = contender.precision
    kind = precision if threads is None or precision == "int8" else "float32"
    if contender.readings:
        key = (limits.reading, contender.weight_bytes, threads)
        found["reading"] = key, contender.readings * contender.weight_bytes
    found["arithmetic"] = (limits.multiplying, kind, threads), batch * case.multiply_adds
    if contender.queue_bytes:
        key = (limits.reading, min(contender.queue_bytes, _BEYOND_CACHES), threads)
        found["queues"] = key, batch * queue_bytes(case)
    return found


def made(
    case: cases.Case,
    batch: int,
    measured: Measured,
    readings: dict[LimitKey, list[float]],  # of each gauge, one a round
) -> dict[str, Any]:
    """The record of one measurement, ready for JSON; times in the units that the keys name."""
    contender, near = measured.contender, measured.near
    median = float(np.median(measured.microseconds))
    on_device = measured.device_microseconds
    return {
        **record.origin(),
        "device": contender.device,
        "case": case.name,
        "backend": contender.backend,
        "precision": contender.precision,
        "batch": batch,
        "threads": contender.threads,
        "warm_up": WARM_UP,
        "repeats": len(measured.microseconds),
        "compile_seconds": round(max(0.0, measured.first_seconds - 1e-6 * median * SAMPLES), 2),
        "step_microseconds_median": round(median, 3),
        "step_microseconds_min": round(min(measured.microseconds), 3),
        "step_microseconds_max": round(max(measured.microseconds), 3),
        "device_step_microseconds": None if on_device is None else round(on_device, 3),
        "samples_per_second_per_stream": round(1e6 / median),
        "samples_per_second": round(1e6 * batch / median),
        "times_real_time": round(1e6 / median / SAMPLE_RATE, 3),
        "times_real_time_all_streams": round(1e6 * batch / median / SAMPLE_RATE, 3),
        "bytes_per_sample": contender.readings * contender.weight_bytes // batch,
        "queue_bytes_per_sample": queue_bytes(case),
        "multiply_adds_per_sample": case.multiply_adds,
        **_limit(median, needs(case, batch, contender), readings),
        "largest_logit_error": near.largest_logit_error,
        "mean_kl_nats": near.mean_kl_nats,
    }


def _limit(
    median: float,  # microseconds a step
    needed: dict[str, tuple[LimitKey, int]],
    readings: dict[LimitKey, list[float]],
) -> dict[str, Any]:
    """How near the median comes to what the machine could do.

    share_of_limit is the time that the machine would need at its read bandwidth or arithmetic
    rate, whichever is longer (limited_by), over the time that was needed: medians of the same
    rounds all, so that a neighbour who slows the machine slows both alike. steadiness is the
    median of these rates over the best, the worst of them.

    The limits of an accelerator are those of the whole of it, however few of its cores so many
    streams can keep busy. There the queues are a need of their own, read and written in its main
    memory as soon as they outgrow the caches. A kernel that keeps weights and queues in a TPU's
    vector memory needs arithmetic alone: what limits it at few streams, the way of the weights
    from there to the matrix units, is not measured. xla_scan can exceed its limit where XLA
    keeps weights there, as the bandwidth of a TPU is that of its main memory.
    """
    rates = {name: float(np.median(readings[key])) for name, (key, _) in needed.items()}
    seconds = {name: amount / rates[name] for name, (_, amount) in needed.items()}
    limited_by = max(seconds, key=lambda name: seconds[name])
    steadiness = min(
        np.median(each) / max(each) for each in (readings[key] for key, _ in needed.values())
    )
    rounded = lambda name: round(rates[name]) if name in rates else None
    return {
        "read_bytes_per_second": rounded("reading"),
        "queue_bytes_per_second": rounded("queues"),
        "multiply_adds_per_second": rounded("arithmetic"),
        "share_of_limit": round(1e6 * seconds[limited_by] / median, 4),
        "limited_by": limited_by,
        "steadiness": round(float(steadiness), 3),
    }


def compare(records: list[dict[str, Any]]) -> None:
    """Writes into all records of one case and batch how many times as fast as xla_scan each is.

    None where that did not run.
    """
    medians = {entry["backend"]: entry["step_microseconds_median"] for entry in records}
    baseline = medians.get("xla_scan")
    for entry in records:
        ratio = baseline and round(baseline / entry["step_microseconds_median"], 3)
        entry["ratio_to_xla_scan"] = ratio
