"""`wavegen train`: a config and a corpus in, a run folder out."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wavegen.cli.console import Console, Json, Quiet, duration
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
    run: Annotated[
        Path | None, typer.Option(help="Folder of the run; gone on with if it exists.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Change a value of the config."),
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Short for training.steps.")] = None,
    init_from: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="Begin a new run with what this one has learnt.",
            show_default="training.init_from of the config",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume/--no-resume", help="Whether an existing run may go on.")
    ] = True,
    plan: Annotated[
        bool, typer.Option("--plan", help="Only say what it will cost: memory, speed, time.")
    ] = False,
    smoke_test: Annotated[
        bool, typer.Option("--smoke-test", help="Only try it all: steps, checkpoint, sound.")
    ] = False,
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
    wandb: Annotated[
        str | None, typer.Option(metavar="PROJECT", help="Show the run at wandb as well.")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a network. Ctrl-C or SIGTERM saves a checkpoint; the same command goes on from it.

    Several processes train one network where each is given --coordinator, --num-processes and
    --process-id, or where SLURM, Open MPI, Kubernetes or a Cloud TPU started them.
    """
    from wavegen import checkpoint, instrument
    from wavegen import config as configs
    from wavegen.cli import compiled, cost, weights_and_biases
    from wavegen.data import corpus
    from wavegen.training import devices

    devices.start(coordinator, num_processes, process_id)
    compiled.keep()
    console = Console(json and devices.is_first(), quiet or not devices.is_first())
    if wandb:
        weights_and_biases.module()  # said before anything is begun
    overrides = [*(set_ or []), *([f"training.steps={steps}"] if steps else [])]
    resolved = configs.load(config, overrides)
    begun = run is not None and checkpoint.steps(run)  # it needs what it began from no more
    parent = init_from or (None if begun else resolved.training.init_from or None)
    init_from = None if parent is None else instrument.find(parent)
    if plan:
        cost.tell(resolved, corpus.open(data), run, console)
    if smoke_test:
        _try_out(resolved, corpus.open(data), console, init_from)
    if plan or smoke_test:
        return
    if run is None:
        raise typer.BadParameter(
            "a folder for the run, or --plan or --smoke-test", param_hint="--run"
        )
    if not resume and checkpoint.steps(run):
        raise WavegenError(
            f"{run} already holds a training", "a new folder, since --no-resume was given"
        )
    outcome = fit(resolved, corpus.open(data), run, console, init_from, wandb)
    if outcome.interrupted:
        console.note(f"stopped at step {outcome.step}; the same command goes on from there")
    else:
        console.say(f"trained to step {outcome.step}: {run}")
    console.result({"run": str(run), **outcome._asdict()})
    if outcome.interrupted:
        raise typer.Exit(128 + outcome.signal)


def fit(
    config: Config,
    corpus: Corpus,
    run: Path,
    console: Console,
    init_from: Path | None = None,
    project: str | None = None,
) -> Outcome:
    """Trains, watched by a cli.watching.Watch; gives the Outcome. `project` is one of wandb.

    Of several processes the first one is watched.
    """
    from wavegen.audio import files
    from wavegen.cli.watching import Watch
    from wavegen.data import batches
    from wavegen.training import devices, loop, peers

    batches.check(corpus, config)  # before there is a folder
    files.make_room(run / "log.txt" if run.exists() else run)
    with peers.together(run, console.warn):
        if not devices.is_first():
            silent = {"on_log": _nothing, "on_validation": _nothing, "on_note": _nothing}
            return loop.train(config, corpus, run, init_from=init_from, **silent)
        with closing(Watch(run, config, corpus, console)) as watch:
            try:
                outcome = loop.train(
                    config,
                    corpus,
                    run,
                    init_from=init_from,
                    on_log=watch.progress,
                    on_validation=watch.validation,
                    on_note=watch.tell,
                    on_begin=lambda first: watch.begin(first, project, describe(config)),
                    on_warning=watch.warn,
                    on_sample=watch.sample,
                )
            except WavegenError as error:
                watch.end(error)
                raise
            watch.draw()
            return outcome


def _try_out(config: Config, corpus: Corpus, console: Console, init_from: Path | None) -> None:
    """A training of very few steps in which everything happens that a long one does."""
    import tempfile

    import jax

    if jax.process_count() > 1:
        raise WavegenError("--smoke-test with several processes", "one, on any of the machines")
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="wavegen-smoke-test-") as folder:
        run = Path(folder) / "run"
        for steps in (2, 3):  # the second goes on from what the first has saved
            short = replace(
                config.training,
                steps=steps,
                log_every=1,
                validate_every=2,
                validation_seconds=1.0,
                save_every=2,
                sample_every=2,
                sample_seconds=0.5,
                first_crop_samples=0,  # crops that are whole, which take most memory
                curriculum_steps=0,
                schedule="constant",  # which does not mind that there are three steps
            )
            outcome = fit(replace(config, training=short), corpus, run, console, init_from)
            if outcome.interrupted:
                raise typer.Exit(128 + outcome.signal)
        if not list((run / "samples").glob("step_*.wav")):
            raise WavegenError("the smoke test made no sound", do="see the warning above")
    seconds = time.monotonic() - start
    console.say(
        f"the smoke test passed in {duration(seconds)}: steps, validation, checkpoint, going on "
        "from it, sound; nothing was kept"
    )
    console.result({"smoke_test": "passed", "seconds": seconds})


def _nothing(_: object) -> None:
    """What the other processes would say, the first one says."""


def describe(config: Config) -> str:
    """The size of a model in the units that people use."""
    model = config.model
    linear = model.predictor
    predictor = f"; predictor of order {linear.order}" if linear.order else ""
    heard = {"notes": "the notes", "f0": "the recording's pitch"}.get(linear.follows)
    predictor += f" that follows {heard}" if linear.is_periodic else ""
    predictor += " that is steered by the notes" if linear.is_steered else ""
    return (
        f"{model.num_layers} layers, R{model.residual_channels} S{model.skip_channels} "
        f"H{model.head_channels}, hears {model.receptive_field} samples "
        f"({config.receptive_field_seconds * 1000:.0f} ms) at {config.audio.sample_rate} Hz; "
        f"frames of {model.hop_length} samples ({config.frame_seconds * 1000:.1f} ms)"
        f"{predictor}"
    )
