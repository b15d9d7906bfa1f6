"""`wavegen generate`: new sound from a run folder, written as it is made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wavegen.cli import takes
from wavegen.cli.console import Console, Json, Quiet, pitches
from wavegen.cli.takes import Take
from wavegen.errors import WavegenError

if TYPE_CHECKING:
    import numpy as np

    from wavegen.model.network import Trained

FORMATS = ("wav16", "wav24", "float32", "flac")
DEFAULT_SECONDS = 4.0
DEFAULT_VELOCITY = 100
HELD = 0.75  # share of --seconds that a note is held where --hold is not given


def run(
    run: Annotated[Path, typer.Option(help="Folder that `wavegen train` wrote.")],
    out: Annotated[Path, typer.Option(help="A .wav or .flac file, or a folder for several.")],
    seconds: Annotated[float | None, typer.Option(help="Duration of the new sound.")] = None,
    pitch: Annotated[
        str | None,
        typer.Option(metavar="P", help="MIDI pitch; `60,64,67` or `48-72` makes a file of each."),
    ] = None,
    velocity: Annotated[
        int | None,
        typer.Option(help="How hard the note is struck, 1 to 127.", show_default="100"),
    ] = None,
    hold: Annotated[
        float | None, typer.Option(metavar="S", help="Seconds that the note is held.")
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="What to sound like, such as instrument=organ."),
    ] = None,
    primer: Annotated[
        Path | None, typer.Option(metavar="WAV", help="A recording to go on from.")
    ] = None,
    like: Annotated[
        Path | None,
        typer.Option(metavar="WAV", help="A recording to follow, by a model that hears one."),
    ] = None,
    include_primer: Annotated[
        bool, typer.Option(help="Whether the file begins with the primer.")
    ] = True,
    num: Annotated[int, typer.Option(min=1, help="Takes of each sound.")] = 1,
    seed: Annotated[int, typer.Option(help="The same seed makes the same file.")] = 0,
    temperature: Annotated[
        float, typer.Option(help="Below 1: surer; above: wilder; 0: always the likeliest.")
    ] = 1.0,
    top_k: Annotated[int, typer.Option(help="Draw among the K likeliest codes; 0: all.")] = 0,
    top_p: Annotated[float, typer.Option(help="Draw among the likeliest share P; 1: all.")] = 1.0,
    checkpoint: Annotated[
        int | None, typer.Option(metavar="STEP", help="Which checkpoint; the newest by default.")
    ] = None,
    backend: Annotated[str, typer.Option(help="Sampling backend; see `wavegen doctor`.")] = "auto",
    precision: Annotated[
        str, typer.Option(help="Of the weights: auto, float32, bfloat16 or int8.")
    ] = "auto",
    format: Annotated[
        str | None, typer.Option(help="wav16, wav24, float32 or flac; by --out, else wav16.")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Generate sound with a trained network: a note, a continuation, or whatever it learned."""
    import numpy as np

    from wavegen import checkpoint as checkpoints
    from wavegen.cli import compiled
    from wavegen.sampling import precision as precisions
    from wavegen.sampling.sampler import Draws

    console = Console(json, quiet)
    kind = _format(format, out)
    compiled.keep()
    draws = Draws(seed=seed, temperature=temperature, top_k=top_k, top_p=top_p)
    trained = checkpoints.load(run, checkpoint, console.warn)
    free = _is_free(trained, (pitch, velocity, hold, label, like), console)
    asked: list[int | None] = [None] if free else _pitches(trained, pitch, console)
    if asked == [None] and (velocity is not None or hold is not None):
        raise WavegenError("--velocity and --hold say how a note is played; this model hears none")
    if seconds is not None and hold is not None and hold > seconds:
        console.warn(f"--hold {hold} is longer than --seconds {seconds}: the note is cut short")
    followed = None if free else _followed(trained, like)
    if followed is not None:
        duration = len(followed) / trained.config.audio.sample_rate
        if seconds is None and hold is None:
            seconds = duration
        elif seconds is not None and seconds > duration:
            console.warn(f"{like} lasts {duration:.2f} s; what is beyond follows silence")
    seconds, hold = _durations(seconds, hold)
    velocity = DEFAULT_VELOCITY if velocity is None else velocity
    if round(seconds * trained.config.audio.sample_rate) < 1:
        raise WavegenError(
            f"--seconds {seconds} is less than one sample at {trained.config.audio.sample_rate} Hz",
            "a longer sound",
        )
    label_ids, said = (
        takes.no_labels(trained) if free else takes.choose_labels(trained, label or [], console)
    )
    planned = _planned(out, kind, asked, num, velocity, hold, seed)
    begun = _read(trained, primer) if primer else np.zeros(0, np.float32)
    request = takes.make_request(trained, planned, label_ids, begun, seconds, followed)
    skip = 0 if include_primer else len(begun)
    span = (skip, len(begun) + round(seconds * trained.config.audio.sample_rate))
    with console.kernels_heard():
        chosen = precisions.choose(trained, backend, precision)
        if chosen.note:
            console.note(chosen.note)
        settings = {
            "run": str(run),
            "step": trained.step,
            "seed": seed,
            "temperature": temperature,
            "top_k": top_k,
            "top_p": top_p,
            "backend": chosen.backend,
            "precision": chosen.precision,
            "labels": said,
            "primer": primer.name if primer else None,
            "like": like.name if like else None,
        }
        written = takes.write(trained, request, draws, planned, settings, kind, span, console)
    console.result({"files": written, **settings})


def _format(format: str | None, out: Path) -> str:
    kind = format or ("flac" if out.suffix.lower() == ".flac" else "wav16")
    if kind not in FORMATS:
        raise WavegenError(f"--format {kind}", "one of: " + ", ".join(FORMATS))
    suffix = ".flac" if kind == "flac" else ".wav"
    if _is_one_file(out) and out.suffix.lower() != suffix:
        raise WavegenError(
            f"--out {out} does not go with --format {kind}", f"a name that ends in {suffix}"
        )
    return kind


def _is_one_file(out: Path) -> bool:
    """Whether --out names a file; a folder that is there may have a dot in its name."""
    return bool(out.suffix) and (out.suffix.lower() in (".wav", ".flac") or not out.is_dir())


def _durations(seconds: float | None, hold: float | None) -> tuple[float, float]:
    """Seconds of sound and of holding the note; each follows from the other where not given."""
    for flag, value in (("--seconds", seconds), ("--hold", hold)):
        if value is not None and not 0 < value <= 86_400:
            raise WavegenError(f"{flag} {value}", "more than 0, up to 86400 (a day)")
    if seconds is None:
        seconds = DEFAULT_SECONDS if hold is None else hold / HELD
    return seconds, seconds * HELD if hold is None else min(hold, seconds)


def _is_free(trained: Trained, wishes: tuple[object, ...], console: Console) -> bool:
    """Whether the model plays without conditioning: it has learnt to, and nothing is asked for."""
    share, conditioner = trained.config.training.condition_dropout, trained.config.conditioner
    if not share or not conditioner.asks or any(wish is not None for wish in wishes):
        return False
    console.note(
        "nothing is asked for: playing without conditioning, which this model learnt "
        f"in {share:.0%} of its training"
    )
    return True


def _pitches(trained: Trained, text: str | None, console: Console) -> list[int | None]:
    """The pitches asked for; [None] where the model hears no notes."""
    hears_notes = "notes" in trained.config.conditioner.signals
    if text is None:
        if hears_notes:
            raise WavegenError(
                "this model plays notes, and no pitch was asked for",
                f"--pitch with MIDI numbers; it was trained on {_range(trained)}",
            )
        return [None]
    if not hears_notes:
        raise WavegenError(
            f"--pitch {text}: this model does not hear notes",
            'no --pitch, or a model whose conditioner.signals hold "notes"',
        )
    asked = pitches(text)
    foreign = [pitch for pitch in asked if pitch not in trained.vocabulary.pitches]
    if foreign:
        console.warn(
            f"pitch {', '.join(map(str, foreign))} was not among the notes the model learned "
            f"({_range(trained)}); expect something else"
        )
    return list(asked)


def _range(trained: Trained) -> str:
    known = trained.vocabulary.pitches
    return f"{known[0]} to {known[-1]}" if known else "no notes at all"


def _planned(
    out: Path,
    kind: str,
    asked: list[int | None],
    num: int,
    velocity: int,
    hold: float,
    seed: int,
) -> list[Take]:
    """What to make and where: `out` itself for one sound, else names of their own in it."""
    if not 1 <= velocity <= 127:
        raise WavegenError(f"--velocity {velocity}", "1 to 127")
    suffix = ".flac" if kind == "flac" else ".wav"
    if len(asked) * num > 1 and _is_one_file(out):
        raise WavegenError(
            f"--out {out} is one file, but {len(asked) * num} sounds were asked for",
            "a folder",
        )
    planned = []
    for pitch in asked:
        for number in range(num):
            named = f"pitch{pitch:03d}_vel{velocity:03d}_" if pitch is not None else ""
            path = out if _is_one_file(out) else out / f"{named}seed{seed}_take{number}{suffix}"
            note = (pitch, velocity, hold) if pitch is not None else (None, None, None)
            planned.append(Take(path, number, *note))
    return planned


def _followed(trained: Trained, like: Path | None) -> np.ndarray | None:
    """The recording that the model shall follow; None where it hears none."""
    heard = ", ".join(trained.config.conditioner.acoustic)
    if like is None and heard:
        raise WavegenError(
            f"this model follows a recording ({heard}), and none was named", "--like WAV"
        )
    if like is not None and not heard:
        raise WavegenError(
            f"--like {like}: this model follows no recording",
            "no --like, or a model whose conditioner.signals hold mel, mfcc or f0_loudness",
        )
    return None if like is None else _read(trained, like)


def _read(trained: Trained, path: Path) -> np.ndarray:  # [T] float32
    """A recording at the model's rate."""
    from wavegen.audio import files

    samples, _ = files.read(path, trained.config.audio.sample_rate)
    return samples
