"""What `prepare` is asked, checked; its sources, looked through; and what is said of nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from wavegen.audio import cleaning as cleanings
from wavegen.audio import files
from wavegen.audio.cleaning import Cleaning
from wavegen.data import layouts, selection
from wavegen.data.report import Report
from wavegen.errors import WavegenError

_REASONS_SHOWN = 5


def check_asked(
    sources: Sequence[str | Path],
    sample_rate: int,
    pitches: tuple[int, int] | None,
    limit: int | None,
    cleaning: Cleaning,
) -> None:
    """Refuses values that make no sense."""
    if not files.LOWEST_RATE <= sample_rate <= files.HIGHEST_RATE:
        raise WavegenError(f"the sample rate is {sample_rate} Hz", "1000 to 384000 Hz")
    if pitches and not 0 <= pitches[0] <= pitches[1] <= 127:
        raise WavegenError(f"the pitches are {pitches[0]}-{pitches[1]}", "LOW-HIGH within 0-127")
    if limit is not None and limit < 1:
        raise WavegenError(f"the limit is {limit}", "at least 1 recording")
    if cleaning.normalize == "loudness":
        cleanings.check_loudness_rate(sample_rate)
    resolved = [Path(source).resolve() for source in sources]
    if len(set(resolved)) < len(resolved):
        raise WavegenError("a source is named twice", "each folder once")


def find(
    sources: Sequence[str | Path],
    layout: str,
    exclude: tuple[Path, ...],
    pitches: tuple[int, int] | None,
    labels: dict[str, tuple[str, ...]],
    limit: int | None,
    looking: Callable[[int], None] | None = None,
) -> tuple[selection.Selection, str]:
    """What is to be read, looking into no folder of `exclude`; the names of the layouts met.

    `looking` is told how many files were found so far: the MIDI of hundreds of hours takes
    minutes to read.
    """
    roots = [Path(source) for source in sources]
    if not roots:
        if layout != "synthetic":
            raise WavegenError("no source was named", "at least one folder of recordings")
        roots = [Path("synthetic")]
    names = [layouts.name_of(root, layout) for root in roots]
    found: list[layouts.Recording | layouts.Dropped | layouts.Ignored] = []
    for root, name in zip(roots, names, strict=True):
        prefix = f"{root.resolve().name}/" if len(roots) > 1 else ""
        for item in layouts.find(root, name, exclude):
            found.append(layouts.renamed(item, prefix))
            if looking:
                looking(len(found))
    return selection.select(found, pitches, labels, limit), "+".join(sorted(set(names)))


def nothing_kept(sources: Sequence[str | Path], report: Report) -> WavegenError:
    """What is said where not one recording could be kept."""
    came = ["no recording could be kept from " + (", ".join(map(str, sources)) or report.layout)]
    came += [f"  {file['name']}: {file['reason']}" for file in report.dropped[:_REASONS_SHOWN]]
    if len(report.dropped) > _REASONS_SHOWN:
        came.append(f"  and {len(report.dropped) - _REASONS_SHOWN} more")
    came += [f"  left out by {name}: {count}" for name, count in report.left_out]
    if report.ignored:
        came.append(f"  files that are no sound: {report.ignored}")
    wanted = "sound files such as WAV, FLAC, OGG, MP3 or AIFF"
    if report.left_out and not report.dropped:
        wanted = "recordings that the filters let through"
    return WavegenError("\n".join(came), wanted)
