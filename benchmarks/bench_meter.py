"""How far the meter of pitch and onsets can be believed: what it says of real notes.

    python benchmarks/bench_meter.py NSYNTH --rates 16000 8000

NSYNTH holds one or several splits of notes, each an examples.json and audio/*.wav, of which the
first three seconds are held. By rate and instrument: the share of notes within 50 cents of what
they are labelled, those an octave off, the median distance, the share of the held time that is
voiced, and how long after the file's beginning the attack is heard. Then each note that is not
within 50 cents. The last line of the output is the record as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "kernels"), str(ROOT)]

from wavegen.audio import files  # noqa: E402
from wavegen.evaluation.metrics import measures, onsets, pitch  # noqa: E402
from wavegen.evaluation.metrics.measures import Measure, NotApplicable  # noqa: E402
from wavegen_kernels.bench import record as records  # noqa: E402

HELD_SECONDS = 3.0  # NSynth's notes: three seconds held, one of release
ALL = "all"


def main() -> None:
    options = _options()
    found = sorted(options.folder.rglob("examples.json"))
    if not found:
        sys.exit(f"{options.folder} holds no examples.json: an NSynth folder is wanted")
    rates = {str(rate): _measured(found, rate) for rate in options.rates}
    for rate, measured in rates.items():
        _table(rate, measured)
    record = {
        **records.origin(),
        "held_seconds": HELD_SECONDS,
        "rates": rates,
        "load_average": round(os.getloadavg()[0], 2),
    }
    if options.out:
        records.append(options.out, record)
    print(json.dumps(record))


def _measured(splits: list[Path], sample_rate: int) -> dict[str, Any]:
    """What the meter says at one rate: per instrument and in all, and the wrong ones by name."""
    notes = defaultdict(list)
    wrong, processor = {}, 0.0
    for split in splits:
        for name, facts in json.loads(split.read_text(encoding="utf-8")).items():
            samples, _ = files.read(split.parent / "audio" / f"{name}.wav", sample_rate)
            start = time.process_time()
            note = pitch.of_note(samples, sample_rate, facts["pitch"], 0.0, HELD_SECONDS)
            note["onset_ms"] = onsets.of_note(samples, sample_rate, 0.0)
            processor += time.process_time() - start
            for group in (facts["instrument_str"], ALL):
                notes[group].append(note)
            if pitch.summary([note])["pitch_within_50_cents"] == 0:
                wrong[name] = _plain(note["pitch_cents"])
    instruments = {group: _summed(notes[group]) for group in sorted(notes, key=lambda g: g == ALL)}
    per_note = round(1000 * processor / len(notes[ALL]), 1)
    return {"instruments": instruments, "wrong": wrong, "processor_ms_per_note": per_note}


def _summed(notes: list[dict[str, Measure]]) -> dict[str, Any]:
    summed = {
        **pitch.summary(notes),
        "onset_ms": measures.median(note["onset_ms"] for note in notes),
    }
    beyond = sum(isinstance(note["voiced_share"], NotApplicable) for note in notes)
    plain = {name: _plain(value) for name, value in summed.items()}
    return {"notes": len(notes), "beyond": beyond, **plain}


def _plain(measure: Measure) -> float | str:
    return measure.reason if isinstance(measure, NotApplicable) else round(measure, 4)


def _table(rate: str, measured: dict[str, Any]) -> None:
    titles = ("notes", "beyond", "in tune", "octave off", "cents", "voiced", "attack ms")
    print(f"{rate} Hz{'':18}" + "".join(f"{title:>11}" for title in titles))
    names = ("pitch_within_50_cents", "octave_errors")
    for instrument, each in measured["instruments"].items():
        cells = [
            f"{each['notes']}",
            f"{each['beyond']}",
            *(_cell(each[name], "{:.1%}") for name in names),
            _cell(each["pitch_error_cents"], "{:.1f}"),
            _cell(each["voiced_share"], "{:.1%}"),
            _cell(each["onset_ms"], "{:.1f}"),
        ]
        print(f"{instrument:26}" + "".join(f"{cell:>11}" for cell in cells))
    for name, cents in measured["wrong"].items():
        print(f"  {name:36} {_cell(cents, '{:+.0f} cents')}")
    print(f"  {measured['processor_ms_per_note']} ms of the processor a note\n")


def _cell(value: float | str, form: str) -> str:
    return value if isinstance(value, str) else form.format(value)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="notes in NSynth's layout, one or more splits")
    parser.add_argument("--rates", type=int, nargs="+", default=[16_000, 8000])
    parser.add_argument("--out", type=Path, help="a .jsonl to which the record is added")
    return parser.parse_args()


if __name__ == "__main__":
    main()
