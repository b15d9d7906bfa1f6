"""How fast recordings become a corpus and a corpus batches, and how long training waits for them.

Each is shown to be right before it is timed. Processor time is told beside the wall clock's: a
neighbour on the machine lengthens the one, not the other.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import numpy as np

from wavegen import config as configs
from wavegen.audio import mulaw
from wavegen.config import Config
from wavegen.data import batches, corpus
from wavegen.data.corpus import Corpus, Split
from wavegen.errors import WavegenError
from wavegen.evaluation import material
from wavegen.evaluation.material import NOTE_RATE, NOTE_SECONDS, SONG_SECONDS, Wrong
from wavegen.model import network
from wavegen.training import devices, feed
from wavegen.training.step import initial_state, train_step
from wavegen_kernels.bench import record

REPEATS = 7
SECONDS = 1200.0  # of sound that is prepared in each repeat
PASSES = 5  # as much sound as that, so many times, comes as batches in each repeat
STEPS = 10  # of training in each repeat
_DAY = 86_400.0

Entry = dict[str, Any]
Update = Callable[..., None]
# (doing, unit, total) -> a context that gives a function, to be told how many are done.
Progress = Callable[[str, str, float], AbstractContextManager[Update]]


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    repeats: int = REPEATS
    seconds: float = SECONDS
    out: Path | None = None  # a .jsonl file that records are added to

    def __post_init__(self) -> None:
        if self.repeats < 1:
            raise WavegenError(f"{self.repeats} repeats", "at least 1")
        if not 0 < self.seconds <= _DAY:
            raise WavegenError(f"{self.seconds:g} seconds of sound", "more than 0, up to a day")

    @property
    def notes(self) -> int:
        """Notes that last so long together."""
        return max(1, round(self.seconds / NOTE_SECONDS))

    @property
    def songs(self) -> int:
        """Songs that last so long together."""
        return max(1, round(self.seconds / SONG_SECONDS))


@dataclass
class Stopwatch:
    """Seconds of every repeat, by the wall clock and of this process."""

    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Counts what happens inside as one repeat."""
        wall, processor = time.perf_counter(), time.process_time()
        yield
        self.wall.append(time.perf_counter() - wall)
        self.processor.append(time.process_time() - processor)


def report(
    plan: Plan, say: Callable[[str], None], note: Callable[[str], None], progress: Progress
) -> tuple[dict[str, Any], int]:
    """Everything found, ready for JSON, and the exit code: 1 if anything was wrong, 130 if stopped.

    A row of the table is said, and a record added to the plan's file, as soon as it is measured.
    """
    records: list[Entry] = []
    failures: list[str] = []
    stopped = False
    say(HEADER)
    try:
        with tempfile.TemporaryDirectory(prefix="wavegen-bench-") as folder:
            for case, measure in CASES.items():
                with progress(case, "repeats", plan.repeats) as update:
                    try:
                        entry = measure(plan, Path(folder), update)
                    except Wrong as error:
                        failures.append(f"{case} is wrong, so it is not timed: {error}")
                        say(failures[-1])
                        continue
                shared = {"bench": "data", "case": case, "warm_up": 1, "repeats": plan.repeats}
                records.append({**record.origin(), **shared, **entry})
                if plan.out:
                    record.append(plan.out, records[-1])
                say(row(records[-1]))
    except KeyboardInterrupt:
        stopped = True
        note("interrupted; what stands above was measured" if records else "interrupted")
    code = 130 if stopped else 1 if failures else 0
    return {"records": records, "failures": failures, "interrupted": stopped}, code


def _prepare_notes(plan: Plan, folder: Path, update: Update) -> Entry:
    material.check_notes(_notes(plan, folder, NOTE_RATE), plan.notes)
    entry = {"files": plan.notes, "sound": "WAV 16 bits, mono, 16 kHz", "wanted_over": 2000}
    seconds = plan.notes * NOTE_SECONDS
    return entry | _prepare(plan, folder / "nsynth-train", seconds, update)


def _prepare_songs(plan: Plan, folder: Path, update: Update) -> Entry:
    material.write_songs(folder / "songs", plan.songs)
    corpus.prepare([folder / "songs"], folder / "prepared")
    material.check_songs(corpus.open(folder / "prepared"), plan.songs)
    entry = {"files": plan.songs, "sound": "FLAC 16 bits, stereo, 44.1 kHz", "wanted_over": 300}
    return entry | _prepare(plan, folder / "songs", plan.songs * SONG_SECONDS, update)


def _prepare(plan: Plan, source: Path, seconds: int, update: Update) -> Entry:
    """Seconds of sound prepared in a second, by one worker, everything included."""
    watch, out = Stopwatch(), source.with_name("again")
    for number in range(plan.repeats):
        with watch.running():
            corpus.prepare([source], out, workers=1)
        shutil.rmtree(out)
        update(number + 1)
    return {"workers": 1, "sound_seconds": seconds, **_rates("times_real_time", seconds, watch)}


def _notes(plan: Plan, folder: Path, sample_rate: int) -> Corpus:
    """The notes at a rate, prepared where they are not yet."""
    source, out = folder / "nsynth-train", folder / f"notes-{sample_rate}"
    if not source.exists():
        material.write_notes(source, plan.notes)
    if not out.exists():
        corpus.prepare([source], out, sample_rate=sample_rate)
    return corpus.open(out)


def _batches(plan: Plan, folder: Path, update: Update, name: str, *changes: str) -> Entry:
    """Codes that come as batches in a second, and how near that is to looking them up alone."""
    config = configs.load(name, changes)
    found = _notes(plan, folder, config.audio.sample_rate)
    split, seed = found.splits["train"], config.training.seed
    make = lambda step: batches.windows(split, config, found.vocabulary, seed, step)
    batch = make(0)
    material.check_windows(batch, split, config)  # and so every sample is in memory now
    size = batch.codes.size
    count = max(1, round(PASSES * plan.seconds * config.audio.sample_rate / size))
    look_up = _look_up(split, config, size)
    batching, looking_up = Stopwatch(), Stopwatch()
    for step in range(count):  # warms up
        make(step)
    for number in range(plan.repeats):
        with batching.running():
            for step in range(count):
                make(step)
        with looking_up.running():
            for _ in range(count):
                look_up()
        update(number + 1)
    return {
        "config": name,
        "overrides": list(changes),
        "samples_per_batch": size,
        "bytes_per_batch": sum(array.nbytes for array in batch),
        "batches": count,
        "wanted_over": 50_000_000,
        **_rates("samples_per_second", count * size, batching),
        **_rates("look_up_samples_per_second", count * size, looking_up),
        "share_of_look_up": _short(np.median(looking_up.wall) / np.median(batching.wall)),
    }


def _look_up(split: Split, config: Config, size: int) -> Callable[[], np.ndarray]:
    """A function: so many codes of samples out of a table, by the fastest that numpy has."""
    table = mulaw.int16_codes(config.audio.n_codes).astype(np.int32)
    samples = np.resize(split.samples[0], size)
    return lambda: np.take(table, samples.view(np.uint16))


def _wait(plan: Plan, folder: Path, update: Update) -> Entry:
    """The share of a training step that it waits for its batch, after the first step compiled."""
    config = configs.load("tiny")
    found = _notes(plan, folder, config.audio.sample_rate)
    graphdef, params = network.create(config, found.vocabulary, config.training.seed)
    state, shares, seconds = initial_state(config, params), [], []
    steps = range(1 + plan.repeats * STEPS)
    with feed.prefetched(found, config, steps, devices.mesh()) as ready:
        first = next(ready)
        _check_first(first, found, config)
        start = time.perf_counter()
        state, metrics = jax.block_until_ready(train_step(config, graphdef, state, first))
        compile_seconds = time.perf_counter() - start
        if not np.isfinite(float(metrics.nats)):
            raise Wrong("the step computes no number")
        for number in range(plan.repeats):
            waited, start = 0.0, time.perf_counter()
            for _ in range(STEPS):
                asked = time.perf_counter()
                batch = next(ready)
                waited += time.perf_counter() - asked
                # Waits for the step, so that what is counted as waiting is time that nobody uses.
                state, _ = jax.block_until_ready(train_step(config, graphdef, state, batch))
            seconds.append(time.perf_counter() - start)
            shares.append(waited / seconds[-1])
            update(number + 1)
    return {
        "config": "tiny",
        "steps": STEPS,
        "compile_seconds": round(compile_seconds, 2),
        "step_seconds_median": _short(np.median(seconds) / STEPS),
        "wanted_below": 0.02,
        **_spread("wait_share", shares),
    }


def _check_first(batch: batches.Batch, found: Corpus, config: Config) -> None:
    split = found.splits["train"]
    expected = batches.windows(split, config, found.vocabulary, config.training.seed, 0)
    if not all(map(np.array_equal, batch, expected)):
        raise Wrong("the batch of step 0 that came is not the batch of step 0")


def _rates(name: str, amount: float, watch: Stopwatch) -> Entry:
    """So much in a second: least, median and most of the repeats, by both clocks."""
    return {
        **_spread(name, [amount / seconds for seconds in watch.wall]),
        f"{name}_by_processor": _short(amount / max(1e-9, np.median(watch.processor))),
    }


def _spread(name: str, values: list[float]) -> Entry:
    return {
        f"{name}_median": _short(np.median(values)),
        f"{name}_min": _short(min(values)),
        f"{name}_max": _short(max(values)),
    }


def _short(value: float | np.floating) -> float:
    """Five digits: no clock tells more. A whole number has no point."""
    rounded = float(f"{value:.5g}")
    return int(rounded) if rounded.is_integer() else rounded


CASES: dict[str, Callable[[Plan, Path, Update], Entry]] = {
    "prepare notes": _prepare_notes,
    "prepare songs": _prepare_songs,
    "batches notes_small": lambda *given: _batches(*given, "notes_small"),
    "batches without signals": lambda *given: _batches(*given, "music", "conditioner.signals=[]"),
    "training waits": _wait,
}
_FIGURES = {  # of a record: what it is told in, how many of that are one, and from where it is good
    "times_real_time": ("x real time", 1, "over"),
    "samples_per_second": ("M samples/s", 1e-6, "over"),
    "wait_share": ("% of a step", 100, "below"),
}
_ROW = "{:<24}{:>7} {:<16}{:>12}  {:<12} {:>11} {:>11}"
HEADER = "\n".join(
    (
        "the median of the repeats by the wall clock [min max], and by the time of this process",
        "alone; look-up: numpy's take of as many codes from a table, and nothing else",
        "",
        _ROW.format("what", "median", "[min max]", "by process", "of", "wanted", "of look-up"),
    )
)


def row(entry: Entry) -> str:
    """One line for one record."""
    name = next(name for name in _FIGURES if f"{name}_median" in entry)
    unit, scale, good = _FIGURES[name]
    median, low, high = (scale * entry[f"{name}_{which}"] for which in ("median", "min", "max"))
    processor = entry.get(f"{name}_by_processor")
    share = entry.get("share_of_look_up")
    return _ROW.format(
        entry["case"],
        _digits(median),
        f"[{_digits(low)} {_digits(high)}]",
        "" if processor is None else _digits(scale * processor),
        unit,
        f"{good} {scale * entry[f'wanted_{good}']:,g}",
        "" if share is None else f"{100 * share:.0f}%",
    ).rstrip()


def _digits(value: float) -> str:
    return f"{value:,.{3 if value < 1 else 1 if value < 100 else 0}f}"
