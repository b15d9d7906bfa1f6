"""`wavegen export`: a run becomes an instrument, which sounds like it."""

import json

import mido
import pytest

from wavegen import checkpoint, instrument
from wavegen.audio import files


@pytest.fixture(scope="module")
def exported(wavegen, run, tmp_path_factory):
    out = tmp_path_factory.mktemp("export") / "mine"
    told = wavegen("export", "--run", run, "--out", out, "--licence", "CC0-1.0", "--json")
    return out, json.loads(told.out.splitlines()[-1])


def test_an_exported_run_plays_and_says_what_it_is(wavegen, exported, tmp_path):
    out, told = exported
    assert told["bytes"] == sum(path.stat().st_size for path in out.iterdir())
    said = wavegen("info", out).out
    for words in ("instrument", "CC0-1.0", "parameters", str(out / "README.md")):
        assert words in said
    card = (out / "README.md").read_text()
    assert card.startswith("# mine\n")
    assert "CC0-1.0" in card
    sound = tmp_path / "note.wav"
    wavegen("generate", "--run", out, "--pitch", 60, "--seconds", 0.2, "--out", sound)
    assert sound.stat().st_size > 1000
    assert str(out) in wavegen("info", sound).out


def temperature_of(sound):
    told = files.info(sound).provenance
    assert told is not None
    return told["temperature"]


def test_an_instrument_is_played_at_the_temperature_it_was_exported_with(wavegen, run, tmp_path):
    cool, sound = tmp_path / "cool", tmp_path / "note.wav"
    wavegen("export", "--run", run, "--out", cool, "--temperature", 0.7)
    asked = ("generate", "--run", cool, "--pitch", 60, "--seconds", 0.05)
    for more, heat in (((), 0.7), (("--temperature", 1.1), 1.1)):
        wavegen(*asked, "--out", sound, *more)
        assert temperature_of(sound) == heat
    song, track = mido.MidiFile(), mido.MidiTrack()
    track.append(mido.Message("note_on", note=60, time=0))
    track.append(mido.Message("note_off", note=60, time=100))
    song.tracks.append(track)
    song.save(tmp_path / "song.mid")
    asked = ("play", tmp_path / "song.mid", "--run", cool, "--label", "instrument=organ")
    assert wavegen(*asked, "--out", tmp_path / "song.wav").code == 0
    assert temperature_of(tmp_path / "song.wav") == 0.7


def test_an_export_may_replace_an_instrument_and_nothing_else(wavegen, run, tmp_path):
    for _ in range(2):
        told = wavegen("export", "--run", run, "--out", tmp_path / "mine")
        assert "nobody knows what may be done with it" in told.err
    assert instrument.is_one(tmp_path / "mine")
    (tmp_path / "other").mkdir()
    ended = wavegen("export", "--run", run, "--out", tmp_path / "other")
    assert ended.code == 1
    assert "is there already, and no instrument" in ended.err
    ended = wavegen("export", "--run", tmp_path / "mine", "--out", tmp_path / "new")
    assert ended.code == 1
    assert "is an instrument already" in ended.err
    (tmp_path / "latin.md").write_bytes(b"caf\xe9")
    for card in ("no.md", "latin.md"):
        asked = ("export", "--run", run, "--out", tmp_path / "new")
        ended = wavegen(*asked, "--card", tmp_path / card)
        assert ended.code == 1
        assert f"{card} cannot be read" in ended.err
        assert not (tmp_path / "new").exists()


def test_an_instrument_is_replaced_from_within_under_the_name_it_is_given(
    wavegen, run, tmp_path, monkeypatch
):
    wavegen("export", "--run", run, "--out", tmp_path / "mine")
    monkeypatch.chdir(tmp_path / "mine")
    assert wavegen("export", "--run", run, "--out", ".", "--name", "Bells").code == 0
    assert instrument.about(tmp_path / "mine")["name"] == "Bells"
    assert (tmp_path / "mine" / "README.md").read_text().startswith("# Bells")


def test_a_training_begins_from_an_instrument_by_option_or_by_config(
    wavegen, exported, corpus, small, tmp_path
):
    out, _ = exported
    asked = ["train", "tiny", "--data", corpus, "--steps", 2, *small]
    wavegen(*asked, "--run", tmp_path / "a", "--init-from", out)
    wavegen(*asked, "--run", tmp_path / "b", "--set", f"training.init_from={out}")
    for name in "ab":
        assert f"begins with what {out} had learnt" in (tmp_path / name / "log.txt").read_text()


def test_a_training_goes_on_without_what_it_began_from_and_keeps_its_temperature(
    wavegen, run, corpus, small, tmp_path
):
    cool, mine = tmp_path / "cool", tmp_path / "mine"
    wavegen("export", "--run", run, "--out", cool, "--temperature", 0.7)
    asked = ["train", "tiny", "--data", corpus, "--run", mine, *small]
    wavegen(*asked, "--steps", 2, "--set", f"training.init_from={cool}")
    assert checkpoint.load(mine).temperature == 0.7
    cool.rename(tmp_path / "elsewhere")
    for steps, begin in ((3, f"training.init_from={cool}"), (4, "training.init_from=")):
        ended = wavegen(*asked, "--steps", steps, "--set", begin)
        assert ended.code == 0, ended.err
        found = checkpoint.load(mine)
        assert (found.step, found.temperature) == (steps, 0.7)
    told = wavegen("export", "--run", mine, "--out", tmp_path / "new", "--json")
    assert json.loads(told.out.splitlines()[-1])["temperature"] == 0.7
