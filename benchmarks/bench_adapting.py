"""How well a dozen notes teach the instrument in the box another one: what the README promises.

    python benchmarks/bench_adapting.py NOTES cello --of string_acoustic_001 --work WORK

NOTES holds examples.json and audio/*.wav in NSynth's layout, with notes `--of` an instrument that
the one in the box never heard. Twelve of them, spread over its pitches 36 to 96, become a folder
as the README shows it, WORK/my_notes, and the README's two commands make WORK/run of it. Then each
pitch between the lowest and the highest of the dozen that is not among them is played for two
seconds, and measured; and the notes that were left are played by the run and by each label of the
instrument in the box: Fréchet distances of MFCCs to their recordings. The last line is the record
as JSON.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "kernels"), str(ROOT), str(ROOT / "benchmarks")]

import librosa  # noqa: E402
import numpy as np  # noqa: E402
from bench_instrument import LABEL, WITHIN_CENTS, frames, measured, number  # noqa: E402

from wavegen import checkpoint, instrument  # noqa: E402
from wavegen.audio import files, mulaw  # noqa: E402
from wavegen.evaluation.metrics import frechet  # noqa: E402
from wavegen.model.network import Trained  # noqa: E402
from wavegen.music.score import Note, Score  # noqa: E402
from wavegen.sampling import asking, precision, sampler  # noqa: E402
from wavegen.sampling.request import Draws  # noqa: E402
from wavegen_kernels.bench import record as records  # noqa: E402

DOZEN, LOWEST, HIGHEST = 12, 36, 96
HELD_SECONDS, SECONDS = 3.0, 4.0  # of NSynth's notes
PLAYED_SECONDS = 2.0
SEED = 0

Facts = dict[str, Any]  # what NSynth says of a note, and its "path"


def main() -> None:
    options = _options()
    dozen, rest = _picked(options.notes, options.of)
    run = options.work / "run"
    seconds = _taught(dozen, options.name, options.work, run, options.set)
    trained, shipped = checkpoint.load(run), checkpoint.load(instrument.SHIPPED)
    record = {
        **records.origin(), "instrument": options.name, "of": options.of, "settings": options.set,
        "dozen": [facts["pitch"] for facts in dozen], "preparing_and_training_seconds": seconds,
        "temperature": trained.temperature, "seed": SEED,
        "between": _between(trained, options.name, dozen),
    }  # fmt: skip
    if rest:
        real = np.concatenate(
            [frames(_sound(each["path"], trained), _rate(trained)) for each in rest]
        )
        record["rest"] = len(rest)
        record["frechet_mfcc"] = _distance(real, trained, options.name, rest)
        record["frechet_mfcc_of_shipped"] = {
            label: _distance(real, shipped, label, rest)
            for label in shipped.vocabulary.labels[LABEL]
        }
    if options.out:
        records.append(options.out, record)
    print(json.dumps(record))


def _picked(notes: Path, of: str) -> tuple[list[Facts], list[Facts]]:
    """A dozen notes of the instrument, spread over its pitches, and the others."""
    told = json.loads((notes / "examples.json").read_text(encoding="utf-8"))
    some = [
        facts | {"path": notes / "audio" / f"{name}.wav"}
        for name, facts in sorted(told.items(), key=lambda entry: (entry[1]["pitch"], entry[0]))
        if facts["instrument_str"] == of and LOWEST <= facts["pitch"] <= HIGHEST
    ]
    places = set(np.linspace(0, len(some) - 1, DOZEN).round().astype(int).tolist())
    return (
        [each for place, each in enumerate(some) if place in places],
        [each for place, each in enumerate(some) if place not in places],
    )


def _taught(dozen: list[Facts], name: str, work: Path, run: Path, settings: list[str]) -> float:
    """Does what the README says; how long its two commands took."""
    folder = work / "my_notes"
    folder.mkdir(parents=True)
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as opened:
        table = csv.writer(opened)
        table.writerow(["file", "pitch", "velocity", "hold_seconds", LABEL])
        for facts in dozen:
            path = facts["path"]
            table.writerow([path.name, facts["pitch"], facts["velocity"], HELD_SECONDS, name])
            (folder / path.name).write_bytes(path.read_bytes())
    start = time.monotonic()
    corpus = work / "corpus"
    _call("prepare", folder, "--sample-rate", 8000, "--trim-silence", "--out", corpus)
    sets = [word for each in settings for word in ("--set", each)]
    _call("train", "notes_adapt", "--data", corpus, "--run", run, *sets)
    return round(time.monotonic() - start, 1)


def _call(*words: Any) -> None:
    code = "import sys; from wavegen.cli import app; app.main(sys.argv[1:])"
    path = {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "kernels")))}
    subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], check=True, env=os.environ | path
    )


def _between(trained: Trained, name: str, dozen: list[Facts]) -> dict[str, Any]:
    """The pitches that lie between those learnt, as played."""
    learnt = [facts["pitch"] for facts in dozen]
    velocity = int(np.median([facts["velocity"] for facts in dozen]))
    asked = [
        (name, Note(0.0, PLAYED_SECONDS, pitch, velocity))
        for pitch in range(min(learnt), max(learnt) + 1)
        if pitch not in learnt
    ]
    rows = [
        row for first in range(0, len(asked), 50)
        for row in measured(trained, asked, first, Draws(SEED, trained.temperature))
    ]  # fmt: skip
    return {
        "pitches": len(rows),
        "in_tune": sum(abs(row["cents"]) <= WITHIN_CENTS for row in rows),
        "cents": float(np.nanmedian(np.abs([row["cents"] for row in rows]))),
        "collapsed": sum(row["collapsed"] for row in rows),
        "wrong": {note.pitch: row["wrong"] for (_, note), row in zip(asked, rows, strict=True)
                  if row["wrong"]},
    }  # fmt: skip


def _distance(real: np.ndarray, trained: Trained, label: str, rest: list[Facts]) -> float:
    """From what is played of the notes that were left to their recordings."""
    scores = [
        Score((Note(0.0, HELD_SECONDS, facts["pitch"], facts["velocity"]),)) for facts in rest
    ]
    shares = asking.label_shares(trained, {LABEL: label})
    request = asking.request(trained, scores, shares, list(range(len(rest))), SECONDS)
    chosen, draws = precision.choose(trained), Draws(SEED, trained.temperature)
    codes = sampler.generate(trained, request, draws, chosen.backend, chosen.precision)
    made = mulaw.decode(np.asarray(codes), trained.config.audio.n_codes)
    return number(
        frechet.distance(real, np.concatenate([frames(sound, _rate(trained)) for sound in made]))
    )


def _sound(path: Path, trained: Trained) -> np.ndarray:
    sound, rate = files.read(path)
    return librosa.resample(sound, orig_sr=rate, target_sr=_rate(trained))


def _rate(trained: Trained) -> int:
    return trained.config.audio.sample_rate


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("notes", type=Path, help="a folder in NSynth's layout")
    parser.add_argument("name", help="what the instrument shall be called")
    parser.add_argument("--of", required=True, help="its name in NOTES")
    parser.add_argument("--work", type=Path, required=True, help="a new folder")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--out", type=Path, help="a .jsonl to which the record is added")
    return parser.parse_args()


if __name__ == "__main__":
    main()
