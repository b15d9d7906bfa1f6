import json
from pathlib import Path

import numpy as np
import pytest

from wavegen.audio import files
from wavegen.data import corpus, synthesis

RATE = 8000


@pytest.fixture
def tree_bytes():
    """A function: every file below a folder, by its name, as bytes."""

    def read(folder: Path) -> dict[str, bytes]:
        return {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }

    return read


@pytest.fixture
def write_tone():
    """A function: writes a decaying tone of so many samples."""

    def write(path: Path, num_samples: int = RATE, hz: float = 220.0, rate: int = RATE) -> None:
        time = np.arange(num_samples) / rate
        files.write(path, 0.5 * np.exp(-time) * np.sin(2 * np.pi * hz * time), rate)

    return write


@pytest.fixture(scope="session")
def make_nsynth():
    """A function: a split folder of NSynth's shape, 8 kHz, one note each; changes its entries."""

    def make(folder: Path, pitches=(60, 62, 64), instrument="guitar_acoustic_001", silent=False):
        entries = {}
        for pitch in pitches:
            name = f"{instrument}-{pitch:03d}-100"
            family, source, _ = instrument.rsplit("_", 2)
            samples = synthesis.note("pluck", pitch, 100, 0.5, 0.1, RATE)
            files.write(folder / "audio" / f"{name}.wav", samples * (not silent), RATE)
            entries[name] = {
                "note": pitch,
                "note_str": name,
                "instrument": 1,
                "instrument_str": instrument,
                "pitch": pitch,
                "velocity": 100,
                "sample_rate": RATE,
                "qualities": [0, 1] + [0] * 8,
                "qualities_str": ["dark"],
                "instrument_family": 3,
                "instrument_family_str": family,
                "instrument_source": 0,
                "instrument_source_str": source,
            }
        (folder / "examples.json").write_text(json.dumps(entries))
        return entries

    return make


@pytest.fixture(scope="session")
def small_corpus(tmp_path_factory):
    """Two octaves of every timbre, at 8 kHz."""
    out = tmp_path_factory.mktemp("corpora") / "small"
    corpus.prepare([], out, layout="synthetic", sample_rate=RATE, pitches=(48, 72))
    return corpus.open(out)
