"""What a run folder tells of itself: its config, training, evaluations and sounds."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from wavegen import config as configs
from wavegen.config import Config
from wavegen.errors import WavegenError
from wavegen.evaluation import report
from wavegen.training import folder, journal

_SAMPLE = re.compile(r"step_([0-9]+)_(.+)\.wav")


class Kept(NamedTuple):
    """What the checkpoints of a run tell; who opens them hands it over."""

    steps: Sequence[int] = ()  # oldest first
    config: Config | None = None
    parameters: int | None = None
    corpus: str = ""  # where it lay
    digest: str = ""  # stands for what it holds; empty where the run does not tell
    remarks: Sequence[str] = ()  # on what of them could not be read


class Validated(NamedTuple):
    """Bits per sample of a validation, and the step of it."""

    bits: float
    step: int


@dataclass(frozen=True)
class Run:
    """A run as far as it can be read; `remarks` say what could not."""

    name: str
    path: Path
    kept: Kept
    config: Config | None
    environment: dict[str, Any]
    entries: list[dict[str, Any]]  # of metrics.jsonl
    reports: dict[str, dict[str, Any]]  # by split: the evaluation of the newest step
    remarks: list[str] = field(default_factory=list)

    @property
    def step(self) -> int | None:
        """The last step that it tells of."""
        return max([*self.kept.steps, *(entry["step"] for entry in self.entries)], default=None)

    @property
    def corpus(self) -> str:
        """Where the corpus lay that it is trained on."""
        return self.kept.corpus or str(self.environment.get("corpus") or "")

    @property
    def curve(self) -> list[tuple[int, float]]:
        """Steps, and bits per sample of the batches there."""
        return _numbers(self.entries, "bits_per_sample")

    @property
    def validations(self) -> list[Validated]:
        """All validations, oldest first."""
        name = "validation_bits_per_sample"
        return [Validated(bits, step) for step, bits in _numbers(self.entries, name)]

    @property
    def best(self) -> Validated | None:
        """The best validation; of equal ones the first."""
        return min(self.validations, default=None)

    @property
    def training_seconds(self) -> float | None:
        """How long its steps took; validations, checkpoints and compiling do not count."""
        total, before = 0.0, 0
        for entry in self.entries:
            rate = number(entry.get("steps_per_second"))
            if rate:
                total += max(0, entry["step"] - before) / rate
            before = entry["step"]
        return total or None

    @property
    def samples_per_second(self) -> float | None:
        """Samples that it learnt from in a second: the median of its log lines."""
        rates = [rate for _, rate in _numbers(self.entries, "samples_per_second")]
        return float(np.median(rates)) if rates else None

    @property
    def audio_seconds(self) -> float | None:
        """Sound that it has learnt from so far."""
        hours = [hours for _, hours in _numbers(self.entries, "audio_hours")]
        return 3600 * hours[-1] if hours else None

    @property
    def sounds(self) -> dict[str, Path]:
        """The newest sound of samples/ of each kind, such as "t0.95_seed0"."""
        newest: dict[str, tuple[int, Path]] = {}
        for path in sorted((self.path / "samples").glob("step_*.wav")):
            if match := _SAMPLE.fullmatch(path.name):
                step, kind = int(match[1]), match[2]
                newest[kind] = max(newest.get(kind, (-1, path)), (step, path))
        return {kind: path for kind, (_, path) in newest.items()}


def check(paths: Sequence[Path]) -> None:
    """Refuses what cannot be laid side by side: a run alone or twice, a folder that is none."""
    for path in paths:
        if not path.is_dir():
            what = "is a file" if path.exists() else "does not exist"
            raise WavegenError(f"{path} {what}", "a folder that `wavegen train` wrote")
        if not ((path / folder.CONFIG).is_file() or (path / "checkpoints").is_dir()):
            what = "a corpus" if (path / "manifest.json").is_file() else "a folder"
            raise WavegenError(
                f"{path} is {what}, but no run: it holds neither {folder.CONFIG} nor checkpoints/",
                "a folder that `wavegen train` wrote",
            )
    if len(paths) < 2:
        raise WavegenError(
            f"only one run: {paths[0]}", "two or more", "see `wavegen info` for what one run is"
        )
    places = [path.resolve() for path in paths]
    for place, path in zip(places, paths, strict=True):
        if places.count(place) > 1:
            raise WavegenError(f"{path} was given twice", "each run once")


def read(name: str, path: Path, kept: Kept) -> Run:
    """The run in a folder, under a name; what cannot be read is left out and remarked on."""
    remarks = list(kept.remarks)
    config = _config(path, kept, remarks)
    environment = _object(path / folder.ENVIRONMENT, remarks)
    entries = _entries(path / folder.METRICS, remarks)
    reports = _reports(path / "evaluation", remarks)
    if not kept.steps:
        remarks.append("it has no checkpoint")
    return Run(name, path, kept, config, environment, entries, reports, remarks)


def number(value: Any) -> float | None:
    """A value of a file if it is a finite number, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def _numbers(entries: list[dict[str, Any]], name: str) -> list[tuple[int, float]]:
    """The steps at which something was told as a number, and the number."""
    found = ((entry["step"], number(entry.get(name))) for entry in entries)
    return [(step, value) for step, value in found if value is not None]


def _config(path: Path, kept: Kept, remarks: list[str]) -> Config | None:
    """That of config.toml; else that of the newest checkpoint."""
    if not (path / folder.CONFIG).is_file():
        return kept.config
    try:
        return configs.load(path / folder.CONFIG)
    except WavegenError as error:
        remarks.append(error.came)
        return kept.config


def _entries(path: Path, remarks: list[str]) -> list[dict[str, Any]]:
    try:
        entries = journal.read(path)
    except (OSError, UnicodeDecodeError):
        remarks.append(f"{path.name} is damaged: it is no text")
        return []
    if not entries:
        remarks.append(f"{path.name} tells of no step" if path.exists() else f"no {path.name}")
        return []
    lost = len(path.read_text(encoding="utf-8").splitlines()) - len(entries)
    if lost > 1:  # a kill cuts one short
        remarks.append(f"{lost} lines of {path.name} are damaged and were passed over")
    return entries


def _reports(evaluations: Path, remarks: list[str]) -> dict[str, dict[str, Any]]:
    """By split, the evaluation of the newest step; of several of one step the one made last."""
    newest: dict[str, tuple[int, str, dict[str, Any]]] = {}
    for path in sorted(evaluations.glob("*/report.json")):
        told = _object(path, remarks)
        subject = told.get("subject")
        if not told or not isinstance(subject, dict) or subject.get("kind") != "run":
            continue
        version, step = told.get("format_version"), subject.get("step")
        if not isinstance(version, int) or version > report.FORMAT_VERSION:
            remarks.append(
                f"{_near(path)} has format version {version}; {report.FORMAT_VERSION} is known"
            )
            continue
        split, made = str(subject.get("split", "")), str(told.get("made", ""))
        age = (step if isinstance(step, int) else -1, made)
        if split not in newest or age >= newest[split][:2]:
            newest[split] = (*age, told)
    return {split: told for split, (*_, told) in sorted(newest.items())}


def _object(path: Path, remarks: list[str]) -> dict[str, Any]:
    """The JSON object in a file; empty where it is none, or not there."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):  # no text is a ValueError too
        told = None
    if not isinstance(told, dict):
        remarks.append(f"{_near(path)} is damaged")
        return {}
    return told


def _near(path: Path) -> str:
    """A file of a run as its remarks call it: of several reports, with its folder."""
    return f"{path.parent.name}/{path.name}" if path.name == "report.json" else path.name
