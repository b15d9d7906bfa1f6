"""What a checkpoint costs the training that goes on: the save's call, and the step after it.

    python benchmarks/bench_saving.py --residual 256 --skip 512 --layers 20

An unconditional network is trained on random codes, its smallest window, since only the size of
the state counts. What was saved is read back and compared, though the state was given away to
further steps. `step_after` is the step that runs while the save goes on, `save_processor` all
that the save takes of the processors. The last line of the output is the record as JSON.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import jax
import numpy as np
from flax import nnx

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "kernels"), str(ROOT)]

from wavegen import checkpoint  # noqa: E402
from wavegen.checkpoint import About  # noqa: E402
from wavegen.config import Config, Model, Training, Vocabulary  # noqa: E402
from wavegen.data.batches import Batch  # noqa: E402
from wavegen.model import network  # noqa: E402
from wavegen.training import saving, step  # noqa: E402
from wavegen.training.step import TrainState  # noqa: E402
from wavegen_kernels.bench import record as records  # noqa: E402

LAYERS_PER_CYCLE = 10  # dilations 1 ... 512
STEPS_BETWEEN = 4  # from one save to the next


def main() -> None:
    options = _options()
    config = Config(
        model=Model(
            residual_channels=options.residual,
            skip_channels=options.skip,
            head_channels=options.skip,
            layers_per_cycle=LAYERS_PER_CYCLE,
            dilation_cycles=options.layers // LAYERS_PER_CYCLE,
        ),
        training=Training(batch_size=1, crop_samples=64, keep_checkpoints=1),
    )
    graphdef, params = network.create(config, Vocabulary(), 0)
    state, batch = step.initial_state(config, params), _batch(config)
    with (
        tempfile.TemporaryDirectory(dir=options.dir) as run,
        closing(saving.Writer(Path(run), config.training)) as writer,
    ):
        rows = []
        for repeat in range(1 + options.repeats):  # the first compiles, and is left out
            alone = []
            for _ in range(STEPS_BETWEEN):
                state, *seconds = _step(config, graphdef, state, batch)
                alone.append(seconds)
            saved = jax.tree.map(np.array, _trees(state))
            start, processor = time.perf_counter(), time.process_time()
            writer.save(repeat, _trees(state), About(config, Vocabulary()))
            call = time.perf_counter() - start
            state, *after = _step(config, graphdef, state, batch)
            writer.wait()
            processor = time.process_time() - processor
            _prove(Path(run), repeat, saved)
            step_wall, step_processor = np.median(alone, axis=0)
            rows.append((call, step_wall, after[0], step_processor, processor - step_processor))
    names = ("call", "step", "step_after", "step_processor", "save_processor")
    spread = {
        f"{name}_ms_{word}": round(1e3 * float(of(times)), 2)
        for name, times in zip(names, np.transpose(rows[1:]), strict=True)
        for word, of in (("median", np.median), ("min", np.min), ("max", np.max))
    }
    megabytes = sum(leaf.nbytes for leaf in jax.tree.leaves(_trees(state))) / 1e6
    records.show(
        {
            **records.origin(),
            "parameters": network.count(state.params),
            "saved_megabytes": round(megabytes, 1),
            "repeats": options.repeats,
            **spread,
            "load_average": round(os.getloadavg()[0], 2),
        },
        options.out,
    )


def _prove(run: Path, step: int, saved: dict) -> None:
    """What was saved is what was there when it was, though the state was given away since."""
    loaded = checkpoint.restore(run, saved)
    assert loaded is not None
    assert loaded.step == step
    assert not loaded.skipped
    for name in checkpoint.ARRAYS:
        jax.tree.map(np.testing.assert_array_equal, getattr(loaded, name), saved[name])


def _trees(state: TrainState) -> dict:
    return {"params": state.params, "ema": state.ema, "optimizer": state.optimizer}


def _step(
    config: Config, graphdef: nnx.GraphDef, state: TrainState, batch: Batch
) -> tuple[TrainState, float, float]:
    """The state after a step; its seconds by the clock and by the processor."""
    start, processor = time.perf_counter(), time.process_time()
    state, _ = jax.block_until_ready(step.train_step(config, graphdef, state, batch))
    return state, time.perf_counter() - start, time.process_time() - processor


def _batch(config: Config) -> Batch:
    frames, hop = config.window_frames, config.model.hop_length
    codes = np.random.default_rng(0).integers(0, 256, (1, frames * hop), np.int32)
    nothing = np.zeros((1, frames, 0), np.float32)
    return Batch(
        codes=codes,
        weights=np.ones(codes.shape, np.float32),
        valid=np.ones((1, frames), np.float32),
        notes=nothing,
        periods=np.zeros((1, frames), np.float32),
        ages=np.zeros((1, frames), np.float32),
        labels=np.zeros((1, 0), np.int32),
        acoustics=nothing,
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--residual", type=int, default=256)
    parser.add_argument("--skip", type=int, default=512, help="and head channels")
    parser.add_argument("--layers", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--dir", type=Path, help="where the run is made; the system's own place")
    parser.add_argument("--out", type=Path, help="a .jsonl to which the record is added")
    return parser.parse_args()


if __name__ == "__main__":
    main()
