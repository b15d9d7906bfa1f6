"""`wavegen plot`: figures of sounds, scores and runs; wrong inputs in one message."""

import json
import os

import mido
import numpy as np
import pytest
import soundfile
from matplotlib import image

from wavegen.audio import files
from wavegen.evaluation.figures import plots

RATE = 8000


def write_song(path, tracks=1, notes=8):
    """Notes of half a second each, one after the other; the tracks are of programs 0, 1, 2, ..."""
    song = mido.MidiFile(ticks_per_beat=480)
    for number in range(tracks):
        track = mido.MidiTrack([mido.Message("program_change", program=number, channel=number)])
        for pitch in range(60, 60 + notes):
            track.append(mido.Message("note_on", note=pitch, velocity=80, channel=number))
            track.append(mido.Message("note_off", note=pitch, time=480, channel=number))
        song.tracks.append(track)
    song.save(path)
    return path


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were drawn; they are written all the same."""
    figures = []
    write = plots.write

    def keep(path, figure):
        figures.append(figure)
        write(path, figure)

    monkeypatch.setattr(plots, "write", keep)
    return figures


def told(ended):
    assert ended.code == 0, ended.err
    return json.loads(ended.out.splitlines()[-1])


@pytest.mark.parametrize(
    ("ending", "first"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("PDF", b"%PDF")]
)
def test_a_sound_becomes_a_figure_of_the_kind_that_is_asked_for(
    wavegen, sine, tmp_path, ending, first
):
    wav, out = sine(tmp_path / "a.wav", seconds=2.0), tmp_path / "deep" / f"a.{ending}"
    facts = told(wavegen("plot", wav, "--out", out, "--json"))
    assert (facts["figure"], facts["sounds"]) == (str(out), [str(wav)])
    assert (facts["start_seconds"], facts["end_seconds"]) == (0.0, 2.0)
    assert out.read_bytes().startswith(first)
    assert [path.name for path in out.parent.iterdir()] == [out.name]


def test_a_score_stands_above_the_sound_in_colours_of_its_parts(wavegen, sine, tmp_path, drawn):
    wav, mid = sine(tmp_path / "a.wav", seconds=5.0), write_song(tmp_path / "a.mid", tracks=3)
    asked = ("plot", wav, "--midi", mid, "--out", tmp_path / "a.png", "--title", "$three$ parts")
    facts = told(wavegen(*asked, "--json"))
    assert (facts["midi"], facts["notes"]) == (str(mid), 24)
    (figure,) = drawn
    assert figure.get_suptitle() == "$three$ parts"
    roll, wave, below = figure.axes[:3]
    assert [len(bars.get_paths()) for bars in roll.collections] == [8, 8, 8]
    assert len(roll.get_legend().get_texts()) == 3
    assert wave.get_title() == "a.wav"
    assert roll.get_xlim() == below.get_xlim() == (0, 5)
    assert image.imread(tmp_path / "a.png").std() > 0.1


def test_a_stretch_shows_its_seconds_and_its_notes(wavegen, sine, tmp_path, drawn):
    wav, mid = sine(tmp_path / "a.wav", seconds=5.0), write_song(tmp_path / "a.mid")
    asked = ("--start", 1.25, "--seconds", 1.5, "--out", tmp_path / "a.png", "--quiet")
    assert wavegen("plot", wav, "--midi", mid, *asked) == (0, "", "")
    (figure,) = drawn
    roll, _, below = figure.axes[:3]
    assert below.get_xlim() == (1.25, 2.75)
    # Notes of half a second: those from 1.0, 1.5, 2.0 and 2.5 s on sound in it.
    assert len(roll.collections[0].get_paths()) == 4


def test_a_score_that_outlasts_the_sound_is_told(wavegen, sine, tmp_path):
    wav, mid = sine(tmp_path / "a.wav", seconds=2.0), write_song(tmp_path / "a.mid")
    ended = wavegen("plot", wav, "--midi", mid, "--out", tmp_path / "a.png")
    assert "warning: " in ended.err
    assert "goes on to 4.0 s, the sound ends at 2.0 s" in ended.err
    ended = wavegen("plot", wav, "--midi", mid, "--seconds", 1, "--out", tmp_path / "a.png")
    assert "warning" not in ended.err


def test_several_sounds_share_a_figure(wavegen, sine, tmp_path, drawn):
    wavs = [sine(tmp_path / f"{hz}.wav", hz) for hz in (220, 440)]
    facts = told(wavegen("plot", *wavs, "--out", tmp_path / "a.png", "--json"))
    assert facts["sounds"] == [str(wav) for wav in wavs]
    assert [axes.get_title() for axes in drawn[0].axes if axes.lines] == ["220.wav", "440.wav"]


def test_a_run_becomes_its_curves(wavegen, run, tmp_path, drawn):
    out = tmp_path / "run.png"
    facts = told(wavegen("plot", run, "--out", out, "--title", "mine", "--json"))
    assert (facts["figure"], facts["run"]) == (str(out), str(run))
    (figure,) = drawn
    assert figure.axes[0].get_title() == "mine"
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert [label.split(",")[0] for label in labels] == ["training", "validation"]


def test_several_runs_become_one_figure_and_two_scales_are_told(
    wavegen, run, plain_run, tmp_path, drawn
):
    facts = told(wavegen("plot", run, plain_run, "--out", tmp_path / "runs.svg", "--json"))
    assert facts["runs"] == [str(run), str(plain_run)]
    assert len(drawn[0].legends[0].get_texts()) == 2
    other = tmp_path / "other"
    other.mkdir()
    for name in ("metrics.jsonl", "config.toml"):
        text = (run / name).read_text()
        (other / name).write_text(text.replace(f"sample_rate = {RATE}", "sample_rate = 16000"))
    ended = wavegen("plot", run, other, "--out", tmp_path / "runs.svg")
    assert "bits per sample do not compare" in ended.err


@pytest.mark.parametrize("seconds", [0.001, 2.0])
def test_a_rainbowgram_stands_in_place_of_the_spectrogram(wavegen, sine, tmp_path, drawn, seconds):
    wav = sine(tmp_path / "a.wav", seconds=seconds)
    told(wavegen("plot", wav, wav, "--rainbowgram", "--out", tmp_path / "a.png", "--json"))
    labels = [axes.get_ylabel() for axes in drawn[0].axes]
    assert labels.count("note") == 1
    assert "kHz" not in labels
    assert image.imread(tmp_path / "a.png").std() > 0.1


def test_silence_is_drawn_and_told(wavegen, tmp_path):
    files.write(tmp_path / "a.wav", np.zeros(RATE), RATE)
    ended = wavegen("plot", tmp_path / "a.wav", "--rainbowgram", "--out", tmp_path / "a.png")
    assert ended.code == 0
    assert "a.wav is silent there" in ended.err


def test_a_config_by_name_or_of_a_run_becomes_its_dilations(wavegen, run, tmp_path, drawn):
    facts = told(wavegen("plot", "tiny", "--out", tmp_path / "a.svg", "--json"))
    assert facts["receptive_field_samples"] == 65
    assert facts["config"].endswith("tiny.toml")
    told(wavegen("plot", run / "config.toml", "--out", tmp_path / "a.pdf", "--json"))
    assert [figure.get_suptitle() for figure in drawn] == ["tiny", run.name]


@pytest.fixture(scope="module")
def world(tmp_path_factory, sine):
    """Things that cannot be drawn, and a sound and a song that can."""
    here = tmp_path_factory.mktemp("plot")
    sine(here / "a.wav")
    write_song(here / "a.mid")
    write_song(here / "none.mid", notes=0)
    (here / "text.wav").write_text("I am a poem.")
    (here / "text.mid").write_text("I am a poem.")
    (here / "poem.toml").write_text("I am a poem.")
    (here / "wrong.toml").write_text("[model]\nlayers = 3\n")
    (here / "torn.mid").write_bytes((here / "a.mid").read_bytes()[:60])
    (here / "zero.wav").touch()
    soundfile.write(here / "header.wav", np.zeros(0), RATE)
    soundfile.write(here / "nan.wav", np.r_[np.zeros(9), np.nan], RATE, "FLOAT")
    for name in ("empty", "young", "binary", "full.png"):
        (here / name).mkdir()
    (here / "young" / "metrics.jsonl").write_text('{"step": 0}\n')
    (here / "binary" / "metrics.jsonl").write_bytes(b"\xff\xfe\x00")
    return here


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a.wav --out a.gif", ["--out a.gif", ".png, .svg, .pdf"]),
        ("a.wav --out a", ["--out a", ".png, .svg, .pdf"]),
        ("a.wav --out full.png", ["full.png is a folder"]),
        ("a.wav --out a.mid/a.png", ["a.mid is a file, not a folder"]),
        ("nowhere.wav --out a.png", ["nowhere.wav does not exist"]),
        ("text.wav --out a.png", ["text.wav cannot be read as sound"]),
        ("zero.wav --out a.png", ["zero.wav is empty"]),
        ("header.wav --out a.png", ["header.wav holds no samples"]),
        ("nan.wav --out a.png", ["nan.wav has 1 NaN"]),
        ("a.wav nan.wav --out a.png", ["nan.wav has 1 NaN"]),
        ("a.wav --midi nowhere.mid --out a.png", ["nowhere.mid"]),
        ("a.wav --midi text.mid --out a.png", ["text.mid cannot be read as MIDI"]),
        ("a.wav --midi torn.mid --out a.png", ["torn.mid"]),
        ("a.wav --midi none.mid --out a.png", ["none.mid has no notes"]),
        ("a.wav --start 3 --out a.png", ["a.wav lasts 1.000 s", "the start is 3 s"]),
        ("a.wav --start nan --out a.png", ["a.wav lasts 1.000 s"]),
        ("a.wav --seconds 0 --out a.png", ["a stretch of 0 s"]),
        ("a.wav empty --out a.png", ["a.wav, a sound and empty, a folder", "each kind"]),
        ("young tiny --out a.png", ["young, a folder and tiny, a config"]),
        ("young young --out a.png", ["young twice"]),
        ("tiny demo --out a.png", ["2 configs in one figure"]),
        ("nosuch --out a.png", ["no config 'nosuch'", "tiny"]),
        ("poem.toml --out a.png", ["poem.toml is not TOML"]),
        ("wrong.toml --out a.png", ["unknown key 'model.layers'"]),
        ("tiny --rainbowgram --out a.png", ["with tiny, a config", "a sound file"]),
        ("nan.wav --rainbowgram --out a.png", ["nan.wav has 1 NaN"]),
        ("empty --out a.png", ["empty holds no metrics.jsonl", "wavegen train"]),
        ("young --out a.png", ["tells of no step"]),
        ("binary --out a.png", ["is damaged"]),
        ("young --midi a.mid --out a.png", ["with young, a folder"]),
        ("young --start 0 --out a.png", ["with young, a folder"]),
        (" ".join(["a.wav"] * 61) + " --out a.png", ["61 sounds", "at most 60"]),
    ],
)
def test_wrong_input_exits_1_with_one_message_and_no_figure(
    wavegen, world, monkeypatch, line, words
):
    monkeypatch.chdir(world)
    before = sorted(world.iterdir())
    ended = wavegen("plot", *line.split())
    assert ended.code == 1
    assert ended.out == ""
    assert ended.err.count("error: ") == 1
    assert [word for word in words if word not in ended.err] == []
    assert sorted(world.iterdir()) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_told(wavegen, sine, tmp_path):
    wav = sine(tmp_path / "a.wav")
    (tmp_path / "closed").mkdir(mode=0o500)
    ended = wavegen("plot", wav, "--out", tmp_path / "closed" / "a.png")
    assert ended.code == 1
    assert "permission denied" in ended.err


@pytest.mark.slow
def test_an_hour_of_sound_is_drawn(wavegen, tmp_path, drawn):
    wav = tmp_path / "hour.wav"
    minute = np.zeros(60 * 16_000)
    with files.WavStream(wav, 16_000) as stream:
        for number in range(60):
            minute[0] = 0.9 if number == 42 else 0.0  # one sample of 57.6 million
            stream.write(minute)
    told(wavegen("plot", wav, "--out", tmp_path / "a.png", "--json"))
    (line,) = drawn[0].axes[0].lines
    peak = int(np.argmax(line.get_ydata()))
    assert line.get_ydata()[peak] == pytest.approx(0.9, abs=2**-15)  # a step of 16 bits
    assert abs(line.get_xdata()[peak] - 42 * 60) < 3600 / 1000  # half a point of 2000
