"""What the sampler's loop over frames costs beyond the compiled loop over samples.

    taskset -c 0 python benchmarks/bench_sampler.py --precision bfloat16

One stream, R64 S256 H256, 20 layers, frames of 256 samples, random weights, `numba_cpu`. The
time of every block is parted into the compiled loop, the kernels' door around it, and sampler
and conditioner around that; medians over blocks, told for one frame. A network that hears its
past makes a block of every frame; one without signals goes a quarter second at a time.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from wavegen.config import Audio, Conditioner, Config, Model, Training, Vocabulary
from wavegen.model import network
from wavegen.model.network import Trained
from wavegen.music.score import Score
from wavegen.sampling import blocks, sampler
from wavegen.sampling.request import Draws, Request
from wavegen_kernels import backends
from wavegen_kernels.generate import numba_cpu

HOP_LENGTH = 256  # samples a frame
NETWORKS = (((), 32), (("past",), 32), (("past",), 128))  # signals, width of the LSTM


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--precision", default="bfloat16", choices=backends.PRECISIONS)
    parser.add_argument("--frames", type=int, default=400)
    options = parser.parse_args()
    compiled, door = _timed(numba_cpu.loop, "samples"), _timed(blocks.api, "generate")
    for signals, channels in NETWORKS:
        blocks_made = _stream(_trained(signals, channels), options.precision, options.frames)
        whole, kernel, inner = _medians(blocks_made, compiled, door)
        print(
            f"{'+'.join(signals) or 'no signals':10}  LSTM {channels:3}  {options.precision:8}  "
            f"us a frame: compiled loop {inner:5.0f}  door {kernel - inner:4.0f}  "
            f"sampler {whole - kernel:4.0f}  beyond the compiled loop {whole / inner - 1:5.1%}"
        )


def _trained(signals: tuple[str, ...], channels: int) -> Trained:
    config = Config(
        audio=Audio(16_000),
        model=Model(64, 256, 256, 10, 2, 2, hop_length=HOP_LENGTH),
        conditioner=Conditioner(signals, (), "lstm", channels, channels),
        training=Training(crop_samples=8192),
    )
    return Trained(config, Vocabulary(), *network.create(config, Vocabulary(), 0), 0)


def _stream(trained: Trained, precision: str, frames: int) -> Iterator[np.ndarray]:
    def blocks_of(frames: int) -> Iterator[np.ndarray]:
        request = Request(frames, (Score(),), np.zeros((1, 0), np.int32), np.zeros(1, np.int64))
        made = sampler.stream(trained, request, Draws(), "numba_cpu", precision)
        return (block.codes for block in made)

    list(blocks_of(20))  # compiles
    return blocks_of(frames)


def _timed(module: Any, name: str) -> list[float]:
    """Puts a function in its place that writes down how long each call took, in microseconds."""
    function: Callable[..., Any] = getattr(module, name)
    spent: list[float] = []

    def wrapped(*arguments: Any, **settings: Any) -> Any:
        start = time.perf_counter()
        result = function(*arguments, **settings)
        spent.append(1e6 * (time.perf_counter() - start))
        return result

    setattr(module, name, wrapped)
    return spent


def _medians(
    made: Iterator[np.ndarray], compiled: list[float], door: list[float]
) -> tuple[float, float, float]:  # microseconds a frame: all, within the door, compiled
    frames = next(made).shape[1] // HOP_LENGTH  # of a block
    rows, last = [], time.perf_counter()
    compiled.clear()
    door.clear()
    for _ in made:
        now = time.perf_counter()
        rows.append((1e6 * (now - last), sum(door), sum(compiled)))
        compiled.clear()
        door.clear()
        last = now
    whole, kernel, inner = np.median(rows[:-1], axis=0) / frames  # the last block may be short
    return float(whole), float(kernel), float(inner)


if __name__ == "__main__":
    main()
