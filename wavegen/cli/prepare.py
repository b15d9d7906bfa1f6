"""`wavegen prepare`: recordings in, a corpus and a report of every file out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from wavegen.cli.console import Console, Json, Quiet, key_values, pitches, table
from wavegen.data import LAYOUT_NAMES
from wavegen.errors import WavegenError


def run(
    sources: Annotated[
        list[str] | None,
        typer.Argument(metavar="SOURCE...", help="Folders or files; none for --layout synthetic."),
    ] = None,
    *,
    out: Annotated[Path, typer.Option(help="Folder of the corpus; must not exist yet.")],
    layout: Annotated[str, typer.Option(help="One of: auto, " + ", ".join(LAYOUT_NAMES))] = "auto",
    sample_rate: Annotated[
        int, typer.Option(help="Rate of the corpus in Hz; recordings are resampled to it.")
    ] = 16_000,
    pitch: Annotated[
        str | None, typer.Option(metavar="LOW-HIGH", help="Keep only notes of these MIDI pitches.")
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE,...", help="Keep only recordings with these labels."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Take so many recordings, drawn by their names.")
    ] = None,
    trim_silence: Annotated[
        bool, typer.Option("--trim-silence", help="Cut the silence before and after the sound.")
    ] = False,
    drop_silence: Annotated[
        bool, typer.Option("--drop-silence", help="Cut silences of over 1 s down to 0.3 s.")
    ] = False,
    silence_db: Annotated[
        float, typer.Option(help="What is silent for these two: below the loudest 10 ms, in dB.")
    ] = -60.0,
    denoise: Annotated[
        bool, typer.Option("--denoise", help="Take steady noise out, learnt where it is quietest.")
    ] = False,
    normalize: Annotated[
        str,
        typer.Option(help="none, peak (-1 dBFS), rms (-20 dBFS) or loudness (-23 LUFS)."),
    ] = "none",
    highpass: Annotated[
        bool, typer.Option("--highpass", help="Take out what lies below 20 Hz, as an offset does.")
    ] = False,
    config: Annotated[
        str | None, typer.Option(help="Say also what training by this config would make of it.")
    ] = None,
    samples_per_second: Annotated[
        float | None, typer.Option(min=1, help="Speed of that training, where you know it.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that decode and resample.")] = 1,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Turn recordings into a corpus that training reads: mono, one rate, split, with a report.

    Every file that was not used is named in report.json with its reason. Work that was
    stopped goes on where it was when the same command is given again.
    """
    from wavegen.audio.cleaning import Cleaning
    from wavegen.data import corpus, report

    console = Console(json, quiet)
    wanted: dict[str, tuple[str, ...]] = {}
    for key, value in key_values(label or [], "--label"):
        wanted[key] = (*wanted.get(key, ()), value)
    bounds = None
    if pitch is not None:
        asked = pitches(pitch)
        bounds = (min(asked), max(asked))
    if not 1000 <= sample_rate <= 384_000:
        raise WavegenError(f"--sample-rate {sample_rate}", "1000 to 384000 Hz")
    cleaning = Cleaning(trim_silence, drop_silence, denoise, normalize, highpass, silence_db)
    planned = plan_of(config, samples_per_second)
    with console.progress("preparing", "recordings") as update:
        found = corpus.prepare(
            [Path(source) for source in sources or []],
            out,
            layout=layout,
            sample_rate=sample_rate,
            pitches=bounds,
            labels=wanted or None,
            limit=limit,
            cleaning=cleaning,
            workers=workers,
            progress=update,
        )
    rows = report.summary(found)
    console.say(table(_with_recognised(rows, sources or []) if layout == "auto" else rows))
    told = {
        "corpus": str(out),
        "layout": found.layout,
        "kept": len(found.kept),
        "dropped": {file["name"]: file["reason"] for file in found.dropped},
        "seconds": found.seconds,
        "splits": found.splits,
        "duplicates": found.duplicates,
    }
    if planned:
        told["config"], rows = planned(corpus.open(out))
        report.add(out, "config", told["config"])
        console.say(table(rows))
    console.say(f"wrote {out}; report.json in it names every file, and why it was dropped")
    console.result(told)


def _with_recognised(rows: list[tuple[str, str]], sources: list[str]) -> list[tuple[str, str]]:
    """The rows of a report, but with what each source was taken for."""
    from wavegen.data import layouts

    names = [(source, layouts.name_of(Path(source))) for source in sources]
    told = [name if len(names) == 1 else f"{source}: {name}" for source, name in names]
    rest = [row for row in rows if row[0] != "layout"]
    return [("layout", ", ".join(told) + " (recognised)"), *rest]


def plan_of(
    config: str | None, samples_per_second: float | None
) -> Callable[[Any], tuple[dict[str, Any], list[tuple[str, str]]]] | None:
    """A function: what a config would make of a corpus, as facts and as a table's rows.

    None where no config was named. A wrong one is refused here, before any work.
    """
    if config is None:
        if samples_per_second is not None:
            raise WavegenError(
                f"--samples-per-second {samples_per_second:g} without --config",
                "the config whose training is that fast",
            )
        return None
    from wavegen import config as configs
    from wavegen.data import plan

    loaded = configs.load(config)

    def planned(corpus: Any) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        facts = {"name": config, **plan.of(corpus, loaded, samples_per_second)}
        return facts, [("with config", config), *plan.summary(facts)]

    return planned
