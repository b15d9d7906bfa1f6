"""What a report says in plain words, before any table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from wavegen.evaluation.report import tables
from wavegen.evaluation.report.tables import SPACE

Facts = Mapping[str, Any]  # as report.json holds them: None where there is no number


def title(facts: Facts) -> str:
    """What was measured."""
    subject = facts.get("subject") or {}
    if subject.get("kind") == "sounds":
        return f"{_last(subject.get('estimate'))} beside {_last(subject.get('reference'))}"
    step = subject.get("step")
    return f"{_last(subject.get('run'))}" + (f" at step {step:,}" if step is not None else "")


def lead(facts: Facts) -> list[str]:
    """Sentences that say how good it is, the weightiest first."""
    return [*_likelihood(facts), *_in_tune(facts), *_trouble(facts), *_pair(facts)]


def _likelihood(facts: Facts) -> Iterator[str]:
    found = facts.get("likelihood") or {}
    bits = found.get("bits_per_sample")
    if bits is None:
        return
    low, high = found.get("bits_per_sample_low"), found.get("bits_per_sample_high")
    interval = f" (95 % interval {low:.3f} to {high:.3f})" if None not in (low, high) else ""
    subject = facts.get("subject") or {}
    heard = [
        f"{count:,} recording" + "s" * (count > 1) if (count := subject.get("recordings")) else "",
        f"{_duration(subject['seconds'])} in all" if subject.get("seconds") else "",
    ]
    where = ", ".join(filter(None, heard))
    of = f" of {where}" if where else ""
    yield f"It spends {bits:.3f} bits on each sample{interval}{of}."
    trivial = {
        name: value for name, value in (facts.get("baselines") or {}).items() if value is not None
    }
    if trivial:
        best = min(trivial, key=lambda name: trivial[name])
        less = trivial[best] - bits
        told = f"{abs(less):.2f} bits {'below' if less >= 0 else 'above'}"
        article = "an" if tables.word(best).title[0] in "aeiou" else "a"
        yield f"That is {told} {article} {tables.word(best).title}, the best of the baselines."


def _in_tune(facts: Facts) -> Iterator[str]:
    generated = facts.get("generated") or {}
    model, real = (
        (generated.get(side) or {}).get("pitch_within_50_cents") for side in ("model", "real")
    )
    if model is None:
        return
    beside = "" if real is None else f"; of the recordings, by the same meter, {_percent(real)}"
    yield f"{_percent(model)} of what it plays is within 50 cents of the note asked for{beside}."


def _trouble(facts: Facts) -> Iterator[str]:
    clips = (facts.get("generated") or {}).get("clips") or ()
    troubled = sum(bool(clip.get("trouble")) for clip in clips)
    if troubled:
        yield f"{troubled} of {len(clips)} clips have trouble, such as silence or noise."


def _pair(facts: Facts) -> Iterator[str]:
    found = facts.get("pair") or {}
    subject = facts.get("subject") or {}
    shown = [
        f"{tables.word(name).title} {tables.told(name, found[name])}"
        for name in ("si_sdr_db", "snr_db", "log_spectral_distance_db", "multi_resolution_stft")
        if found.get(name) is not None
    ]
    if shown:
        pairs = subject.get("pairs", 1)
        over = "" if pairs == 1 else f", on average over {pairs:,} pairs"
        yield f"{', '.join(shown[:3])}{over}."


def _last(path: Any) -> str:
    return PurePath(str(path or "report")).name or str(path)


def _percent(share: float) -> str:
    return f"{100 * share:.0f}{SPACE}%"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"
