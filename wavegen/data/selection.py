"""Which recordings are wanted, and which split each belongs to."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from wavegen.data.layouts import Dropped, Ignored, Recording
from wavegen.errors import WavegenError

VALID_SHARE = 0.1  # of the recordings of a data set without splits of its own


@dataclass(frozen=True)
class Selection:
    """What is to be read and what became of the rest."""

    found: tuple[Recording | Dropped, ...]  # in the order found
    ignored: int
    left_out: tuple[tuple[str, int], ...]

    @property
    def recordings(self) -> list[Recording]:
        """Those to be read."""
        return [item for item in self.found if isinstance(item, Recording)]


def select(
    found: list[Recording | Dropped | Ignored],
    pitches: tuple[int, int] | None,  # all notes of a recording lie in it, ends included
    labels: dict[str, tuple[str, ...]],  # a recording has one of the values, of each label
    limit: int | None,  # so many recordings, drawn by their names
) -> Selection:
    """Applies the filters in this order, counting what each leaves out."""
    _check_labels(found, labels)
    left_out: Counter[str] = Counter()
    kept: list[Recording | Dropped] = []
    for item in found:
        if isinstance(item, Recording):
            reason = _unwanted(item, pitches, labels)
            if reason:
                left_out[reason] += 1
                continue
        if not isinstance(item, Ignored):
            kept.append(item)
    if limit is not None:
        recordings = [item for item in kept if isinstance(item, Recording)]
        chosen = sorted(recordings, key=lambda item: _draw(item.name, b"limit"))[:limit]
        if len(chosen) < len(recordings):
            left_out["limit"] = len(recordings) - len(chosen)
            ids = {id(item) for item in chosen}
            kept = [item for item in kept if isinstance(item, Dropped) or id(item) in ids]
    ignored = sum(isinstance(item, Ignored) for item in found)
    return Selection(tuple(kept), ignored, tuple(sorted(left_out.items())))


def planned(found: Sequence[Recording | Dropped]) -> list[str]:
    """The split of each before anything is heard; empty for what is dropped already."""
    chosen = iter(
        splits([(item.name, item.split) for item in found if isinstance(item, Recording)])
    )
    return [next(chosen) if isinstance(item, Recording) else "" for item in found]


def splits(recordings: list[tuple[str, str | None]]) -> list[str]:
    """The split of each (name, own split).

    A data set's own splits stand if there are several. Otherwise about a tenth is `valid`,
    drawn by a hash of the name, at least one of two; the rest is `train`.
    """
    if len({own for _, own in recordings if own}) > 1:
        return [own or "train" for _, own in recordings]
    draws = [_draw(name, b"split") for name, _ in recordings]
    bound = VALID_SHARE * 2**64
    chosen = ["valid" if draw < bound else "train" for draw in draws]
    if len(chosen) > 1 and "valid" not in chosen:
        chosen[draws.index(min(draws))] = "valid"
    if chosen and "train" not in chosen:
        chosen[draws.index(max(draws))] = "train"
    return chosen


def _unwanted(
    recording: Recording,
    pitches: tuple[int, int] | None,
    labels: dict[str, tuple[str, ...]],
) -> str:
    if pitches:
        low, high = pitches
        if not recording.notes or not all(low <= note.pitch <= high for note in recording.notes):
            return "pitch"
    for name, values in labels.items():
        if recording.labels.get(name) not in values:
            return f"label {name}"
    return ""


def _check_labels(
    found: list[Recording | Dropped | Ignored], labels: dict[str, tuple[str, ...]]
) -> None:
    for name, values in labels.items():
        recordings = [item for item in found if isinstance(item, Recording)]
        known = sorted({label for item in recordings for label in item.labels})
        if recordings and name not in known:
            raise WavegenError(
                f"no recording has a label '{name}'",
                "one of: " + ", ".join(known) if known else "none: they have no labels",
            )
        met = sorted({item.labels[name] for item in recordings if name in item.labels})
        missing = sorted(set(values) - set(met))
        if recordings and missing:
            more = ", ..." if len(met) > 12 else ""
            raise WavegenError(
                f"no recording has {name} = " + ", ".join(missing),
                "one of: " + ", ".join(met[:12]) + more,
            )


def _draw(name: str, purpose: bytes) -> int:
    """A number in [0, 2**64) that depends on the name alone."""
    data = name.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8, person=purpose).digest(), "big")
