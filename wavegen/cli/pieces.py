"""Pieces: generations that stop and go on later, as `wavegen generate` keeps and takes them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from wavegen.cli import outlets, takes, wishes
from wavegen.cli.console import Console
from wavegen.cli.takes import Job
from wavegen.cli.wishes import Plan, Wishes
from wavegen.errors import WavegenError

if TYPE_CHECKING:
    from wavegen.continuation import Piece
    from wavegen.model.network import Trained
    from wavegen.sampling.state import State


def gone_on(trained: Trained, piece: Piece, wished: Wishes) -> Plan:
    """What a state goes on with: what it was asked for, for so many seconds more."""
    foreign = {
        "--pitch": wished.pitch, "--velocity": wished.velocity, "--hold": wished.hold,
        "--midi": wished.midi, "--label": wished.label or None, "--primer": wished.primer,
        "--like": wished.like, "--bend": wished.bend, "--vibrato": wished.vibrato,
    }  # fmt: skip
    given = [flag for flag, value in foreign.items() if value is not None]
    if given or wished.num > 1:
        raise WavegenError(
            f"--continue with {', '.join(given) or '--num'}",
            "a state goes on with what it was asked for; --temperature, --top-k and --top-p may "
            "change",
        )
    if wished.seconds is not None and not 0 < wished.seconds <= wishes.LONGEST_SECONDS:
        raise WavegenError(f"--seconds {wished.seconds}", "more than 0, up to 86400 (a day)")
    config, start = trained.config, piece.state.num_samples
    length, end, num_frames = None, None, None
    if not wished.endless:
        seconds = wishes.DEFAULT_SECONDS if wished.seconds is None else wished.seconds
        length = max(1, round(seconds * config.audio.sample_rate))
        end = start + length
        num_frames = -(-end // config.model.hop_length)
    named, out = piece.facts["takes"], wished.out
    one = outlets.is_one_sound(out)
    if len(named) > 1 and one:
        raise WavegenError(
            f"--out {out} is one file; the state has {len(named)} sounds", "a folder"
        )
    suffix = ".flac" if wished.kind == "flac" else ".wav"
    made = [
        takes.Take(out if one else out / f"{Path(name).stem}{suffix}", **facts)
        for name, facts in named
    ]
    request = replace(piece.request, num_frames=num_frames)
    return Plan(request, made, (start, end), length, 0, piece.facts["labels"])


@contextmanager
def keeping(path: Path | None, job: Job, console: Console) -> Iterator[Job]:
    """The job, whose last state is written in the end, also where it was broken off.

    Without a path nothing is kept.
    """
    if path is None:
        yield job
        return
    reached: State | None = None

    def keep(state: State) -> None:
        nonlocal reached
        reached = state

    try:
        yield replace(job, keep=keep)
    except BaseException:
        if reached is not None:
            with suppress(WavegenError):  # what went wrong first is told
                save(path, job, reached, console)
        raise
    if reached is not None:
        save(path, job, reached, console)


def save(path: Path, job: Job, state: State, console: Console) -> None:
    """Writes the state that a job has reached."""
    from wavegen import continuation
    from wavegen.continuation import Piece

    facts = {
        "takes": [(take.path.name, takes.story(take)) for take in job.takes],
        "labels": job.settings["labels"],
        "story": {
            name: value
            for name, value in job.settings.items()
            if name in ("primer", "like", "midi")
        },
    }
    settings = job.settings["backend"], job.settings["precision"]
    piece = Piece(state, job.request, job.draws, *settings, facts)
    continuation.write(path, job.trained, piece)
    seconds = state.num_samples / job.trained.config.audio.sample_rate
    again = f"wavegen generate --run {job.settings['run']} --continue {path} --out FILE"
    console.say(f"{path}  goes on from {seconds:.2f} s: {again}")
