"""`wavegen info`: what a run, a corpus, a sound file or a config is, in units people use."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated, Any

import typer

from wavegen.cli import options
from wavegen.cli.console import Console, Json, Quiet, duration, table
from wavegen.cli.prepare import plan_of
from wavegen.errors import WavegenError

Facts = dict[str, Any]

_KINDS = "a run, an instrument, a corpus, a sound file, a config's path or a shipped config's name"
_PICTURES = (".png", ".svg")


def run(
    path: Annotated[
        Path | None,
        typer.Argument(
            help="A run, an instrument, a corpus, a sound file, or a config.",
            show_default="the instrument in the box",
        ),
    ] = None,
    config: Annotated[
        str | None, typer.Option(help="Of a corpus: what training by this config makes of it.")
    ] = None,
    samples_per_second: Annotated[
        float | None, typer.Option(min=1, help="Speed of that training, where you know it.")
    ] = None,
    figure: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.png|.svg", help="Of a corpus: draw its pitches, loudness and lengths."
        ),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say what something is: a run, an instrument, a corpus, a sound file or a config."""
    if path is None and (config or figure):
        raise typer.BadParameter("a corpus, with --config or --figure", param_hint="PATH")
    console, path = Console(json, quiet), options.found(path)
    planned = plan_of(config, samples_per_second)
    if figure:
        _check_figure(figure, path)
    facts = _facts(path, console)
    rows = [(name, _word(value)) for name, value in facts.items()]
    if planned:
        if facts["what"] != "corpus":
            raise WavegenError(f"--config with {path}: {facts['what']}", "--config with a corpus")
        from wavegen.data import corpus

        facts["config"], more = planned(corpus.open(path))
        rows += more
    if figure:
        from wavegen.data import corpus
        from wavegen.evaluation.figures import histograms

        histograms.draw(figure, corpus.open(path))
        facts["figure"] = str(figure)
        rows.append(("figure", str(figure)))
    console.say(table(rows))
    console.result(facts)


def _check_figure(figure: Path, path: Path) -> None:
    if figure.suffix.lower() not in _PICTURES:
        raise WavegenError(f"--figure {figure}", "a name that ends in " + " or ".join(_PICTURES))
    if not (path / "manifest.json").is_file():
        raise WavegenError(
            f"--figure with {path}, which is no corpus",
            "a folder made by prepare",
            "leave --figure out, or make one with `wavegen prepare SOURCE --out CORPUS`",
        )


def _facts(path: Path, console: Console) -> Facts:
    from wavegen import instrument

    if path.is_dir():
        if instrument.is_one(path):
            return _instrument(path)
        if (path / "checkpoints").is_dir() or (path / "config.toml").is_file():
            return _run(path, console)
        if (path / "manifest.json").is_file():
            return _corpus(path)
        raise WavegenError(
            f"{path} is a folder, but no run, instrument or corpus", "one of: " + _KINDS
        )
    if not path.exists() and (path.parent != Path() or path.suffix not in ("", ".toml")):
        raise WavegenError(f"there is no {path}", "one of: " + _KINDS)
    if path.suffix == ".toml" or not path.exists():
        return _config(path)
    return _sound(path)


def _sound(path: Path) -> Facts:
    from wavegen.audio import files

    found = files.info(path)
    facts: Facts = {
        "what": "sound file",
        "format": found.format,
        "sample_rate_hz": found.sample_rate,
        "channels": found.channels,
        "samples": found.frames,
        "seconds": round(found.duration_seconds, 3),
    }
    if found.provenance is None:
        return facts | {"made_by": "not wavegen, or it does not say"}
    return facts | found.provenance


def _corpus(path: Path) -> Facts:
    from wavegen.data import corpus

    found = corpus.open(path)
    vocabulary = found.vocabulary
    facts: Facts = {
        "what": "corpus",
        "layout": found.layout,
        "sample_rate_hz": found.sample_rate,
    }
    for name, split in found.splits.items():
        seconds = float(split.lengths.sum()) / found.sample_rate
        facts[name] = f"{split.num_items} recordings, {duration(seconds)}"
    if vocabulary.pitches:
        facts["pitches"] = _span(vocabulary.pitches)
        facts["velocities"] = _span(vocabulary.velocities)
    return facts | {f"label {name}": list(values) for name, values in vocabulary.labels.items()}


def _config(path: Path) -> Facts:
    from wavegen import config as configs

    config = configs.load(path)
    return {"what": "config", "path": str(configs.find(path)), **_model(config)}


def _model(config: Any) -> Facts:
    model, conditioner = config.model, config.conditioner
    steers = [*conditioner.signals, *(f"label {name}" for name in conditioner.labels)]
    return {
        "sample_rate_hz": config.audio.sample_rate,
        "layers": model.num_layers,
        "channels": f"R{model.residual_channels} S{model.skip_channels} H{model.head_channels}",
        "receptive_field_samples": model.receptive_field,
        "receptive_field_seconds": round(config.receptive_field_seconds, 4),
        "frame_ms": round(config.frame_seconds * 1000, 3),
        "predictor": _predictor(model.predictor),
        "steered_by": steers or "nothing (unconditional)",
        "training_steps": config.training.steps,
    }


def _predictor(predictor: Any) -> str:
    if not predictor.order:
        return "none"
    if predictor.is_periodic:
        whose = "the last note" if predictor.follows == "notes" else "the recording followed"
        return f"order {predictor.order}, repeats what sounded one period of {whose} ago"
    fitted = (
        f"order {predictor.order}, fitted to the last {predictor.window} samples "
        f"every {predictor.refit}"
    )
    return fitted + (", steered by the notes" if predictor.is_steered else "")


def _run(path: Path, console: Console) -> Facts:
    from wavegen import checkpoint

    steps = checkpoint.steps(path)
    if not steps:
        raise WavegenError(
            f"{path} is a run without a checkpoint", "a run that was trained", "train it further"
        )
    trained = checkpoint.load(path, on_damage=console.warn)
    facts: Facts = {"what": "run", "checkpoints": steps}
    return facts | _network(trained, _last_validation(path))


def _instrument(path: Path) -> Facts:
    from wavegen import instrument

    told, trained = instrument.about(path), instrument.read(path)
    facts: Facts = {"what": "instrument", "name": told["name"], "path": str(path)}
    facts |= {"licence": told["licence"], "format_version": told["format_version"]}
    bits = told["bits_per_sample"]
    facts |= _network(trained, None if bits is None else round(bits, 4))
    return facts | {"card": str(path / instrument.CARD)}


def _network(trained: Any, bits: float | None) -> Facts:
    from wavegen.model import network

    facts: Facts = {"parameters": network.count(trained.params), **_model(trained.config)}
    if bits:
        facts["validation_bits_per_sample"] = bits
    if trained.vocabulary.pitches:
        facts["pitches"] = _span(trained.vocabulary.pitches)
    return facts | {
        f"label {name}": list(trained.vocabulary.labels[name])
        for name in trained.config.conditioner.labels
    }


def _last_validation(run: Path) -> float | None:
    """The newest validation figure that the run wrote down."""
    try:
        lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return None
    for line in reversed(lines):
        try:
            found = json_module.loads(line).get("validation_bits_per_sample")
        except json_module.JSONDecodeError:  # the line that a kill cut short
            continue
        if found is not None:
            return round(found, 4)
    return None


def _span(numbers: tuple[int, ...]) -> str:
    return f"{len(numbers)} of them, {numbers[0]} to {numbers[-1]}"


def _word(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
