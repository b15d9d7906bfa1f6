"""`wavegen evaluate`: how good a model is, or how near sounds are to others, with a report."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wavegen import __version__
from wavegen.cli import options
from wavegen.cli.console import Console, Json, Quiet
from wavegen.errors import WavegenError

if TYPE_CHECKING:
    import numpy as np

    from wavegen.data.corpus import Corpus, Split
    from wavegen.evaluation.judgement import Asked
    from wavegen.evaluation.metrics.embeddings import Embedder
    from wavegen.model.network import Trained

MOST_SOUNDS = 256  # that are made
MOST_SECONDS = 30.0
ALL = "all"
OF_SOUNDS = {"sounds", "out", "embedding", "json", "quiet"}  # what a comparison of them takes

Heard = dict[str, "np.ndarray"]  # sounds [T] by their files' names in the report's folder


def run(
    context: typer.Context,
    sounds: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[REFERENCE ESTIMATE]", help="Two sound files, or two folders of them."
        ),
    ] = None,
    run: options.Run = None,
    data: Annotated[
        Path | None, typer.Option(help="Corpus that `wavegen prepare` wrote, with --run.")
    ] = None,
    split: Annotated[str, typer.Option(help="Which of the corpus's splits.")] = "valid",
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for report.html, report.json and sounds.",
            show_default="in the run",
        ),
    ] = None,
    baselines: Annotated[
        bool, typer.Option("--baselines", help="Beside it: Markov chains and a linear predictor.")
    ] = False,
    num: Annotated[
        int,
        typer.Option(min=0, max=MOST_SOUNDS, help="Recordings whose notes and labels it plays."),
    ] = 32,
    seconds: Annotated[float, typer.Option(help="Of what it plays, at most.")] = 4.0,
    seed: Annotated[int, typer.Option(help="Of all that is drawn.")] = 0,
    temperature: Annotated[
        float | None,
        typer.Option(help="Of what it plays.", show_default="1, or the instrument's own"),
    ] = None,
    top_k: Annotated[int, typer.Option(help="Draw among the likeliest K codes; 0: all.")] = 0,
    top_p: Annotated[float, typer.Option(help="Draw among the likeliest share P; 1: all.")] = 1.0,
    precision: Annotated[
        list[str] | None,
        typer.Option(
            help="Also measure what float32, bfloat16 or int8 weights cost; or all.",
            show_default="none",
        ),
    ] = None,
    embedding: Annotated[
        Path | None,
        typer.Option(metavar="FILE.onnx", help="A network whose features are compared as well."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Recordings to hear, spread over the split.")
    ] = None,
    checkpoint: options.Checkpoint = None,
    backend: options.Backend = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure how good a run is on a corpus, or how near sounds are to others.

    Of a run: bits per sample, how near its guesses are, and how what it plays compares with
    recordings that were held back; a report of it lies in RUN/evaluation. Of two sound files,
    or two folders: every distance between them.
    """
    from wavegen.sampling.request import Draws

    console = Console(json, quiet)
    if sounds:
        _refuse(sounds, context)
        _sounds(sounds, out, _embedder(embedding), console)
        return
    if data is None:
        raise typer.BadParameter(
            "give --run RUN and --data CORPUS, or two sound files, or two folders of them"
        )
    if run is None and out is None:
        raise typer.BadParameter(
            "a folder for the report on the instrument in the box, or --run RUN", param_hint="--out"
        )
    if not 0 < seconds <= MOST_SECONDS:
        raise WavegenError(f"--seconds {seconds}", f"more than 0, up to {MOST_SECONDS:.0f}")
    from wavegen.evaluation.judgement import Asked

    embed = _embedder(embedding)
    asked = Asked(
        limit=limit,
        num=num,
        seconds=seconds,
        draws=Draws(seed, 1.0 if temperature is None else temperature, top_k, top_p),
        backend=backend,
        precisions=_precisions(precision or [], backend),
        with_baselines=baselines,
        embed=embed.frames if embed else None,
    )
    _run(options.found(run), data, split, checkpoint, asked, out, temperature is None, console)


def _run(
    run: Path,
    data: Path,
    split: str,
    step: int | None,
    asked: Asked,
    out: Path | None,
    at_its_own: bool,  # the network's own temperature
    console: Console,
) -> None:
    """Judges a run, writes the report, and tells of it."""
    from wavegen import checkpoint as checkpoints
    from wavegen.audio import files
    from wavegen.cli import compiled
    from wavegen.data import corpus
    from wavegen.evaluation import judgement, report
    from wavegen.model import network

    compiled.keep()
    trained = checkpoints.load(run, step, console.warn)
    if at_its_own:
        asked = replace(asked, draws=replace(asked.draws, temperature=trained.temperature))
    config, found = trained.config, corpus.open(data)
    held = _recordings(trained, found, split)
    folder = out or run / "evaluation" / f"step_{trained.step:09d}_{split}"
    files.make_room(folder / report.PAGE)  # what cannot be written is not measured
    with console.kernels_heard():
        judged = judgement.of_run(trained, found, split, asked, console.progress)
    subject = {
        "kind": "run", "run": options.named(run), "step": trained.step,
        "data": str(data), "split": split,
        "sample_rate": config.audio.sample_rate, **judged.facts["subject"],
        "of_recordings": held.num_items, "parameters": network.count(trained.params),
        "receptive_field_seconds": round(config.receptive_field_seconds, 4),
    }  # fmt: skip
    clips = judged.facts.get("generated", {}).get("clips", [])
    heard: Heard = {}
    for number, (clip, made) in enumerate(zip(clips, judged.renditions, strict=True)):
        clip["generated"] = f"{report.SOUNDS}/{number:03d}_generated.wav"
        clip["real"] = f"{report.SOUNDS}/{number:03d}_real.wav"
        heard |= {clip["generated"]: made.generated, clip["real"]: made.real}
    story = {"run": options.named(run), "step": trained.step, **asked.draws.story()}
    _tell(judged.facts | {"subject": subject}, heard, story, folder, console)


def _sounds(
    paths: list[Path], out: Path | None, embedder: Embedder | None, console: Console
) -> None:
    """Compares sound files, writes a report where one was asked for, and tells of it."""
    from wavegen.audio import files
    from wavegen.evaluation import matching, report

    if out is not None:
        files.make_room(out / report.PAGE)  # what cannot be written is not measured
    with console.progress("reading", "files") as update:
        sides = [matching.look(path, update) for path in paths]
    with console.progress("comparing", "s of sound") as update:
        compared = matching.compare(
            *sides, embed=embedder.frames if embedder else None, progress=update
        )
    heard: Heard = {}
    for number, sides in compared.heard.items() if out is not None else ():
        pair = compared.facts["pairs"][number]
        for side, sound in zip(matching.SIDES, sides, strict=True):
            pair[side] = f"{report.SOUNDS}/{number:03d}_{side}.wav"
            heard[pair[side]] = sound
    _tell(compared.facts, heard, None, out, console)


def _tell(
    facts: dict[str, Any],
    heard: Heard,
    story: dict[str, Any] | None,
    folder: Path | None,
    console: Console,
) -> None:
    """Says what was found; writes it and its sounds into a folder, where there is one."""
    from wavegen.audio import files
    from wavegen.cli import findings
    from wavegen.evaluation import report

    made = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    facts = {"format_version": report.FORMAT_VERSION, "version": __version__, "made": made} | facts
    page = None
    if folder is not None:
        for earlier in (folder / report.SOUNDS).glob("[0-9][0-9][0-9]_*.wav"):
            earlier.unlink()  # of a report that this one replaces
        for name, sound in heard.items():
            told = story if name.endswith("_generated.wav") else None
            files.write(folder / name, sound, facts["subject"]["sample_rate"], provenance=told)
        page = report.write(folder, facts)
    told = report.told(facts)
    findings.show(told, console)
    if page is not None:
        console.say(f"\n{page}: all of it, with figures and sounds")
    console.result(told | {"report": None if page is None else str(page)})


def _refuse(sounds: list[Path], context: typer.Context) -> None:
    """Refuses what are no two sounds or folders, and what would not be done with them."""
    for flag in options.given(context, but=OF_SOUNDS):
        raise WavegenError(f"{sounds[0]} with {flag}", "sounds, or a run with its corpus")
    if len(sounds) != 2:
        raise WavegenError(
            f"{len(sounds)} path" + "s" * (len(sounds) > 1),
            "a reference and an estimate: two sound files, or two folders of them",
        )
    for path in sounds:
        if not path.exists():
            raise WavegenError(f"there is no {path}", "two sound files, or two folders of them")
    if sounds[0].is_dir() != sounds[1].is_dir():
        raise WavegenError(f"{sounds[0]} and {sounds[1]}: a folder and a file", "two of one kind")


def _embedder(path: Path | None) -> Embedder | None:
    from wavegen.evaluation.metrics.embeddings import Embedder

    return None if path is None else Embedder(path)


def _precisions(names: list[str], backend: str) -> tuple[str, ...]:
    """Those that were asked for; a wrong one, or backend, is told of before anything is read."""
    from wavegen.evaluation import likelihood
    from wavegen.sampling import precision as precisions

    names = precisions.usable() if ALL in names else names
    for name in (likelihood.YARDSTICK, *names):
        precisions.backend_of(backend, name)
    return tuple(names)


def _recordings(trained: Trained, corpus: Corpus, split: str) -> Split:
    """The split, after it was compared with what the run hears."""
    config = trained.config
    if corpus.sample_rate != config.audio.sample_rate:
        raise WavegenError(
            f"the corpus {corpus.path} is at {corpus.sample_rate} Hz, "
            f"the run was trained at {config.audio.sample_rate} Hz",
            "one rate for both",
            f"prepare the recordings with --sample-rate {config.audio.sample_rate}",
        )
    if split not in corpus.splits:
        raise WavegenError(
            f"the corpus {corpus.path} has no split '{split}'",
            "one of: " + (", ".join(corpus.splits) or "none: it is empty"),
        )
    if not corpus.splits[split].num_items:
        raise WavegenError(
            f"the split '{split}' of the corpus {corpus.path} has no recordings",
            "a split with at least one",
            "name another --split, or prepare more recordings",
        )
    missing = [name for name in config.conditioner.labels if name not in corpus.vocabulary.labels]
    if missing:
        raise WavegenError(
            f"the run hears the label {', '.join(missing)}, which {corpus.path} lacks",
            "a corpus like the one it was trained on",
        )
    if "notes" in config.conditioner.signals and not corpus.vocabulary.pitches:
        raise WavegenError(
            f"the run hears notes, but no recording of {corpus.path} has any",
            "a corpus like the one it was trained on",
        )
    return corpus.splits[split]
