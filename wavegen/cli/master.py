"""`wavegen master`: sound files mixed and made fit to be heard, as one file."""

from __future__ import annotations

import json as json_module
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wavegen.cli.console import Console, Json, Quiet, Update, duration, table
from wavegen.errors import WavegenError

if TYPE_CHECKING:
    import numpy as np

    from wavegen.audio.files import Frames
    from wavegen.audio.mastering import Mastering

    Blocks = Iterator[np.ndarray]

FORMATS = ("wav16", "wav24", "float32", "flac")
_MISSED_LU = 0.3  # a loudness that is so far from the one asked for is said
_CLIPPED_DB = 0.001  # over full scale; dither alone may go a step of 16 bits over


def run(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="IN... OUT",
            help="Sound files, mixed if there are several; then the .wav or .flac to write.",
        ),
    ],
    gain: Annotated[
        list[str] | None,
        typer.Option(metavar="DB", help="Make the sound so much louder; one for each of several."),
    ] = None,
    remove_dc: Annotated[
        bool, typer.Option("--remove-dc", help="Take out what lies below 20 Hz, as an offset does.")
    ] = False,
    reverb: Annotated[
        float | None, typer.Option(metavar="DB", help="Add a room at this level, such as -18.")
    ] = None,
    reverb_seconds: Annotated[
        float | None,
        typer.Option(help="Until that room has fallen silent.", show_default="1.2"),
    ] = None,
    fade_in: Annotated[float, typer.Option(metavar="S", help="Seconds of a fade-in.")] = 0.0,
    fade_out: Annotated[float, typer.Option(metavar="S", help="Seconds of a fade-out.")] = 0.0,
    loudness: Annotated[
        float | None,
        typer.Option(metavar="LUFS", help="Make it this loud, such as -16; limits to -1 dBFS."),
    ] = None,
    limit: Annotated[
        float | None, typer.Option(metavar="DBFS", help="Let no peak go above this, such as -1.")
    ] = None,
    dither: Annotated[
        bool, typer.Option("--dither", help="Add the noise that hides rounding to 16 bits.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of the dither's noise.")] = 0,
    format: Annotated[
        str | None, typer.Option(help="wav16, wav24, float32 or flac; by OUT, else wav16.")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Mix and master sound files: only what is asked for, in the order of the options below.

    OUT may be one of the inputs: it is replaced when all is done, and not before.
    """
    from wavegen.audio import files, room
    from wavegen.audio.mastering import Mastering

    console = Console(json, quiet)
    if len(paths) < 2:
        raise typer.BadParameter("the file to write is missing: wavegen master IN... OUT")
    *sources, out = paths
    kind = _format(format, out)
    if dither and kind in ("wav24", "float32"):
        raise WavegenError(f"--dither with {kind}", "16 bits, wav16 or flac: others need none")
    if reverb_seconds is not None and reverb is None:
        raise WavegenError("--reverb-seconds without --reverb", "--reverb DB, such as -18")
    gains = _gains(gain or [], len(sources))
    alone = len(sources) == 1  # its gain is a step of mastering, not a share in a mix
    asked = Mastering(
        remove_dc=remove_dc,
        gain_db=gains[0] if alone else 0.0,
        reverb_db=reverb,
        reverb_seconds=room.SECONDS if reverb_seconds is None else reverb_seconds,
        fade_in_seconds=fade_in,
        fade_out_seconds=fade_out,
        loudness_lufs=loudness,
        limit_dbfs=limit,
        dither=dither,
    )
    files.make_room(out)
    tracks = [files.Frames(source) for source in sources]
    shares = [0.0] if alone else gains
    console.result(_master(tracks, shares, asked, seed, out, kind, console))


def _master(
    tracks: list[Frames],
    gains: list[float],
    asked: Mastering,
    seed: int,
    out: Path,
    kind: str,
    console: Console,
) -> dict[str, Any]:
    """Walks through the mix, first to hear it, then to master it; says what came of it."""
    from wavegen.audio import files, mastering
    from wavegen.audio.loudness import Measure

    rate, channels = tracks[0].sample_rate, _channels(tracks)
    seconds = max(track.num_frames / track.sample_rate for track in tracks)
    for track in tracks[1:]:
        if track.sample_rate != rate:
            console.note(f"{track.path}: from {track.sample_rate} to {rate} Hz, as the first file")
    before, after = Measure(rate, channels), Measure(rate, channels)
    # What cannot be read to its end is refused here, and how long it is needs no header's word.
    with console.progress("listening", "s of sound", seconds) as update:
        heard = _followed(lambda: _mix(tracks, gains, channels), rate, update)
        for _ in before.through(heard()):
            pass
    passes = asked.num_passes * before.num_samples / rate
    with console.progress("mastering", "s of sound", passes) as update:
        again = _followed(lambda: _mix(tracks, gains, channels), rate, update)
        blocks, facts = mastering.master(again, rate, before.num_samples, channels, asked, seed)
        story = _story(tracks, gains, facts | ({"seed": seed} if asked.dither else {}), console)
        with files.whole(out, rate, kind, story, channels) as stream:
            for block in after.through(blocks):
                stream.write(block)
    told = {"before": before.facts(), "after": after.facts()}
    console.say(table([(name, _words(measured)) for name, measured in told.items()]))
    console.say(f"wrote {out}")
    _judge(told["after"], facts, kind, console)
    about = {"file": str(out), "format": kind, "sample_rate": rate, "channels": channels}
    return about | facts | told


def _mix(tracks: list[Frames], gains: list[float], channels: int) -> Blocks:
    """The sum of the files from their start, at the rate of the first."""
    from wavegen.audio import blocks, mastering

    alike = [
        track
        if track.sample_rate == tracks[0].sample_rate
        else blocks.resample(track, track.sample_rate, tracks[0].sample_rate)
        for track in tracks
    ]
    return mastering.mix([blocks.spread(track, channels) for track in alike], gains)


def _followed(open_mix: Callable[[], Blocks], rate: int, update: Update) -> Callable[[], Blocks]:
    """`open_mix`, whose blocks move a bar on; it goes on from pass to pass."""
    done = 0

    def follow() -> Blocks:
        nonlocal done
        for block in open_mix():
            yield block
            done += len(block)
            update(done / rate)

    return follow


def _channels(tracks: list[Frames]) -> int:
    """Two where any file has two: a mono one then sounds on both."""
    for track in tracks:
        if track.channels > 2:
            raise WavegenError(f"{track.path} has {track.channels} channels", "one or two")
    return max(track.channels for track in tracks)


def _gains(words: list[str], count: int) -> list[float]:
    """One gain in dB for each file; none at all where none was asked for."""
    texts = [text for word in words for text in word.split(",")]
    gains = []
    for text in texts:
        try:
            gains.append(float(text))
        except ValueError:
            raise WavegenError(f"--gain {text}", "decibels, such as -6") from None
        if not -120 <= gains[-1] <= 120:
            raise WavegenError(f"--gain {text}", "-120 to 120 dB")
    if gains and len(gains) != count:
        raise WavegenError(
            f"--gain {','.join(texts)}: {len(gains)} for {count} files",
            "one for each file to be mixed, in their order; 0 changes nothing",
        )
    return gains or [0.0] * count


def _format(format: str | None, out: Path) -> str:
    kind = format or ("flac" if out.suffix.lower() == ".flac" else "wav16")
    if kind not in FORMATS:
        raise WavegenError(f"--format {kind}", "one of: " + ", ".join(FORMATS))
    suffix = ".flac" if kind == "flac" else ".wav"
    if out.suffix.lower() != suffix:
        raise WavegenError(
            f"{out}, the last name, is the file to write; it does not go with {kind}",
            f"a name that ends in {suffix}",
        )
    return kind


def _story(
    tracks: list[Frames], gains: list[float], facts: dict[str, Any], console: Console
) -> dict[str, Any]:
    """What the file says of itself: how its sound was made before, and what was done now."""
    from wavegen.audio import files

    done = {name: value for name, value in facts.items() if name != "num_samples"}
    if len(tracks) == 1:
        was = tracks[0].provenance or {}
        earlier = was.get("mastered", [])
        full = was | {"mastered": [*earlier, done] if isinstance(earlier, list) else [done]}
        shorter = [{"mastered": [done]}]
    else:
        pairs = list(zip(tracks, gains, strict=True))
        mixed = [{"file": track.path.name, "gain_db": gain} for track, gain in pairs]
        made = [{"made": track.provenance} if track.provenance else {} for track in tracks]
        whole = [name | how for name, how in zip(mixed, made, strict=True)]
        full = {"mix": whole, "mastered": [done]}
        shorter = [{"mix": mix, "mastered": [done]} for mix in (mixed, len(tracks))]
    fits = [
        story for story in (full, *shorter) if len(json_module.dumps(story)) <= files.MAX_PROVENANCE
    ]
    if fits[0] is not full:
        console.note("how the sound was made is too long to be told whole in the file")
    return fits[0]


def _words(measured: dict[str, float | None]) -> str:
    said = f"{duration(measured['seconds'] or 0.0)}, peak {measured['peak_dbfs']:.1f} dBFS"
    lufs = measured["lufs"]
    return said if lufs is None else f"{said}, {lufs:.1f} LUFS"


def _judge(
    after: dict[str, float | None], facts: dict[str, Any], kind: str, console: Console
) -> None:
    """Says where the sound is not what was asked for."""
    peak, lufs, target = after["peak_dbfs"], after["lufs"], facts.get("loudness_lufs")
    if facts.get("silent"):
        console.warn("all of it is below -70 LUFS: silence has no loudness, and got no gain")
    elif target is not None and lufs is not None and abs(lufs - target) > _MISSED_LU:
        console.warn(
            f"{lufs:.1f} LUFS instead of {target:g}: the limiter took off the peaks that more needs"
        )
    if kind != "float32" and peak is not None and peak > _CLIPPED_DB:
        console.warn(f"peaks went {peak:.1f} dB over full scale and were clipped; ask for --limit")
