"""How fast a training step is, and how much memory it takes.

    python benchmarks/bench_training.py --residual 64 --skip 128 --layers 20 --batch 4 --window 8192

A step is forward, backward and update of an unconditional network on random codes, all of
whose samples carry loss. The last line of the output is the record as JSON.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import jax
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "kernels"), str(ROOT)]

from wavegen.config import Config, Model, Training, Vocabulary  # noqa: E402
from wavegen.data.batches import Batch  # noqa: E402
from wavegen.model import network  # noqa: E402
from wavegen.training import step  # noqa: E402
from wavegen_kernels.bench import record as records  # noqa: E402

LAYERS_PER_CYCLE = 10  # dilations 1 ... 512


def main() -> None:
    options = _options()
    config = Config(
        model=Model(
            residual_channels=options.residual,
            skip_channels=options.skip,
            head_channels=options.head,
            layers_per_cycle=LAYERS_PER_CYCLE,
            dilation_cycles=options.layers // LAYERS_PER_CYCLE,
        ),
        training=Training(batch_size=options.batch),
    )
    graphdef, params = network.create(config, Vocabulary(), 0)
    state = step.initial_state(config, params)
    batch = _batch(config, options.batch, options.window)
    start = time.perf_counter()
    compiled = step.train_step.lower(config, graphdef, state, batch).compile()
    compile_seconds = time.perf_counter() - start
    seconds, metrics = [], None
    for repeat in range(options.warm_up + options.repeats):
        start = time.perf_counter()
        state, metrics = jax.block_until_ready(compiled(state, batch))
        if repeat >= options.warm_up:
            seconds.append(time.perf_counter() - start)
    assert metrics is not None
    assert np.isfinite(float(metrics.nats)), "the step computes no number"
    samples, median = options.batch * options.window, float(np.median(seconds))
    memory = compiled.memory_analysis()
    assert memory is not None, "this device does not tell its memory"
    records.show(
        {
            **records.origin(),
            "residual_channels": options.residual,
            "skip_channels": options.skip,
            "head_channels": options.head,
            "layers": options.layers,
            "batch": options.batch,
            "window_samples": options.window,
            "parameters": network.count(params),
            "warm_up": options.warm_up,
            "repeats": options.repeats,
            "compile_seconds": round(compile_seconds, 2),
            "step_seconds_median": round(median, 4),
            "step_seconds_min": round(min(seconds), 4),
            "step_seconds_max": round(max(seconds), 4),
            "samples_per_second": round(samples / median),
            "temporaries_mib": round(memory.temp_size_in_bytes / 2**20, 1),
        },
        options.out,
    )


def _batch(config: Config, size: int, window: int) -> Batch:
    """Random codes without signals."""
    frames = window // config.model.hop_length
    codes = np.random.default_rng(0).integers(0, config.audio.n_codes, (size, window))
    return Batch(
        codes=codes.astype(np.int32),
        weights=np.ones((size, window), np.float32),
        valid=np.ones((size, frames), np.float32),
        notes=np.zeros((size, frames, 0), np.float32),
        periods=np.zeros((size, frames), np.float32),
        labels=np.zeros((size, 0), np.int32),
        acoustics=np.zeros((size, frames, 0), np.float32),
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--residual", type=int, default=64)
    parser.add_argument("--skip", type=int, default=128)
    parser.add_argument("--head", type=int, default=128)
    parser.add_argument("--layers", type=int, default=20, help="a multiple of 10")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--window", type=int, default=8192, help="samples; a multiple of 64")
    parser.add_argument("--warm-up", type=int, default=1, help="steps that are not counted")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", type=Path, help="a .jsonl file that the record is added to")
    options = parser.parse_args()
    if options.layers % LAYERS_PER_CYCLE or options.window % Model().hop_length:
        parser.error("--layers must be a multiple of 10, --window one of 64")
    return options


if __name__ == "__main__":
    main()
