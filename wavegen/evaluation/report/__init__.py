"""What an evaluation found, as report.json for machines and report.html for people."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from wavegen.evaluation import pages
from wavegen.evaluation.figures import charts, plots
from wavegen.evaluation.metrics.measures import told
from wavegen.evaluation.report import clips, tables
from wavegen.evaluation.report.sentences import lead, title
from wavegen.evaluation.report.tables import Table

FORMAT_VERSION = 1
JSON, PAGE = "report.json", "report.html"
SOUNDS = "sounds"  # folder beside them
EXTREMES = 5  # recordings that are named at either end

Facts = Mapping[str, Any]
Chart = tuple[str, str, str]  # data URI, what it shows to who does not see it, and its caption


def write(folder: Path, facts: Facts) -> Path:
    """Writes report.json and, beside it, report.html that needs nothing else; the page's path.

    Numbers that are none stand in the file as null, with the reason. Sounds that the facts name
    lie in the folder already. Raises WavegenError where it cannot be written to.
    """
    plain = told(facts)
    page = html(folder, plain)
    pages.write(folder / JSON, json.dumps(plain, indent=1, allow_nan=False) + "\n")
    pages.write(folder / PAGE, page)
    return folder / PAGE


def html(folder: Path, facts: Facts) -> str:
    """The page of such facts as report.json holds; any section may be absent."""
    reasons = facts.get("not_applicable", {})
    return pages.render(
        "report.html.j2",
        version=facts.get("version", ""),
        made=facts.get("made", ""),
        title=title(facts),
        lead=lead(facts),
        remarks=facts.get("remarks") or [],
        unmeasured=[(name, why) for name, why in reasons.items() if "." not in name],
        metrics=list(summaries(facts)),
        charts=list(_charts(facts)),
        recordings=list(_recordings(facts)),
        clips=list(_clips(folder, facts)),
        every_clip=_every_clip(facts),
        settings=list(_settings(facts)),
    )


def summaries(facts: Facts) -> Iterator[Table]:
    """A table for each part that was measured, of facts as report.json holds them."""
    made = (
        tables.of_metrics(facts, "What the model knows", {"likelihood": "model"}),
        tables.of_metrics(facts, "What is known without a model", {"baselines": "bits per sample"}),
        tables.of_metrics(
            facts,
            "Next samples guessed from the true past",
            {"reconstruction.model": "model", "reconstruction.mu_law": "mu-law coding alone"},
            "The coding alone is what who knew each code would guess; a mean of several codes may "
            "come a little nearer.",
        ),
        tables.of_metrics(
            facts,
            "What it plays",
            {"generated.model": "model", "generated.real": "recordings"},
            "The recordings are measured by the same meter: what it says of them is its own error.",
        ),
        _sets(facts),
        tables.of_metrics(facts, "The estimate beside the reference", {"pair": "mean over pairs"}),
        _precisions(facts),
    )
    yield from filter(None, made)


def _sets(facts: Facts) -> Table | None:
    if _part(facts, "subject").get("kind") == "sounds":
        heading = "All of the estimate, as a set beside the reference"
        return tables.of_metrics(facts, heading, {"sets.generated": "estimate"})
    return tables.of_metrics(
        facts,
        "All that it plays, as a set",
        {"sets.generated": "model", "sets.real": "recordings"},
        "Both that and the recordings it was asked to play, beside other held-back recordings.",
    )


def _precisions(facts: Facts) -> Table | None:
    entries = _entries(facts.get("precisions"), "precisions.")
    return tables.of_single(facts, "What coarser arithmetic costs", "precision", entries)


def _charts(facts: Facts) -> Iterator[Chart]:
    """The figures that there are numbers for."""
    likelihood, bits = _part(facts, "likelihood"), _bits(facts)
    trivial = _baselines(facts)
    if trivial:
        yield _chart(
            charts.bars(trivial, "this model"),
            "Bits per sample beside trivial models",
            "Lower is better. Baselines know next to nothing of sound; a model earns its keep "
            "below the lowest of them.",
        )
    for label, values in (likelihood.get("by_label") or {}).items():
        figure = charts.bits_by_label(values, bits)
        if figure:
            yield _chart(
                figure,
                f"Bits per sample by {label.replace('_', ' ')}",
                "Lower is better. Lines are 95 % intervals: how far chance could move a dot.",
            )
    drawn = {name: likelihood.get(name) for name in ("calibration", "pit")}
    figure = charts.reliability(drawn["calibration"]) if drawn["calibration"] else None
    if figure:
        yield _chart(
            figure,
            "Is it as often right as it is sure?",
            "Dots below the dashed line: it is surer than it should be.",
        )
    figure = charts.pit(drawn["pit"]) if drawn["pit"] else None
    if figure:
        yield _chart(
            figure,
            "Are its distributions as wide as they should be?",
            "Flat is right; a hump says that they are too wide, a bowl that they are too narrow.",
        )


def _chart(figure: Any, name: str, caption: str) -> Chart:
    return pages.data_uri(plots.svg(figure), ".svg"), name, caption


def _baselines(facts: Facts) -> list[tuple[str, float]]:
    """Names and bits, with this model's own among them, from the dearest down."""
    known = [
        (tables.word(name).title, bits)
        for name, bits in _part(facts, "baselines").items()
        if isinstance(bits, int | float)
    ]
    bits = _bits(facts)
    if known and bits is not None:
        known.append(("this model", bits))
    return sorted(known, key=lambda pair: -pair[1])


def _bits(facts: Facts) -> float | None:
    return _part(facts, "likelihood").get("bits_per_sample")


def _recordings(facts: Facts) -> Iterator[Table]:
    """Labels in numbers, the recordings at both ends, and pairs of sounds."""
    likelihood = _part(facts, "likelihood")
    for label, values in (likelihood.get("by_label") or {}).items():
        entries = _entries(values, f"likelihood.by_label.{label}.")
        name = label.replace("_", " ")
        table = tables.of_single(facts, f"By {name}", name, entries)
        if table:
            yield table
    every = [
        (str(each.get("name", i)), f"likelihood.by_recording[{i}]", each)
        for i, each in enumerate(likelihood.get("by_recording") or ())
    ]
    known = sorted(
        (entry for entry in every if entry[2].get("bits_per_sample") is not None),
        key=lambda entry: entry[2]["bits_per_sample"],
    )
    parts = {"Recordings": known}
    if len(known) > 2 * EXTREMES:
        parts = {
            "Foretold best": known[:EXTREMES],
            "Foretold worst": known[: -EXTREMES - 1 : -1],
        }
    parts["Pairs"] = [
        (str(each.get("name", i)), f"pairs[{i}]", each)
        for i, each in enumerate(facts.get("pairs") or ())
    ]
    for heading, entries in parts.items():
        table = tables.of_single(facts, heading, "name", entries)
        if table:
            yield table


def _clips(folder: Path, facts: Facts) -> Iterator[clips.Clip]:
    reasons = facts.get("not_applicable", {})
    generated = _part(facts, "generated").get("clips") or ()
    yield from clips.of(folder, generated, "generated.clips", reasons)
    yield from clips.of(folder, facts.get("pairs") or (), "pairs", reasons)


def _every_clip(facts: Facts) -> Table | None:
    entries = [
        (str(each.get("name", i)), f"generated.clips[{i}]", each)
        for i, each in enumerate(_part(facts, "generated").get("clips") or ())
    ]
    return tables.of_single(facts, "All clips in numbers", "clip", entries)


def _settings(facts: Facts) -> Iterator[Table]:
    made = (
        tables.of_settings("What was measured", _without(_part(facts, "subject"), "kind")),
        tables.of_settings("How the clips were made", _part(_part(facts, "generated"), "settings")),
    )
    yield from filter(None, made)


def _part(facts: Facts, name: str) -> Facts:
    """A section; empty where it was not measured, or is not applicable as a whole."""
    return facts.get(name) or {}


def _without(facts: Facts, name: str) -> Facts:
    return {key: value for key, value in facts.items() if key != name}


def _entries(values: Facts | None, path: str) -> list[tuple[str, str, Facts]]:
    return [(name, path + name, each or {}) for name, each in (values or {}).items()]
