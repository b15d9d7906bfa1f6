"""Files in, one finished file out; what stood there before is safe until it is."""

import json

import numpy as np
import pytest
import soundfile

from wavegen.audio import files

RATE = 8000


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder of sounds: a.wav is mono and ours, b.wav stereo, c.wav at another rate."""
    monkeypatch.chdir(tmp_path)
    time = np.arange(2 * RATE) / RATE
    tone = 0.25 * np.sin(2 * np.pi * 330 * time)
    files.write("a.wav", tone, RATE, provenance={"run": "runs/a", "seed": 3})
    soundfile.write("b.wav", np.stack([0.5 * tone, 0 * tone], axis=1), RATE, "FLOAT")
    soundfile.write("c.wav", np.full(6000, 0.1), 2 * RATE)
    soundfile.write("six.wav", np.zeros((100, 6)), RATE)
    soundfile.write("silent.wav", np.zeros(RATE), RATE)
    soundfile.write("low.wav", tone, 4000)
    soundfile.write("nan.wav", np.array([0.5, np.nan]), RATE, "FLOAT")
    (tmp_path / "poem.wav").write_text("I am a poem.")
    (tmp_path / "folder.wav").mkdir()
    return tmp_path


@pytest.fixture
def master(wavegen, here):
    """A function: runs `wavegen master` with --json; gives what it told and its errors."""

    def run(line):
        ended = wavegen("master", *line.split(), "--json")
        assert ended.code == 0, ended.err
        return json.loads(ended.out.splitlines()[-1]), ended.err

    return run


def frames(path):
    return np.concatenate(list(files.Frames(path)))


def test_nothing_asked_for_is_a_copy(master):
    told, _ = master("a.wav out.wav")
    np.testing.assert_array_equal(frames("out.wav"), frames("a.wav"))
    assert told["before"] == told["after"]
    assert told["after"]["seconds"] == 2
    assert told["after"]["peak_dbfs"] == pytest.approx(20 * np.log10(0.25), abs=0.01)  # 16 bits


def test_everything_asked_for_is_done_and_told(master, wavegen):
    line = (
        "a.wav b.wav out.flac --gain 0,-6 --remove-dc --reverb -18 --reverb-seconds 0.5 "
        "--fade-in 0.1 --fade-out 0.5 --loudness -20 --limit -2 --dither --seed 4"
    )
    told, err = master(line)
    assert err.count("warning") == 0
    assert (told["format"], told["sample_rate"], told["channels"]) == ("flac", RATE, 2)
    assert told["after"]["lufs"] == pytest.approx(-20, abs=0.01)  # dither of -98 dBFS, no limiting
    assert told["after"]["seconds"] == 19_999 / RATE  # 2 and 0.5 s, convolved
    assert told["after"]["peak_dbfs"] <= -2
    about = files.info("out.flac")
    assert (about.frames, about.channels, about.format) == (19_999, 2, "FLAC PCM_16")
    assert about.provenance is not None
    assert about.provenance["mix"] == [
        {"file": "a.wav", "gain_db": 0.0, "made": {"run": "runs/a", "seed": 3}},
        {"file": "b.wav", "gain_db": -6.0},
    ]
    assert about.provenance["mastered"][0]["reverb_db"] == -18
    assert about.provenance["mastered"][0]["seed"] == 4
    before = (about, (frames("out.flac")))
    master(line)
    np.testing.assert_array_equal(frames("out.flac"), before[1])  # the same command, the same sound
    assert "mastered" in wavegen("info", "out.flac").out


def test_a_mono_sound_is_heard_on_both_channels_of_a_mix(master):
    master("a.wav b.wav out.wav --format float32 --gain -6 --gain 6")
    mono, both = frames("a.wav").astype(np.float64), frames("b.wav").astype(np.float64)
    wanted = mono * 10 ** (-6 / 20) + both * 10 ** (6 / 20)
    np.testing.assert_allclose(frames("out.wav"), wanted, atol=2**-24, rtol=0)  # rounded once


def test_a_sound_at_another_rate_is_brought_to_the_first_ones_and_that_is_said(master):
    told, err = master("a.wav c.wav out.wav")
    assert "c.wav: from 16000 to 8000 Hz" in err
    made = frames("out.wav")[:, 0] - frames("a.wav")[:, 0]
    assert told["sample_rate"] == RATE
    np.testing.assert_allclose(made[300:2700], 0.1, atol=1e-4, rtol=0)  # three steps of 16 bits
    np.testing.assert_allclose(made[3300:], 0, atol=1e-4, rtol=0)


def test_the_file_that_is_read_may_be_replaced(master, here):
    sound = frames("a.wav")
    master("a.wav a.wav --gain -6")
    np.testing.assert_allclose(frames("a.wav"), sound * 10 ** (-6 / 20), atol=2**-15)  # 16 bits
    master("a.wav a.wav --gain 6")
    story = files.provenance("a.wav")
    assert story == {"run": "runs/a", "seed": 3, "mastered": [{"gain_db": -6.0}, {"gain_db": 6.0}]}
    assert not list(here.glob("*partial*"))


def test_a_story_that_is_too_long_becomes_shorter(master):
    for name in ("long.wav", "too.wav"):
        files.write(name, np.full(100, 0.1), RATE, provenance={"run": "x" * 1960})
    _, err = master("long.wav too.wav out.wav")
    assert "too long" in err
    wanted = [{"file": "long.wav", "gain_db": 0.0}, {"file": "too.wav", "gain_db": 0.0}]
    assert (files.provenance("out.wav") or {})["mix"] == wanted
    master("long.wav out.wav --limit -1 --fade-in 0.01 --fade-out 0.01")
    assert "run" not in (files.provenance("out.wav") or {})


def test_what_is_not_as_asked_is_said(master):
    assert "silence has no loudness" in master("silent.wav out.wav --loudness -20")[1]
    told, err = master("a.wav out.wav --loudness -2")
    assert "the limiter took off" in err
    assert told["after"]["peak_dbfs"] <= -1
    assert told["after"]["lufs"] < -3
    assert "over full scale and were clipped" in master("a.wav out.wav --gain 20")[1]
    assert "clipped" not in master("a.wav out.wav --gain 20 --format float32")[1]
    assert "clipped" not in master("a.wav out.wav --gain 20 --limit 0 --dither")[1]


def test_silence_has_no_number_in_json(master):
    told, _ = master("silent.wav out.wav")
    assert told["after"] == {"seconds": 1.0, "peak_dbfs": None, "lufs": None}


def test_a_rate_without_loudness_can_be_mastered_but_for_it(master, wavegen):
    told, _ = master("low.wav out.wav --limit -20 --reverb -20")
    assert told["after"]["lufs"] is None
    assert told["after"]["peak_dbfs"] <= -20
    assert "8000 Hz or more" in wavegen("master", "low.wav", "out.wav", "--loudness", "-20").err


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("none.wav out.wav", "none.wav does not exist"),
        ("poem.wav out.wav", "cannot be read as sound"),
        ("six.wav out.wav", "six.wav has 6 channels"),
        ("nan.wav out.wav", "1 NaN or infinite samples of 2"),
        ("a.wav nan.wav out.wav", "nan.wav has 1 NaN"),
        ("a.wav out.mp3", "a name that ends in .wav"),
        ("a.wav out.wav --format flac", "a name that ends in .flac"),
        ("a.wav out.wav --format mp3", "wav16, wav24, float32, flac"),
        ("a.wav folder.wav", "folder.wav is a folder"),
        ("a.wav a.wav/out.wav", "cannot write"),
        ("a.wav out.wav --gain 1,2", "2 for 1 files"),
        ("a.wav b.wav out.wav --gain 3", "1 for 2 files"),
        ("a.wav out.wav --gain loud", "decibels"),
        ("a.wav out.wav --gain nan", "-120 to 120 dB"),
        ("a.wav out.wav --dither --format wav24", "16 bits"),
        ("a.wav out.wav --reverb-seconds 2", "--reverb DB"),
        ("a.wav out.wav --limit 3", "-60 to 0 dBFS"),
        ("a.wav out.wav --fade-out 3", "in a sound of 2"),
    ],
)
def test_what_cannot_be_mastered_is_refused_and_the_old_file_stays(wavegen, here, line, words):
    files.write("out.wav", np.full(100, 0.5), RATE)
    before = (here / "out.wav").read_bytes()
    ended = wavegen("master", *line.split())
    assert ended.code == 1
    assert words in ended.err
    assert "Traceback" not in ended.err
    assert (here / "out.wav").read_bytes() == before
    assert not list(here.glob("*partial*"))


@pytest.mark.parametrize("line", ["", "a.wav", "a.wav out.wav --limit x"])
def test_wrong_usage_exits_2(wavegen, line):
    assert wavegen("master", *line.split()).code == 2
