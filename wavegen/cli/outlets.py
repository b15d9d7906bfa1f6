"""Outlets: where a sound goes that a call makes. Files, another program, the sound card."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import typer

from wavegen.cli.console import Console
from wavegen.errors import WavegenError

if TYPE_CHECKING:
    import numpy as np

    from wavegen.audio.margin import Pace
    from wavegen.audio.speaker import Speaker

FORMATS = ("wav16", "wav24", "float32", "flac")  # of files
PIPED = ("wav16", "wav24", "float32", "pcm16")  # of what goes to stdout
STDOUT = Path("-")


class Sink(Protocol):
    """What takes samples."""

    def write(
        self,
        samples: np.ndarray,  # [n] or [n, C] float32
    ) -> None:
        """Takes what comes next."""

    def close(self) -> None:
        """Ends the sound."""


@dataclass
class Outlet:
    """Where the sounds of a call go; several files, or one sound to several places."""

    sample_rate: int
    kind: str  # of FORMATS or PIPED
    out: Path | None  # a file or a folder; STDOUT; None where nothing is kept
    channels: int = 1
    num_samples: int | None = None  # of the sound, where that is known
    speaker: Speaker | None = None
    pace: Pace | None = None  # of what is heard as it is made
    _since: float = field(default_factory=time.monotonic)  # when the next block was begun

    @property
    def writes_files(self) -> bool:
        """Whether there are files, which can be made again or renamed."""
        return self.out not in (None, STDOUT)

    def open(self, path: Path, story: dict[str, Any]) -> Sink:
        """A sink for one sound, whose file will be `path`."""
        from wavegen.audio import files, pipe

        sinks: list[Sink] = []
        if self.out == STDOUT:
            sinks.append(
                pipe.PipeStream(
                    sys.stdout.buffer,
                    self.sample_rate,
                    self.kind,
                    provenance=story,
                    channels=self.channels,
                    num_samples=self.num_samples,
                )
            )
        elif self.out is not None:
            # FLAC cannot be read before it is finished, so a WAV grows beside it until then.
            kind = "wav16" if self.kind == "flac" else self.kind
            path = self._growing(path)
            sinks.append(files.WavStream(path, self.sample_rate, kind, story, self.channels))
        if self.speaker is not None:
            sinks.append(self.speaker)
        return _Several(sinks, self)

    def finish(self, chosen: Path, path: Path, candidates: Sequence[Path]) -> None:
        """Gives the file that was chosen its name, and removes the others."""
        from wavegen.audio import files

        if not self.writes_files:
            return
        if self.kind == "flac":
            files.convert_flac(self._growing(chosen), path)
            self._growing(chosen).unlink()
        elif chosen != path:
            os.replace(chosen, path)
        for other in candidates:
            if other != chosen:
                self._growing(other).unlink(missing_ok=True)

    def _growing(self, path: Path) -> Path:
        return path.with_name(path.name + ".partial.wav") if self.kind == "flac" else path

    def heard(self, seconds: float) -> None:
        """Counts a block that is about to be heard."""
        now = time.monotonic()
        if self.pace is not None:
            self.pace.add(seconds, self._since, now)

    def ready(self) -> None:
        """The next block is begun now."""
        self._since = time.monotonic()


class _Several:
    """One sound to several sinks."""

    def __init__(self, sinks: list[Sink], outlet: Outlet) -> None:
        self._sinks, self._outlet = sinks, outlet

    def write(self, samples: np.ndarray) -> None:
        self._outlet.heard(len(samples) / self._outlet.sample_rate)
        for sink in self._sinks:
            sink.write(samples)
        self._outlet.ready()

    def close(self) -> None:
        for sink in self._sinks:
            if sink is not self._outlet.speaker:  # which is closed where it was opened
                sink.close()


def kind_of(format: str | None, out: Path | None, live: bool) -> str:
    """The format that --format and --out mean; an error where they do not go together."""
    if out is None and not live:
        raise typer.BadParameter("the sound goes nowhere; give --out FILE, --out - or --live")
    if out == STDOUT:
        kind = format or "wav16"
        if kind not in PIPED:
            raise WavegenError(f"--format {kind} with --out -", "one of: " + ", ".join(PIPED))
        return kind
    kind = format or ("flac" if out is not None and out.suffix.lower() == ".flac" else "wav16")
    if kind not in FORMATS:
        raise WavegenError(f"--format {kind}", "one of: " + ", ".join(FORMATS))
    suffix = ".flac" if kind == "flac" else ".wav"
    if out is not None and is_one_file(out) and out.suffix.lower() != suffix:
        raise WavegenError(
            f"--out {out} does not go with --format {kind}", f"a name that ends in {suffix}"
        )
    return kind


def is_one_file(out: Path) -> bool:
    """Whether --out names a file; a folder that is there may have a dot in its name."""
    return bool(out.suffix) and (out.suffix.lower() in (".wav", ".flac") or not out.is_dir())


def is_one_sound(out: Path) -> bool:
    """Whether --out takes one sound and no more."""
    return out == STDOUT or is_one_file(out)


@contextmanager
def opened(
    console: Console,
    sample_rate: int,
    kind: str,
    out: Path | None,
    *,
    channels: int = 1,
    num_samples: int | None = None,
    live: bool = False,
) -> Iterator[Outlet]:
    """The outlet of a call. A reader of stdout that has heard enough ends it without a word."""
    from wavegen.audio.margin import Pace
    from wavegen.audio.speaker import Speaker

    outlet = Outlet(sample_rate, kind, out, channels, num_samples)
    try:
        if not live:
            yield outlet
            return
        with Speaker(sample_rate, channels) as speaker:
            latency_ms = round(1000 * speaker.latency_seconds)
            at = f", at {speaker.card_rate} Hz" if speaker.card_rate != sample_rate else ""
            console.note(f"playing through {speaker.name}{at}, {latency_ms} ms of latency")
            outlet.speaker, outlet.pace = speaker, Pace()
            outlet.ready()
            yield outlet
        console.note(_told(outlet.pace, speaker))
    except BrokenPipeError:
        if out != STDOUT:
            raise
        raise typer.Exit(0) from None


def _told(pace: Pace, speaker: Speaker) -> str:
    """How the playing kept up."""
    first, worst, times = pace.first_block_seconds, pace.worst_margin_seconds, pace.times_real_time
    parts = [f"played {pace.sound_seconds:.1f} s"]
    if first is not None:
        parts.append(f"first sound after {1000 * first:.0f} ms")
    if times is not None:
        parts.append(f"made {times:.2f}x real time")
    if worst is not None:
        parts.append(
            f"never less than {worst:.2f} s ahead" if worst > 0 else f"{-worst:.2f} s late"
        )
    if speaker.underflows:
        parts.append(f"{speaker.underflows} gaps heard")
    return ", ".join(parts)
