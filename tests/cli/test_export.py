"""`wavegen export`: a run becomes an instrument, which sounds like it."""

import json

import pytest

from wavegen import instrument


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


def test_an_export_may_replace_an_instrument_and_nothing_else(wavegen, run, tmp_path):
    for _ in range(2):
        told = wavegen("export", "--run", run, "--out", tmp_path / "mine")
        assert "nobody knows what may be done with it" in told.err
    assert instrument.is_one(tmp_path / "mine")
    (tmp_path / "other").mkdir()
    ended = wavegen("export", "--run", run, "--out", tmp_path / "other")
    assert ended.code == 1
    assert "is there already, and no instrument" in ended.err
    ended = wavegen("export", "--run", run, "--out", tmp_path / "new", "--card", tmp_path / "no.md")
    assert ended.code == 1
    assert not (tmp_path / "new").exists()


def test_a_training_begins_from_an_instrument_by_option_or_by_config(
    wavegen, exported, corpus, small, tmp_path
):
    out, _ = exported
    asked = ["train", "tiny", "--data", corpus, "--steps", 2, *small]
    wavegen(*asked, "--run", tmp_path / "a", "--init-from", out)
    wavegen(*asked, "--run", tmp_path / "b", "--set", f"training.init_from={out}")
    for name in "ab":
        assert f"begins with what {out} had learnt" in (tmp_path / name / "log.txt").read_text()
