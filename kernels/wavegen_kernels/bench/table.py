"""Records as rows for people, not wider than 110 columns."""

from __future__ import annotations

from typing import Any

_LIMITS = {"reading": "read", "arithmetic": "math", "queues": "move"}
_ROW = "{:<15}{:>5}  {:<14} {:<8}{:>8} {:>13} {:>9} {:>6} {:>9} {:>6} {:>8}"
HEADER = "\n".join(
    (
        "us/step: microseconds a sample of all streams, the median; samples/s: of a stream;",
        "x real: times real time, all streams, at 16 kHz; of limit: of what the machine reads,",
        "multiplies or moves in queues at best; x scan: times as fast as xla_scan; off: largest",
        "logit error against the reference, or KL divergence in nats",
        "",
        _ROW.format(
            "case", "B", "backend", "weights", "us/step", "[min max]", "samples/s", "x real",
            "of limit", "x scan", "off",
        ),
    )
)  # fmt: skip


def row(entry: dict[str, Any]) -> str:
    """One line for one record."""
    low, high = entry["step_microseconds_min"], entry["step_microseconds_max"]
    ratio = entry["ratio_to_xla_scan"]
    off = f"{entry['largest_logit_error']:.0e}"
    if entry["precision"] != "float32":
        off = f"{entry['mean_kl_nats']:.0e} KL"
    return _ROW.format(
        entry["case"],
        entry["batch"],
        entry["backend"],
        entry["precision"],
        _digits(entry["step_microseconds_median"]),
        f"[{_digits(low)} {_digits(high)}]",
        f"{entry['samples_per_second_per_stream']:,}",
        _digits(entry["times_real_time_all_streams"]),
        f"{100 * entry['share_of_limit']:.0f}% {_LIMITS[entry['limited_by']]}",
        "" if ratio is None else _digits(ratio),
        off,
    )


def _digits(value: float) -> str:
    """Three digits or more: 1.23, 12.3, 1234."""
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}"
