"""The demo: it makes what it says, and its measure of pitch can tell right from wrong."""

import json

import numpy as np
import pytest

from wavegen import checkpoint, instrument
from wavegen import config as configs
from wavegen.audio import files
from wavegen.cli import app, canon, demo
from wavegen.data import synthesis
from wavegen.model.network import Trained
from wavegen.sampling import arrangement, casting

RATE = 8000


def fake_trained():
    return Trained(configs.load("demo"), configs.Vocabulary(), None, {}, 0)  # type: ignore[arg-type]


def note(timbre, pitch):
    held, release = demo.HELD_SECONDS, demo.NOTE_SECONDS - demo.HELD_SECONDS
    return synthesis.note(timbre, pitch, demo.VELOCITY, held, release, RATE)


def test_the_measure_finds_true_notes_in_tune():
    notes = {(t, p): note(t, p) for t in demo.TIMBRES for p in demo.PITCHES}
    found = demo._in_tune(fake_trained(), notes)
    assert found["in_tune"] == dict.fromkeys(demo.TIMBRES, 13)


def test_the_measure_finds_wrong_notes_noise_and_silence_out_of_tune():
    rng = np.random.default_rng(0)
    wrong = {
        "organ": lambda pitch: note("organ", pitch + 1),
        "pluck": lambda _: rng.normal(0, 0.1, round(demo.NOTE_SECONDS * RATE)).astype(np.float32),
        "brass": lambda _: np.zeros(round(demo.NOTE_SECONDS * RATE), np.float32),
    }
    notes = {(t, p): wrong[t](p) for t in demo.TIMBRES for p in demo.PITCHES}
    found = demo._in_tune(fake_trained(), notes)["in_tune"]
    assert found["organ"] == found["brass"] == 0
    assert found["pluck"] <= 4  # noise has some pitch, and now and then the right one


def test_the_instrument_in_the_box_has_a_voice_for_each_part_of_the_piece():
    trained, song = checkpoint.load(instrument.SHIPPED), canon.song()
    found = casting.cast(trained, song, {})
    voices = [found.voices[place].name for place in range(len(song.parts))]
    assert voices == ["piano", "acoustic_guitar", "saxophone", "string_contrabass"]
    arranged = arrangement.arrange(song, found.voices, trained.config, trained.vocabulary)
    assert not arranged.moved  # every note is one that was learnt


@pytest.mark.slow
def test_the_demo_makes_what_it_says(tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        app.main(["demo", "--out", str(tmp_path / "demo"), "--steps", "2", "--json"])
    out = capsys.readouterr().out
    assert end.value.code == 0
    facts = json.loads(out.splitlines()[-1])
    assert 4.0 < facts["markov_order_1_bits"] < 8.0
    assert facts["bits_per_sample"] < 9.0
    assert "learnt" in (tmp_path / "demo" / "demo.txt").read_text()
    piece, rate = files.read(tmp_path / "demo" / "piece.wav")
    assert len(piece) / rate > facts["piece_seconds"] > 20
    assert np.abs(piece).max() > 0.1
    assert (tmp_path / "demo" / "demo.png").stat().st_size > 10_000
    names = sorted(p.name for p in (tmp_path / "demo" / "notes").iterdir())
    assert names == sorted(f"{t}_pitch{p:03d}.wav" for t in demo.TIMBRES for p in demo.PITCHES)
    phrase, rate = files.read(tmp_path / "demo" / "phrase.wav")
    last_onset, held, _ = demo.PHRASE[-1]
    assert len(phrase) / rate > last_onset + held
