"""Generations that stop and go on, are chosen among, bent, mixed, piped and heard."""

import json
import subprocess
import sys
import types
from typing import Any

import mido
import numpy as np
import pytest

from wavegen.audio import files
from wavegen.cli import app
from wavegen.sampling import health

RATE = 8000
NOTE = ("--pitch", "62")


def last_json(text):
    return json.loads(text.splitlines()[-1])


def samples_of(path):
    return files.read(path)[0]


@pytest.mark.parametrize("kind", ["notes", "past"])
def test_stopping_and_going_on_is_one_long_run(wavegen, run, plain_run, tmp_path, kind):
    base = ("generate", "--run", run, *NOTE, "--hold", 0.5) if kind == "notes" else (
        "generate", "--run", plain_run
    )  # fmt: skip
    whole, one, two, state = (tmp_path / name for name in ("w.wav", "1.wav", "2.wav", "a.state"))
    curve = ("--temperature", "0:1,0.6:0.5", "--top-k", 200)
    assert wavegen(*base, "--seconds", 0.7, "--out", whole, *curve).code == 0
    ended = wavegen(*base, "--seconds", 0.333, "--out", one, *curve, "--save-state", state)
    assert ended.code == 0, ended.err
    assert "goes on from 0.33 s" in ended.out
    run_of = base[2]
    again = ("generate", "--run", run_of, "--continue", state, "--seconds", 0.7 - 0.333)
    ended = wavegen(*again, "--out", two, "--save-state", tmp_path / "b.state", "--json")
    assert ended.code == 0, ended.err
    assert last_json(ended.out)["temperature"] == "0:1,0.6:0.5"
    np.testing.assert_array_equal(
        np.concatenate([samples_of(one), samples_of(two)]), samples_of(whole)
    )
    # And on from there, without end but for the reader's patience.
    third = ("generate", "--run", run_of, "--continue", tmp_path / "b.state", "--seconds", 0.1)
    assert wavegen(*third, "--out", tmp_path / "3.wav").code == 0


def test_several_takes_go_on_together(wavegen, run, tmp_path):
    base = ("generate", "--run", run, "--pitch", "60,62", "--num", 2, "--hold", 0.3)
    state = tmp_path / "a.state"
    assert wavegen(*base, "--seconds", 0.4, "--out", tmp_path / "whole").code == 0
    first = (*base, "--seconds", 0.2, "--out", tmp_path / "one", "--save-state", state)
    assert wavegen(*first).code == 0
    again = ("generate", "--run", run, "--continue", state, "--seconds", 0.2)
    assert wavegen(*again, "--out", tmp_path / "two").code == 0
    names = [path.name for path in sorted((tmp_path / "whole").iterdir())]
    assert len(names) == 4
    for name in names:
        parts = [samples_of(tmp_path / part / name) for part in ("one", "two")]
        whole = samples_of(tmp_path / "whole" / name)
        np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_a_primer_is_gone_on_from_across_a_stop(wavegen, plain_run, sine, tmp_path):
    primer = sine(tmp_path / "p.wav", seconds=1.3)
    base = ("generate", "--run", plain_run, "--primer", primer)
    assert wavegen(*base, "--seconds", 0.4, "--out", tmp_path / "w.wav").code == 0
    state = tmp_path / "a.state"
    first = (*base, "--seconds", 0.15, "--out", tmp_path / "1.wav", "--save-state", state)
    assert wavegen(*first).code == 0
    again = ("generate", "--run", plain_run, "--continue", state, "--seconds", 0.25)
    assert wavegen(*again, "--out", tmp_path / "2.wav").code == 0
    parts = [samples_of(tmp_path / name) for name in ("1.wav", "2.wav")]
    whole = samples_of(tmp_path / "w.wav")
    assert len(whole) == round(1.7 * RATE)
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_a_curve_begins_with_the_new_sound_whether_the_primer_is_in_the_file(
    wavegen, plain_run, sine, tmp_path
):
    primer = sine(tmp_path / "p.wav", seconds=0.5)
    base = ("generate", "--run", plain_run, "--primer", primer, "--seconds", 0.3)
    curve = ("--temperature", "0:1,0.1:0")
    assert wavegen(*base, "--out", tmp_path / "a.wav", *curve).code == 0
    assert wavegen(*base, "--out", tmp_path / "b.wav", *curve, "--no-include-primer").code == 0
    warm = (*base, "--out", tmp_path / "c.wav", "--no-include-primer")
    assert wavegen(*warm).code == 0
    with_primer, without, plain = (samples_of(tmp_path / f"{name}.wav") for name in "abc")
    np.testing.assert_array_equal(with_primer[RATE // 2 :], without)
    assert np.any(without != plain)
    np.testing.assert_array_equal(without[:8], plain[:8])  # as warm in the first milliseconds


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ((*NOTE,), "--continue with --pitch"),
        (("--label", "instrument=organ"), "--continue with --label"),
        (("--num", 2), "--continue with --num"),
        (("--seed", 3), "--seed 3 with --continue"),
        (("--seconds", -1), "--seconds -1"),
    ],
)
def test_a_state_goes_on_with_what_it_was_asked_for(wavegen, run, tmp_path, more, words):
    state = tmp_path / "a.state"
    first = ("--seconds", 0.1, "--out", tmp_path / "a.wav", "--save-state", state)
    assert wavegen("generate", "--run", run, *NOTE, *first).code == 0
    ended = wavegen(
        "generate", "--run", run, "--continue", state, "--out", tmp_path / "b.wav", *more
    )
    assert ended.code == 1
    assert words in ended.err


def test_a_state_of_another_run_or_none_at_all_is_refused(wavegen, run, plain_run, tmp_path):
    state = tmp_path / "a.state"
    first = ("--seconds", 0.1, "--out", tmp_path / "a.wav", "--save-state", state)
    assert wavegen("generate", "--run", run, *NOTE, *first).code == 0
    out = ("--out", tmp_path / "b.wav")
    ended = wavegen("generate", "--run", plain_run, "--continue", state, *out)
    assert ended.code == 1
    assert "is of another model" in ended.err
    ended = wavegen("generate", "--run", run, "--continue", tmp_path / "a.wav", *out)
    assert ended.code == 1
    assert "is damaged, or no state" in ended.err
    assert not (tmp_path / "b.wav").exists()


def test_ctrl_c_keeps_the_state_that_was_reached(wavegen, plain_run, tmp_path, monkeypatch):
    from wavegen.cli import takes

    put = takes.Voice._put
    counted = []

    def stopped(self, samples):
        put(self, samples)
        counted.append(len(samples))
        if len(counted) == 40:
            raise KeyboardInterrupt

    base = ("generate", "--run", plain_run, "--seconds", 1.0)
    state, one, two = (tmp_path / name for name in ("a.state", "1.wav", "2.wav"))
    assert wavegen(*base, "--out", tmp_path / "w.wav").code == 0
    monkeypatch.setattr(takes.Voice, "_put", stopped)
    ended = wavegen(*base, "--out", one, "--save-state", state)
    assert ended.code == 130
    assert "goes on from" in ended.out
    monkeypatch.undo()
    again = ("generate", "--run", plain_run, "--continue", state, "--seconds", 0.5)
    assert wavegen(*again, "--out", two).code == 0
    # The block that was being written may stand in the file and not yet in the state.
    whole, begun, more = (samples_of(tmp_path / name) for name in ("w.wav", "1.wav", "2.wav"))
    done = len(begun) - counted[-1]
    np.testing.assert_array_equal(begun, whole[: len(begun)])
    np.testing.assert_array_equal(more, whole[done : done + RATE // 2])


def test_the_likeliest_of_several_is_kept_and_all_are_told(wavegen, run, tmp_path):
    out = tmp_path / "a.wav"
    base = ("generate", "--run", run, *NOTE, "--seconds", 0.1)
    ended = wavegen(*base, "--out", out, "--best-of", 3, "--json")
    assert ended.code == 0, ended.err
    assert ended.out.count("log-likelihood") == 3
    file = last_json(ended.out)["files"][0]
    bits = {each["stream"]: each["bits_per_sample"] for each in file["candidates"]}
    assert set(bits) == {0, 1, 2}
    assert file["bits_per_sample"] == min(bits.values())
    assert (files.provenance(out) or {})["stream"] == min(bits, key=lambda stream: bits[stream])
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]
    # The first candidate is the take that would have been made alone.
    alone = wavegen(*base, "--out", tmp_path / "b.wav", "--json")
    assert last_json(alone.out)["files"][0]["bits_per_sample"] == pytest.approx(bits[0], rel=1e-6)


def test_the_candidates_of_several_takes_are_all_different(wavegen, run, tmp_path):
    base = ("generate", "--run", run, *NOTE, "--seconds", 0.1, "--num", 2, "--best-of", 2)
    ended = wavegen(*base, "--out", tmp_path, "--format", "flac", "--json")
    assert ended.code == 0, ended.err
    streams = [
        each["stream"] for file in last_json(ended.out)["files"] for each in file["candidates"]
    ]
    assert sorted(streams) == [0, 1, 2, 3]
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".flac", ".flac"]


def collapsing(monkeypatch, bad):
    """Has the watch find silence in takes made with one of these seeds."""
    from wavegen.cli import takes

    made = takes.Voice.end

    def end(self):
        made(self)
        if self.seed in bad:
            self.troubles = [health.Trouble(health.SILENCE, 0.0, 0.1, "nothing at all")]
        return self.troubles

    monkeypatch.setattr(takes.Voice, "end", end)


def test_a_take_that_collapses_is_tried_with_the_next_seeds(wavegen, run, tmp_path, monkeypatch):
    collapsing(monkeypatch, bad={4, 5})
    base = ("generate", "--run", run, *NOTE, "--seconds", 0.1, "--seed", 4)
    ended = wavegen(*base, "--out", tmp_path / "a.wav", "--retry", 3, "--json")
    assert ended.code == 0
    assert "silence from 0.0 to 0.1 s: nothing at all; trying seed 5" in ended.err
    assert "warning" not in ended.err
    told = last_json(ended.out)["files"][0]
    assert (told["seed"], told["warning"]) == (6, None)
    assert (files.provenance(tmp_path / "a.wav") or {})["seed"] == 6
    monkeypatch.undo()
    again = ("--out", tmp_path / "b.wav", "--seed", 6)
    assert wavegen(*base[:-2], *again).code == 0
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


def test_what_collapses_with_every_seed_is_kept_with_a_warning(wavegen, run, tmp_path, monkeypatch):
    collapsing(monkeypatch, bad=range(9))
    base = ("generate", "--run", run, *NOTE, "--seconds", 0.1, "--out", tmp_path / "a.wav")
    ended = wavegen(*base, "--retry", 1, "--json")
    assert ended.code == 0
    assert "warning:" in ended.err
    assert last_json(ended.out)["files"][0]["troubles"][0]["kind"] == "silence"


def test_a_bent_note_is_another_and_as_long(wavegen, run, tmp_path):
    base = ("generate", "--run", run, *NOTE, "--seconds", 0.3)
    assert wavegen(*base, "--out", tmp_path / "a.wav").code == 0
    bent = ("--bend", "0:0,0.2:3", "--vibrato", "6:0.5")
    ended = wavegen(*base, "--out", tmp_path / "b.wav", *bent)
    assert ended.code == 0, ended.err
    plain, other = samples_of(tmp_path / "a.wav"), samples_of(tmp_path / "b.wav")
    assert len(plain) == len(other) == round(0.3 * RATE)
    assert np.any(plain != other)
    told = files.provenance(tmp_path / "b.wav") or {}
    assert (told["bend"], told["vibrato"]) == ("0:0,0.2:3", "6:0.5")


def test_labels_can_be_mixed(wavegen, run, tmp_path):
    base = ("generate", "--run", run, *NOTE, "--seconds", 0.1)
    mixed = ("--label", "instrument=organ:0.6,pluck:0.4")
    ended = wavegen(*base, "--out", tmp_path / "a.wav", *mixed, "--json")
    assert ended.code == 0, ended.err
    assert last_json(ended.out)["labels"] == {"instrument": "organ:0.6,pluck:0.4"}
    ended = wavegen(*base, "--out", tmp_path / "b.wav", "--label", "instrument=organ:1,kazoo:1")
    assert ended.code == 1
    assert "knows no instrument 'kazoo'" in ended.err


def test_a_score_is_heard_through_the_conditioner(wavegen, run, tmp_path):
    file = mido.MidiFile(type=0, ticks_per_beat=1000)
    track = mido.MidiTrack()
    for pitch in (60, 62):
        track.append(mido.Message("note_on", note=pitch, velocity=100, time=0))
        track.append(mido.Message("note_off", note=pitch, time=400))
    file.tracks.append(track)
    file.save(tmp_path / "a.mid")
    base = ("generate", "--run", run, "--midi", tmp_path / "a.mid")
    ended = wavegen(*base, "--out", tmp_path / "a.wav", "--json")
    assert ended.code == 0, ended.err
    assert files.info(tmp_path / "a.wav").frames == round(1.4 * RATE)
    assert (files.provenance(tmp_path / "a.wav") or {})["midi"] == "a.mid"
    ended = wavegen(*base, "--out", tmp_path / "b.wav", "--seconds", 0.1)
    assert "it is cut short" in ended.err
    for more, words in (
        (("--pitch", 60), "--midi and --pitch"),
        (("--hold", 1), "--velocity and --hold"),
    ):
        ended = wavegen(*base, "--out", tmp_path / "c.wav", *more)
        assert ended.code == 1
        assert words in ended.err


def piped(monkeypatch, capsysbinary, *args):
    with pytest.raises(SystemExit) as end:
        app.main([str(arg) for arg in args])
    out, err = capsysbinary.readouterr()
    assert end.value.code == 0, err
    return out, err.decode()


@pytest.mark.parametrize("format", ["wav16", "pcm16", "float32"])
def test_stdout_takes_the_sound_that_a_file_would(
    wavegen, run, tmp_path, monkeypatch, capsysbinary, format
):
    base = ("generate", "--run", run, *NOTE, "--seconds", "0.1")
    kind = "wav16" if format == "pcm16" else format
    assert wavegen(*base, "--out", tmp_path / "a.wav", "--format", kind).code == 0
    out, err = piped(monkeypatch, capsysbinary, *base, "--out", "-", "--format", format)
    assert "peak" in err  # what is said goes there
    if format == "pcm16":
        sound = np.frombuffer(out, "<i2") / 32768
    else:
        (tmp_path / "b.wav").write_bytes(out)
        sound = samples_of(tmp_path / "b.wav")
        assert (files.provenance(tmp_path / "b.wav") or {})["seed"] == 0
    np.testing.assert_array_equal(sound, samples_of(tmp_path / "a.wav"))


def test_a_reader_that_has_heard_enough_ends_it_without_a_word(wavegen, plain_run):
    code = "from wavegen.cli.app import main; main()"
    words = ("generate", "--run", plain_run, "--out", "-", "--endless", "--quiet")
    command = [sys.executable, "-c", code, *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(5000).startswith(b"RIFF")
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_a_flac_may_be_kept_of_what_is_heard(wavegen, run, tmp_path, card):
    base = ("generate", "--run", run, *NOTE, "--seconds", 0.1, "--live")
    assert wavegen(*base, "--out", tmp_path / "a.flac").code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["a.flac"]
    ended = wavegen(*base[:-1], "--pitch", "60,62", "--live", "--out", tmp_path)
    assert ended.code == 1
    assert "2 sounds are asked for, to be heard as they are made" in ended.err


@pytest.mark.parametrize("more", [("--retry", 1), ("--best-of", 2), ("--num", 2)])
def test_what_is_heard_at_once_cannot_be_taken_back(wavegen, run, more):
    ended = wavegen("generate", "--run", run, *NOTE, "--out", "-", *more)
    assert ended.code == 1
    assert "heard" in ended.err or "--out -" in ended.err


class Card:
    """A sound card that takes everything at once."""

    def __init__(self, played):
        self.played, self.latency, self.write_available = played, 0.02, 1 << 20

    def start(self):
        pass

    def write(self, frames):
        self.played.append(frames.copy())
        return False

    stop = close = abort = start


@pytest.fixture
def card(monkeypatch):
    """What a sound card was given to play."""
    played = []
    module: Any = types.ModuleType("sounddevice")
    facts = {"name": "a card", "default_samplerate": 8000.0, "max_output_channels": 1}
    module.PortAudioError = type("PortAudioError", (Exception,), {})
    module.query_devices = lambda device=None, kind=None: facts
    module.OutputStream = lambda **_: Card(played)
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    return played


def test_live_sound_is_that_of_the_file_and_its_margin_is_told(wavegen, run, tmp_path, card):
    base = ("generate", "--run", run, *NOTE, "--seconds", 0.3)
    ended = wavegen(*base, "--live", "--out", tmp_path / "a.wav")
    assert ended.code == 0, ended.err
    assert "playing through a card, 20 ms of latency" in ended.err
    assert "first sound after" in ended.err
    assert "real time" in ended.err
    heard = np.concatenate(card)[:, 0]
    # The file has 16 bits.
    np.testing.assert_allclose(heard, samples_of(tmp_path / "a.wav"), atol=2 / 2**15)
    assert wavegen(*base, "--live").code == 0  # and without a file


def test_a_card_that_vanishes_leaves_what_was_written(
    wavegen, plain_run, tmp_path, card, monkeypatch
):
    written = []

    def write(self, frames):
        written.append(len(frames))
        if sum(written) > RATE // 2:
            raise sys.modules["sounddevice"].PortAudioError("unplugged")
        return False

    monkeypatch.setattr(Card, "write", write)
    out = tmp_path / "a.wav"
    ended = wavegen("generate", "--run", plain_run, "--live", "--seconds", 2, "--out", out)
    assert ended.code == 1
    assert "the sound card 'a card' stopped after" in ended.err
    assert "unplugged" in ended.err
    assert "Traceback" not in ended.err
    assert files.info(out).frames >= RATE // 2
    assert np.isfinite(samples_of(out)).all()


def test_a_card_that_is_not_there_is_told_in_words(wavegen, run, monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    ended = wavegen("generate", "--run", run, *NOTE, "--live")
    assert ended.code == 1
    assert "pip install 'wavegen[live]'" in ended.err


def test_a_sound_without_an_end_goes_on_until_it_is_stopped(wavegen, plain_run, card, monkeypatch):
    written = []

    def write(self, frames):
        written.append(len(frames))
        if sum(written) > RATE:
            raise KeyboardInterrupt
        return False

    monkeypatch.setattr(Card, "write", write)
    ended = wavegen("generate", "--run", plain_run, "--live", "--endless")
    assert ended.code == 130
    assert sum(written) > RATE
    ended = wavegen("generate", "--run", plain_run, "--live", "--endless", "--seconds", 1)
    assert ended.code == 1
    assert "--endless and --seconds" in ended.err
