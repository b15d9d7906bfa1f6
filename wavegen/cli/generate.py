"""`wavegen generate`: new sound from a run folder, put out as it is made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wavegen.cli import options, outlets, pieces, takes, wishes
from wavegen.cli.console import Console, Json, Quiet
from wavegen.cli.takes import Job
from wavegen.cli.wishes import Plan, Wishes
from wavegen.errors import WavegenError

if TYPE_CHECKING:
    from wavegen.continuation import Piece
    from wavegen.model.network import Trained
    from wavegen.sampling.request import Draws


def run(
    run: options.Run = None,
    out: Annotated[
        Path | None,
        typer.Option(help="A .wav or .flac file, a folder for several, or - for stdout."),
    ] = None,
    seconds: Annotated[float | None, typer.Option(help="Duration of the new sound.")] = None,
    endless: Annotated[bool, typer.Option("--endless", help="Go on until stopped.")] = False,
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
    bend: Annotated[
        str | None, typer.Option(metavar="ST", help="Semitones, or a curve such as 0:0,0.5:2.")
    ] = None,
    vibrato: options.Vibrato = None,
    midi: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A score to hear, by a model trained on music."),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="What to sound like: instrument=organ, or between: instrument=organ:0.6,pluck:0.4",
        ),
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
    best_of: Annotated[
        int, typer.Option(min=1, metavar="N", help="Make N of each take, keep the likeliest.")
    ] = 1,
    retry: Annotated[
        int, typer.Option(min=0, metavar="N", help="Try up to N more seeds for a take that fails.")
    ] = 0,
    seed: Annotated[
        int | None, typer.Option(help="The same seed makes the same file.", show_default="0")
    ] = None,
    temperature: Annotated[
        str | None,
        typer.Option(
            metavar="T",
            help="Below 1: surer; above: wilder; 0: always the likeliest; or a curve: 0:0.8,4:1.1",
            show_default="1, or the instrument's own",
        ),
    ] = None,
    top_k: Annotated[
        int | None, typer.Option(help="Draw among the K likeliest codes; 0: all.", show_default="0")
    ] = None,
    top_p: Annotated[
        str | None,
        typer.Option(
            metavar="P",
            help="Draw among the likeliest share P; 1: all; or a curve.",
            show_default="1",
        ),
    ] = None,
    save_state: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep where it stopped, to go on later.")
    ] = None,
    continue_: Annotated[
        Path | None,
        typer.Option("--continue", metavar="FILE", help="Go on from a state, with what is new."),
    ] = None,
    live: options.Live = False,
    checkpoint: options.Checkpoint = None,
    backend: options.Backend = "auto",
    precision: options.Precision = "auto",
    format: options.Format = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Generate sound with a trained network: a note, a continuation, or whatever it learned."""
    from wavegen import checkpoint as checkpoints
    from wavegen import continuation
    from wavegen.cli import compiled
    from wavegen.sampling.request import Draws

    console = Console(json, quiet, aside=out == outlets.STDOUT)
    kind = outlets.kind_of(format, out, live)
    heard_at_once = live or out == outlets.STDOUT
    _check(heard_at_once, retry, best_of, save_state)
    compiled.keep()
    wished = Wishes(
        out=out or outlets.STDOUT,
        kind=kind,
        seed=seed or 0,
        num=num,
        seconds=seconds,
        endless=endless,
        pitch=pitch,
        velocity=velocity,
        hold=hold,
        midi=midi,
        label=tuple(label or ()),
        primer=primer,
        like=like,
        include_primer=include_primer,
        bend=bend,
        vibrato=vibrato,
    )
    settings = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
    draws = _draws(Draws(seed=seed or 0), settings)  # asked for first: it needs no model
    run = options.found(run)
    trained = checkpoints.load(run, checkpoint, console.warn)
    if temperature is None:
        draws = replace(draws, temperature=trained.temperature)
    piece = None
    if continue_ is not None:
        if seed is not None:
            raise WavegenError(f"--seed {seed} with --continue", "no --seed: the state has one")
        piece = continuation.read(continue_, trained)
        draws = _draws(piece.draws, settings)
        planned = pieces.gone_on(trained, piece, wished)
        backend = piece.backend if backend == "auto" else backend
        precision = piece.precision if precision == "auto" else precision
    else:
        planned = wishes.plan(trained, wished, console)
    if heard_at_once and len(planned.takes) > 1:
        raise WavegenError(
            f"{len(planned.takes)} sounds are asked for, to be heard as they are made", "one sound"
        )
    if planned.bend is not None and save_state:
        raise WavegenError("--save-state with --bend or --vibrato", "a sound that is not bent")
    _make(
        trained, planned, draws, wished, piece, console,
        run=run, out=out, live=live, backend=backend, precision=precision,
        save_state=save_state, best_of=best_of, retry=retry,
    )  # fmt: skip


def _check(heard_at_once: bool, retry: int, best_of: int, save_state: Path | None) -> None:
    """Refuses options that do not go together."""
    if heard_at_once and (retry or best_of > 1):
        raise WavegenError(
            "--retry and --best-of with a sound that is heard as it is made",
            "a file: what was heard cannot be taken back",
        )
    if save_state and (retry or best_of > 1):
        raise WavegenError("--save-state with --retry or --best-of", "one take of each sound")


def _draws(begun: Draws, settings: dict[str, Any]) -> Draws:
    """The settings of the draws, where they were given; else those that were."""
    from wavegen import curves

    given = {name: value for name, value in settings.items() if value is not None}
    for name in ("temperature", "top_p"):
        if name in given:
            given[name] = curves.parse(given[name], "--" + name.replace("_", "-"))
    return replace(begun, **given)


def _make(
    trained: Trained,
    planned: Plan,
    draws: Draws,
    wished: Wishes,
    piece: Piece | None,
    console: Console,
    *,
    run: Path,
    out: Path | None,
    live: bool,
    backend: str,
    precision: str,
    save_state: Path | None,
    best_of: int,
    retry: int,
) -> None:
    """Makes what was planned, and tells of it."""
    from wavegen.sampling import precision as precisions
    from wavegen.sampling import sampler

    draws = draws.later(planned.primed / trained.config.audio.sample_rate)
    with console.kernels_heard():
        chosen = precisions.choose(trained, backend, precision)
        if chosen.note:
            console.note(chosen.note)
        settings = {
            "run": options.named(run),
            "step": trained.step,
            **draws.story(),
            "backend": chosen.backend,
            "precision": chosen.precision,
            "labels": planned.labels,
            **(wishes.story(wished) if piece is None else piece.facts["story"]),
        }
        if live:  # so that nothing is compiled while somebody listens
            sampler.rehearse(trained, planned.request, draws, chosen.backend, chosen.precision)
        with outlets.opened(
            console,
            trained.config.audio.sample_rate,
            wished.kind,
            out,
            num_samples=planned.length,
            live=live,
        ) as outlet:
            job = Job(
                trained, planned.request, draws, planned.takes, settings, outlet, planned.span,
                planned.length, planned.bend, best_of, retry,
                state=None if piece is None else piece.state,
            )  # fmt: skip
            with pieces.keeping(save_state, job, console) as kept:
                written = takes.write(kept, console)
    told = {"files": written, **settings}
    console.result(told | ({"state": str(save_state)} if save_state else {}))
