"""`wavegen train --plan`: what a training will cost, in units people use."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wavegen.cli.console import Console, duration, table

if TYPE_CHECKING:
    from wavegen.config import Config
    from wavegen.data.corpus import Corpus
    from wavegen.training.cost import Cost


def tell(config: Config, corpus: Corpus, run: Path | None, console: Console) -> None:
    """Says it; takes a few steps to find out, and writes nothing."""
    import jax

    from wavegen import checkpoint
    from wavegen.data import plan
    from wavegen.training import cost

    first = max(checkpoint.steps(run), default=0) if run else 0
    console.note("compiling the training step, and taking a few ...")
    found = cost.measure(config, corpus, first)
    for words in plan.concerns(corpus, config):
        console.note(words)
    console.say(table(rows(config, found, first, jax.devices()[0].device_kind)))
    console.result(found._asdict() | {"memory": found.memory._asdict()})


def rows(config: Config, cost: Cost, first: int, device: str) -> list[tuple[str, str]]:
    """A table for people."""
    plan, memory = config.training, cost.memory
    rate = config.audio.sample_rate
    free = f", of {_size(cost.free_bytes)} free" if cost.free_bytes else ""
    heard = cost.samples_per_second / rate
    steps = f"{cost.steps:,} steps" + (f" after the {first:,} it has" if first else "")
    validations = ""
    if cost.validation_seconds:
        each = duration(cost.validation_seconds)
        validations = f", with validations of {each} every {plan.validate_every:,} steps"
    return [
        ("parameters", f"{cost.parameters:,}"),
        (
            "receptive field",
            f"{config.receptive_field_seconds:.3g} s ({config.model.receptive_field:,} samples)",
        ),
        (
            "memory",
            f"{_size(memory.total)} on each device ({device}){free}: "
            f"{_size(memory.state)} of state, {_size(memory.temporaries)} within a step",
        ),
        ("largest batch", _largest(config, cost)),
        (
            "a step",
            f"{duration(cost.step_seconds)} ({_span(cost)}), compiled in "
            f"{duration(cost.compile_seconds)}",
        ),
        (
            "speed",
            f"{cost.samples_per_second / 1000:.1f}k samples/s, {heard:.3g} hours of audio an hour",
        ),
        ("time", f"{duration(cost.seconds)} for {steps}{validations}"),
    ]


def _largest(config: Config, cost: Cost) -> str:
    if cost.largest_batch is None:
        return "not known: this system does not say how much memory is free"
    crop = config.training.crop_samples
    asked = config.training.batch_size
    if cost.largest_batch < asked:
        return (
            f"{cost.largest_batch} crops of {crop:,} samples would leave some room, {asked} leave "
            "little: raise training.microbatches"
        )
    return f"{cost.largest_batch:,} crops of {crop:,} samples fit; the config has {asked}"


def _span(cost: Cost) -> str:
    return f"{duration(cost.fastest_seconds)} to {duration(cost.slowest_seconds)}"


def _size(num_bytes: int) -> str:
    for unit, size in (("GiB", 2**30), ("MiB", 2**20)):
        if num_bytes >= size:
            return f"{num_bytes / size:.3g} {unit}"
    return f"{num_bytes / 2**10:.3g} KiB"
