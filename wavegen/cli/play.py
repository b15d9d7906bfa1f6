"""`wavegen play`: a model of single notes plays a MIDI file, note by note, mixed and mastered."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wavegen.cli import options, outlets, performance, words
from wavegen.cli.console import Console, Json, Quiet, duration
from wavegen.cli.performance import Performance
from wavegen.errors import WavegenError

if TYPE_CHECKING:
    from wavegen.audio.mastering import Mastering
    from wavegen.model.network import Trained
    from wavegen.music.song import Song
    from wavegen.sampling.arrangement import Arrangement
    from wavegen.sampling.casting import Cast
    from wavegen.sampling.precision import Choice
    from wavegen.sampling.request import Draws

PANS = ("none", "spread", "midi")
LOUDNESS_LUFS = -18.0
# A plan beyond is asked about first, where somebody can answer.
MANY_NOTES = 10_000
LONG_SECONDS = 1800.0


def run(
    midi: Annotated[Path, typer.Argument(metavar="SONG.mid", help="The score.")],
    run: options.Run = None,
    out: Annotated[Path | None, typer.Option(help="A .wav or .flac file, or - for stdout.")] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Who plays all parts, such as instrument=organ."),
    ] = None,
    map: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PROGRAM=VALUE",
            help="Who plays a program (0 to 127, or 0-7) or a channel (ch1 to ch16).",
        ),
    ] = None,
    out_of_range: Annotated[
        str, typer.Option(help="Notes that the model did not learn: octave moves them, or refuse.")
    ] = "octave",
    release: Annotated[
        float | None,
        typer.Option(metavar="S", help="Seconds that a note rings on.", show_default="0.5"),
    ] = None,
    vibrato: options.Vibrato = None,
    pan: Annotated[
        str, typer.Option(help="Stereo: spread the tracks, or as the midi file says; or none.")
    ] = "none",
    stems: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="A WAV of each track as well."),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(help="Only so much of the song, from its start.")
    ] = None,
    loudness: Annotated[
        float | None, typer.Option(metavar="LUFS", help="Of the whole song.", show_default="-18")
    ] = None,
    reverb: Annotated[
        float | None, typer.Option(metavar="DB", help="Level of a light room, such as -15.")
    ] = None,
    master: Annotated[bool, typer.Option(help="Whether the mix is mastered.")] = True,
    retry: Annotated[
        int, typer.Option(min=0, metavar="N", help="Try up to N more seeds for a note that fails.")
    ] = 2,
    seed: Annotated[int, typer.Option(help="The same seed makes the same file.")] = 0,
    temperature: Annotated[
        float | None,
        typer.Option(
            help="Below 1: surer; above: wilder; 0: always the likeliest.",
            show_default="1, or the instrument's own",
        ),
    ] = None,
    top_k: Annotated[int, typer.Option(help="Draw among the K likeliest codes; 0: all.")] = 0,
    top_p: Annotated[float, typer.Option(help="Draw among the likeliest share P; 1: all.")] = 1.0,
    live: options.Live = False,
    yes: Annotated[bool, typer.Option("--yes", help="Begin a long work without asking.")] = False,
    checkpoint: options.Checkpoint = None,
    backend: options.Backend = "auto",
    precision: options.Precision = "auto",
    format: options.Format = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Play a MIDI file with a model of notes: each distinct note is made once, placed and mixed."""
    from wavegen import checkpoint as checkpoints
    from wavegen.cli import compiled
    from wavegen.music import midi as midis
    from wavegen.sampling import precision as precisions
    from wavegen.sampling.request import Draws

    console = Console(json, quiet, aside=out == outlets.STDOUT)
    kind = outlets.kind_of(format, out, live)
    at_once = live or out == outlets.STDOUT
    _check(pan, out_of_range, at_once, loudness, reverb, master, out, stems)
    finish = _mastering(master, loudness, reverb, kind)
    hot = 1.0 if temperature is None else temperature
    draws = Draws(seed=seed, temperature=hot, top_k=top_k, top_p=top_p)
    song = midis.song(midi)
    compiled.keep()
    run = options.found(run)
    trained = checkpoints.load(run, checkpoint, console.warn)
    if temperature is None:
        draws = replace(draws, temperature=trained.temperature)
    players, labels = _cast(trained, song, label or [], map or [], midi, console)
    settings = _Settings(out_of_range, release, vibrato, seconds)
    arrangement, channels = _arranged(trained, song, players, settings, pan, console, midi)
    with console.kernels_heard():
        chosen = precisions.choose(trained, backend, precision)
        if chosen.note:
            console.note(chosen.note)
        _plan(trained, arrangement, draws, chosen, console, at_once, yes)
        story = {
            "run": options.named(run), "step": trained.step, "midi": midi.name, **draws.story(),
            "backend": chosen.backend, "precision": chosen.precision, "labels": labels,
        }  # fmt: skip
        work = Performance(
            trained, arrangement, draws, chosen, story, kind, out, retry, channels, console
        )
        told = (
            performance.play(work, live)
            if at_once
            else performance.write(work, finish, stems, song)
        )
    console.result({"midi": str(midi), **told, **story})


@dataclass(frozen=True)
class _Settings:
    """How the notes are placed."""

    out_of_range: str
    release_seconds: float | None
    vibrato: str | None
    seconds: float | None


def _check(
    pan: str,
    out_of_range: str,
    at_once: bool,
    loudness: float | None,
    reverb: float | None,
    master: bool,
    out: Path | None,
    stems: Path | None,
) -> None:
    """Refuses options that mean nothing, or not together."""
    from wavegen.sampling import arrangement

    for flag, value, known in (
        ("--pan", pan, PANS),
        ("--out-of-range", out_of_range, arrangement.OUT_OF_RANGE),
    ):
        if value not in known:
            raise WavegenError(f"{flag} {value}", "one of: " + ", ".join(known))
    asked = [
        flag
        for flag, value in (("--loudness", loudness), ("--reverb", reverb), ("--stems", stems))
        if value is not None
    ]
    if at_once and asked:
        raise WavegenError(
            f"{asked[0]} with a song that is heard as it is made",
            "--out FILE: it takes the whole song",
        )
    if not master and (loudness is not None or reverb is not None):
        raise WavegenError("--no-master with --loudness or --reverb", "one or the other")
    if out is not None and not at_once and not outlets.is_one_file(out):
        raise WavegenError(f"--out {out} is no sound file", "a name that ends in .wav or .flac")


def _mastering(master: bool, loudness: float | None, reverb: float | None, kind: str) -> Mastering:
    from wavegen.audio.mastering import Mastering

    if not master:
        return Mastering(dither=kind in ("wav16", "flac"))
    return Mastering(
        remove_dc=True,
        reverb_db=reverb,
        loudness_lufs=LOUDNESS_LUFS if loudness is None else loudness,
        dither=kind in ("wav16", "flac"),
    )


def _cast(
    trained: Trained,
    song: Song,
    label: list[str],
    mapping: list[str],
    midi: Path,
    console: Console,
) -> tuple[Cast, dict[str, str]]:
    """Who plays which part, which is said; and what the file tells of it."""
    from wavegen.music import programs
    from wavegen.sampling import casting

    if song.num_drums:
        console.note(f"{midi}: {song.num_drums} notes of drums (channel 10) are left out")
    if not song.parts:
        raise WavegenError(f"{midi} holds no notes to play", "a song with at least one")
    asked, said = words.asked_labels(trained, label)
    by_program, by_channel = words.mapping(trained, mapping)
    cast = casting.cast(trained, song, asked, by_program, by_channel)
    told = dict(said)
    for place, part in enumerate(song.parts):
        name = programs.name(part.program)
        voice = cast.voices.get(place)
        where = f"track {part.track + 1}, channel {part.channel + 1}, program {part.program}"
        count = f"{len(part.notes)} note" + "s" * (len(part.notes) > 1)
        if voice is None:
            console.note(
                f"{where} ({name}): {count} left out, for no label fits; "
                f"--map {part.program}=VALUE names one"
            )
        else:
            console.note(f"{where} ({name}): {count} by {voice.name}")
            told[str(part.program)] = voice.name
    return cast, told


def _arranged(
    trained: Trained,
    song: Song,
    cast: Cast,
    settings: _Settings,
    pan: str,
    console: Console,
    midi: Path,
) -> tuple[Arrangement, int]:
    """What is to be made, and on how many channels."""
    from wavegen.sampling import arrangement as arrangements

    if settings.seconds is not None and not settings.seconds > 0:
        raise WavegenError(f"--seconds {settings.seconds}", "more than 0")
    release = settings.release_seconds
    if release is not None and not 0 <= release <= 10:
        raise WavegenError(f"--release {release}", "0 to 10 seconds")
    arrangement = arrangements.arrange(
        song,
        cast.voices,
        trained.config,
        trained.vocabulary,
        out_of_range=settings.out_of_range,
        release_seconds=arrangements.RELEASE_SECONDS if release is None else release,
        vibrato=words.vibrato(settings.vibrato) if settings.vibrato else (0.0, 0.0),
    )
    if settings.seconds is not None:
        rate = trained.config.audio.sample_rate
        arrangement = arrangements.shortened(arrangement, round(settings.seconds * rate))
    if pan != "midi":
        arrangement = arrangements.spread(arrangement, pan == "spread")
    if arrangement.moved:
        console.note(f"{arrangement.moved} notes lie beyond what was learned: moved by octaves")
    if arrangement.left_out:
        console.warn(f"{arrangement.left_out} notes have no octave that was learned: left out")
    if not arrangement.placed:
        raise WavegenError(f"{midi}: nothing is left to play", "a song that the model can play")
    return arrangement, 1 if pan == "none" else 2


def _plan(
    trained: Trained,
    arrangement: Arrangement,
    draws: Draws,
    chosen: Choice,
    console: Console,
    at_once: bool,
    yes: bool,
) -> None:
    """Says what is to be made and how long it takes; asks, where that is much."""
    from wavegen.sampling import render

    rate, hop = trained.config.audio.sample_rate, trained.config.model.hop_length
    notes, kinds = len(arrangement.placed), len(arrangement.kinds)
    sound = sum(k.hold_frames * hop + arrangement.release_samples for k in arrangement.kinds) / rate
    lasts = arrangement.num_samples / rate
    speed = render.speed(trained, arrangement, draws, chosen.backend, chosen.precision, at_once)
    needs = sound * rate / speed
    console.note(
        f"{notes} notes in {duration(lasts)}, {kinds} of them distinct: {duration(sound)} of sound "
        f"to make, about {duration(needs)}"
    )
    much = notes > MANY_NOTES or max(lasts, needs) > LONG_SECONDS
    asks = much and not yes and sys.stdin is not None and sys.stdin.isatty()
    if asks and not typer.confirm("go on?", default=True, err=True):
        raise typer.Exit(0)
