"""`wavegen play`: a MIDI file in, a finished WAV out."""

import json
from pathlib import Path

import mido
import numpy as np
import pytest

from wavegen.audio import files
from wavegen.cli import play
from wavegen.sampling import render

RATE = 8000
DATA = Path(__file__).parents[3] / "shared" / "data"


def last_json(text):
    return json.loads(text.splitlines()[-1])


@pytest.fixture
def song(tmp_path):
    """A function: writes a MIDI file of notes (track, program, channel, onset, hold, pitch)."""

    def write(*notes, name="song.mid"):
        file = mido.MidiFile(type=1, ticks_per_beat=1000)  # half a second
        for track in sorted({note[0] for note in notes}):
            events = []
            for of_track, program, channel, onset, hold, pitch in notes:
                if of_track == track:
                    start, end = round(2000 * onset), round(2000 * (onset + hold))
                    say = lambda kind, **more: mido.Message(kind, channel=channel, **more)  # noqa: B023
                    events.append((start, 0, say("program_change", program=program)))
                    events.append((start, 1, say("note_on", note=pitch, velocity=100)))
                    events.append((end, -1, say("note_off", note=pitch)))
            events.sort(key=lambda event: event[:2])
            now, messages = 0, mido.MidiTrack()
            for tick, _, message in events:
                messages.append(message.copy(time=tick - now))
                now = tick
            file.tracks.append(messages)
        file.save(tmp_path / name)
        return tmp_path / name

    return write


TWO = ((0, 0, 0, 0.0, 0.1, 60), (1, 16, 1, 0.3, 0.1, 62))


def test_a_song_becomes_a_wav_that_says_how_it_was_made(wavegen, run, song, tmp_path):
    out = tmp_path / "new" / "song.wav"
    asked = ("--label", "instrument=organ", "--release", "0.05", "--json")
    ended = wavegen("play", song(*TWO), "--run", run, "--out", out, *asked)
    assert ended.code == 0, ended.err
    told = last_json(ended.out)
    assert (told["notes"], told["distinct_notes"]) == (2, 2)
    assert told["times_real_time"] > 0
    found = files.info(out)
    assert (found.sample_rate, found.channels) == (RATE, 1)
    assert found.frames == round(0.45 * RATE)
    assert found.provenance is not None
    assert found.provenance["midi"] == "song.mid"
    assert found.provenance["mastered"]["loudness_lufs"] == play.LOUDNESS_LUFS
    assert [path.name for path in out.parent.iterdir()] == ["song.wav"]
    assert "2 notes in 0.5s, 2 of them distinct" in ended.err
    assert "real time" in ended.err


def test_the_same_seed_plays_the_same_bytes_and_another_does_not(wavegen, run, song, tmp_path):
    score = song(*TWO)
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        asked = ("--out", tmp_path / f"{name}.wav", "--seed", seed, "--map", "0-127=organ")
        assert wavegen("play", score, "--run", run, *asked).code == 0
    a, b, c = ((tmp_path / f"{name}.wav").read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_programs_find_their_label_and_others_are_left_out(wavegen, run, song, tmp_path):
    score = song(
        (0, 80, 0, 0.0, 0.1, 60), (1, 16, 1, 0.3, 0.1, 62), (2, 56, 2, 0.2, 0.1, 61),
        (3, 0, 9, 0.0, 0.1, 40),
    )  # fmt: skip
    ended = wavegen("play", score, "--run", run, "--out", tmp_path / "a.wav", "--json")
    assert ended.code == 0, ended.err
    # Of the synthesiser's instruments an organ and a brass fit; none is a synthesiser's lead.
    assert "program 16 (Drawbar Organ): 1 note by organ" in ended.err
    assert "program 56 (Trumpet): 1 note by brass" in ended.err
    assert "(Lead 1 (square)): 1 note left out, for no label fits; --map 80=VALUE" in ended.err
    assert "1 notes of drums (channel 10) are left out" in ended.err
    assert last_json(ended.out)["notes"] == 2
    mapped = ("--map", "80=pluck", "--map", "ch3=organ")
    ended = wavegen("play", score, "--run", run, "--out", tmp_path / "b.wav", *mapped)
    assert "(Lead 1 (square)): 1 note by pluck" in ended.err
    assert "(Trumpet): 1 note by organ" in ended.err


def test_notes_beyond_what_was_learned_are_moved_or_refused(wavegen, run, song, tmp_path):
    score = song((0, 16, 0, 0.0, 0.1, 72), (0, 16, 0, 0.2, 0.1, 66))
    base = ("play", score, "--run", run, "--out", tmp_path / "a.wav", "--label", "instrument=organ")
    ended = wavegen(*base, "--json")
    assert ended.code == 0, ended.err
    told = last_json(ended.out)
    assert (told["moved_notes"], told["left_out_notes"], told["notes"]) == (1, 1, 1)
    assert "moved by octaves" in ended.err
    assert "1 notes have no octave that was learned: left out" in ended.err
    ended = wavegen(*base, "--out-of-range", "refuse")
    assert ended.code == 1
    assert "pitch 72; organ learned 60 to 64" in ended.err


def test_stems_sum_to_the_mix_and_tracks_stand_side_by_side(wavegen, run, song, tmp_path):
    asked = ("--label", "instrument=organ", "--pan", "spread", "--no-master", "--format", "float32")
    stems = ("--stems", tmp_path / "stems")
    ended = wavegen("play", song(*TWO), "--run", run, "--out", tmp_path / "a.wav", *asked, *stems)
    assert ended.code == 0, ended.err
    paths = sorted((tmp_path / "stems").iterdir())
    assert [path.name for path in paths] == ["track01.wav", "track02.wav"]
    first, second, whole = (
        np.concatenate(list(files.Frames(path))) for path in (*paths, tmp_path / "a.wav")
    )
    assert first.shape == whole.shape
    assert whole.shape[1] == 2
    scale = min(1.0, 0.9 / np.abs(first + second).max())
    # One float32 gain between them.
    np.testing.assert_allclose(whole, (first + second) * scale, atol=1e-6)
    left, right = np.square(first).sum(axis=0)
    assert left > 4 * right
    left, right = np.square(second).sum(axis=0)
    assert right > 4 * left


def test_to_stdout_goes_the_song_and_nothing_else(wavegen, run, song, capsysbinary):
    from wavegen.cli import app

    score = song(*TWO)
    with pytest.raises(SystemExit) as end:
        app.main(
            ["play", str(score), "--run", str(run), "--out", "-", "--label", "instrument=organ"]
        )
    assert end.value.code == 0
    out, err = capsysbinary.readouterr()
    assert out.startswith(b"RIFF")
    samples = np.frombuffer(out[out.index(b"data") + 8 :], "<i2")
    assert len(samples) == round((0.3 + 0.1 + 0.5) * RATE)
    assert samples.any()
    assert b"real time" in err


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--pan", "left"), "--pan left"),
        (("--out-of-range", "drop"), "--out-of-range drop"),
        (("--map", "200=organ"), "--map 200=organ"),
        (("--map", "ch0=organ"), "--map ch0=organ"),
        (("--map", "organ"), "--map organ"),
        (("--map", "0=kazoo"), "the model knows no 'kazoo'"),
        (("--label", "instrument=kazoo"), "knows no instrument 'kazoo'"),
        (("--release", "99"), "--release 99"),
        (("--seconds", "0"), "--seconds 0"),
        (("--vibrato", "fast"), "--vibrato fast"),
        (("--no-master", "--loudness", "-20"), "--no-master"),
        (("--loudness", "3"), "the loudness asked for is 3"),
        (("--format", "mp3"), "--format mp3"),
        (("--temperature", "-1"), "temperature is -1"),
    ],
)
def test_wishes_that_cannot_be_are_refused(wavegen, run, song, tmp_path, more, words):
    ended = wavegen("play", song(*TWO), "--run", run, "--out", tmp_path / "a.wav", *more)
    assert ended.code == 1, ended.err
    assert words in ended.err
    assert ended.err.count("error: ") == 1
    assert not (tmp_path / "a.wav").exists()


@pytest.mark.parametrize(
    "more", [("--out", "-", "--loudness", "-20"), ("--out", "-", "--stems", "x")]
)
def test_what_takes_the_whole_song_is_not_for_what_is_heard_at_once(wavegen, run, song, more):
    ended = wavegen("play", song(*TWO), "--run", run, "--out", "-", *more)
    assert ended.code == 1
    assert "heard as it is made" in ended.err


def test_a_model_without_notes_plays_nothing(wavegen, plain_run, song, tmp_path):
    ended = wavegen("play", song(*TWO), "--run", plain_run, "--out", tmp_path / "a.wav")
    assert ended.code == 1
    assert "this model does not hear notes" in ended.err


@pytest.mark.parametrize("data", [b"", b"MThd", b"RIFF" * 100])
def test_what_is_no_midi_is_refused(wavegen, run, tmp_path, data):
    (tmp_path / "a.mid").write_bytes(data)
    ended = wavegen("play", tmp_path / "a.mid", "--run", run, "--out", tmp_path / "a.wav")
    assert ended.code == 1
    assert "a.mid" in ended.err
    assert "Traceback" not in ended.err


def test_a_song_of_nothing_but_drums_is_refused(wavegen, run, song, tmp_path):
    score = song((0, 0, 9, 0.0, 0.1, 40))
    ended = wavegen("play", score, "--run", run, "--out", tmp_path / "a.wav")
    assert ended.code == 1
    assert "holds no notes to play" in ended.err
    assert "1 notes of drums" in ended.err


def test_a_long_song_is_asked_about_only_where_somebody_can_answer(
    wavegen, run, song, tmp_path, monkeypatch
):
    monkeypatch.setattr(play, "MANY_NOTES", 1)
    score, asked = song(*TWO), []
    monkeypatch.setattr(play.typer, "confirm", lambda *_, **__: asked.append(1))
    base = ("play", score, "--run", run, "--label", "instrument=organ")
    assert wavegen(*base, "--out", tmp_path / "a.wav").code == 0  # stdin is no terminal here
    assert not asked
    monkeypatch.setattr(play.sys.stdin, "isatty", lambda: True, raising=False)
    assert wavegen(*base, "--out", tmp_path / "b.wav", "--yes").code == 0
    assert not asked
    assert wavegen(*base, "--out", tmp_path / "c.wav").code == 0
    assert asked
    assert not (tmp_path / "c.wav").exists()  # the answer was no


def test_ctrl_c_leaves_what_was_mixed(wavegen, run, song, tmp_path, monkeypatch):
    mixes = render.render

    def stopped(*given, **more):
        for count, mix in enumerate(mixes(*given, **more)):
            if count == 1:
                raise KeyboardInterrupt
            yield mix

    monkeypatch.setattr(render, "render", stopped)
    out = tmp_path / "a.wav"
    base = ("--run", run, "--out", out, "--label", "instrument=organ")
    ended = wavegen("play", song(*TWO), *base)
    assert ended.code == 130
    assert not out.exists()
    assert "a.wav.mix.wav holds the first 0.2 s, mixed and not mastered" in ended.err
    assert files.info(tmp_path / "a.wav.mix.wav").frames == RATE // 4


def test_notes_that_fail_are_told_and_were_tried_again(wavegen, run, song, tmp_path, monkeypatch):
    from wavegen.sampling import health

    seeds = []
    takes = render._takes

    def silent(trained, arrangement, kinds, draws, *ran):
        seeds.append(draws.seed)
        sounds, _ = takes(trained, arrangement, kinds, draws, *ran)
        trouble = health.Trouble(health.SILENCE, 0.0, 1.0, "nothing at all")
        return sounds, [trouble for _ in kinds]

    monkeypatch.setattr(render, "_takes", silent)
    base = ("--run", run, "--out", tmp_path / "a.wav", "--label", "instrument=organ")
    ended = wavegen("play", song(*TWO), *base, "--retry", 2, "--seed", 5, "--json")
    assert ended.code == 0
    assert seeds == [5, 6, 7]
    assert "pitch 60, velocity" in ended.err
    assert "silence from 0.0 to 1.0 s" in ended.err
    assert len(last_json(ended.out)["failed"]) == 2


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data")
def test_every_real_midi_file_begins_to_play_or_is_refused_in_words(wavegen, run, tmp_path):
    found = sorted([*DATA.glob("midi/**/*.mid"), *DATA.glob("odd/*.mid")])
    assert len(found) > 100
    for path in found[::12]:
        out = tmp_path / "a.wav"
        base = ("--run", run, "--out", out, "--label", "instrument=organ", "--seconds", "2")
        ended = wavegen("play", path, *base, "--release", "0.05", "--quiet")
        assert ended.code in (0, 1), (path, ended.err)
        assert "Traceback" not in ended.err
        if ended.code == 0:
            assert files.info(out).frames > 0
