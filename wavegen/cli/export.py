"""`wavegen export`: a run's network as an instrument, a small folder to be passed on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from wavegen.cli import options
from wavegen.cli.console import Console, Json, Quiet, table
from wavegen.errors import WavegenError

UNSTATED = "not stated"


def run(
    run: Annotated[Path, typer.Option(help="Folder that `wavegen train` wrote.")],
    out: Annotated[Path, typer.Option(help="Folder of the instrument.")],
    name: Annotated[
        str | None, typer.Option(help="What it is called.", show_default="its folder's name")
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option(
            help="Of the weights, which follows from what they learnt from.",
            show_default="not stated",
        ),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(
            help="That it sounds best at; used where none is asked for.",
            show_default="1, or that of what it began from",
        ),
    ] = None,
    card: Annotated[
        Path | None, typer.Option(metavar="FILE.md", help="What people should read about it.")
    ] = None,
    checkpoint: options.Checkpoint = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a run's network as an instrument: three files of a few megabytes, without its training.

    `generate`, `play`, `info` and `train --init-from` take its folder like that of a run.
    """
    from wavegen import checkpoint as checkpoints
    from wavegen import instrument

    console = Console(json, quiet)
    if out.exists() and not instrument.is_one(out):
        raise WavegenError(f"{out} is there already, and no instrument", "a new folder")
    if instrument.is_one(run):
        raise WavegenError(f"{run} is an instrument already", "a run that `wavegen train` wrote")
    if temperature is not None and not 0 <= temperature <= 100:
        raise WavegenError(f"--temperature {temperature}", "0 (always the likeliest) to 100")
    words = _read(card) if card else None
    trained = checkpoints.load(run, checkpoint, console.warn)
    if temperature is not None:
        trained = replace(trained, temperature=temperature)
    about = checkpoints.about(run, trained.step)
    bits = about.bits_per_sample if about else None
    name, facts = name or out.resolve().name, _facts(trained, bits)
    words = words or _card(name, licence or UNSTATED, facts)
    papers = instrument.Papers(name, licence or UNSTATED, words, bits)
    num_bytes = instrument.write(trained, papers, out)
    console.say(f"wrote {out}: {num_bytes / 1e6:.2f} MB")
    if not licence:
        console.note("no --licence was given: nobody knows what may be done with it")
    console.result({"instrument": str(out), "bytes": num_bytes, "licence": papers.licence, **facts})


def _read(card: Path) -> str:
    try:
        return card.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WavegenError(
            f"--card {card} cannot be read: {error}", "a text file in Markdown, UTF-8"
        ) from None


def _facts(trained: Any, bits: float | None) -> dict[str, Any]:
    from wavegen.model import network

    config, vocabulary = trained.config, trained.vocabulary
    facts: dict[str, Any] = {
        "sample_rate_hz": config.audio.sample_rate,
        "parameters": network.count(trained.params),
        "step": trained.step,
        "temperature": trained.temperature,
    }
    if bits is not None:
        facts["validation_bits_per_sample"] = round(bits, 4)
    if vocabulary.pitches:
        facts["pitches"] = f"{vocabulary.pitches[0]} to {vocabulary.pitches[-1]}"
    for name in config.conditioner.labels:
        facts[f"label {name}"] = ", ".join(vocabulary.labels[name])
    return facts


def _card(name: str, licence: str, facts: dict[str, Any]) -> str:
    rows = table([(key, str(value)) for key, value in facts.items()])
    return f"# {name}\n\nLicence of the weights: {licence}\n\n```\n{rows}\n```\n"
