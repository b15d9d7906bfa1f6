"""How fast a backend samples, after it was shown to compute the right thing.

    python benchmarks/bench_sampling.py --case reference --batch 1 --backend xla_scan

The last line of the output is the record as JSON; everything before it is for people.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import jax
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
# Works in a checkout that is not installed, where the kernels' own three packages are enough.
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "kernels")]

import record as records  # noqa: E402

from wavegen_kernels import backends, cases, random, weights  # noqa: E402
from wavegen_kernels.generate import api, reference  # noqa: E402

HOP_LENGTH = 256  # samples a frame: 16 ms at 16 kHz
PROOF_SAMPLES = 48
# Float32 rounding of the largest case was seen to reach 2e-5; wrong mathematics gives 0.1 and more.
LOGIT_TOLERANCE = 1e-4
TIE = 1e-5  # a cumulative probability this near to its uniform number may fall either way


def main() -> None:
    options = _options()
    case = cases.CASES[options.case]
    backend = backends.choose(options.backend)
    stack = jax.device_put(cases.weights(case))
    error = prove(case, stack, backend, min(options.batch, 2))
    limits = records.measure_limits(case.weight_bytes)
    compile_seconds, steps = measure(case, stack, backend, options.batch, options)
    entry = records.record(
        case=case,
        backend=backend,
        precision="float32",
        batch=options.batch,
        warm_up=options.warm_up,
        compile_seconds=compile_seconds,
        step_microseconds=steps,
        largest_logit_error=error,
        limits=limits,
    )
    records.show(entry, options.out)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--case", default="reference", choices=list(cases.CASES))
    parser.add_argument("--backend", default="auto", choices=["auto", *backends.NAMES])
    parser.add_argument("--batch", type=int, default=1, help="streams sampled together")
    parser.add_argument("--frames", type=int, default=8, help=f"of {HOP_LENGTH} samples, a repeat")
    parser.add_argument("--warm-up", type=int, default=1, help="repeats that are not counted")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, help="a .jsonl file that the record is added to")
    return parser.parse_args()


def prove(case: cases.Case, stack: weights.StackWeights, backend: str, batch: int) -> float:
    """Largest logit error against the reference; ends the program where it is too large.

    The same for draws: each must be what the reference draws after the same codes, but for ties.
    """
    cond, streams = cases.conditioning(case, batch, 1, seed=1), np.arange(batch)
    keywords = {"hop_length": PROOF_SAMPLES, "backend": backend}
    fresh = lambda: weights.initial_state(stack, batch)
    _, codes = api.generate(stack, fresh(), cond, seed=1, streams=streams, **keywords)
    codes = np.asarray(codes)
    _, found = api.logits(stack, fresh(), cond, codes, **keywords)
    keywords["backend"] = "reference"
    _, expected = api.logits(stack, fresh(), cond, codes, **keywords)
    error = float(np.abs(np.asarray(found) - expected).max())
    if not error < LOGIT_TOLERANCE:
        sys.exit(f"{backend} is wrong, so it is not timed: logits differ by {error:.2g}")
    u = random.uniforms(1, streams[:, None], np.arange(PROOF_SAMPLES)[None], np)
    for place in np.ndindex(codes.shape):
        # At a tie the nearest numbers above and below draw another code; one of them is right.
        near = np.clip(u[place] + np.array([-TIE, 0, TIE]), 0, 1 - TIE)
        if codes[place] not in [reference.draw(expected[place], x, 1.0, 0, 1.0) for x in near]:
            sys.exit(f"{backend} is wrong, so it is not timed: its draw {place} is another one")
    return error


def measure(
    case: cases.Case,
    stack: weights.StackWeights,
    backend: str,
    batch: int,
    options: argparse.Namespace,
) -> tuple[float, list[float]]:  # seconds of the first call, microseconds a step of each repeat
    cond = jax.device_put(cases.conditioning(case, batch, options.frames))
    state = weights.initial_state(stack, batch)
    seconds = []
    for _ in range(1 + options.warm_up + options.repeats):
        start = time.perf_counter()
        state, codes = api.generate(
            stack,
            state,
            cond,
            hop_length=HOP_LENGTH,
            seed=0,
            streams=np.arange(batch),
            backend=backend,
        )
        np.asarray(codes)  # waits until they are there
        seconds.append(time.perf_counter() - start)
    counted = seconds[1 + options.warm_up :]
    steps = [1e6 * each / (options.frames * HOP_LENGTH) for each in counted]
    return seconds[0] - float(np.median(counted)), steps


if __name__ == "__main__":
    main()
