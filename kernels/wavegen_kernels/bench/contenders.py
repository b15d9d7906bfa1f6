"""Who is compared: our backends in their precisions, and the same network in PyTorch."""

from __future__ import annotations

import importlib.util
import io
import os
import time
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

import jax
import numpy as np

from wavegen_kernels import backends, cases
from wavegen_kernels.accelerator import launch, padding
from wavegen_kernels.bench import record
from wavegen_kernels.generate import api, numba_cpu
from wavegen_kernels.weights import StackWeights, initial_state

HOP_LENGTH = 256  # samples a frame: 16 ms at 16 kHz
FRAMES = 4  # of a timed call
SAMPLES = FRAMES * HOP_LENGTH  # of it, too
SEED = 1
PEER_BATCHES = (1, 8)  # PyTorch takes long; more streams would tell little more
_ON_HOST = ("reference", "numba_cpu")  # whatever jax runs on


@dataclass(frozen=True)
class Contender:
    """One way of sampling a case with so many streams.

    `draw` and `logits` begin at the initial state; `go_on` draws FRAMES frames more.
    """

    backend: str
    precision: str
    device: str  # the kind of device that it runs on
    threads: int | None  # that it runs in, or at most may; None on an accelerator
    weight_bytes: int  # as they are held for reading
    readings: int  # how often they are read in a step; 0: a TPU's vector memory keeps them
    queue_bytes: int  # of all streams' queues in an accelerator's memory; 0: something nearer
    made_seconds: float
    draw: Callable[[np.ndarray, int], np.ndarray]  # cond, hop_length -> codes [B, T]
    logits: Callable[[np.ndarray, np.ndarray, int], np.ndarray]  # codes too -> [B, T, V]
    go_on: Callable[[], object]

    @property
    def name(self) -> str:
        """What people call it."""
        return f"{self.backend} {self.precision}"


def choose(
    names: list[str],  # of backends; none: all but the reference
    precisions: list[str],  # none: all
) -> tuple[list[tuple[str, str]], list[str]]:
    """Backends and precisions that can run here, and lines that say which cannot, and why.

    Raises BackendUnavailable where nothing is left of a backend or a precision that was named,
    and ValueError for a name that there is not.
    """
    wanted = [
        (name, precision)
        for name in names or [name for name in backends.NAMES if name != "reference"]
        for precision in precisions or backends.PRECISIONS
    ]
    reasons = {pair: backends.unavailable_reason(*pair) for pair in dict.fromkeys(wanted)}
    pairs = [pair for pair, reason in reasons.items() if reason is None]
    for name in names:
        if name not in [pair[0] for pair in pairs]:
            backends.choose(name, (precisions or backends.PRECISIONS)[0])
    for precision in precisions:
        if precision not in [pair[1] for pair in pairs]:
            backends.choose(names[0] if names else "auto", precision)
    alike: dict[tuple[str, str], list[str]] = {}
    for (name, precision), reason in reasons.items():
        if reason:
            alike.setdefault((name, reason), []).append(precision)
    left_out = [f"{name} {', '.join(all_)}: {reason}" for (name, reason), all_ in alike.items()]
    return pairs, left_out


def on_accelerator(backend: str) -> bool:
    """Whether a backend runs on a device of jax that is no CPU."""
    return backend not in _ON_HOST and jax.default_backend() != "cpu"


def ours(case: cases.Case, batch: int, backend: str, precision: str) -> Contender:
    """A backend of this package, with weights and conditioning where it wants them."""
    weights, cond = cases.weights(case), cases.conditioning(case, batch, FRAMES)
    if backend not in _ON_HOST:
        weights, cond = jax.device_put((weights, cond))
    keywords = {"backend": backend, "precision": precision}
    state, streams = initial_state(weights, batch), np.arange(batch)
    drawing = {"seed": SEED, "streams": streams, **keywords}
    timed = {"hop_length": HOP_LENGTH, **cases.asked(case, batch, FRAMES), **drawing}

    def draw(cond: np.ndarray, hop_length: int) -> np.ndarray:
        fresh, asked = initial_state(weights, batch), cases.asked(case, *cond.shape[:2])
        asked = {"hop_length": hop_length, **asked, **drawing}
        return np.asarray(api.generate(weights, fresh, cond, **asked)[1])

    def logits(cond: np.ndarray, codes: np.ndarray, hop_length: int) -> np.ndarray:
        fresh, asked = initial_state(weights, batch), cases.asked(case, *cond.shape[:2])
        asked = {"hop_length": hop_length, **asked, **keywords}
        return np.asarray(api.logits(weights, fresh, cond, codes, **asked)[1])

    def go_on() -> None:
        nonlocal state
        state, codes = api.generate(weights, state, cond, **timed)
        np.asarray(codes)  # waits until they are there

    there = on_accelerator(backend)
    threads, weight_bytes, readings = _reading(case, weights, batch, backend, precision)
    return Contender(
        backend=backend,
        precision=precision,
        device=jax.devices()[0].device_kind if there else "cpu",
        threads=None if there else threads,
        weight_bytes=weight_bytes,
        readings=readings,
        queue_bytes=state.queues.nbytes if there and backend != "pallas_tpu" else 0,
        made_seconds=0.0,
        draw=draw,
        logits=logits,
        go_on=go_on,
    )


def _reading(
    case: cases.Case, weights: StackWeights, batch: int, backend: str, precision: str
) -> tuple[int, int, int]:
    """Threads on a host, bytes of the weights as they are held, how often a step reads them."""
    if backend == "numba_cpu":  # a thread takes some of the streams and reads all weights
        threads = len(numba_cpu.groups(batch, numba_cpu.threads()))
        return threads, numba_cpu.packed(weights, precision).arena.nbytes, threads
    if backend in ("pallas_gpu", "pallas_tpu"):
        machine = import_module(f"wavegen_kernels.generate.{backend}").MACHINE  # takes its time
        plan = launch.plan(weights, HOP_LENGTH, filtered=False, measured=False, teacher=False)
        asked = (plan, weights, batch, precision)
        tiling, _, net = launch.prepared(machine, machine.chip(), *asked)
        # A row of each tap of the embedding is read, which counts nowhere here.
        held = padding.num_bytes(net._replace(embed=None, gate_bias=None))
        # A thread block reads all weights; a TPU's vector memory keeps them.
        return cores(), held, -(-batch // tiling.streams) if backend == "pallas_gpu" else 0
    return cores(), 4 * case.multiply_adds, 1


def peer(case: cases.Case, batch: int, mode: str, torch_wavenet: ModuleType) -> Contender:
    """The same network in PyTorch, on the CPU. Raises RuntimeError where the mode cannot run."""
    start = time.perf_counter()
    with redirect_stderr(io.StringIO()):  # the compiler tells of every product that it tries
        network = torch_wavenet.TorchWaveNet(cases.weights(case), batch, mode)
    made_seconds = time.perf_counter() - start
    timed, streams = cases.conditioning(case, batch, FRAMES), np.arange(batch)

    def draw(cond: np.ndarray, hop_length: int) -> np.ndarray:
        return network.generate(cond, hop_length=hop_length, seed=SEED, streams=streams)

    return Contender(
        backend=f"torch_{mode.removeprefix('torch')}",
        precision="float32",
        device="cpu",
        threads=cores(),
        weight_bytes=4 * case.multiply_adds,
        readings=1,
        queue_bytes=0,
        made_seconds=made_seconds,
        draw=draw,
        logits=network.logits,
        go_on=lambda: draw(timed, HOP_LENGTH),
    )


def find_peers(name: str = "torch_wavenet") -> tuple[ModuleType | None, str]:
    """The module of that name in benchmarks/; where it cannot be had, None and why."""
    root = record.checkout()
    path = root / "benchmarks" / f"{name}.py" if root else None
    if path is None or not path.is_file():
        return None, f"PyTorch: benchmarks/{name}.py is not there; use a checkout of wavegen"
    try:
        import torch  # pyright: ignore[reportMissingImports]
    except (ImportError, OSError) as error:  # not there, or not whole
        return None, f"PyTorch: {error}; pip install 'wavegen[peers]'"
    torch.set_num_threads(cores())
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None, path
    assert spec.loader is not None, path
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module, ""


def cores() -> int:
    """Processor cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
