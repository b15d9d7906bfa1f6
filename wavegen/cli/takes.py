"""Takes: the sounds that a call makes, each written as it grows, watched, and chosen among."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wavegen.cli.console import Console

if TYPE_CHECKING:
    import numpy as np

    from wavegen.audio.bending import Bend
    from wavegen.cli.outlets import Outlet
    from wavegen.model.network import Trained
    from wavegen.sampling.health import Trouble, Watch
    from wavegen.sampling.request import Draws, Request
    from wavegen.sampling.state import State

LN2 = math.log(2)


@dataclass(frozen=True)
class Take:
    """One sound to be made."""

    path: Path
    stream: int  # number of its random stream; the take's number, whatever the pitch
    pitch: int | None = None
    velocity: int | None = None
    hold_seconds: float | None = None


@dataclass(frozen=True)
class Job:
    """What a call makes, and how."""

    trained: Trained
    request: Request  # a stream for each take
    draws: Draws
    takes: list[Take]
    settings: dict[str, Any]  # goes into each file; backend and precision are those that run
    outlet: Outlet
    span: tuple[int, int | None]  # samples of each stream that are put out; None: without end
    length: int | None = None  # samples that are put out of a sound that is bent
    bend: Bend | None = None  # of the sound that is put out
    best_of: int = 1  # so many of each take are made, and the likeliest one kept
    retry: int = 0  # so many times another seed is tried where a take has collapsed
    state: State | None = None  # gone on from
    keep: Callable[[State], None] | None = None  # takes the state that was reached, also by Ctrl-C


class Voice:
    """A stream on its way out: what was made of it so far."""

    def __init__(self, job: Job, row: int, take: Take, path: Path, seed: int) -> None:
        from wavegen.sampling.health import Level

        self.take, self.path, self.seed = take, path, seed
        self.level, self.troubles = Level(), list["Trouble"]()
        self._nats, self._count = 0.0, 0
        self._watch = _watch(job, row)
        told = job.settings | {"seed": seed} | story(take)
        self._sink = job.outlet.open(path, told)
        self._bender = job.bend.reader() if job.bend else None
        self._left = job.length if job.bend else None

    def add(
        self,
        samples: np.ndarray,  # [n] float32
        measured: np.ndarray,  # [n, 2]
    ) -> list[Trouble]:
        """Takes what was made next, and puts it out; the troubles that began in it."""
        import numpy as np

        found = self._watch.add(samples, measured[:, 1])
        known = np.isfinite(measured[:, 0])
        self._nats -= float(measured[known, 0].sum(dtype=np.float64))
        self._count += int(known.sum())
        self._put(self._bender.push(samples) if self._bender else samples)
        return self._noted(found)

    def end(self) -> list[Trouble]:
        """Puts out what is left, and finishes the file."""
        if self._bender:
            self._put(self._bender.end())
        self.close()
        return self._noted(self._watch.end())

    def close(self) -> None:
        """Ends the file."""
        self._sink.close()

    @property
    def bits_per_sample(self) -> float | None:
        """How unlikely the sound is to the model itself; None where nothing was drawn."""
        return self._nats / self._count / LN2 if self._count else None

    def _put(self, samples: np.ndarray) -> None:
        samples = samples[: self._left]
        self._left = None if self._left is None else self._left - len(samples)
        self.level = self.level.add(samples)
        self._sink.write(samples)

    def _noted(self, found: list[Trouble]) -> list[Trouble]:
        self.troubles = self._watch.troubles
        return found


def write(job: Job, console: Console) -> list[dict[str, Any]]:
    """Makes the takes of a job; says what came of each.

    A take that has collapsed is made again with the next seed, as often as `retry` says. Ctrl-C
    leaves readable files of what was made so far.
    """
    told: dict[int, dict[str, Any]] = {}
    pending = list(range(len(job.takes)))
    for attempt in range(job.retry + 1):
        draws = replace(job.draws, seed=(job.draws.seed + attempt) % 2**32)
        voices = _perform(job, pending, draws, console)
        failed = []
        for index, candidates in zip(pending, voices, strict=True):
            chosen = _choose(candidates, console)
            if chosen.troubles and attempt < job.retry:
                failed.append(index)
                again = f"trying seed {draws.seed + 1}"
                console.note(f"{chosen.take.path}: {chosen.troubles[0]}; {again}")
            job.outlet.finish(chosen.path, chosen.take.path, [each.path for each in candidates])
            told[index] = _verdict(chosen, candidates, console, is_last=index not in failed)
        pending = failed
        if not pending:
            break
    return [told[index] for index in sorted(told)]


def _perform(job: Job, rows: list[int], draws: Draws, console: Console) -> list[list[Voice]]:
    """The candidates of some takes, made side by side."""
    from wavegen.audio import mulaw
    from wavegen.sampling import sampler

    trained, (first, end) = job.trained, job.span
    rate, n_codes = trained.config.audio.sample_rate, trained.config.audio.n_codes
    request = _candidates(job.request, rows, job.best_of, len({t.stream for t in job.takes}))
    start = job.state.num_samples if job.state else 0
    done, begin = start, time.monotonic()
    # Asked for first: a backend that cannot run must not cost the file that was there before.
    blocks = sampler.stream(
        trained,
        request,
        draws,
        job.settings["backend"],
        job.settings["precision"],
        state=job.state,
        measures=True,
        keeps=job.keep is not None,
    )
    with ExitStack() as stack:
        voices = _voices(job, rows, request, draws.seed, stack)
        total = None if end is None else (end - start) / rate
        update = stack.enter_context(console.progress("generating", "s of sound", total))
        update(0)
        for made in blocks:
            kept = slice(max(0, first - done), None if end is None else max(0, end - done))
            sound = mulaw.decode(made.codes[:, kept], n_codes)
            _hand_out(voices, sound, made.measured[:, kept], job, console)
            done += made.codes.shape[1]
            done = done if end is None else min(done, end)
            if job.keep and made.state:
                job.keep(made.state.upto(done))
            update((done - start) / rate)
        for voice in voices:
            voice.end()
    console.note(_speed((done - start) / rate, len(voices), rate, time.monotonic() - begin))
    size = job.best_of
    return [voices[i : i + size] for i in range(0, len(voices), size)]


def _hand_out(
    voices: list[Voice],
    sound: np.ndarray,  # [B, n] float32
    measured: np.ndarray,  # [B, n, 2]
    job: Job,
    console: Console,
) -> None:
    """Gives each voice its samples; says at once what goes wrong, if nothing can be done then."""
    for voice, samples, each in zip(voices, sound, measured, strict=True):
        for trouble in voice.add(samples, each) if samples.size else ():
            if not (job.retry or job.best_of > 1):
                console.note(f"{voice.take.path}: {trouble}")


def _voices(
    job: Job, rows: list[int], request: Request, seed: int, stack: ExitStack
) -> list[Voice]:
    """A voice for each stream; files are ended however this ends."""
    voices = []
    for number, stream in enumerate(request.streams.tolist()):
        row, candidate = rows[number // job.best_of], number % job.best_of
        take = replace(job.takes[row], stream=stream)
        path = take.path
        if job.best_of > 1:
            path = path.with_name(f"{path.stem}.candidate{candidate}{path.suffix}")
        voice = Voice(job, row, take, path, seed)
        stack.callback(voice.close)
        voices.append(voice)
    return voices


def _candidates(request: Request, rows: list[int], best_of: int, num_streams: int) -> Request:
    """So many streams for each of some rows; the first candidate is the take itself."""
    import numpy as np

    if best_of == 1 and rows == list(range(len(request.scores))):
        return request
    at = np.repeat(rows, best_of)
    further = np.tile(np.arange(best_of), len(rows)) * num_streams
    return replace(
        request,
        scores=tuple(request.scores[row] for row in at),
        labels=request.labels[at],
        streams=request.streams[at] + further,
        forced=None if request.forced is None else request.forced[at],
        acoustics=None if request.acoustics is None else request.acoustics[at],
    )


def _watch(job: Job, row: int) -> Watch:
    from wavegen.sampling import health

    audio, score = job.trained.config.audio, job.request.scores[row]
    start = job.span[0] if job.state is None else job.state.num_samples
    return health.Watch(
        audio.sample_rate,
        audio.n_codes,
        job.trained.heard,
        health.sounding(score) if score.notes else None,
        start / audio.sample_rate,
    )


def _choose(candidates: list[Voice], console: Console) -> Voice:
    """The likeliest candidate of those that have not collapsed, or of all if all have."""
    if len(candidates) == 1:
        return candidates[0]
    for number, voice in enumerate(candidates):
        trouble = f"; {voice.troubles[0]}" if voice.troubles else ""
        console.say(
            f"{voice.take.path}: candidate {number}, "
            f"log-likelihood {-(voice.bits_per_sample or 0) * LN2:.4f} nats a sample{trouble}"
        )
    whole = [voice for voice in candidates if not voice.troubles] or candidates
    return min(whole, key=lambda voice: voice.bits_per_sample or math.inf)


def _verdict(
    voice: Voice, candidates: list[Voice], console: Console, is_last: bool
) -> dict[str, Any]:
    """What became of a take, said and told."""
    from wavegen.sampling import health

    level, bits = voice.level, voice.bits_per_sample
    trouble = str(voice.troubles[0]) if voice.troubles else health.verdict(level)
    if is_last:
        unlikely = "" if bits is None else f"  {bits:.2f} bits per sample"
        console.say(
            f"{voice.take.path}  peak {level.peak_dbfs:.1f} dBFS  "
            f"RMS {level.rms_dbfs:.1f} dBFS{unlikely}"
        )
        if trouble:
            console.warn(
                f"{voice.take.path}: {trouble}; try another --seed or --temperature, --retry or "
                "--best-of, or train longer"
            )
    told: dict[str, Any] = {
        "path": str(voice.take.path),
        "seed": voice.seed,
        "peak_dbfs": level.peak_dbfs,
        "rms_dbfs": level.rms_dbfs,
        "bits_per_sample": bits,
        "warning": trouble,
        "troubles": [each._asdict() for each in voice.troubles],
        **story(voice.take),
    }
    if len(candidates) > 1:
        told["candidates"] = [
            {"stream": each.take.stream, "bits_per_sample": each.bits_per_sample}
            for each in candidates
        ]
    return told


def story(take: Take) -> dict[str, Any]:
    """What a file says of itself beyond what all files of the call share."""
    return {
        "stream": take.stream,
        "pitch": take.pitch,
        "velocity": take.velocity,
        "hold_seconds": take.hold_seconds,
    }


def _speed(seconds: float, streams: int, sample_rate: int, spent: float) -> str:
    return (
        f"{streams} x {seconds:.2f} s in {spent:.1f} s, compiling included: "
        f"{seconds * sample_rate * streams / spent / 1000:.1f}k samples/s in all, "
        f"{seconds / spent:.2f}x real time each"
    )
