"""`wavegen generate`: new sound from a run folder, written as it is made."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wavegen.cli.console import Console, Json, Quiet, key_values, pitches
from wavegen.errors import WavegenError

if TYPE_CHECKING:
    import numpy as np

    from wavegen.model.network import Trained
    from wavegen.music.score import Score
    from wavegen.sampling.sampler import Draws, Request

FORMATS = ("wav16", "wav24", "float32", "flac")
DEFAULT_SECONDS = 4.0
DEFAULT_VELOCITY = 100
HELD = 0.75  # share of --seconds that a note is held where --hold is not given


@dataclass(frozen=True)
class Take:
    """One file to be made."""

    path: Path
    stream: int  # number of its random stream; the take's number, whatever the pitch
    pitch: int | None
    velocity: int | None
    hold_seconds: float | None


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
    format: Annotated[
        str | None, typer.Option(help="wav16, wav24, float32 or flac; by --out, else wav16.")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Generate sound with a trained network: a note, a continuation, or whatever it learned."""
    import numpy as np

    from wavegen import checkpoint as checkpoints
    from wavegen.sampling import sampler
    from wavegen.sampling.sampler import Draws

    console = Console(json, quiet)
    kind = _format(format, out)
    draws = Draws(seed=seed, temperature=temperature, top_k=top_k, top_p=top_p)
    trained = checkpoints.load(run, checkpoint, console.warn)
    asked = _pitches(trained, pitch, console)
    if asked == [None] and (velocity is not None or hold is not None):
        raise WavegenError("--velocity and --hold say how a note is played; this model hears none")
    if seconds is not None and hold is not None and hold > seconds:
        console.warn(f"--hold {hold} is longer than --seconds {seconds}: the note is cut short")
    seconds, hold = _durations(seconds, hold)
    velocity = DEFAULT_VELOCITY if velocity is None else velocity
    if round(seconds * trained.config.audio.sample_rate) < 1:
        raise WavegenError(
            f"--seconds {seconds} is less than one sample at {trained.config.audio.sample_rate} Hz",
            "a longer sound",
        )
    label_ids, said = choose_labels(trained, label or [], console)
    takes = _takes(out, kind, asked, num, velocity, hold, seed)
    primer_codes = _primer(trained, primer) if primer else np.zeros(0, np.int32)
    request = make_request(trained, takes, label_ids, primer_codes, seconds)
    settings = {
        "run": str(run),
        "step": trained.step,
        "seed": seed,
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "backend": sampler.chosen(backend),
        "labels": said,
        "primer": primer.name if primer else None,
    }
    skip = 0 if include_primer else len(primer_codes)
    length = len(primer_codes) + round(seconds * trained.config.audio.sample_rate)
    written = write(trained, request, draws, takes, settings, kind, (skip, length), console)
    console.result({"files": written, **settings})


def write(
    trained: Trained,
    request: Request,
    draws: Draws,
    takes: list[Take],
    settings: dict[str, Any],  # goes into each file, with what the take adds
    kind: str,
    span: tuple[int, int],  # samples of each stream that the files hold: from, to
    console: Console,
) -> list[dict[str, Any]]:
    """Makes the takes of a request and writes each as it grows; says what came of them.

    Ctrl-C leaves readable files of what was made so far.
    """
    from wavegen.audio import files, mulaw
    from wavegen.sampling import sampler
    from wavegen.sampling.health import Level

    rate, n_codes = trained.config.audio.sample_rate, trained.config.audio.n_codes
    levels, done = [Level() for _ in takes], 0
    stories = [settings | _story(take) for take in takes]
    # FLAC cannot be read before it is finished, so a WAV grows beside it until then.
    flac = kind == "flac"
    paths = [t.path.with_name(t.path.name + ".partial.wav") if flac else t.path for t in takes]
    begin = time.monotonic()
    # Asked for first: a backend that cannot run must not cost the file that was there before.
    blocks = sampler.stream(trained, request, draws, settings["backend"])
    with ExitStack() as stack:
        streams = [
            stack.enter_context(files.WavStream(path, rate, "wav16" if flac else kind, story))
            for path, story in zip(paths, stories, strict=True)
        ]
        update = stack.enter_context(
            console.progress("generating (compiling first)", "s of sound", span[1] / rate)
        )
        update(0)
        for block in blocks:
            kept = block[:, max(0, span[0] - done) : max(0, span[1] - done)]
            sound = mulaw.decode(kept, n_codes)
            for index, stream in enumerate(streams):
                stream.write(sound[index])
                levels[index] = levels[index].add(sound[index])
            done += block.shape[1]
            update(min(done, span[1]) / rate)
    spent = time.monotonic() - begin
    if flac:
        for path, take in zip(paths, takes, strict=True):
            files.convert_flac(path, take.path)
            path.unlink()
    made = min(done, span[1])
    console.note(
        f"{len(takes)} x {made / rate:.2f} s in {spent:.1f} s, compiling included: "
        f"{made * len(takes) / spent / 1000:.1f}k samples/s in all, "
        f"{made / rate / spent:.2f}x real time each"
    )
    return [
        _verdict(take, level, story, console)
        for take, level, story in zip(takes, levels, stories, strict=True)
    ]


def choose_labels(
    trained: Trained, words: list[str], console: Console
) -> tuple[tuple[int, ...], dict[str, str]]:
    """Ids of the labels that the model hears, and their names; says which it had to choose."""
    known = {name: trained.vocabulary.labels[name] for name in trained.config.conditioner.labels}
    pairs = key_values(words, "--label")
    asked = dict(pairs)
    if len(asked) < len(pairs):
        raise WavegenError("--label " + ",".join(words), "each label once")
    for name, value in asked.items():
        if name not in known:
            raise WavegenError(
                f"--label {name}={value}: the model knows no label '{name}'",
                "one of: " + ", ".join(known) if known else "no --label, this model has none",
            )
        if value not in known[name]:
            raise WavegenError(
                f"--label {name}={value}: the model knows no such {name}",
                "one of: " + ", ".join(known[name]),
            )
    for name, values in known.items():
        if name not in asked:
            asked[name] = values[0]
            if len(values) > 1:
                console.note(f"{name} not given: taking {values[0]} (of {', '.join(values)})")
    ids = tuple(values.index(asked[name]) for name, values in known.items())
    return ids, {name: asked[name] for name in known}


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


def _takes(
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
    takes = []
    for pitch in asked:
        for number in range(num):
            named = f"pitch{pitch:03d}_vel{velocity:03d}_" if pitch is not None else ""
            path = out if _is_one_file(out) else out / f"{named}seed{seed}_take{number}{suffix}"
            note = (pitch, velocity, hold) if pitch is not None else (None, None, None)
            takes.append(Take(path, number, *note))
    return takes


def _primer(trained: Trained, primer: Path) -> np.ndarray:
    """Codes of the recording to go on from, at the model's rate."""
    from wavegen.audio import files, mulaw

    samples, _ = files.read(primer, trained.config.audio.sample_rate)
    return mulaw.encode(samples, trained.config.audio.n_codes)


def make_request(
    trained: Trained,
    takes: list[Take],
    label_ids: tuple[int, ...],
    primer_codes: np.ndarray,
    seconds: float,
) -> Request:
    """Notes, labels and primer of all takes, as the sampler wants them; notes follow the primer."""
    import numpy as np

    from wavegen.sampling.sampler import Request

    config, B = trained.config, len(takes)
    length = len(primer_codes) + round(seconds * config.audio.sample_rate)
    onset = len(primer_codes) / config.audio.sample_rate
    return Request(
        num_frames=-(-length // config.model.hop_length),
        scores=tuple(_score(take, onset) for take in takes),
        labels=np.tile(np.asarray(label_ids, np.int32), (B, 1)),
        streams=np.asarray([take.stream for take in takes]),
        forced=np.tile(primer_codes, (B, 1)) if len(primer_codes) else None,
    )


def _score(take: Take, onset_seconds: float) -> Score:
    """The one note of a take; none where the model hears no notes."""
    from wavegen.music.score import Note, Score

    if take.pitch is None or take.velocity is None or take.hold_seconds is None:
        return Score()
    return Score((Note(onset_seconds, take.hold_seconds, take.pitch, take.velocity),))


def _story(take: Take) -> dict[str, Any]:
    """What a file says of itself beyond what all files of the call share."""
    return {
        "stream": take.stream,
        "pitch": take.pitch,
        "velocity": take.velocity,
        "hold_seconds": take.hold_seconds,
    }


def _verdict(take: Take, level: Any, story: dict[str, Any], console: Console) -> dict[str, Any]:
    from wavegen.sampling import health

    trouble = health.verdict(level)
    console.say(f"{take.path}  peak {level.peak_dbfs:.1f} dBFS  RMS {level.rms_dbfs:.1f} dBFS")
    if trouble:
        console.warn(
            f"{take.path}: {trouble}; try another --seed or --temperature, or train longer"
        )
    return {
        "path": str(take.path),
        "peak_dbfs": level.peak_dbfs,
        "rms_dbfs": level.rms_dbfs,
        "warning": trouble,
        **_story(take),
    }
