"""Whatever comes in, what is wrong is said once, in words that name it, and exits 1."""

import json
import shutil

import numpy as np
import pytest
import soundfile

from wavegen.data.layouts.recordings import SUFFIXES

RATE = 8000


@pytest.fixture(scope="session")
def world(tmp_path_factory, sine, corpus, run, plain_run, following_run, sines):
    """A folder of things that are not what they should be; its names stand in the lines below."""
    here = tmp_path_factory.mktemp("world")
    sine(here / "good" / "a.wav")
    (here / "empty").mkdir()
    (here / "folder.wav").mkdir()
    (here / "bad").mkdir()
    (here / "bad" / "text.wav").write_text("I am a poem.")
    (here / "bad" / "zero.wav").touch()
    soundfile.write(here / "bad" / "one.wav", np.full(1, 0.5), RATE)
    soundfile.write(here / "bad" / "silent.wav", np.zeros(RATE), RATE)
    values = np.r_[np.nan, np.inf, np.zeros(RATE)]
    soundfile.write(here / "bad" / "nan.wav", values, RATE, "FLOAT")
    (here / "text.wav").write_text("I am a poem.")
    (here / "zero.wav").touch()
    (here / "a_file").write_text("")
    (here / "songs.zip").write_bytes(b"PK")
    (here / "typo.toml").write_text("[training]\nstepz = 3\n")
    (here / "flat.toml").write_text("audio = 3\n")
    (here / "broken.toml").write_text("x = [\n")
    for name, text in (("nojson", "{"), ("list", "[]"), ("nofield", '{"a": {"pitch": 60}}')):
        (here / name).mkdir()
        (here / name / "examples.json").write_text(text)
    (here / "young").mkdir()
    shutil.copy(run / "config.toml", here / "young")
    shutil.copytree(corpus, here / "torn")
    (here / "torn" / "train" / "samples-00000.npy").write_bytes(b"torn")
    shutil.copytree(run, here / "damaged")
    for file in (here / "damaged" / "checkpoints").rglob("*"):
        if file.is_file() and file.stat().st_size > 500:
            file.write_bytes(b"damaged")
    links = {"corpus": corpus, "run": run, "plain": plain_run, "sines": sines}
    links["following"] = following_run
    for name, target in links.items():
        (here / name).symlink_to(target)
    return here


GENERATE = "generate --run run --pitch 62 --seconds 0.1 "
PLAIN = "generate --run plain --seconds 0.1 "
TRAIN = "train tiny --run new --data "

# The line, and the words that its one message must hold.
WRONG = [
    ("prepare nowhere --out new", ["there is no nowhere"]),
    ("prepare empty --out new", ["empty", "no recording"]),
    ("prepare text.wav --out new", ["text.wav", "cannot be read as sound"]),
    ("prepare zero.wav --out new", ["zero.wav", "0 bytes"]),
    (
        "prepare bad --out new --sample-rate 8000",
        ["text.wav", "zero.wav: the file is empty", "one.wav: 1 sample", "silent", "NaN"],
    ),
    ("prepare songs.zip --out new", ["songs.zip", "unpack it"]),
    ("prepare nojson --out new", ["examples.json", "not whole JSON"]),
    ("prepare list --out new", ["examples.json", "list"]),
    ("prepare nofield --out new", ["a: its entry has no 'note'"]),
    ("prepare good --out corpus", ["corpus exists and holds a corpus"]),
    ("prepare good --out .", ["exists"]),
    ("prepare good --out a_file", ["a_file exists"]),
    ("prepare good --out a_file/new", ["a_file is a file, not a folder"]),
    ("prepare good good --out new", ["named twice"]),
    ("prepare good --out new --layout nsynht", ["no layout 'nsynht'", "nsynth"]),
    ("prepare good --out new --sample-rate 5", ["--sample-rate 5", "1000 to 384000"]),
    ("prepare good --out new --pitch ²", ["--pitch ²", "60 is middle C"]),
    ("prepare good --out new --pitch 72-60", ["--pitch 72-60", "the lower first"]),
    ("prepare good --out new --pitch 60-72", ["left out by pitch: 1"]),
    ("prepare good --out new --label tone=x", ["no recording has a label 'tone'", "folder"]),
    ("prepare good --out new --label folder=x", ["no recording has folder = x", "good"]),
    ("prepare good --out new --label folder", ["--label folder", "KEY=VALUE"]),
    ("prepare good --out new --normalize loud", ["'loud'", "none, peak, rms, loudness"]),
    ("prepare good --out new --silence-db 3", ["silence is 3", "-120 to -10 dB"]),
    (
        "prepare good --out new --sample-rate 4000 --normalize loudness",
        ["loudness is asked for at 4000 Hz", "8000 Hz or more"],
    ),
    ("prepare good --out new --config nowhere.toml", ["there is no config 'nowhere.toml'"]),
    ("prepare good --out new --samples-per-second 9000", ["without --config"]),
    ("info corpus --samples-per-second 9000", ["without --config"]),
    ("train typo.toml --data corpus --run new", ["training.stepz", "did you mean", "typo.toml"]),
    ("train flat.toml --data corpus --run new", ["'audio' is 3", "[audio]"]),
    ("train broken.toml --data corpus --run new", ["broken.toml is not TOML"]),
    ("train nowhere.toml --data corpus --run new", ["there is no config 'nowhere.toml'"]),
    ("train tinny --data corpus --run new", ["did you mean 'tiny'"]),
    (TRAIN + "nowhere", ["there is no corpus nowhere", "wavegen prepare"]),
    (TRAIN + "good", ["good is no corpus", "wavegen prepare"]),
    (TRAIN + "torn", ["torn is damaged", "prepare it again"]),
    (TRAIN + "corpus", ["is at 8000 Hz, the config at 16000 Hz", "audio.sample_rate=8000"]),
    (
        TRAIN + 'corpus --set audio.sample_rate=8000 --set conditioner.labels=["tone"]',
        ["the label tone", "instrument"],
    ),
    (TRAIN + "sines --set audio.sample_rate=8000", ["label instrument"]),
    (
        TRAIN + "sines --set audio.sample_rate=8000 --set conditioner.labels=[]",
        ["wants notes", "conditioner.signals"],
    ),
    (TRAIN + "corpus --set steps=4", ["--set steps=4", "section.key=value"]),
    (TRAIN + "corpus --set training.steps=four", ["'training.steps' is 'four'", "whole number"]),
    (TRAIN + "corpus --set training.learning_rate=nan", ["training.learning_rate", "0 to 1"]),
    ("train tiny --data corpus --run run --no-resume", ["run already holds a training"]),
    ("train tiny --set audio.sample_rate=8000 --data corpus --run run", ["another config"]),
    (
        "train tiny --set audio.sample_rate=8000 --data corpus --run a_file/new",
        ["a_file is a file, not a folder"],
    ),
    (
        "train tiny --set audio.sample_rate=8000 --data corpus --run a_file",
        ["a_file is a file, not a folder"],
    ),
    (
        "info nowhere.wav",
        ["there is no nowhere.wav", "a run, an instrument, a corpus, a sound file"],
    ),
    ("info good", ["good is a folder, but no run, instrument or corpus"]),
    ("info text.wav", ["text.wav cannot be read as sound"]),
    ("info young", ["young is a run without a checkpoint"]),
    ("info corpus --figure f.jpg", ["--figure f.jpg", ".png or .svg"]),
    ("info corpus --figure a_file/f.png", ["a_file is a file, not a folder"]),
    ("info corpus --figure f.png --config nowhere", ["there is no config 'nowhere'"]),
    ("info good --figure f.png", ["--figure with good, which is no corpus", "wavegen prepare"]),
    ("info nowhere --figure f.png", ["--figure with nowhere, which is no corpus"]),
    ("info run --figure new/f.png", ["--figure with run, which is no corpus"]),
    ("info torn --figure new/f.png", ["torn is damaged"]),
    ("generate --run nowhere --out o.wav", ["there is no run at nowhere"]),
    ("generate --run young --out o.wav", ["young holds no checkpoint yet"]),
    ("generate --run damaged --out o.wav", ["no checkpoint of damaged can be read", "step 12"]),
    (GENERATE + "--out o.wav --checkpoint 5", ["no checkpoint of step 5", "4, 8, 12"]),
    (GENERATE + "--out a_file/o.wav", ["a_file is a file, not a folder"]),
    (GENERATE + "--out a_file/more/o.wav", ["a_file is a file, not a folder"]),
    (GENERATE + "--out folder.wav", ["folder.wav is a folder"]),
    (GENERATE + "--out o.mp3", ["o.mp3 does not go with --format wav16"]),
    (GENERATE + "--out o.wav --format mp3", ["--format mp3", "wav16, wav24, float32, flac"]),
    (GENERATE + "--out o.wav --format flac", ["o.wav does not go with --format flac"]),
    (GENERATE + "--out o.wav --num 2", ["o.wav is one file, but 2 sounds"]),
    (GENERATE + "--out o.wav --label instrument=kazoo", ["knows no instrument 'kazoo'", "organ"]),
    (GENERATE + "--out o.wav --label tone=dark", ["knows no label 'tone'", "instrument"]),
    (GENERATE + "--out o.wav --label tone", ["--label tone", "KEY=VALUE"]),
    (GENERATE + "--out o.wav --velocity 0", ["--velocity 0", "1 to 127"]),
    (GENERATE + "--out o.wav --hold -1", ["--hold -1"]),
    (GENERATE + "--out o.wav --temperature -1", ["temperature is -1"]),
    (GENERATE + "--out o.wav --top-k -1", ["top-k is -1"]),
    (GENERATE + "--out o.wav --top-p 0", ["top-p is 0"]),
    (GENERATE + "--out o.wav --seed -1", ["seed is -1"]),
    (GENERATE + "--out o.wav --backend nonsense", ["no backend 'nonsense'", "leave --backend"]),
    (
        GENERATE + "--out o.wav --precision bfloat61",
        ["no precision 'bfloat61'", "did you mean 'bfloat16'"],
    ),
    (
        GENERATE + "--out o.wav --backend xla_scan --precision bfloat16",
        ["'xla_scan' cannot run here", "bfloat16 is a precision of numba_cpu"],
    ),
    (GENERATE + "--out o.wav --primer nowhere.wav", ["nowhere.wav does not exist"]),
    (GENERATE + "--out o.wav --primer text.wav", ["text.wav cannot be read as sound"]),
    (GENERATE + "--out o.wav --primer good", ["good is a folder"]),
    (GENERATE + "--out o.wav --primer bad/nan.wav", ["bad/nan.wav has 2 NaN or infinite"]),
    ("generate --run run --out o.wav", ["no pitch was asked for", "60 to 64"]),
    ("generate --run run --out o.wav --pitch 200", ["--pitch 200", "0 to 127"]),
    ("generate --run run --out o.wav --pitch C4", ["--pitch C4", "60 is middle C"]),
    ("generate --run plain --out o.wav --seconds -1", ["--seconds -1"]),
    ("generate --run plain --out o.wav --seconds nan", ["--seconds nan"]),
    ("generate --run plain --out o.wav --seconds 1e-5", ["less than one sample at 8000 Hz"]),
    (PLAIN + "--out o.wav --pitch 60", ["--pitch 60", "does not hear notes"]),
    (PLAIN + "--out o.wav --label folder=in", ["no label 'folder'", "this model has none"]),
    (PLAIN + "--out o.wav --like good/a.wav", ["--like good/a.wav", "follows no recording"]),
    ("generate --run following --out o.wav", ["follows a recording (f0_loudness, mel)", "--like"]),
    ("generate --run following --out o.wav --like text.wav", ["cannot be read as sound"]),
    (
        "train tiny --data corpus --run new --set augmentation.delay_samples=64",
        ["delay_samples is 64", "take up to 63"],
    ),
]


@pytest.mark.parametrize(("line", "words"), WRONG, ids=[line for line, _ in WRONG])
def test_wrong_input_exits_1_with_one_message(wavegen, world, monkeypatch, line, words):
    monkeypatch.chdir(world)
    before = set(world.rglob("*"))
    ended = wavegen(*line.split())
    assert ended.code == 1
    assert ended.err.count("error: ") == 1
    assert "Traceback" not in ended.err
    assert ended.out == ""
    message = ended.err[ended.err.index("error: ") :]
    assert [word for word in words if word not in message] == []
    left = {path.name for path in set(world.rglob("*")) - before}
    assert left == set()  # what was refused leaves nothing behind


def test_a_refused_command_leaves_the_older_file_alone(wavegen, run, sine, tmp_path):
    out = sine(tmp_path / "older.wav")
    before = out.read_bytes()
    asked = ("--pitch", 62, "--out", out)
    assert wavegen("generate", "--run", run, *asked, "--backend", "nonsense").code == 1
    assert out.read_bytes() == before


def test_a_foreign_pitch_is_warned_of_and_played(wavegen, run, tmp_path):
    out = tmp_path / "high.wav"
    ended = wavegen("generate", "--run", run, "--out", out, "--pitch", 100, "--seconds", "0.1")
    assert ended.code == 0
    assert "warning: pitch 100 was not among the notes" in ended.err
    assert out.is_file()


def test_a_good_file_among_bad_ones_is_used_and_the_bad_are_named(wavegen, world, tmp_path):
    folder, out = tmp_path / "mixed", tmp_path / "corpus"
    shutil.copytree(world / "bad", folder)
    shutil.copy(world / "good" / "a.wav", folder)
    (folder / "notes.txt").write_text("no sound")
    ended = wavegen("prepare", folder, "--out", out, "--sample-rate", RATE, "--json")
    assert ended.code == 0
    report = json.loads((out / "report.json").read_text())
    assert [file["name"] for file in report["files"] if file["kept"]] == ["a.wav"]
    reasons = {file["name"]: file["reason"] for file in report["files"] if not file["kept"]}
    assert set(reasons) == {"text.wav", "zero.wav", "one.wav", "silent.wav", "nan.wav"}
    assert all(reasons.values())
    assert report["ignored"] == 1


@pytest.mark.parametrize(("channels", "rate"), [(8, 48_000), (1, 192_000), (2, 11_025)])
def test_any_channels_and_rate_are_taken(wavegen, tmp_path, channels, rate):
    time = np.arange(rate // 4) / rate
    sound = np.tile(0.5 * np.sin(2 * np.pi * 220 * time)[:, None], (1, channels))
    soundfile.write(tmp_path / "a.wav", sound, rate)
    out = tmp_path / "corpus"
    assert wavegen("prepare", tmp_path / "a.wav", "--out", out, "--sample-rate", RATE).code == 0
    (file,) = json.loads((out / "report.json").read_text())["files"]
    assert (file["channels"], file["sample_rate"]) == (channels, rate)
    assert file["seconds"] == pytest.approx(0.25, abs=1 / RATE)  # resampling rounds to a sample


@pytest.mark.parametrize("name", ["odd", "formats"])
def test_every_file_of_a_hostile_folder_is_kept_or_named(wavegen, shared_data, tmp_path, name):
    source, out = shared_data / name, tmp_path / "corpus"
    ended = wavegen(
        "prepare", source, "--layout", "folder", "--out", out, "--sample-rate", RATE, "--json"
    )
    assert ended.code == 0, ended.err
    report = json.loads((out / "report.json").read_text())
    told = {file["name"]: file for file in report["files"]}
    sounds = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*")
        if path.is_file() and (path.suffix.lower() in SUFFIXES or not path.suffix)
    }
    assert set(told) == sounds
    assert all(file["kept"] or file["reason"] for file in told.values())
    assert sum(file["kept"] for file in told.values()) > 10


def test_every_odd_nsynth_folder_is_used_or_refused_in_words(wavegen, shared_data, tmp_path):
    for folder in sorted(shared_data.glob("odd/nsynth_*")):
        out = tmp_path / folder.name
        ended = wavegen("prepare", folder, "--out", out, "--sample-rate", RATE)
        assert ended.code in (0, 1)
        assert ended.err.count("error: ") == ended.code
        assert out.is_dir() == (ended.code == 0)
