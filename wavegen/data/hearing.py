"""What there is to be heard in a split, in a few numbers: see wavegen.heard."""

from __future__ import annotations

import numpy as np

from wavegen.audio import windows
from wavegen.audio.windows import Window
from wavegen.data.items import Split
from wavegen.heard import Heard

RUNS = 100  # spread evenly over the split
RUN_WINDOWS = 8  # that follow each other, so that a silence can be longer than one of them
_RARE = (1, 99)  # percentiles


def measure(split: Split, sample_rate: int) -> Heard:
    """What some windows of a split amount to; the same for the same split."""
    items, starts = _places(split, round(windows.WINDOW_SECONDS * sample_rate))
    found = [
        windows.describe(_samples(split, item, start, sample_rate), sample_rate)
        for item, start in zip(items.tolist(), starts.tolist(), strict=True)
    ]
    sounding = [window for window in found if not window.is_silent] or found
    return Heard(
        rms_dbfs=_range([window.rms_dbfs for window in sounding]),
        flatness=_range([window.flatness for window in sounding]),
        clipped=float(np.percentile([window.clipped for window in found], _RARE[1])),
        repeating=float(np.mean([window.loop_seconds > 0 for window in sounding])),
        silent_seconds=_longest_silence(items, found),
        pitches=_pitches(split),
    )


def _range(values: list[float]) -> tuple[float, float]:
    low, high = np.percentile(values, _RARE).tolist()
    return low, high


def _places(split: Split, size: int) -> tuple[np.ndarray, np.ndarray]:  # items, first samples
    """Windows in runs; a recording's last one is left out where it is less than half there."""
    counts = np.maximum(1, (split.lengths + size // 2) // size)
    ends = np.cumsum(counts)
    firsts = np.linspace(0, max(0, ends[-1] - RUN_WINDOWS), RUNS).round().astype(np.int64)
    places = np.unique((firsts[:, None] + np.arange(RUN_WINDOWS)).clip(max=ends[-1] - 1))
    items = np.searchsorted(ends, places, side="right")
    return items, (places - (ends - counts)[items]) * size


def _samples(split: Split, item: int, start: int, sample_rate: int) -> np.ndarray:
    stop = start + round(windows.WINDOW_SECONDS * sample_rate)
    return split.read(item)[start:stop].astype(np.float32) / np.float32(32767)


def _longest_silence(items: np.ndarray, found: list[Window]) -> float:
    """Seconds of the longest run of silent windows in one recording."""
    longest = run = 0
    before = -1
    for item, window in zip(items.tolist(), found, strict=True):
        run = (run if item == before else 0) + 1 if window.is_silent else 0
        longest, before = max(longest, run), item
    return longest * windows.WINDOW_SECONDS


def _pitches(split: Split) -> dict[str, dict[str, tuple[int, int]]]:
    """Lowest and highest pitch of every value of every label that has notes."""
    of_note = np.repeat(split.label_ids, np.diff(split.note_start), axis=0)  # [notes, labels]
    found: dict[str, dict[str, tuple[int, int]]] = {}
    for column, (name, values) in enumerate(split.vocabulary.labels.items()):
        ids = of_note[:, column]
        pitches = {value: split.pitch[ids == i] for i, value in enumerate(values)}
        found[name] = {
            value: (int(each.min()), int(each.max()))
            for value, each in pitches.items()
            if len(each)
        }
    return found
