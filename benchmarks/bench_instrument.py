"""How well an instrument plays: pitch, attack and collapse of notes drawn at random, and how near
its notes are to recorded ones.

    python benchmarks/bench_instrument.py CORPUS --run wavegen/shipped

CORPUS is the prepared corpus of single notes that it learnt from. First `--num` notes are drawn at
random: label, pitch among those heard of it, velocity 30 to 127, held 0.4 to 3 s. By label: the
share within 50 cents of what was asked for (the median over the sustained part) and within 30 ms of
the onset, the median distances, and how many collapsed (see wavegen.sampling.health). Then every
recording's note is played, at most `--each` of a label, and the sets of sounds are compared: the
Fréchet distance of MFCCs of what is generated to the recordings of the same label, beside that of
the recordings of the nearest other label to these; and how late both begin. The last line is the
record as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "kernels"), str(ROOT)]

import numpy as np  # noqa: E402

from wavegen import checkpoint  # noqa: E402
from wavegen.audio import mulaw  # noqa: E402
from wavegen.data import corpus as corpora  # noqa: E402
from wavegen.data.corpus import Split  # noqa: E402
from wavegen.evaluation import renditions  # noqa: E402
from wavegen.evaluation.metrics import features, frechet, onsets, pitch  # noqa: E402
from wavegen.evaluation.metrics.measures import Measure, NotApplicable  # noqa: E402
from wavegen.model.network import Trained  # noqa: E402
from wavegen.music.score import Note, Score  # noqa: E402
from wavegen.sampling import asking, health, precision, sampler  # noqa: E402
from wavegen.sampling.request import Draws  # noqa: E402
from wavegen_kernels.bench import record as records  # noqa: E402

LABEL = "instrument"
LOWEST_VELOCITY, SHORTEST, LONGEST, AFTER = 30, 0.4, 3.0, 0.5  # seconds held, and released
WITHIN_CENTS, WITHIN_MS = 50.0, 30.0
SIDES = ("real", "made")
BATCH = 50


def main() -> None:
    options = _options()
    trained = checkpoint.load(options.run)
    heat = trained.temperature if options.temperature is None else options.temperature
    draws = Draws(options.seed, heat, top_p=options.top_p)
    split = corpora.open(options.corpus).splits["train"]
    played = _played(trained, options.num, draws)
    _show(played)
    near = _near(trained, split, options.each, draws)
    for label, each in near.items():
        print(f"{label:20}{each['own']:10.0f} to its recordings; nearest to these: ", end="")
        print(f"{each['nearest']}, {each['other']:.0f}; attack after ", end="")
        print(f"{each['late_ms']['made']:.0f} ms, theirs after {each['late_ms']['real']:.0f} ms")
        made, real = (each["on_time"][side] for side in ("made", "real"))
        print(f"{'':20}{made:10.0%} begin within {WITHIN_MS:.0f} ms, of theirs {real:.0%}")
    record = {
        **records.origin(),
        "run": options.run.name, "step": trained.step, **draws.story(),
        "notes": played, "frechet_mfcc": near,
        "load_average": round(os.getloadavg()[0], 2),
    }  # fmt: skip
    if options.out:
        records.append(options.out, record)
    print(json.dumps(record))


def _played(trained: Trained, num: int, draws: Draws) -> dict[str, dict[str, float]]:
    """What is measured of notes drawn at random, by label and in all."""
    rng = np.random.default_rng(draws.seed)
    values = trained.vocabulary.labels[LABEL]
    ranges = trained.heard.pitches[LABEL] if trained.heard else {}
    whole = (trained.vocabulary.pitches[0], trained.vocabulary.pitches[-1])
    asked: list[tuple[str, Note]] = []
    for _ in range(num):
        value = str(rng.choice(values))
        low, high = ranges.get(value, whole)
        held = float(rng.uniform(SHORTEST, LONGEST))
        key, velocity = int(rng.integers(low, high + 1)), int(rng.integers(LOWEST_VELOCITY, 128))
        asked.append((value, Note(0.0, held, key, velocity)))
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    begin = time.monotonic()
    for first in range(0, num, BATCH):
        for (value, note), row in zip(
            asked[first : first + BATCH], measured(trained, asked, first, draws), strict=True
        ):
            rows[value].append(row)
            rows["all"].append(row)
            if row["wrong"]:
                print(f"  {value} {note.pitch} velocity {note.velocity}: {row['wrong']}")
    seconds = sum(note.duration_seconds + AFTER for _, note in asked)
    print(
        f"{seconds / (time.monotonic() - begin):.2f} times real time, all cores, measured as well"
    )
    return {name: _summed(each) for name, each in sorted(rows.items())}


def measured(
    trained: Trained, asked: list[tuple[str, Note]], first: int, draws: Draws
) -> list[dict[str, Any]]:
    """Some of the notes, made side by side."""
    some = asked[first : first + BATCH]
    chosen, rate = precision.choose(trained), trained.config.audio.sample_rate
    shares = np.stack([asking.label_shares(trained, {LABEL: value}) for value, _ in some])
    seconds = max(note.duration_seconds for _, note in some) + AFTER
    streams = list(range(first, first + len(some)))
    scores = [Score((note,)) for _, note in some]
    request = asking.request(trained, scores, shares[0], streams, seconds)
    request = replace(request, labels=shares)
    made = sampler.generate(trained, request, draws, chosen.backend, chosen.precision)
    sounds = mulaw.decode(np.asarray(made), trained.config.audio.n_codes)
    return [
        _judged(trained, note, sound[: round((note.duration_seconds + AFTER) * rate)])
        for (_, note), sound in zip(some, sounds, strict=True)
    ]


def _judged(trained: Trained, note: Note, sound: np.ndarray) -> dict[str, Any]:
    audio, held = trained.config.audio, note.duration_seconds
    rate = audio.sample_rate
    cents = number(pitch.of_note(sound, rate, note.pitch, 0.0, held)["pitch_cents"])
    sounding = health.sounding(Score((note,)))
    watch = health.Watch(rate, audio.n_codes, trained.heard, sounding)
    watch.add(sound)
    watch.end()
    wrong = [str(trouble) for trouble in watch.troubles]
    if not abs(cents) <= WITHIN_CENTS:
        wrong.append(f"{cents:+.0f} cents")
    return {
        "cents": cents,
        "late_ms": number(onsets.of_note(sound, rate, 0.0)),
        "collapsed": bool(watch.troubles),
        "wrong": "; ".join(wrong),
    }


def _summed(rows: list[dict[str, Any]]) -> dict[str, float]:
    cents, late = (np.abs([row[name] for row in rows]) for name in ("cents", "late_ms"))
    return {
        "notes": len(rows),
        "in_tune": float((cents <= WITHIN_CENTS).mean()),
        "cents": float(np.nanmedian(cents)),
        "on_time": float(_on_time(late).mean()),
        "late_ms": float(np.nanmedian(late)),
        "collapsed": sum(row["collapsed"] for row in rows),
    }


def _near(trained: Trained, split: Split, each: int, draws: Draws) -> dict[str, dict[str, Any]]:
    """Fréchet distances of MFCCs, in squared dB."""
    ids = split.label_ids[:, list(split.vocabulary.labels).index(LABEL)]
    rate, chosen = trained.config.audio.sample_rate, precision.choose(trained)
    late: dict[str, list[list[float]]] = {}
    real: dict[str, np.ndarray] = {}
    made: dict[str, np.ndarray] = {}
    for place, value in enumerate(split.vocabulary.labels[LABEL]):
        items = np.flatnonzero(ids == place)
        items = items[np.linspace(0, len(items) - 1, min(each, len(items))).astype(int)]
        if not len(items):  # of the vocabulary, and all of it held back
            continue
        sounds = list(
            renditions.make(trained, split, items, 4.0, draws, chosen.backend, chosen.precision)
        )
        late[value] = [
            [number(onsets.of_note(sound, rate, 0.0)) for sound in (one.real, one.generated)]
            for one in sounds
        ]
        real[value] = np.concatenate([frames(one.real, rate) for one in sounds])
        made[value] = np.concatenate([frames(one.generated, rate) for one in sounds])
    found = {}
    for value, own in real.items():
        others = {
            name: number(frechet.distance(own, other))
            for name, other in real.items()
            if name != value
        }
        nearest = min(others, key=lambda name: others[name])
        found[value] = {
            "own": number(frechet.distance(own, made[value])),
            "nearest": nearest,
            "other": others[nearest],
            "late_ms": dict(zip(SIDES, np.nanmedian(late[value], axis=0), strict=True)),
            "on_time": dict(zip(SIDES, _on_time(late[value]).mean(axis=0), strict=True)),
        }
    return found


def _on_time(late_ms: Any) -> np.ndarray:  # numbers -> bools
    return np.abs(late_ms) <= WITHIN_MS


def frames(sound: np.ndarray, sample_rate: int) -> np.ndarray:
    return features.mfcc(features.log_mel(sound, sample_rate))


def number(measure: Measure) -> float:
    return float("nan") if isinstance(measure, NotApplicable) else measure


def _show(played: dict[str, dict[str, float]]) -> None:
    print(
        f"{'':20}{'notes':>8}{'in tune':>10}{'cents':>8}{'on time':>10}{'ms':>8}{'collapsed':>11}"
    )
    for name, each in played.items():
        print(
            f"{name:20}{each['notes']:10d}{each['in_tune']:10.1%}{each['cents']:10.1f}"
            f"{each['on_time']:10.1%}{each['late_ms']:10.1f}{each['collapsed']:10d}"
        )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("corpus", type=Path, help="what it learnt from, prepared")
    parser.add_argument("--run", type=Path, default=ROOT / "wavegen" / "shipped")
    parser.add_argument("--num", type=int, default=200)
    parser.add_argument("--each", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--temperature", type=float)
    parser.add_argument("--top-p", type=float, default=1.0)
    parser.add_argument("--out", type=Path, help="a .jsonl to which the record is added")
    return parser.parse_args()


if __name__ == "__main__":
    main()
