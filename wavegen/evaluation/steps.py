"""How fast a training step is: each way to compute it, beside the same network in PyTorch.

All are shown to compute one loss before any is timed; then they are timed in turns, so that what
disturbs the machine for a while disturbs all alike.
"""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import numpy as np

from wavegen.config import COMPUTE_DTYPES, Audio, Config, Model, Predictor, Training, Vocabulary
from wavegen.data.batches import Batch
from wavegen.errors import WavegenError
from wavegen.model import network
from wavegen.training import step as steps
from wavegen_kernels import cases
from wavegen_kernels.bench import contenders, limits, record

CASES = ("reference",)
BATCH, WINDOW = 4, 8192
REPEATS, WARM_UP = 7, 2
STEP_MULTIPLY_ADDS = 3  # times those of a forward pass: gradients of inputs and of weights
OURS = "wavegen"
# Of the loss, relative: float32 sums of some ten thousand in other orders; eight bits of bfloat16,
# whose errors a mean over all samples evens out.
TOLERANCES = {"float32": 1e-4, "bfloat16": 2**-8}

Entry = dict[str, Any]
Say = Callable[[str], None]
# (doing, unit, total) -> a context that gives a function, to be told how many are done.
Progress = Callable[[str, str, float], AbstractContextManager[Callable[..., None]]]


@dataclass(frozen=True)
class Plan:
    """What is measured, checked."""

    names: tuple[str, ...] = CASES  # of wavegen_kernels.cases
    dtypes: tuple[str, ...] = ()  # empty: float32, and bfloat16 where there is an accelerator
    batch: int = BATCH
    window: int = WINDOW  # samples
    repeats: int = REPEATS
    peers: bool = True
    out: Path | None = None  # a .jsonl file that records are added to

    @property
    def ways(self) -> tuple[str, ...]:
        """The dtypes that steps are computed in."""
        usual = ("float32",) if jax.default_backend() == "cpu" else ("float32", "bfloat16")
        return self.dtypes or usual

    def __post_init__(self) -> None:
        for kind, names, known in (
            ("case", self.names, [*cases.CASES]),
            ("compute dtype", self.dtypes, COMPUTE_DTYPES),
        ):
            for name in names:
                if name not in known:
                    raise WavegenError(f"no {kind} '{name}'", "one of: " + ", ".join(known))
        hop = Model().hop_length
        if self.window % hop:
            raise WavegenError(
                f"a window of {self.window} samples", f"a multiple of {hop}, whole frames"
            )


@dataclass
class Contender:
    """One way to compute a step, made and tried once."""

    name: str  # "wavegen", "torch_eager", ...
    dtype: str
    remat: bool | None
    advance: Callable[[], float]  # one step; gives the loss before it, nats a sample
    first_nats: float
    made_seconds: float  # compiling, and the first step
    temporaries: int | None = None  # bytes
    seconds: list[float] = field(default_factory=list)


def report(plan: Plan, say: Say, note: Say, progress: Progress) -> tuple[Entry, int]:
    """Everything found, ready for JSON, and the exit code: 1 if anything was wrong, 130 if stopped.

    The rows of a case are said, and added to the plan's file, as soon as it is done.
    """
    torch, reason = contenders.find_peers("torch_training") if plan.peers else (None, "")
    if reason:
        note(f"left out: {reason}")
    records: list[Entry] = []
    failures: list[str] = []
    stopped = False
    say(HEADER)
    try:
        for name in plan.names:
            with progress(name, "repeats", plan.repeats) as update:
                found, wrong = measure(plan, cases.CASES[name], torch, note, update)
            failures += wrong
            records += found
            for line in (*wrong, *map(row, found)):
                say(line)
            if plan.out:
                for entry in found:
                    record.append(plan.out, entry)
    except KeyboardInterrupt:
        stopped = True
        note("interrupted; what stands above was measured" if records else "interrupted")
    code = 130 if stopped else 1 if failures else 0
    return {"records": records, "failures": failures, "interrupted": stopped}, code


def measure(
    plan: Plan,
    case: cases.Case,
    torch: ModuleType | None,
    note: Say,
    update: Callable[..., None],
) -> tuple[list[Entry], list[str]]:
    """Records of all that compute the right loss, and what is said of those that do not."""
    codes = np.random.default_rng(0).integers(0, case.n_codes, (plan.batch, plan.window))
    found = [_ours(case, codes, *way) for way in itertools.product(plan.ways, (True, False))]
    found += _peers(case, codes, torch, note)
    exact = found[0] if found[0].dtype == "float32" else _ours(case, codes, "float32", True)
    right, wrong = [], []
    for each in found:
        good = _error(each, exact) < TOLERANCES[each.dtype]
        (right if good else wrong).append(each)
    fastest = _time(plan, right, update)
    # They run on processors, with which no accelerator is compared.
    peers = [float(np.median(each.seconds)) for each in right if each.name != OURS and _threads()]
    shared = {
        **record.origin(),
        "bench": "training",
        "case": case.name,
        "batch": plan.batch,
        "window_samples": plan.window,
        "warm_up": WARM_UP,
        "repeats": plan.repeats,
    }
    entries = [
        shared
        | {"loss_error": _error(each, exact)}
        | _entry(case, codes.size, each, fastest[each.dtype], min(peers, default=None))
        for each in right
    ]
    return entries, [
        f"{each.name} in {each.dtype} is wrong, so it is not timed: a loss of "
        f"{each.first_nats:.6g} nats, where {exact.first_nats:.6g} is right"
        for each in wrong
    ]


def _error(found: Contender, exact: Contender) -> float:
    return abs(found.first_nats - exact.first_nats) / exact.first_nats


def _time(plan: Plan, found: list[Contender], update: Callable[..., None]) -> dict[str, float]:
    """Times all in turns; gives the multiply-adds a second that were read between, by dtype."""
    gauges = {
        dtype: limits.multiplying(dtype, _threads(), exact=False)
        for dtype in {each.dtype for each in found}
    }
    readings: dict[str, list[float]] = {dtype: [] for dtype in gauges}
    for repeat in range(-(WARM_UP - 1), plan.repeats):  # the first step warmed up as well
        for each in found:
            start = time.perf_counter()
            each.advance()
            if repeat >= 0:
                each.seconds.append(time.perf_counter() - start)
        for dtype, gauge in gauges.items():
            readings[dtype].append(gauge())
        update(max(0, repeat + 1))
    return {dtype: max(speeds) for dtype, speeds in readings.items()}


def _threads() -> int | None:
    return contenders.cores() if jax.default_backend() == "cpu" else None


def _ours(case: cases.Case, codes: np.ndarray, dtype: str, remat: bool) -> Contender:
    start = time.perf_counter()
    config = _config(case, len(codes), dtype, remat)
    graphdef, params = network.create(config, Vocabulary(), 0)
    state, batch = steps.initial_state(config, params), _batch(config, codes)
    compiled = steps.train_step.lower(config, graphdef, state, batch).compile()
    memory = compiled.memory_analysis()

    def advance() -> float:
        nonlocal state
        state, metrics = compiled(state, batch)
        return float(jax.block_until_ready(metrics).nats)

    nats = advance()
    temporaries = None if memory is None else memory.temp_size_in_bytes
    return Contender(OURS, dtype, remat, advance, nats, time.perf_counter() - start, temporaries)


def _peers(
    case: cases.Case, codes: np.ndarray, torch: ModuleType | None, note: Say
) -> list[Contender]:
    """The same network with the same first parameters, on the CPU."""
    found: list[Contender] = []
    if torch is None or case.order:  # which has no linear predictor
        return found
    weights = network.assemble(
        *network.create(_config(case, len(codes), "float32", True), Vocabulary(), 0)
    ).wavenet.export()
    for mode in torch.MODES:
        start = time.perf_counter()
        try:
            peer = torch.TorchTraining(weights, mode)
            nats = peer.step(codes)
        except RuntimeError as error:
            note(f"left out: {error}")
            continue
        advance = functools.partial(peer.step, codes)
        made = time.perf_counter() - start
        found.append(Contender(f"torch_{mode}", "float32", None, advance, nats, made))
    return found


def _config(case: cases.Case, batch: int, dtype: str, remat: bool) -> Config:
    linear = Predictor()
    if case.order:
        linear = Predictor(order=case.order, window=case.window, refit=case.refit)
    return Config(
        audio=Audio(n_codes=case.n_codes),
        model=Model(
            residual_channels=case.residual_channels,
            skip_channels=case.skip_channels,
            head_channels=case.head_channels,
            layers_per_cycle=case.layers_per_cycle,
            dilation_cycles=case.dilation_cycles,
            kernel_size=case.kernel_size,
            predictor=linear,
        ),
        training=Training(batch_size=batch, compute_dtype=dtype, remat=remat),
    )


def _batch(config: Config, codes: np.ndarray) -> Batch:
    """A batch of these codes, all of which carry loss, without signals."""
    (B, T), X = codes.shape, config.context_frames
    frames = X + T // config.model.hop_length
    lead = np.full((B, X * config.model.hop_length), config.audio.n_codes // 2)
    valid = np.ones((B, frames), np.float32)
    valid[:, :X] = 0
    return Batch(
        codes=np.concatenate([lead, codes], axis=1).astype(np.int32),
        weights=np.ones((B, T), np.float32),
        valid=valid,
        notes=np.zeros((B, frames, 0), np.float32),
        periods=np.zeros((B, frames), np.float32),
        ages=np.zeros((B, frames), np.float32),
        labels=np.zeros((B, 0), np.int32),
        acoustics=np.zeros((B, frames, 0), np.float32),
    )


def _entry(
    case: cases.Case, samples: int, found: Contender, limit: float, torch_seconds: float | None
) -> Entry:
    median = float(np.median(found.seconds))
    needed = STEP_MULTIPLY_ADDS * case.multiply_adds  # of a sample; recomputing does not count
    return {
        "contender": found.name,
        "compute_dtype": found.dtype,
        "remat": found.remat,
        "made_seconds": round(found.made_seconds, 2),
        "step_seconds_median": round(median, 4),
        "step_seconds_min": round(min(found.seconds), 4),
        "step_seconds_max": round(max(found.seconds), 4),
        "samples_per_second": round(samples / median),
        "temporaries_mib": None if found.temporaries is None else round(found.temporaries / 2**20),
        "multiply_adds_per_sample": needed,
        "limit_multiply_adds_per_second": round(limit),
        "share_of_limit": round(samples * needed / median / limit, 4),
        "ratio_to_torch": None if torch_seconds is None else round(torch_seconds / median, 3),
    }


_ROW = "{:<10}{:<16}{:<10}{:<12}{:>8} {:>15}{:>12}{:>11}{:>10}{:>11}"
HEADER = "\n".join(
    (
        "s/step: the median of the repeats [min max]; MiB: temporaries, by the compiler; of limit:",
        "of the multiply-adds that the machine does at best; x torch: times as fast as the best of",
        "PyTorch",
        "",
        _ROW.format(
            "case", "what", "dtype", "activations", "s/step", "[min max]", "samples/s", "MiB",
            "of limit", "x torch",
        ),
    )
)  # fmt: skip


def row(entry: Entry) -> str:
    """One line for one record."""
    kept = {None: "", True: "recomputed", False: "kept"}[entry["remat"]]
    low, high = entry["step_seconds_min"], entry["step_seconds_max"]
    memory, ratio = entry["temporaries_mib"], entry["ratio_to_torch"]
    return _ROW.format(
        entry["case"],
        entry["contender"],
        entry["compute_dtype"],
        kept,
        f"{entry['step_seconds_median']:.3g}",
        f"[{low:.3g} {high:.3g}]",
        f"{entry['samples_per_second']:,}",
        "" if memory is None else f"{memory:,}",
        f"{entry['share_of_limit']:.0%}",
        "" if ratio is None else f"{ratio:.2f}",
    ).rstrip()
