"""Runs beside each other: what differs between them, and which is best at what."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wavegen import config as configs
from wavegen.evaluation.comparison.rows import Row
from wavegen.evaluation.comparison.runs import Run, Validated, number
from wavegen.evaluation.metrics.words import METRICS

# Parts of a report whose figures are laid side by side; of the first, the model's own.
METRIC_PARTS = (
    ("likelihood",), ("baselines",), ("reconstruction", "model"), ("generated", "model"),
    ("sets", "generated"),
)  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """Runs, all that differs between them, and in a sentence which of them validates best."""

    runs: list[Run]
    rows: list[Row]
    verdict: str
    is_same_data: bool | None  # that they were validated on; None: it cannot be told
    remarks: list[str]

    @property
    def sounds(self) -> dict[str, list[Path | None]]:
        """The newest sounds, one a run, of each kind that two runs or more have."""
        kinds = sorted({kind for run in self.runs for kind in run.sounds})
        found = {kind: [run.sounds.get(kind) for run in self.runs] for kind in kinds}
        return {kind: paths for kind, paths in found.items() if sum(map(bool, paths)) > 1}

    def told(self) -> dict[str, Any]:
        """The facts, for JSON."""
        return {
            "runs": [
                {"name": run.name, "run": str(run.path), "step": run.step} for run in self.runs
            ],
            "verdict": self.verdict,
            "validated_on_the_same": self.is_same_data,
            "remarks": self.remarks,
            "rows": [row.told() for row in self.rows],
            "sounds": {
                kind: [path and str(path) for path in paths] for kind, paths in self.sounds.items()
            },
        }


def of(runs: Sequence[Run]) -> Comparison:
    """The runs beside each other; the order is theirs."""
    same = _is_same_data(runs)
    rows = [*_network(runs), *_configs(runs), *_training(runs, is_comparable=bool(same))]
    remarks = [f"{run.name}: {remark}" for run in runs for remark in run.remarks]
    if all(run.config for run in runs) and not any(row.group == "config" for row in rows):
        remarks.insert(0, "The configs are the same.")
    for split in sorted({split for run in runs for split in run.reports}):
        found, differs = _evaluation(runs, split)
        rows += found
        remarks += [differs] if differs else []
    rows += _environment(runs)
    return Comparison(list(runs), rows, _verdict(runs, same), same, remarks)


def _verdict(runs: Sequence[Run], is_same_data: bool | None) -> str:
    """Which run validates best and by how much, or why that cannot be told."""
    found = {run.name: run.best for run in runs if run.best}
    if not found:
        return "None of the runs has been validated yet."
    if len(found) == 1:
        ((name, best),) = found.items()
        return f"Only {name} has been validated: {_said(best)}."
    if is_same_data is None:
        unknown = [run.name for run in runs if run.best and _validated_on(run) is None]
        return (
            "Which run is best cannot be told: on what recordings it was validated is not known "
            f"of {_listed(unknown)}."
        )
    if not is_same_data:
        return (
            "The runs were not validated on the same data: their bits per sample cannot be "
            f"compared. What differs is {_listed(_differing(runs))}."
        )
    without = [run.name for run in runs if not run.best]
    return _lead(found) + (f" Not validated: {_listed(without)}." if without else "")


def _lead(found: dict[str, Validated]) -> str:
    """Which of several validations is the best, all of the same data; some may be alike."""
    best = min(found.values())
    first = [name for name, each in found.items() if each.bits == best.bits]
    rest = {name: each for name, each in found.items() if each.bits > best.bits}
    verb = "validates best" if len(first) == 1 else "validate alike"
    lead = f"{_listed(first)} {verb} on the same data: {_said(best)}"
    if not rest:
        return f"{lead}."
    second = min(rest, key=lambda name: rest[name])
    return f"{lead}, {rest[second].bits - best.bits:.4f} below {second}."


def _said(validated: Validated) -> str:
    return f"{validated.bits:.4f} bits per sample at step {validated.step}"


def _listed(names: Sequence[str]) -> str:
    *all_but_last, last = names
    return f"{', '.join(all_but_last)} and {last}" if all_but_last else last


def _validated_on(run: Run) -> dict[str, Any] | None:
    """What bits per sample of two validations must share to be comparable; None: not known."""
    if run.config is None or not run.kept.digest:
        return None
    return {
        "the corpus": run.kept.digest,
        "audio.sample_rate": run.config.audio.sample_rate,
        "audio.n_codes": run.config.audio.n_codes,
        "training.validation_seconds": run.config.training.validation_seconds,
    }


def _is_same_data(runs: Sequence[Run]) -> bool | None:
    """Of the runs that were validated; None where it cannot be told of each."""
    found = [_validated_on(run) for run in runs if run.best]
    known = [each for each in found if each is not None]
    if any(each != known[0] for each in known[1:]):
        return False
    return None if len(known) < len(found) or not found else True


def _differing(runs: Sequence[Run]) -> list[str]:
    """Names of what differs in what the runs were validated on."""
    known = [each for run in runs if run.best and (each := _validated_on(run))]
    return [name for name in known[0] if any(each[name] != known[0][name] for each in known)]


def _network(runs: Sequence[Run]) -> list[Row]:
    fields = [run.config and run.config.model.receptive_field for run in runs]
    reaches = [run.config and run.config.receptive_field_seconds for run in runs]
    return [
        Row("network", "parameters", "parameters", [run.kept.parameters for run in runs]),
        Row("network", "receptive_field_samples", "receptive field (samples)", fields),
        Row("network", "receptive_field_seconds", "receptive field", reaches, "s"),
    ]


def _configs(runs: Sequence[Run]) -> list[Row]:
    """The settings that differ."""
    trees = [_flat(configs.to_dict(run.config)) if run.config else {} for run in runs]
    known = [tree for tree in trees if tree]
    return [
        Row("config", key, key, [tree.get(key) for tree in trees])
        for key in (known[0] if known else ())
        if any(tree[key] != known[0][key] for tree in known)
    ]


def _flat(tree: dict[str, Any], path: str = "") -> dict[str, Any]:
    """Nested dicts as one, by `section.key`."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found |= _flat(value, f"{path}{key}.") if isinstance(value, dict) else {path + key: value}
    return found


def _training(runs: Sequence[Run], is_comparable: bool) -> list[Row]:
    better = "lower" if is_comparable else ""

    def row(name: str, title: str, values: Iterable[Any], unit: str = "", better: str = "") -> Row:
        return Row("training", name, title, list(values), unit, better)

    last = [run.validations[-1] if run.validations else None for run in runs]
    best = [run.best for run in runs]
    return [
        row("corpus", "corpus", (run.corpus or None for run in runs)),
        row("corpus_digest", "corpus digest", (run.kept.digest or None for run in runs)),
        row("step", "steps done", (run.step for run in runs)),
        row("checkpoint", "newest checkpoint", (max(run.kept.steps, default=None) for run in runs)),
        row("best_validation", "best validation", (b and b.bits for b in best), "bits", better),
        row("best_validation_step", "at step", (b and b.step for b in best)),
        row("last_validation", "last validation", (v and v.bits for v in last), "bits", better),
        row("last_validation_step", "at step", (v and v.step for v in last)),
        row("seconds", "time in steps", (run.training_seconds for run in runs), "s"),
        row("audio_seconds", "sound learnt from", (run.audio_seconds for run in runs), "s"),
        row("samples_per_second", "rate", (run.samples_per_second for run in runs), "samples/s"),
    ]


def _environment(runs: Sequence[Run]) -> list[Row]:
    """What differs of where they were trained."""
    names = dict.fromkeys(name for run in runs for name in run.environment if name != "corpus")
    rows = []
    for name in names:
        values = [_plain(run.environment.get(name)) for run in runs]
        if any(value != values[0] for value in values):
            rows.append(Row("environment", name, name.replace("_", " "), values))
    return rows


def _plain(value: Any) -> str | None:
    """What environment.json says of something, in words."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {each}" for key, each in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return None if value is None else str(value)


def _evaluation(runs: Sequence[Run], split: str) -> tuple[list[Row], str]:
    """The newest evaluations on a split, and what keeps them from being compared, in words."""
    group, reports = f"evaluation on {split}", [run.reports.get(split, {}) for run in runs]
    subjects = [report.get("subject", {}) for report in reports]
    heard = [_heard(run, subject) for run, subject in zip(runs, subjects, strict=True) if subject]
    settings = [_settings(report) for report in reports if _settings(report)]
    is_same = all(each == heard[0] for each in heard)
    is_asked_alike = is_same and all(each == settings[0] for each in settings)
    rows = [
        Row(group, name, title, [_kind(subject.get(name), kind) for subject in subjects])
        for name, title, kind in (
            ("step", "of step", int), ("data", "data", str), ("recordings", "recordings", int),
        )
    ]  # fmt: skip
    seconds = [number(subject.get("seconds")) for subject in subjects]
    rows.append(Row(group, "seconds", "sound", seconds, "s"))
    for part in METRIC_PARTS:
        parts = [_part(report, part) for report in reports]
        is_marked = is_asked_alike if part[0] in ("generated", "sets") else is_same
        for name, word in METRICS.items():
            values = [number(part.get(name)) for part in parts]
            if any(value is not None for value in values):
                better = word.better if is_marked else ""
                rows.append(Row(group, name, word.title, values, word.unit, better))
    if not is_same:
        return rows, f"The evaluations on {split} heard different data: none is called the best."
    if not is_asked_alike:
        return rows, (
            f"The evaluations on {split} generated by different settings: of what was generated "
            "none is called the best."
        )
    return rows, ""


def _heard(run: Run, subject: dict[str, Any]) -> tuple[Any, ...]:
    """What two evaluations must share to be compared."""
    codes = run.config and run.config.audio.n_codes
    same = ("corpus_digest", "sample_rate", "recordings", "seconds")
    return (codes, *(subject.get(name) for name in same))


def _settings(report: dict[str, Any]) -> dict[str, Any]:
    return _part(report, ("generated", "settings"))


def _part(report: dict[str, Any], path: Sequence[str]) -> dict[str, Any]:
    """What stands there in a report; empty where it does not, or is something else."""
    found: Any = report
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _kind(value: Any, kind: type) -> Any:
    """A value of a file if it is of that kind, else None."""
    return value if isinstance(value, kind) else None
