"""What `wavegen prepare` says of its sources, and does to recordings that need cleaning."""

import json

import numpy as np
import pytest
import soundfile

from wavegen.audio import files
from wavegen.data import synthesis

RATE = 8000


@pytest.fixture
def folder(tmp_path):
    """Three quiet tones with silence around them and an offset under them."""
    time = np.arange(RATE) / RATE
    for hz in (220, 330, 440):
        tone = 0.1 * np.sin(2 * np.pi * hz * time)
        sound = np.concatenate([np.zeros(RATE), tone, np.zeros(RATE)]) + 0.05
        (tmp_path / "in").mkdir(exist_ok=True)
        soundfile.write(tmp_path / "in" / f"{hz}.wav", sound, RATE)
    return tmp_path / "in"


def test_every_wish_is_done_and_told(wavegen, folder, tmp_path):
    ended = wavegen(
        "prepare", folder, "--out", tmp_path / "c", "--sample-rate", RATE, "--trim-silence",
        "--drop-silence", "--denoise", "--normalize", "loudness", "--highpass",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    report = json.loads((tmp_path / "c" / "report.json").read_text())
    for file in report["files"]:
        assert file["seconds"] == pytest.approx(1, abs=0.3)
        assert abs(file["dc_offset"]) < 1e-3
        assert {"highpass_hz", "trimmed_start_seconds", "dropped_seconds", "gain_db"} <= set(
            file["cleaning"]
        )
    manifest = json.loads((tmp_path / "c" / "manifest.json").read_text())
    assert manifest["cleaning"] == {
        "trim_silence": True,
        "drop_silence": True,
        "denoise": True,
        "normalize": "loudness",
        "highpass": True,
        "silence_db": -60.0,
    }


def test_nothing_is_done_without_being_asked(wavegen, folder, tmp_path):
    ended = wavegen("prepare", folder, "--out", tmp_path / "c", "--sample-rate", RATE)
    assert "DC offset" in ended.out
    assert "--highpass takes it out" in ended.out
    report = json.loads((tmp_path / "c" / "report.json").read_text())
    assert [file["seconds"] for file in report["files"]] == [3, 3, 3]
    assert not any("cleaning" in file for file in report["files"])


def test_a_config_is_laid_beside_the_corpus(wavegen, folder, tmp_path):
    settings = tmp_path / "own.toml"
    settings.write_text(
        f"[audio]\nsample_rate = {RATE}\n[training]\ncrop_samples = 25600\nbatch_size = 2\n"
    )
    asked = ("--config", settings, "--samples-per-second", 1000, "--json")
    out = tmp_path / "c"
    ended = wavegen("prepare", folder, "--out", out, "--sample-rate", RATE, *asked)
    assert ended.code == 0, ended.err
    told = json.loads(ended.out.splitlines()[-1])["config"]
    assert len(told["shorter_than_a_crop"]) == 2  # the third is in the other split
    assert json.loads((out / "report.json").read_text())["config"] == told
    again = wavegen("info", out, *asked)
    assert json.loads(again.out.splitlines()[-1])["config"] == told
    assert "shorter than a crop  2 of 2 recordings" in again.out
    assert "hours per epoch" in again.out


def test_a_plan_of_what_is_no_corpus_is_refused(wavegen, folder):
    ended = wavegen("info", folder / "220.wav", "--config", "tiny")
    assert ended.code == 1
    assert "--config with a corpus" in ended.err


def test_what_auto_took_each_source_for_is_said(wavegen, tmp_path):
    sound = synthesis.note("organ", 60, 100, 0.3, 0.1, 8000)
    files.write(tmp_path / "mine" / "a.wav", sound, 8000)
    files.write(tmp_path / "said" / "yes" / "b.wav", sound, 8000)
    (tmp_path / "said" / "testing_list.txt").write_text("yes/b.wav\n")
    one, two = tmp_path / "mine", tmp_path / "said"
    common = ("--sample-rate", "8000")
    ended = wavegen("prepare", one, "--out", tmp_path / "c", *common)
    assert "folder (recognised)" in ended.out
    ended = wavegen("prepare", one, two, "--out", tmp_path / "d", *common)
    assert f"{one}: folder, {two}: speech (recognised)" in ended.out
    ended = wavegen("prepare", two, "--layout", "folder", "--out", tmp_path / "e", *common)
    assert ended.code == 0
    assert "recognised" not in ended.out


@pytest.fixture
def parts(wavegen, folder, tmp_path):
    """The three tones in two parts."""
    made = [tmp_path / "one", tmp_path / "two"]
    for i, out in enumerate(made, 1):
        ended = wavegen(
            "prepare", folder, "--sample-rate", RATE, "--part", f"{i}/2", "--out", out, "--json"
        )
        assert ended.code == 0, ended.err
        assert "wavegen prepare --join PART... --out CORPUS" in ended.out
        assert json.loads(ended.out.splitlines()[-1])["kept"] == i
    return made


def test_parts_are_joined_to_the_corpus_that_one_prepare_makes(wavegen, folder, parts, tmp_path):
    whole = wavegen("prepare", folder, "--sample-rate", RATE, "--out", tmp_path / "whole", "--json")
    joined = wavegen("prepare", "--join", *parts[::-1], "--out", tmp_path / "c", "--json")
    assert joined.code == 0, joined.err
    assert "joining" in joined.err
    told, wanted = (json.loads(ended.out.splitlines()[-1]) for ended in (joined, whole))
    assert told | {"corpus": wanted["corpus"]} == wanted
    assert wavegen("info", tmp_path / "c").out == wavegen("info", tmp_path / "whole").out
    assert wavegen("info", parts[0]).code == 0


@pytest.mark.parametrize(
    "words",
    [
        "--layout folder", "--sample-rate 8000", "--pitch 60-64", "--label a=b", "--limit 2",
        "--trim-silence", "--drop-silence", "--silence-db -50", "--denoise", "--normalize peak",
        "--highpass", "--part 1/2", "--workers 2",
    ],
)  # fmt: skip
def test_what_a_join_would_not_do_is_refused(wavegen, tmp_path, words):
    ended = wavegen("prepare", "--join", "one", "two", "--out", tmp_path / "c", *words.split())
    assert ended.code == 1
    assert f"{words.split()[0]} with --join" in ended.err


@pytest.mark.parametrize("text", ["0/4", "5/4", "x", "1/0"])
def test_a_part_that_is_none_is_refused_before_any_work(wavegen, folder, tmp_path, text):
    ended = wavegen("prepare", folder, "--part", text, "--out", tmp_path / "c")
    assert ended.code == 1
    assert f"the part is '{text}'" in ended.err
    assert "I/N, such as 2/4" in ended.err


def test_a_join_of_nothing_is_refused(wavegen, tmp_path):
    ended = wavegen("prepare", "--join", "--out", tmp_path / "c")
    assert (ended.code, "no part was named" in ended.err) == (1, True)
