"""The notes that the instrument in the box learnt from, picked out of a folder in NSynth's layout.

    python benchmarks/instrument_notes.py NOTES OUT
    wavegen prepare OUT --sample-rate 8000 --pitch 36-96 --out corpora/instrument

NOTES holds examples.json and audio/*.wav, with the instruments that NAMES names, of the sources
that wavegen/shipped/README.md lists. OUT links to the sounds, gives the instruments plain names,
and says velocity 127 of those whose layers sound alike, or of which there is one: training plays
notes more softly, never harder, and a velocity beyond all that it heard has no sound.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

NAMES = {
    "keyboard_acoustic_001": "piano",
    "guitar_acoustic_000": "acoustic_guitar",
    "guitar_electronic_000": "electric_guitar",
    "reed_acoustic_000": "saxophone",
    "brass_acoustic_000": "tuba",
    "string_acoustic_000": "string_contrabass",
    "bass_acoustic_000": "pizzicato_bass",
}
LAYERED = {"saxophone"}  # of which the softer layer sounds softer
LOUDEST = 127


def pick(notes: Path, out: Path) -> int:
    """Writes the folder; how many notes it has."""
    told = json.loads((notes / "examples.json").read_text(encoding="utf-8"))
    (out / "audio").mkdir(parents=True)
    picked = {}
    for name, facts in told.items():
        if facts["instrument_str"] in NAMES:
            plain = NAMES[facts["instrument_str"]]
            velocity = facts["velocity"] if plain in LAYERED else LOUDEST
            picked[name] = facts | {"instrument_str": plain, "velocity": velocity}
            sound = (notes / "audio" / f"{name}.wav").resolve()
            (out / "audio" / f"{name}.wav").symlink_to(sound)
    (out / "examples.json").write_text(json.dumps(picked), encoding="utf-8")
    return len(picked)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    print(f"{pick(Path(sys.argv[1]), Path(sys.argv[2]))} notes")
