"""`wavegen train`: a config and a corpus in, a run folder out."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wavegen.cli.console import Console, Json, Quiet
from wavegen.errors import WavegenError

if TYPE_CHECKING:
    from wavegen.config import Config
    from wavegen.data.corpus import Corpus
    from wavegen.training.progress import Outcome


def run(
    config: Annotated[
        str, typer.Argument(metavar="CONFIG", help="Path of a .toml file, or a shipped name.")
    ],
    data: Annotated[Path, typer.Option(help="Corpus that `wavegen prepare` wrote.")],
    run: Annotated[Path, typer.Option(help="Folder of the run; gone on with if it exists.")],
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Change a value of the config."),
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Short for training.steps.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume/--no-resume", help="Whether an existing run may go on.")
    ] = True,
    wandb: Annotated[
        str | None, typer.Option(metavar="PROJECT", help="Show the run at wandb as well.")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a network. Ctrl-C saves a checkpoint; the same command goes on from it."""
    from wavegen import checkpoint
    from wavegen import config as configs
    from wavegen.cli import weights_and_biases
    from wavegen.data import corpus

    console = Console(json, quiet)
    if wandb:
        weights_and_biases.module()  # said before anything is begun
    overrides = [*(set_ or []), *([f"training.steps={steps}"] if steps else [])]
    resolved = configs.load(config, overrides)
    if not resume and checkpoint.steps(run):
        raise WavegenError(
            f"{run} already holds a training", "a new folder, since --no-resume was given"
        )
    outcome = fit(resolved, corpus.open(data), run, console, wandb)
    if outcome.interrupted:
        console.note(f"stopped at step {outcome.step}; the same command goes on from there")
    else:
        console.say(f"trained to step {outcome.step}: {run}")
    console.result({"run": str(run), **outcome._asdict()})
    if outcome.interrupted:
        raise typer.Exit(130)


def fit(
    config: Config, corpus: Corpus, run: Path, console: Console, project: str | None = None
) -> Outcome:
    """Trains, watched by a cli.watching.Watch; gives the Outcome. `project` is one of wandb."""
    from wavegen.audio import files
    from wavegen.cli.watching import Watch
    from wavegen.data import batches
    from wavegen.training import loop

    batches.check(corpus, config)  # before there is a folder
    files.make_room(run / "log.txt")
    with closing(Watch(run, config, corpus, console)) as watch:
        watch.tell(describe(config))
        watch.tell("compiling the training step ...")
        try:
            outcome = loop.train(
                config,
                corpus,
                run,
                on_log=watch.progress,
                on_validation=watch.validation,
                on_note=watch.tell,
                on_begin=lambda first: watch.begin(first, project),
                on_warning=watch.warn,
                on_sample=watch.sample,
            )
        except WavegenError as error:
            watch.end(error)
            raise
        watch.draw()
        return outcome


def describe(config: Config) -> str:
    """The size of a model in the units that people use."""
    model = config.model
    linear = model.predictor
    predictor = f"; predictor of order {linear.order}" if linear.order else ""
    heard = {"notes": "the notes", "f0": "the recording's pitch"}.get(linear.follows)
    predictor += f" that follows {heard}" if linear.periods_of else ""
    return (
        f"{model.num_layers} layers, R{model.residual_channels} S{model.skip_channels} "
        f"H{model.head_channels}, hears {model.receptive_field} samples "
        f"({config.receptive_field_seconds * 1000:.0f} ms) at {config.audio.sample_rate} Hz; "
        f"frames of {model.hop_length} samples ({config.frame_seconds * 1000:.1f} ms)"
        f"{predictor}"
    )
