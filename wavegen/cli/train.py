"""`wavegen train`: a config and a corpus in, a run folder out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wavegen.cli.console import Console, Json, Quiet, duration
from wavegen.errors import WavegenError

if TYPE_CHECKING:
    from wavegen.config import Config
    from wavegen.data.corpus import Corpus
    from wavegen.training.loop import Outcome, Progress, Validation


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
    init_from: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Begin a new run with what this one has learnt."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume/--no-resume", help="Whether an existing run may go on.")
    ] = True,
    coordinator: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Of several processes: where process 0 is."),
    ] = None,
    num_processes: Annotated[
        int | None, typer.Option(min=1, help="How many processes train together.")
    ] = None,
    process_id: Annotated[
        int | None, typer.Option(min=0, help="Which of them this is, from 0.")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a network. Ctrl-C or SIGTERM saves a checkpoint; the same command goes on from it.

    Several processes train one network where each is given --coordinator, --num-processes and
    --process-id, or where SLURM, Open MPI, Kubernetes or a Cloud TPU started them.
    """
    from wavegen import checkpoint
    from wavegen import config as configs
    from wavegen.data import corpus
    from wavegen.training import devices

    devices.start(coordinator, num_processes, process_id)
    console = Console(json and devices.is_first(), quiet or not devices.is_first())
    overrides = [*(set_ or []), *([f"training.steps={steps}"] if steps else [])]
    resolved = configs.load(config, overrides)
    if not resume and checkpoint.steps(run):
        raise WavegenError(
            f"{run} already holds a training", "a new folder, since --no-resume was given"
        )
    outcome = fit(resolved, corpus.open(data), run, console, init_from)
    if outcome.interrupted:
        console.note(f"stopped at step {outcome.step}; the same command goes on from there")
    else:
        console.say(f"trained to step {outcome.step}: {run}")
    console.result({"run": str(run), **outcome._asdict()})
    if outcome.interrupted:
        raise typer.Exit(128 + outcome.signal)


def fit(
    config: Config, corpus: Corpus, run: Path, console: Console, init_from: Path | None = None
) -> Outcome:
    """Trains with progress lines on the console and in run/log.txt; gives the Outcome."""
    from wavegen.audio import files
    from wavegen.data import batches
    from wavegen.training import devices, loop, peers

    batches.check(corpus, config)  # before there is a folder
    files.make_room(run / "log.txt" if run.exists() else run)

    def tell(line: str) -> None:
        console.note(line)
        if not devices.is_first():
            return
        with (run / "log.txt").open("a", encoding="utf-8") as log:
            log.write(line + "\n")

    console.note(describe(config))
    with peers.together(run, console.warn):
        return loop.train(
            config,
            corpus,
            run,
            init_from=init_from,
            on_log=lambda progress: tell(progress_line(progress)),
            on_validation=lambda found: tell(validation_line(found)),
            on_note=tell,
        )


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


def progress_line(progress: Progress) -> str:
    """One line of the log."""
    return (
        f"step {progress.step}/{progress.steps}  loss {progress.nats:.3f} nats "
        f"({progress.bits_per_sample:.3f} bits/sample)  acc {progress.accuracy:.1%}  "
        f"lr {progress.learning_rate:.1e}  gnorm {progress.gradient_norm:.2f}  "
        f"{progress.steps_per_second:.2f} steps/s  {progress.samples_per_second / 1000:.1f}k "
        f"samples/s  audio {progress.audio_hours_per_hour:.1f} h/h  "
        f"eta {duration(progress.seconds_left)}"
    )


def validation_line(found: Validation) -> str:
    """One line of the log about a validation."""
    return (
        f"step {found.step}  validation {found.validation_bits_per_sample:.3f} bits/sample  "
        f"acc {found.validation_accuracy:.1%}"
    )
