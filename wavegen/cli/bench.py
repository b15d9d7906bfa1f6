"""`wavegen bench`: how fast this machine is at it, measured after it was shown to be right."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wavegen.cli.console import Console, Json, Quiet
from wavegen.errors import WavegenError

Repeats = Annotated[int, typer.Option(min=1, help="Timings of each.")]
Peers = Annotated[bool, typer.Option(help="Whether PyTorch is timed too, where it is installed.")]
Out = Annotated[
    Path | None, typer.Option(metavar="FILE.jsonl", help="A file that records are added to.")
]

app = typer.Typer(no_args_is_help=True, help="Measure how fast this machine is.")


@app.callback()
def common() -> None:
    """Measure how fast this machine is."""


@app.command("sampling")
def sampling(
    case: Annotated[
        list[str] | None,
        typer.Option(help="Shape of the network.", show_default="small, reference, big"),
    ] = None,
    backend: Annotated[
        list[str] | None,
        typer.Option(help="Sampling backend.", show_default="all that can run here"),
    ] = None,
    precision: Annotated[
        list[str] | None,
        typer.Option(help="float32, bfloat16 or int8.", show_default="all of each backend"),
    ] = None,
    batch: Annotated[
        list[int] | None,
        typer.Option(
            min=1,
            help="Streams sampled together.",
            show_default="1, 8, 32; on accelerators up to 8192",
        ),
    ] = None,
    repeats: Repeats = 7,
    seconds: Annotated[float, typer.Option(min=0, help="Duration of each timing.")] = 0.25,
    peers: Peers = True,
    out: Out = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Prove each sampling backend right, then time all beside each other and the machine's limits.

    --case, --backend, --precision and --batch may be given several times.
    """
    from wavegen_kernels.backends import BackendUnavailable
    from wavegen_kernels.bench import sampling

    console = Console(json, quiet)
    try:
        plan = sampling.plan(
            names=case or [],
            backends=backend or [],
            precisions=precision or [],
            batches=batch or [],
            repeats=repeats,
            seconds=seconds,
            peers=peers,
            out=out,
        )
    except ValueError as error:
        raise WavegenError(str(error)) from None
    except BackendUnavailable as error:
        advice = "without --backend and --precision, all is measured that can run here"
        raise WavegenError(str(error), do=advice) from None
    found, code = sampling.report(plan, console.say, console.note, console.progress)
    console.result(found)
    raise typer.Exit(code)


@app.command("training")
def training(
    case: Annotated[
        list[str] | None, typer.Option(help="Shape of the network.", show_default="reference")
    ] = None,
    precision: Annotated[
        list[str] | None,
        typer.Option(
            help="float32 or bfloat16, of the stack's products.",
            show_default="float32, on accelerators both",
        ),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Windows of a step.")] = 4,
    window: Annotated[int, typer.Option(min=1, help="Samples of each.")] = 8192,
    repeats: Repeats = 7,
    peers: Peers = True,
    out: Out = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Time a training step, activations recomputed and kept, beside PyTorch and the machine.

    --case and --precision may be given several times.
    """
    from wavegen.evaluation import steps

    console = Console(json, quiet)
    plan = steps.Plan(
        names=tuple(case or steps.CASES),
        dtypes=tuple(precision or ()),
        batch=batch,
        window=window,
        repeats=repeats,
        peers=peers,
        out=out,
    )
    found, code = steps.report(plan, console.say, console.note, console.progress)
    console.result(found)
    raise typer.Exit(code)


@app.command("data")
def data(
    repeats: Repeats = 7,
    seconds: Annotated[
        float, typer.Option(help="Sound in each timing; 1200 s take 400 MB in a temporary folder.")
    ] = 1200.0,
    out: Out = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Prove preparing and batches right, then time them, and what training waits.

    Recordings are made for it: notes as WAV, songs as FLAC at another rate.
    One worker prepares; the training is that of the config `tiny`.
    """
    from wavegen.audio import files
    from wavegen.evaluation import throughput

    console = Console(json, quiet)
    plan = throughput.Plan(repeats, seconds, out)
    if out:
        files.make_room(out)
    found, code = throughput.report(plan, console.say, console.note, console.progress)
    console.result(found)
    raise typer.Exit(code)
