"""`wavegen plot`: how a sound looks, under the notes that it plays; how a training went."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wavegen.cli.console import Console, Json, Quiet
from wavegen.errors import WavegenError

if TYPE_CHECKING:
    from wavegen.evaluation.rolls import Voice

_PICTURES = (".png", ".svg", ".pdf")


def run(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="FILE|RUN", help="Sound files, or a folder made by train."),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE.png|.svg|.pdf", help="The figure.")],
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
    """Draw sounds as waveform and spectrogram, a score as a piano roll, a run as its curves."""
    from wavegen.audio import files

    console = Console(json, quiet)
    if out.suffix.lower() not in _PICTURES:
        raise WavegenError(f"--out {out}", "a name that ends in " + ", ".join(_PICTURES))
    files.make_room(out)  # what cannot be written is not drawn
    if any(path.is_dir() for path in paths):
        if len(paths) > 1:
            raise WavegenError(f"{len(paths)} paths, a folder among them", "one run, or sounds")
        if midi or start is not None or seconds is not None:
            raise WavegenError(
                f"--midi, --start or --seconds with {paths[0]}, a folder", "a sound file"
            )
        facts = _run(paths[0], out, title)
    else:
        facts = _sounds(paths, out, midi, (start or 0.0, seconds), title, console)
    console.say(f"{out}: {facts['what']}")
    console.result({"figure": str(out), **facts})


def _run(path: Path, out: Path, title: str) -> dict[str, Any]:
    """Draws what a training wrote down."""
    from wavegen.evaluation import curves

    if not (path / "metrics.jsonl").is_file():
        raise WavegenError(
            f"{path} holds no metrics.jsonl", "a sound file, or a folder made by `wavegen train`"
        )
    try:
        is_drawn = curves.draw(out, path, title)
    except UnicodeDecodeError:
        raise WavegenError(
            f"{path / 'metrics.jsonl'} is damaged: it is no text", "the file that training wrote"
        ) from None
    if not is_drawn:
        raise WavegenError(
            f"{path / 'metrics.jsonl'} tells of no step", "a run that has begun", "train it further"
        )
    return {"what": f"the training of {path}", "run": str(path)}


def _sounds(
    paths: list[Path],
    out: Path,
    midi: Path | None,
    stretch: tuple[float, float | None],  # start and length, in seconds
    title: str,
    console: Console,
) -> dict[str, Any]:
    """Draws sound files, and above them the notes of a score."""
    from wavegen.evaluation import outlines, plots

    if len(paths) > plots.MOST:
        raise WavegenError(f"{len(paths)} sounds in one figure", f"at most {plots.MOST}")
    voices = _voices(midi) if midi else []
    window = outlines.LONG_WINDOW_SECONDS if midi else outlines.WINDOW_SECONDS
    shown = []
    for path in paths:
        with console.progress(f"reading {path.name}", "s of sound") as update:
            outline = outlines.read(path, *stretch, window_seconds=window, progress=update)
        shown.append(plots.Shown(path.name, outline))
    plots.write(out, plots.figure(shown, title, voices))
    facts: dict[str, Any] = {
        "what": ", ".join(str(path) for path in paths),
        "sounds": [str(path) for path in paths],
        "start_seconds": shown[0].outline.start_seconds,
        "end_seconds": max(each.outline.end_seconds for each in shown),
    }
    if not midi:
        return facts
    last = max(note.end_seconds for voice in voices for note in voice.notes)
    if stretch[1] is None and last > facts["end_seconds"] + 1:  # recordings cut a last note short
        console.warn(
            f"{midi} goes on to {last:.1f} s, the sound ends at {facts['end_seconds']:.1f} s"
        )
    return facts | {
        "what": f"{facts['what']} under the notes of {midi}",
        "midi": str(midi),
        "notes": sum(len(voice.notes) for voice in voices),
    }


def _voices(path: Path) -> list[Voice]:
    """The parts of a MIDI file; one without a name is called by its program."""
    from wavegen.evaluation.rolls import Voice
    from wavegen.music import midi, programs

    song = midi.song(path)
    if not any(part.notes for part in song.parts):
        drums = f", but {song.num_drums} on drums" if song.num_drums else ""
        raise WavegenError(f"{path} has no notes{drums}", "a score with at least one")
    return [Voice(part.name or programs.name(part.program), part.notes) for part in song.parts]
