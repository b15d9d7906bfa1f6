"""A performance: an arranged song rendered, mixed, mastered, and put out or heard."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wavegen.cli import outlets, words
from wavegen.cli.console import Console

if TYPE_CHECKING:
    import numpy as np

    from wavegen.audio.mastering import Mastering
    from wavegen.model.network import Trained
    from wavegen.music.song import Song
    from wavegen.sampling.arrangement import Arrangement
    from wavegen.sampling.health import Level
    from wavegen.sampling.precision import Choice
    from wavegen.sampling.render import Failed
    from wavegen.sampling.request import Draws

HEADROOM_DB = -9.0  # of what is heard as it is made, before its limiter
LOUDEST = 0.9  # peak of a mix that is not mastered
NAMED = 6  # of what is told in a row; the rest is counted


@dataclass
class Performance:
    """What is to be rendered, and where it goes."""

    trained: Trained
    arrangement: Arrangement
    draws: Draws
    chosen: Choice  # backend and precision
    story: dict[str, Any]
    kind: str
    out: Path | None
    retry: int
    channels: int
    console: Console
    failed: list[Failed] = field(default_factory=list)

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return self.trained.config.audio.sample_rate

    def mixes(self, tracks: list[int] | None = None, hurried: bool = False) -> Iterator[np.ndarray]:
        """The song, [n, tracks, C] float32, with a bar that tells how far it is."""
        from wavegen.sampling import render

        total = self.arrangement.num_samples / self.sample_rate
        with self.console.progress("playing", "s of song", total) as update:
            done = 0
            for mix in render.render(
                self.trained, self.arrangement, self.draws, self.chosen.backend,
                self.chosen.precision, tracks=tracks, channels=self.channels, retry=self.retry,
                hurried=hurried, on_failed=self.failed.append,
            ):  # fmt: skip
                yield mix
                done += len(mix)
                update(done / self.sample_rate)


def write(work: Performance, finish: Mastering, stems: Path | None, song: Song) -> dict[str, Any]:
    """Mixes the song into a file beside, masters it into its place, and tells of it."""
    from wavegen.audio import files, mastering
    from wavegen.sampling.health import Level

    assert work.out is not None
    begin, rate, level = time.monotonic(), work.sample_rate, Level()
    files.make_room(work.out)
    mixed = work.out.with_name(work.out.name + ".mix.wav")
    tracks = sorted({note.track for note in work.arrangement.placed}) if stems else None
    try:
        with ExitStack() as stack:
            opened = lambda path: stack.enter_context(
                files.WavStream(path, rate, "float32", words.fitting(work.story), work.channels)
            )
            stream = opened(mixed)
            paths = _stems(stems, tracks or [], song)
            each = [opened(path) for path in paths]
            for block in work.mixes(tracks):
                whole = block.sum(axis=1)
                stream.write(whole)
                for place, sink in enumerate(each):
                    sink.write(block[:, place])
                level = level.add(whole)
    except BaseException:
        if mixed.is_file() and level.num_samples:
            seconds = level.num_samples / work.channels / rate
            work.console.warn(f"{mixed} holds the first {seconds:.1f} s, mixed and not mastered")
        raise
    if finish.loudness_lufs is None and level.peak > LOUDEST:
        finish = mastering.quieter(finish, level.peak, LOUDEST)
    blocks, facts = mastering.master(
        lambda: iter(files.Frames(mixed)),
        rate,
        level.num_samples // work.channels,
        work.channels,
        finish,
        work.draws.seed,
    )
    done = {name: value for name, value in facts.items() if name != "num_samples"}
    story = words.fitting(work.story | {"mastered": done})
    heard = Level()
    with files.whole(work.out, rate, work.kind, story, work.channels) as stream:
        for block in blocks:
            heard = heard.add(block)
            stream.write(block)
    mixed.unlink()
    told = _told(work, time.monotonic() - begin, heard)
    return told | {"stems": [str(path) for path in paths], "mastered": done}


def _stems(folder: Path | None, tracks: list[int], song: Song) -> list[Path]:
    """A file for each track, named after it."""
    names = {part.track: part.name for part in song.parts if part.name}
    safe = lambda name: "".join(c if c.isalnum() else "_" for c in name).strip("_")
    if folder is None:
        return []
    named = {track: safe(names.get(track, "")) for track in tracks}
    return [
        folder / f"track{track + 1:02d}{'_' if name else ''}{name}.wav"
        for track, name in named.items()
    ]


def play(work: Performance, live: bool) -> dict[str, Any]:
    """The song as it is made, to the sound card or to stdout; and what came of it."""
    from wavegen.audio import limiter, mastering
    from wavegen.sampling.health import Level

    begin, level = time.monotonic(), Level()
    with outlets.opened(
        work.console,
        work.sample_rate,
        work.kind,
        work.out,
        channels=work.channels,
        num_samples=work.arrangement.num_samples,
        live=live,
    ) as outlet:
        sink = outlet.open(work.out or outlets.STDOUT, words.fitting(work.story))
        try:
            mixes = (block.sum(axis=1) for block in work.mixes(hurried=True))
            quiet = mastering.gain(mixes, HEADROOM_DB)
            for block in limiter.limit(quiet, work.sample_rate, mastering.CEILING_DBFS):
                level = level.add(block)
                sink.write(block)
        finally:
            sink.close()
        if work.out is not None:
            outlet.finish(work.out, work.out, [])
    return _told(work, time.monotonic() - begin, level)


def _told(work: Performance, spent: float, level: Level) -> dict[str, Any]:
    """What came of a song, said and told."""
    lasts = work.arrangement.num_samples / work.sample_rate
    console = work.console
    console.note(
        f"{lasts:.1f} s of music in {spent:.1f} s, mixing included: {lasts / spent:.2f}x real time"
    )
    console.say(
        f"{work.out or 'played'}  peak {level.peak_dbfs:.1f} dBFS  RMS {level.rms_dbfs:.1f} dBFS"
    )
    voices = work.arrangement.voices
    for failed in work.failed[:NAMED]:
        kind = failed.kind
        console.warn(
            f"pitch {kind.pitch}, velocity {kind.velocity} of {voices[kind.voice].name}: "
            f"{failed.trouble}"
        )
    if work.failed[NAMED:]:
        console.warn(f"and {len(work.failed) - NAMED} more kinds of notes")
    if work.failed:
        console.warn("try another --seed or --temperature, a higher --retry, or train longer")
    return {
        "file": str(work.out) if work.out else None,
        "notes": len(work.arrangement.placed),
        "distinct_notes": len(work.arrangement.kinds),
        "moved_notes": work.arrangement.moved,
        "left_out_notes": work.arrangement.left_out,
        "seconds": lasts,
        "making_seconds": spent,
        "times_real_time": lasts / spent,
        "peak_dbfs": level.peak_dbfs,
        "rms_dbfs": level.rms_dbfs,
        "failed": [
            failed.kind._asdict() | {"trouble": failed.trouble._asdict()} for failed in work.failed
        ],
    }
