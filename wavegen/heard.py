"""What a model heard in training, in a few numbers that its own sound is later compared with."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

Range = tuple[float, float]  # least and greatest


@dataclass(frozen=True)
class Heard:
    """Of windows of the training recordings (wavegen.audio.windows), all but the rarest.

    A range leaves out the lowest and the highest hundredth.
    """

    rms_dbfs: Range  # of windows that are not silent
    flatness: Range  # spectral, of the same windows
    clipped: float  # share of samples at full scale, of the windows that have most
    repeating: float  # share of windows that go round in a short loop
    silent_seconds: float  # the longest silence
    nats: Range | None = None  # a sample, in parts of the validation; None: there was none
    # Lowest and highest pitch by label and value, such as {"instrument": {"organ": (48, 72)}}.
    pitches: dict[str, dict[str, tuple[int, int]]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and dicts, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, tree: dict[str, Any]) -> Heard:
        """The inverse of `to_dict`, after JSON made lists of tuples."""
        return cls(
            rms_dbfs=_pair(tree["rms_dbfs"]),
            flatness=_pair(tree["flatness"]),
            clipped=tree["clipped"],
            repeating=tree["repeating"],
            silent_seconds=tree["silent_seconds"],
            nats=tree["nats"] and _pair(tree["nats"]),
            pitches={
                label: {value: _pair(pair) for value, pair in values.items()}
                for label, values in tree["pitches"].items()
            },
        )


def _pair(values: list[Any]) -> tuple[Any, Any]:
    low, high = values
    return low, high
