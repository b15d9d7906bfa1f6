"""Draws what bench_predictor.py wrote: bits per sample while training, and what was played.

    python benchmarks/draw_predictor.py benchmarks/results/predictor.jsonl --figure predictor.png

On the left the curves of all records; on the right, of every stream that a network played, how
far its spectrum and its level are from the recordings'.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

NOTHING = "without"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("records", type=Path)
    parser.add_argument("--figure", type=Path, required=True)
    options = parser.parse_args()
    records = [json.loads(line) for line in options.records.read_text().splitlines()]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(12, 5), layout="constrained")
    for i, record in enumerate(records):
        style = {"marker": "osv^D<>PX*"[i % 10], "color": f"C{i % 10}", "label": name(record)}
        _, seconds, bits = zip(*record["curve"], strict=True)
        left.plot([each / 60 for each in seconds], bits, **style, ms=4)
        if record["played"]:
            real, *played = record["played"]
            off = [abs(each["level_db"] - real["level_db"]) for each in played]
            right.scatter(off, [each["spectrum_off_db"] for each in played], s=20, **style)
    left.set(xlabel="minutes of one core", ylabel="bits per sample, held back", yscale="log")
    left.set_yticks([3, 4, 5, 6, 8], labels=["3", "4", "5", "6", "8"])
    left.minorticks_off()
    left.legend(fontsize=7)
    right.set(xlabel="level, dB off the recordings'", ylabel="spectrum, dB off the recordings'")
    right.legend(fontsize=7)
    figure.savefig(options.figure, dpi=100)


def name(record: dict[str, Any]) -> str:
    """What sets a record apart, in a few words: its overrides, the common parts of them short."""
    words = [each.replace("model.", "").replace("predictor.", "") for each in record["overrides"]]
    words = [each.replace("residual_channels=", "R") for each in words]
    words = [each.replace('conditioner.signals=["past"]', "past") for each in words]
    if not any(each.startswith("order=") for each in words):
        words.append(NOTHING)
    return " ".join([*words, *([f"only {record['only']}"] if record["only"] else [])])


if __name__ == "__main__":
    main()
