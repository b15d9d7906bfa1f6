"""One measurement as one JSON record: what ran, how fast, how right, and how fast it could be."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numba
import numpy as np

from wavegen_kernels.cases import Case

SAMPLE_RATE = 16_000  # Hz; what times_real_time is told for
FORMAT = 1


def record(
    *,
    case: Case,
    backend: str,
    precision: str,
    batch: int,
    warm_up: int,
    compile_seconds: float,
    step_microseconds: list[float],  # one a repeat: wall clock of a step of all streams
    largest_logit_error: float,
    limits: dict[str, float],  # of measure_limits
) -> dict[str, Any]:
    """The record of one measurement, ready for JSON; times in the units that the keys name.

    share_of_limit is the time that the machine would need at its measured read bandwidth or
    arithmetic rate, whichever is longer, over the median time that was needed.
    """
    median = float(np.median(step_microseconds))
    bytes_per_step = case.weight_bytes  # float32; all streams of a batch share one reading
    adds = case.multiply_adds * batch
    floor = max(
        bytes_per_step / limits["read_bytes_per_second"],
        adds / limits["multiply_adds_per_second"],
    )
    return {
        **origin(),
        "case": case.name,
        "backend": backend,
        "precision": precision,
        "batch": batch,
        "warm_up": warm_up,
        "repeats": len(step_microseconds),
        "compile_seconds": round(compile_seconds, 2),
        "step_microseconds_median": round(median, 2),
        "step_microseconds_min": round(min(step_microseconds), 2),
        "step_microseconds_max": round(max(step_microseconds), 2),
        "samples_per_second_per_stream": round(1e6 / median),
        "samples_per_second": round(1e6 * batch / median),
        "times_real_time": round(1e6 / median / SAMPLE_RATE, 3),
        "bytes_per_sample": bytes_per_step // batch,
        "multiply_adds_per_sample": case.multiply_adds,
        **{name: round(value) for name, value in limits.items()},
        "share_of_limit": round(floor * 1e6 / median, 3),
        "largest_logit_error": largest_logit_error,
    }


def origin() -> dict[str, Any]:
    """When, with which code and on what a record was measured: the head of every record."""
    return {
        "format": FORMAT,
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": _version(),
        "git_revision": _revision(),
        "device": jax.devices()[0].device_kind,
        "processor": _processor(),
        "jax": jax.__version__,
    }


def show(entry: dict[str, Any], path: Path | None) -> None:
    """Prints a record for people, adds it to the file at `path`, prints it again as JSON."""
    width = max(map(len, entry))
    for name, value in entry.items():
        text = f"{value:,}" if isinstance(value, int) else f"{value}"
        print(f"{name:{width}}  {text}")
    if path:
        append(path, entry)
    print(json.dumps(entry))


def append(path: Path, entry: dict[str, Any]) -> None:
    """Add one record to a .jsonl file, which is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def measure_limits(num_bytes: int) -> dict[str, float]:
    """What this machine can do, measured now: bytes read and multiply-adds a second.

    The bandwidth is that of reading `num_bytes` again and again, from whichever cache or
    memory holds that many; the rate is that of a large float32 matrix product. On a CPU the
    reading is done by one core: pin the process to one core for the two to belong together.
    """
    words = np.ones(num_bytes // 4, np.float32)
    if jax.default_backend() == "cpu":
        read = lambda: _sum(words)
    else:
        on_device, total = jnp.asarray(words), jax.jit(jnp.sum)
        read = lambda: total(on_device).block_until_ready()
    side = 768 if jax.default_backend() == "cpu" else 8192
    matrix = jnp.ones((side, side), jnp.float32)
    product = jax.jit(lambda x: jnp.dot(x, x, precision="highest"))
    return {
        "read_bytes_per_second": words.nbytes / _fastest(read),
        "multiply_adds_per_second": side**3 / _fastest(lambda: product(matrix).block_until_ready()),
    }


def _fastest(run: Callable[[], Any], repeats: int = 20) -> float:  # seconds
    run()  # compiles, and brings the data near
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return min(seconds)  # a ceiling: whatever else ran on the machine made it slower


@numba.njit(fastmath=True)
def _sum(x):
    total = np.float32(0)
    for i in range(x.size):
        total += x[i]
    return total


def _version() -> str:
    try:
        return metadata.version("wavegen")
    except metadata.PackageNotFoundError:
        return "not installed"


def _revision() -> str:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    here = Path(__file__).parent
    try:
        done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):  # no git, or no repository
        return "unknown"
    return done.stdout.strip()


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")  # Linux only; elsewhere jax's device kind must do
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "unknown"
