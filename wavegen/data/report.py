"""What became of every file that `prepare` found."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Report:
    """All that report.json says.

    `files` has one dict for each file: `name`, `kept`, and either `reason` or `split`,
    `seconds`, `peak` (0 to 1), `rms_dbfs`, `labels` and what its header said.
    """

    layout: str
    sample_rate: int  # Hz, of the corpus
    files: tuple[dict[str, Any], ...]
    ignored: int = 0  # files that are no sound, such as texts
    left_out: tuple[tuple[str, int], ...] = ()  # filter and how many recordings it left out

    @property
    def kept(self) -> list[dict[str, Any]]:
        """The files that became part of the corpus."""
        return [file for file in self.files if file["kept"]]

    @property
    def dropped(self) -> list[dict[str, Any]]:
        """The files that could not be used, each with its `reason`."""
        return [file for file in self.files if not file["kept"]]

    @property
    def seconds(self) -> float:
        """Duration of all that was kept."""
        return sum(file["seconds"] for file in self.kept)

    @property
    def splits(self) -> dict[str, dict[str, float]]:
        """`recordings` and `seconds` of each split."""
        splits: dict[str, dict[str, float]] = {}
        for file in self.kept:
            split = splits.setdefault(file["split"], {"recordings": 0, "seconds": 0.0})
            split["recordings"] += 1
            split["seconds"] += file["seconds"]
        return dict(sorted(splits.items()))

    @property
    def labels(self) -> dict[str, dict[str, int]]:
        """How many recordings carry each value of each label."""
        counts: dict[str, Counter[str]] = {}
        for file in self.kept:
            for name, value in file["labels"].items():
                counts.setdefault(name, Counter())[value] += 1
        return {name: dict(sorted(counts[name].items())) for name in sorted(counts)}

    def count(self, fact: str) -> dict[str, int]:
        """How many kept files have each value of a fact, such as `channels`."""
        counts = Counter(str(file[fact]) for file in self.kept if fact in file)
        return dict(sorted(counts.items()))

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and dicts for JSON: totals first, then every file."""
        return {
            "format_version": FORMAT_VERSION,
            "layout": self.layout,
            "sample_rate": self.sample_rate,
            "kept": len(self.kept),
            "dropped": len(self.dropped),
            "ignored": self.ignored,
            "left_out": dict(self.left_out),
            "seconds": round(self.seconds, 3),
            "hours": round(self.seconds / 3600, 4),
            "splits": self.splits,
            "labels": self.labels,
            "sample_rates_met": self.count("sample_rate"),
            "channels_met": self.count("channels"),
            "formats_met": self.count("format"),
            "clipped_files": sum(file.get("clipped", 0) > 0 for file in self.kept),
            "files": list(self.files),
        }


def summary(report: Report) -> list[tuple[str, str]]:
    """A table for people: what, and how much of it."""
    rows = [
        ("layout", report.layout),
        ("kept", f"{len(report.kept)} recordings, {_duration(report.seconds)}"),
        ("dropped", _dropped(report)),
        ("no sound files", str(report.ignored)),
    ]
    rows += [(f"left out by {name}", str(count)) for name, count in report.left_out]
    for name, split in report.splits.items():
        rows.append((f"split {name}", f"{split['recordings']:.0f}, {_duration(split['seconds'])}"))
    for name, counts in report.labels.items():
        values = list(counts)
        more = ", ..." if len(values) > 5 else ""
        rows.append((f"label {name}", f"{len(values)}: " + ", ".join(values[:5]) + more))
    met = report.count("sample_rate")
    rows.append(("sample rate", f"{report.sample_rate} Hz, from " + ", ".join(met)))
    clipped = sum(file.get("clipped", 0) > 0 for file in report.kept)
    if clipped:
        rows.append(("clipped", f"{clipped} recordings went beyond full scale"))
    return rows


def _dropped(report: Report) -> str:
    if not report.dropped:
        return "0"
    first = report.dropped[0]
    return f"{len(report.dropped)}, such as {first['name']}: {first['reason']}"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.2f} h"
