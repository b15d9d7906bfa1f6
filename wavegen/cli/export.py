"""`wavegen export`: a run's network as an instrument, a small folder to be passed on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from wavegen.cli import options
from wavegen.cli.console import Console, Json, Quiet, table
from wavegen.errors import WavegenError


def run(
    run: Annotated[Path, typer.Option(help="Folder that `wavegen train` wrote.")],
    out: Annotated[Path, typer.Option(help="Folder of the instrument.")],
    licence: Annotated[
        str, typer.Option(help="Of the weights, which follows from what they learnt from.")
    ] = "not stated",
    temperature: Annotated[
        float, typer.Option(help="That it sounds best at; used where none is asked for.")
    ] = 1.0,
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
    if card and not card.is_file():
        raise WavegenError(f"there is no {card}", "a text file in Markdown")
    if not 0 <= temperature <= 100:
        raise WavegenError(f"--temperature {temperature}", "0 (always the likeliest) to 100")
    trained = checkpoints.load(run, checkpoint, console.warn)
    trained = replace(trained, temperature=temperature)
    about = checkpoints.about(run, trained.step)
    bits = about.bits_per_sample if about else None
    facts = _facts(trained, bits)
    words = card.read_text(encoding="utf-8") if card else _card(out.name, licence, facts)
    papers = instrument.Papers(out.name, licence, words, bits)
    num_bytes = instrument.write(trained, papers, out)
    console.say(f"wrote {out}: {num_bytes / 1e6:.2f} MB")
    if licence == "not stated":
        console.note("no --licence was given: nobody knows what may be done with it")
    console.result({"instrument": str(out), "bytes": num_bytes, "licence": licence, **facts})


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
