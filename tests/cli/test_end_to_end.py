"""From recordings to new sound, by the command line alone."""

import json

import numpy as np
import pytest

from wavegen import checkpoint
from wavegen.audio import files, mulaw
from wavegen.sampling import precision
from wavegen_kernels.cpu import machine

RATE = 8000
TENTH = ("--seconds", "0.1")
NOTE = ("--pitch", "62", *TENTH)


def last_json(text):
    return json.loads(text.splitlines()[-1])


def samples_of(path):
    return files.read(path)[0]


def test_recordings_become_new_sound(wavegen, sines, plain_run, plain, tmp_path):
    assert checkpoint.steps(plain_run) == [4]
    more = ("--data", sines, "--run", plain_run, "--steps", 6, "--json", *plain)
    ended = wavegen("train", "tiny", *more)
    assert ended.code == 0
    assert "going on from step 4" in ended.err
    assert last_json(ended.out)["step"] == 6
    assert not last_json(ended.out)["interrupted"]

    out = tmp_path / "new" / "sound.wav"
    ended = wavegen("generate", "--run", plain_run, "--out", out, *TENTH, "--seed", 3, "--json")
    assert ended.code == 0
    assert str(out) in ended.out
    told = last_json(ended.out)
    assert told["files"][0]["path"] == str(out)
    found = files.info(out)
    assert (found.sample_rate, found.frames, found.channels) == (RATE, RATE // 10, 1)
    assert np.isfinite(samples_of(out)).all()
    assert found.provenance is not None
    assert found.provenance["step"] == 6
    assert found.provenance["seed"] == 3

    ended = wavegen("info", out)
    assert "seed            3" in ended.out
    assert str(plain_run) in ended.out


def test_info_knows_a_run_a_corpus_and_a_config(wavegen, run, corpus):
    told = {name: last_json(wavegen("info", name, "--json").out) for name in (run, corpus, "tiny")}
    assert [facts["what"] for facts in told.values()] == ["run", "corpus", "config"]
    assert told[run]["checkpoints"] == [4, 8, 12]
    assert told[corpus]["sample_rate_hz"] == RATE


def test_info_draws_a_corpus_where_asked(wavegen, corpus, tmp_path):
    figure = tmp_path / "new" / "notes.png"
    ended = wavegen("info", corpus, "--figure", figure, "--json")
    assert ended.code == 0
    assert last_json(ended.out)["figure"] == str(figure)
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_quiet_says_nothing_but_json(wavegen, run, tmp_path):
    out = ("--out", tmp_path / "a.wav")
    assert wavegen("generate", "--run", run, *out, *NOTE, "--quiet") == (0, "", "")
    ended = wavegen("generate", "--run", run, *out, *NOTE, "--quiet", "--json")
    assert ended.err == ""
    assert last_json(ended.out)["seed"] == 0
    assert len(ended.out.splitlines()) == 1


def test_the_same_seed_makes_the_same_bytes_and_another_makes_others(wavegen, run, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        out = tmp_path / f"{name}.wav"
        assert wavegen("generate", "--run", run, "--out", out, *NOTE, "--seed", seed).code == 0
    a, b, c = ((tmp_path / f"{name}.wav").read_bytes() for name in "abc")
    assert a == b
    assert a != c
    assert np.any(samples_of(tmp_path / "a.wav") != samples_of(tmp_path / "c.wav"))


def test_each_of_several_is_what_it_is_alone(wavegen, run, tmp_path):
    folder = tmp_path / "several"
    ended = wavegen(
        "generate", "--run", run, "--out", folder, "--pitch", "60,62-63", *TENTH, "--num", 2,
        "--json",
    )  # fmt: skip
    assert ended.code == 0
    assert [file["path"] for file in last_json(ended.out)["files"]] == [
        str(folder / f"pitch0{pitch}_vel100_seed0_take{take}.wav")
        for pitch in (60, 62, 63)
        for take in (0, 1)
    ]
    alone = tmp_path / "alone.wav"
    assert wavegen("generate", "--run", run, "--out", alone, *NOTE).code == 0
    # Whole bytes, for a tie in 800 draws (float32 rounding of another batch size) is 1 in 1000.
    assert (folder / "pitch062_vel100_seed0_take0.wav").read_bytes() == alone.read_bytes()
    takes = [samples_of(folder / f"pitch062_vel100_seed0_take{take}.wav") for take in (0, 1)]
    assert np.any(takes[0] != takes[1])


def test_a_folder_with_a_dot_in_its_name_is_still_a_folder(wavegen, run, tmp_path):
    folder = tmp_path / "takes.v2"
    folder.mkdir()
    assert wavegen("generate", "--run", run, "--out", folder, *NOTE).code == 0
    assert [path.name for path in folder.iterdir()] == ["pitch062_vel100_seed0_take0.wav"]


@pytest.mark.parametrize(
    ("format", "suffix", "wanted"),
    [
        ("wav24", "wav", "WAV PCM_24"),
        ("float32", "wav", "WAV FLOAT"),
        ("flac", "flac", "FLAC PCM_16"),
        (None, "flac", "FLAC PCM_16"),
    ],
)
def test_every_format_holds_the_same_sound(wavegen, run, tmp_path, format, suffix, wanted):
    out, plain = tmp_path / f"a.{suffix}", tmp_path / "b.wav"
    chosen = ("--format", format) if format else ()
    assert wavegen("generate", "--run", run, "--out", out, *NOTE, *chosen).code == 0
    assert wavegen("generate", "--run", run, "--out", plain, *NOTE).code == 0
    found = files.info(out)
    assert found.format == wanted
    assert found.provenance == files.provenance(plain)
    # Each may be half a step of 16 bits off, and clips at one step below 1.
    np.testing.assert_allclose(samples_of(out), samples_of(plain), atol=2 / 2**15)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([out.name, "b.wav"])


def test_a_primer_of_another_rate_is_heard_and_can_be_left_out(wavegen, run, sine, tmp_path):
    primer = sine(tmp_path / "primer.wav", seconds=0.25, rate=16_000)
    primed = ("generate", "--run", run, *NOTE, "--primer", primer)
    assert wavegen(*primed, "--out", tmp_path / "a.wav").code == 0
    assert wavegen(*primed, "--out", tmp_path / "b.wav", "--no-include-primer").code == 0
    whole, rest = samples_of(tmp_path / "a.wav"), samples_of(tmp_path / "b.wav")
    assert len(whole) == RATE // 4 + RATE // 10
    np.testing.assert_array_equal(whole[-RATE // 10 :], rest)
    primer_codes = mulaw.encode(files.read(primer, RATE)[0], 256)
    # The codes come back exactly; the 16 bits of the WAV are a rounding of less than half a code.
    np.testing.assert_array_equal(mulaw.encode(whole[: RATE // 4], 256), primer_codes)


def test_settings_of_the_draw_change_the_sound_as_they_say(wavegen, run, tmp_path):
    def made(name, *settings):
        out = tmp_path / f"{name}.wav"
        assert wavegen("generate", "--run", run, "--out", out, *NOTE, *settings).code == 0
        return samples_of(out)

    plain, likeliest = made("plain"), made("cold", "--temperature", 0)
    np.testing.assert_array_equal(likeliest, made("one", "--top-k", 1))
    np.testing.assert_array_equal(likeliest, made("share", "--top-p", 1e-6))
    np.testing.assert_array_equal(likeliest, made("seed", "--temperature", 0, "--seed", 9))
    assert len(np.unique(made("few", "--top-k", 3))) <= len(np.unique(plain))
    assert np.any(plain != likeliest)


@pytest.mark.parametrize("asked", ["float32", "bfloat16"])
def test_what_ran_stands_in_the_file_and_in_the_json(wavegen, run, tmp_path, asked):
    out = tmp_path / "a.wav"
    ended = wavegen("generate", "--run", run, "--out", out, *NOTE, "--precision", asked, "--json")
    assert ended.code == 0, ended.err
    for said in (last_json(ended.out), files.provenance(out) or {}):
        assert (said["backend"], said["precision"]) == ("numba_cpu", asked)


def test_auto_names_the_precision_that_it_took(wavegen, run, tmp_path):
    out, same = tmp_path / "a.wav", tmp_path / "b.wav"
    assert wavegen("generate", "--run", run, "--out", out, *NOTE).code == 0
    taken = (files.provenance(out) or {})["precision"]
    assert taken in ("float32", "bfloat16")
    again = ("--out", same, *NOTE, "--precision", taken)
    assert wavegen("generate", "--run", run, *again).code == 0
    assert same.read_bytes() == out.read_bytes()


def test_auto_says_why_it_took_float32(wavegen, run, tmp_path, monkeypatch):
    monkeypatch.setattr(precision, "AGREES_NATS", 1e-12)
    ended = wavegen("generate", "--run", run, "--out", tmp_path / "a.wav", *NOTE, "--json")
    assert last_json(ended.out)["precision"] == "float32"
    assert "sampling in float32: bfloat16 is " in ended.err


def test_an_older_checkpoint_can_be_asked_for(wavegen, run, tmp_path):
    out = tmp_path / "old.wav"
    assert wavegen("generate", "--run", run, "--out", out, *NOTE, "--checkpoint", 4).code == 0
    assert (files.provenance(out) or {})["step"] == 4


def test_hold_alone_decides_how_long_the_sound_is(wavegen, run, tmp_path):
    out = tmp_path / "held.wav"
    asked = ("--pitch", 62, "--hold", "0.075", "--velocity", 64)
    assert wavegen("generate", "--run", run, "--out", out, *asked).code == 0
    assert files.info(out).frames == RATE // 10
    assert (files.provenance(out) or {})["velocity"] == 64


def test_doctor_says_what_works_here(wavegen):
    ended = wavegen("doctor", "--json")
    assert ended.code == 0
    facts = last_json(ended.out)
    assert facts["backends"]["xla_scan"] == "works"
    assert facts["auto"] == "numba_cpu"
    assert f"{facts['processor']} with vectors of {facts['float32_per_vector']}" in ended.out
    assert facts["precisions"]["bfloat16"] == "works"


def test_doctor_says_why_a_precision_does_not_work(wavegen, monkeypatch):
    monkeypatch.setattr(machine, "dot_product", lambda: None)
    ended = wavegen("doctor", "--json")
    assert "AVX-512 VNNI" in last_json(ended.out)["precisions"]["int8"]
    assert "int8      int8 needs the integer dot product" in ended.out


def test_a_recording_is_followed_as_long_as_it_lasts(wavegen, following_run, sine, tmp_path):
    low, high = (sine(tmp_path / f"{hz}.wav", hz, 0.4, 11_025) for hz in (200, 400))
    make = ("generate", "--run", following_run, "--temperature", "0")
    ended = wavegen(*make, "--like", low, "--out", tmp_path / "a.wav", "--json")
    assert ended.code == 0, ended.err
    assert last_json(ended.out)["like"] == "200.wav"
    assert wavegen(*make, "--like", high, "--out", tmp_path / "b.wav").code == 0
    a, b = samples_of(tmp_path / "a.wav"), samples_of(tmp_path / "b.wav")
    assert len(a) == len(b) == round(0.4 * RATE)
    assert (a != b).any()

    # What comes after a primer hears the primer first, then the recording from its start.
    primed = ("--primer", high, "--like", low, "--out", tmp_path / "c.wav")
    assert wavegen(*make, *primed).code == 0
    assert len(samples_of(tmp_path / "c.wav")) == 2 * len(a)

    ended = wavegen(*make, "--like", low, "--seconds", "0.5", "--out", tmp_path / "d.wav")
    assert "lasts 0.40 s; what is beyond follows silence" in ended.err
    longer = samples_of(tmp_path / "d.wav")
    # But for the last frames, which hear that the recording ends or goes on being silent.
    assert (longer[: len(a) - 600] == a[: len(a) - 600]).all()
    assert len(longer) == round(0.5 * RATE)


def test_a_network_that_follows_is_evaluated_on_what_it_follows(
    wavegen, following_run, sines, tmp_path
):
    asked = ("--num", 1, "--seconds", 0.2, "--out", tmp_path, "--precision", "float32")
    ended = wavegen("evaluate", "--run", following_run, "--data", sines, *asked, "--json")
    told = last_json(ended.out)
    bits = told["likelihood"]["bits_per_sample"]
    assert 0 < bits < 20
    kernels = told["precisions"]["float32"]["bits_per_sample"]
    assert kernels == pytest.approx(bits, abs=1e-3)  # float32 in another order
    assert len(told["generated"]["clips"]) == 1
