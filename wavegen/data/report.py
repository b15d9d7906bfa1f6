"""What became of every file that `prepare` found, and what all of them are like."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

FORMAT_VERSION = 1
FILE = "report.json"
OFFSET = 0.01  # of full scale; a mean sample beyond is worth a word
PERCENTILES = (5, 50, 95)
_SHOWN = 8  # dropped files, and groups of duplicates, that a table names
_WORDS = 5  # values on one line of it


@dataclass(frozen=True)
class Report:
    """All that report.json says.

    `files` has one dict for each file: `name`, `kept`, and either `reason` or `split`,
    `seconds`, `labels`, what its header said, and what was heard: `peak` (0 to 1),
    `rms_dbfs`, `dc_offset`, `silence` (share), `clipped` and `clipped_runs` (samples at full
    scale, and three or more equal ones in a row), `cleaning` (what was done to it), and
    `same_as` (the first file that holds the same sound, or None).
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

    @property
    def duplicates(self) -> list[list[str]]:
        """Names of files that hold the same sound, sample by sample; all of them were kept."""
        groups: dict[str, list[str]] = {}
        for file in self.kept:
            if file["same_as"] is not None:
                groups.setdefault(file["same_as"], [file["same_as"]]).append(file["name"])
        return list(groups.values())

    @property
    def silence(self) -> float:
        """Share of all that was kept that lies in silent frames."""
        return sum(file["silence"] * file["seconds"] for file in self.kept) / (self.seconds or 1)

    @property
    def rms_dbfs(self) -> dict[str, float]:
        """The 5th, 50th and 95th percentile of the recordings' RMS levels."""
        found = [file["rms_dbfs"] for file in self.kept]
        if not found:
            return {}
        values = np.percentile(found, PERCENTILES)
        return {f"p{p}": round(float(v), 2) for p, v in zip(PERCENTILES, values, strict=True)}

    def count(self, fact: str) -> dict[str, int]:
        """How many kept files have each value of a fact, such as `channels`."""
        counts = Counter(file[fact] for file in self.kept if fact in file)
        return {str(value): counts[value] for value in sorted(counts)}

    def having(self, fact: str, above: float = 0) -> list[dict[str, Any]]:
        """Kept files whose fact is beyond a bound, either way."""
        return [file for file in self.kept if abs(file.get(fact, 0)) > above]

    def totals(self) -> dict[str, Any]:
        """All but the files, as plain lists and dicts for JSON."""
        return {
            "format_version": FORMAT_VERSION,
            "layout": self.layout,
            "sample_rate": self.sample_rate,
            "found": len(self.files) + self.ignored + sum(count for _, count in self.left_out),
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
            "rms_dbfs": self.rms_dbfs,
            "silence": round(self.silence, 4),
            "full_scale_files": len(self.having("clipped")),
            "clipped_files": len(self.having("clipped_runs")),
            "offset_files": len(self.having("dc_offset", OFFSET)),
            "duplicates": self.duplicates,
        }


def write(corpus: Path, report: Report, **more: Any) -> None:
    """Puts report.json into a corpus: totals, then `more`, then every file on a line of its own."""
    path = corpus / FILE
    beside = path.with_name(FILE + ".partial")
    with beside.open("w", encoding="utf-8") as out:
        totals = json.dumps(report.totals() | more, indent=1)
        out.write(totals.removesuffix("\n}") + ',\n "files": [')
        between = ""
        for file in report.files:  # one by one: a data set has hundreds of thousands
            out.write(f"{between}\n  {json.dumps(file)}")
            between = ","
        out.write("\n ]\n}\n")
    os.replace(beside, path)


def summary(report: Report) -> list[tuple[str, str]]:
    """A table for people: what, and how much of it."""
    rows = [
        ("layout", report.layout),
        ("kept", f"{_recordings(report.kept)}, {_duration(report.seconds)}"),
        ("dropped", str(len(report.dropped))),
        *_some([f"{file['name']}: {file['reason']}" for file in report.dropped]),
        ("not sound", f"{report.ignored} by their endings, not opened"),
    ]
    rows += [(f"left out by {name}", str(count)) for name, count in report.left_out]
    for name, split in report.splits.items():
        rows.append((f"split {name}", f"{split['recordings']:.0f}, {_duration(split['seconds'])}"))
    for name, counts in report.labels.items():
        rows.append((f"label {name}", f"{len(counts)}: {_counts(counts)}"))
    if not report.kept:  # as in a part of a data set
        return rows
    rows += [
        ("sample rate", f"{report.sample_rate} Hz, from " + _counts(report.count("sample_rate"))),
        ("channels", _counts(report.count("channels"))),
        ("formats", _counts(report.count("format"))),
    ]
    return rows + _heard(report)


def _heard(report: Report) -> list[tuple[str, str]]:
    levels = ", ".join(f"{level:.1f}" for level in report.rms_dbfs.values())
    rows = [
        ("loudness", f"{levels} dBFS RMS (5th, 50th, 95th percentile)"),
        ("silence", f"{100 * report.silence:.1f} % of the time, frames below -60 dBFS"),
    ]
    if at := report.having("clipped"):
        samples = sum(file["clipped"] for file in at)
        rows.append(("full scale", f"reached by {_recordings(at)}, in {samples} samples"))
    if flat := report.having("clipped_runs"):
        runs, worst = sum(file["clipped_runs"] for file in flat), _worst(flat, "clipped_runs")
        rows.append(("clipped", f"{_recordings(flat)}, flat there {runs} times, most {worst}"))
    if short := report.having("missing_frames"):
        worst = _worst(short, "missing_frames")
        rows.append(("cut short", f"{_recordings(short)}, of what is announced, most {worst}"))
    if offset := report.having("dc_offset", OFFSET):
        worst = _worst(offset, "dc_offset")
        rows.append(("DC offset", f"{_recordings(offset)} beyond {OFFSET:g}, most {worst}"))
        rows.append(("", "--highpass takes it out"))
    if report.duplicates:
        rows.append(("the same sound", f"{len(report.duplicates)} times, all kept"))
        rows += _some([_shortened(names, " = ") for names in report.duplicates])
    return rows


def _recordings(files: list[dict[str, Any]]) -> str:
    return f"{len(files)} recording" + "s" * (len(files) != 1)


def _worst(files: list[dict[str, Any]], fact: str) -> str:
    return max(files, key=lambda file: abs(file[fact]))["name"]


def _some(lines: list[str]) -> list[tuple[str, str]]:
    """Rows without a name, for the first few."""
    rows = [("", line) for line in lines[:_SHOWN]]
    if len(lines) > _SHOWN:
        rows.append(("", f"and {len(lines) - _SHOWN} more, in {FILE}"))
    return rows


def _shortened(words: list[str], between: str = ", ") -> str:
    more = f" and {len(words) - _WORDS} more" if len(words) > _WORDS else ""
    return between.join(words[:_WORDS]) + more


def _counts(counts: dict[str, int]) -> str:
    """The commonest values with their counts."""
    common = sorted(counts.items(), key=lambda item: -item[1])
    return _shortened([f"{value} ({count})" for value, count in common])


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.2f} h"
