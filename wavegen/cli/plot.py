"""`wavegen plot`: how a sound looks, how trainings went, what the network of a config hears."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from wavegen.cli.console import Console, Json, Quiet
from wavegen.errors import WavegenError

if TYPE_CHECKING:
    from wavegen.evaluation.figures.plots import Shown
    from wavegen.evaluation.figures.rolls import Voice

_PICTURES = (".png", ".svg", ".pdf")


def run(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE|RUN|CONFIG",
            help="Sound files; or folders made by train; or a config, by path or name.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE.png|.svg|.pdf", help="The figure.")],
    rainbowgram: Annotated[
        bool, typer.Option("--rainbowgram", help="Pitch and phase in place of the spectrogram.")
    ] = False,
    midi: Annotated[
        Path | None, typer.Option(metavar="SONG.mid", help="Notes to draw above the sound.")
    ] = None,
    start: Annotated[
        float | None,
        typer.Option(metavar="S", help="Seconds into the sound to begin at.", show_default="0"),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(help="How much of the sound to draw.", show_default="to its end")
    ] = None,
    title: Annotated[str, typer.Option(help="What stands above.", show_default="names alone")] = "",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Draw sounds as waveform and spectrogram, a score as a piano roll, runs as their curves.

    Of a config (RUN/config.toml is one, too), what its network hears: the tree of its dilations.
    """
    from wavegen.audio import files

    console = Console(json, quiet)
    if out.suffix.lower() not in _PICTURES:
        raise WavegenError(f"--out {out}", "a name that ends in " + ", ".join(_PICTURES))
    files.make_room(out)  # what cannot be written is not drawn
    kinds = {_kind(path): path for path in reversed(paths)}
    if len(kinds) > 1:
        told = " and ".join(f"{path}, {kind}" for kind, path in reversed(kinds.items()))
        raise WavegenError(told, "sounds, or runs, or a config: one figure for each kind")
    kind = next(iter(kinds))
    if kind == "a sound":
        wishes = _Wishes(rainbowgram, midi, start or 0.0, seconds)
        facts = _sounds(paths, out, wishes, title, console)
    elif rainbowgram or midi or start is not None or seconds is not None:
        raise WavegenError(
            f"--rainbowgram, --midi, --start or --seconds with {paths[0]}, {kind}", "a sound file"
        )
    else:
        facts = (_runs if kind == "a folder" else _config)(paths, out, title, console)
    console.say(f"{out}: {facts['what']}")
    console.result({"figure": str(out), **facts})


class _Wishes(NamedTuple):
    """What of the sounds is drawn, and how."""

    rainbowgram: bool
    midi: Path | None
    start_seconds: float
    seconds: float | None


def _kind(path: Path) -> str:
    """What a path is taken for, as `wavegen info` does."""
    if path.is_dir():
        return "a folder"
    is_name = not path.exists() and path.parent == Path() and not path.suffix
    return "a config" if is_name or path.suffix == ".toml" else "a sound"


def _runs(paths: list[Path], out: Path, title: str, console: Console) -> dict[str, Any]:
    """Draws what trainings wrote down."""
    from wavegen.evaluation.figures import curves, plots

    for number, path in enumerate(paths):
        if path.resolve() in {other.resolve() for other in paths[:number]}:
            raise WavegenError(f"{path} twice", "each run once")
    plots.write(out, curves.of_runs(list(zip(curves.names(paths), paths, strict=True)), title))
    _warn_of_scales(paths, console)
    if len(paths) == 1:
        return {"what": f"the training of {paths[0]}", "run": str(paths[0])}
    runs = [str(path) for path in paths]
    return {"what": "the trainings of " + ", ".join(runs), "runs": runs}


def _warn_of_scales(paths: list[Path], console: Console) -> None:
    """A bit per sample is another thing at another rate, or of other codes."""
    from wavegen import config as configs

    scales = set()
    for path in paths:
        with contextlib.suppress(WavegenError):  # one that cannot be read is no matter here
            audio = configs.load(path / "config.toml").audio
            scales.add(f"{audio.sample_rate} Hz with {audio.n_codes} codes")
    if len(scales) > 1:
        told = "; ".join(sorted(scales))
        console.warn(f"bits per sample do not compare between all of these runs: {told}")


def _config(paths: list[Path], out: Path, title: str, console: Console) -> dict[str, Any]:
    """Draws what the network of a config hears."""
    from wavegen import config as configs
    from wavegen.evaluation.figures import dilations, plots

    if len(paths) > 1:
        raise WavegenError(f"{len(paths)} configs in one figure", "one")
    (path,) = paths
    config = configs.load(path)
    name = path.absolute().parent.name if path.name == "config.toml" else path.stem  # a run's
    plots.write(out, dilations.figure(config, title or name))
    return {
        "what": f"what the network of {path} hears",
        "config": str(configs.find(path)),
        "receptive_field_samples": config.model.receptive_field,
        "receptive_field_seconds": round(config.receptive_field_seconds, 4),
    }


def _sounds(
    paths: list[Path],
    out: Path,
    wishes: _Wishes,
    title: str,
    console: Console,
) -> dict[str, Any]:
    """Draws sound files, and above them the notes of a score."""
    from wavegen.evaluation.figures import plots

    if len(paths) > plots.MOST:
        raise WavegenError(f"{len(paths)} sounds in one figure", f"at most {plots.MOST}")
    voices = _voices(wishes.midi) if wishes.midi else []
    shown = [_shown(path, wishes, console) for path in paths]
    plots.write(out, plots.figure(shown, title, voices))
    facts: dict[str, Any] = {
        "what": ", ".join(str(path) for path in paths),
        "sounds": [str(path) for path in paths],
        "start_seconds": shown[0].outline.start_seconds,
        "end_seconds": max(each.outline.end_seconds for each in shown),
    }
    if not wishes.midi:
        return facts
    last = max(note.end_seconds for voice in voices for note in voice.notes)
    if wishes.seconds is None and last > facts["end_seconds"] + 1:  # recordings cut a note short
        console.warn(
            f"{wishes.midi} goes on to {last:.1f} s, the sound ends at {facts['end_seconds']:.1f} s"
        )
    return facts | {
        "what": f"{facts['what']} under the notes of {wishes.midi}",
        "midi": str(wishes.midi),
        "notes": sum(len(voice.notes) for voice in voices),
    }


def _shown(path: Path, wishes: _Wishes, console: Console) -> Shown:
    """A sound as the figure wants it; what is silent is told."""
    from wavegen.evaluation.figures import outlines, rainbowgrams
    from wavegen.evaluation.figures.plots import Shown

    stretch = path, wishes.start_seconds, wishes.seconds
    window = outlines.LONG_WINDOW_SECONDS if wishes.midi else outlines.WINDOW_SECONDS
    with console.progress(f"reading {path.name}", "s of sound") as update:
        outline = outlines.read(*stretch, window_seconds=window, progress=update)
    if not max(abs(outline.low.min()), outline.high.max()):
        console.warn(f"{path} is silent there: every sample is 0")
    if not wishes.rainbowgram:
        return Shown(path.name, outline)
    with console.progress(f"reading {path.name} again", "s of sound") as update:
        return Shown(path.name, outline, rainbowgrams.read(*stretch, progress=update))


def _voices(path: Path) -> list[Voice]:
    """The parts of a MIDI file; one without a name is called by its program."""
    from wavegen.evaluation.figures.rolls import Voice
    from wavegen.music import midi, programs

    song = midi.song(path)
    if not any(part.notes for part in song.parts):
        drums = f", but {song.num_drums} on drums" if song.num_drums else ""
        raise WavegenError(f"{path} has no notes{drums}", "a score with at least one")
    return [Voice(part.name or programs.name(part.program), part.notes) for part in song.parts]
