"""`wavegen evaluate`: how well a run knows recordings, and what a coarser precision costs it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wavegen.cli.console import Console, Json, Quiet, duration
from wavegen.errors import WavegenError

if TYPE_CHECKING:
    from wavegen.data.corpus import Corpus, Split
    from wavegen.evaluation.likelihood import Evaluation
    from wavegen.model.network import Trained


def run(
    run: Annotated[Path, typer.Option(help="Folder that `wavegen train` wrote.")],
    data: Annotated[Path, typer.Option(help="Corpus that `wavegen prepare` wrote.")],
    split: Annotated[str, typer.Option(help="Which of the corpus's splits.")] = "valid",
    precision: Annotated[
        list[str] | None,
        typer.Option(help="float32, bfloat16 or int8; may be repeated.", show_default="all"),
    ] = None,
    checkpoint: Annotated[
        int | None, typer.Option(metavar="STEP", help="Which checkpoint; the newest by default.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Recordings to hear, spread over the split.")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure bits per sample of whole recordings, in each precision that sampling can run in."""
    from wavegen import checkpoint as checkpoints
    from wavegen.cli import compiled
    from wavegen.data import corpus
    from wavegen.evaluation import likelihood
    from wavegen.sampling import precision as precisions

    compiled.keep()
    console, asked = Console(json, quiet), precision or precisions.usable()
    for name in asked:
        precisions.backend_of("auto", name)  # a wrong one is told of before anything is read
    trained = checkpoints.load(run, checkpoint, console.warn)
    recordings = _recordings(trained, corpus.open(data), split)
    rate = trained.config.audio.sample_rate
    with (
        console.kernels_heard(),
        console.progress("evaluating", "s of sound") as update,
    ):
        found = likelihood.measure(
            trained,
            recordings,
            asked,
            limit=limit,
            progress=lambda done, total: update(done / rate, total / rate),
        )
    console.say(
        f"{run} at step {trained.step}: {found.num_recordings} recordings of {data} ({split}), "
        f"{duration(found.num_samples / rate)}, {found.num_samples} samples"
    )
    console.say(_table(found))
    console.result(
        {
            "run": str(run),
            "step": trained.step,
            "data": str(data),
            "split": split,
            "recordings": found.num_recordings,
            "samples": found.num_samples,
            "precisions": {name: each._asdict() for name, each in found.precisions.items()},
        }
    )


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


def _table(found: Evaluation) -> str:
    """A line for each precision."""
    lines = ["  precision  bits per sample    cost  nats from float32  same likeliest code"]
    lines += [
        f"  {name:<9}  {each.bits_per_sample:15.4f} {each.cost_bits:+7.4f}"
        f"  {each.nats_from_float32:17.1e}  {each.same_likeliest:19.1%}"
        for name, each in found.precisions.items()
    ]
    return "\n".join(lines)
