"""`wavegen prepare`: recordings in, a corpus and a report of every file out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from wavegen.cli import options
from wavegen.cli.console import Console, Json, Quiet, key_values, pitches, table
from wavegen.data import LAYOUT_NAMES
from wavegen.errors import WavegenError

# What still means something where the sources are parts; the rest was said when they were made.
_OF_A_JOIN = {"sources", "join", "out", "config", "samples_per_second", "json", "quiet"}


def run(
    context: typer.Context,
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE...",
            help="Folders or files; none for --layout synthetic; with --join, parts.",
        ),
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
    part: Annotated[
        str | None,
        typer.Option(metavar="I/N", help="Prepare part I of N only, as other machines do others."),
    ] = None,
    join: Annotated[
        bool, typer.Option("--join", help="Make one corpus of all N parts, which SOURCE... names.")
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
    stopped goes on where it was when the same command is given again. Several machines can
    share it: each prepares another --part of the same sources, and --join makes one corpus of them.
    """
    from wavegen.audio.cleaning import Cleaning
    from wavegen.data import assembly, corpus, parts, report

    console = Console(json, quiet)
    if join:
        _refuse_beside_join(context)
    if not 1000 <= sample_rate <= 384_000:
        raise WavegenError(f"--sample-rate {sample_rate}", "1000 to 384000 Hz")
    wishes = {
        "layout": layout,
        "sample_rate": sample_rate,
        "pitches": _bounds(pitch),
        "labels": _wanted(label or []),
        "limit": limit,
        "cleaning": Cleaning(trim_silence, drop_silence, denoise, normalize, highpass, silence_db),
        "part": parts.parse(part) if part is not None else None,
        "workers": workers,
    }
    planned = plan_of(config, samples_per_second)
    with console.progress("joining" if join else "preparing", "recordings") as update:
        if join:
            found = assembly.join(sources or [], out, progress=update)
        else:
            found = corpus.prepare(sources or [], out, looking=update, progress=update, **wishes)
    recognised = layout == "auto" and not join
    rows = report.summary(found)
    console.say(table(_with_recognised(rows, sources or []) if recognised else rows))
    told = _told(found, out)
    if planned:
        told["config"], rows = planned(corpus.open(out))
        report.write(out, found, config=told["config"])
        console.say(table(rows))
    console.say(f"wrote {out}; report.json in it names every file, and why it was dropped")
    if part is not None:
        console.say("all parts together: `wavegen prepare --join PART... --out CORPUS`")
    console.result(told)


def _told(found: Any, out: Path) -> dict[str, Any]:
    """What --json says of a report."""
    return {
        "corpus": str(out),
        "layout": found.layout,
        "kept": len(found.kept),
        "dropped": {file["name"]: file["reason"] for file in found.dropped},
        "seconds": found.seconds,
        "splits": found.splits,
        "duplicates": found.duplicates,
    }


def _refuse_beside_join(context: typer.Context) -> None:
    """Refuses what was asked beside --join and would not be done."""
    for flag in options.given(context, but=_OF_A_JOIN):
        raise WavegenError(
            f"{flag} with --join",
            "parts as they are: what is to be done was said when they were made",
            f"leave out {flag}, or prepare the parts with it",
        )


def _bounds(pitch: str | None) -> tuple[int, int] | None:
    """The lowest and the highest pitch asked for."""
    if pitch is None:
        return None
    asked = pitches(pitch)
    return min(asked), max(asked)


def _wanted(label: list[str]) -> dict[str, tuple[str, ...]] | None:
    """The values asked for of each label, if any."""
    wanted: dict[str, tuple[str, ...]] = {}
    for key, value in key_values(label, "--label"):
        wanted[key] = (*wanted.get(key, ()), value)
    return wanted or None


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
