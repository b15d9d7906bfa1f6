import json
import math

import numpy as np
import pytest
import soundfile

from wavegen.audio import files
from wavegen.audio.cleaning import Cleaning
from wavegen.data import corpus, listening, timing
from wavegen.errors import WavegenError
from wavegen.music.score import Note

RATE = 8000


@pytest.fixture
def notes(tmp_path, make_nsynth):
    """Three notes of NSynth's shape, each with half a second of silence before and behind."""
    folder = tmp_path / "nsynth-train"
    make_nsynth(folder)
    silence = np.zeros(RATE // 2)
    for path in (folder / "audio").iterdir():
        samples, _ = files.read(path)
        files.write(path, np.concatenate([silence, samples, silence]), RATE)
    return folder


def test_notes_move_with_the_sound_that_is_trimmed(notes, tmp_path):
    made = corpus.prepare(
        [notes], tmp_path / "c", sample_rate=RATE, cleaning=Cleaning(trim_silence=True)
    )
    split = corpus.open(tmp_path / "c").splits["train"]
    for i in range(split.num_items):
        (note,) = split.score(i).notes
        cut = next(f["cleaning"] for f in made.kept if f["name"] == split.names[i])
        assert note.onset_seconds == 0
        # It is held for 3 s from 0 on, and the recording ends before that.
        assert note.duration_seconds == pytest.approx(split.lengths[i] / RATE)
        assert cut["trimmed_start_seconds"] == pytest.approx(0.5, abs=0.02)
        assert np.abs(split.read(i)[: RATE // 20]).max() > 1000


@pytest.mark.parametrize(
    ("note", "kept", "wanted"),
    [
        ((1.0, 2.0), [[0, 9]], (1.0, 2.0)),
        ((1.0, 2.0), [[0.25, 9]], (0.75, 2.0)),
        ((1.0, 2.0), [[1.5, 9]], (0.0, 1.5)),
        ((1.0, 2.0), [[0, 1.5], [2.5, 9]], (1.0, 1.0)),
        ((1.0, 2.0), [[0, 0.5], [2.5, 9]], (0.5, 0.5)),
        ((1.0, 2.0), [[0, 0.5], [4, 9]], None),
        ((1.0, 2.0), [[0, 2]], (1.0, 1.0)),
        ((1.0, 2.0), [[0, 1]], None),
    ],
)
def test_a_note_keeps_what_is_left_of_its_time(note, kept, wanted):
    onset, duration = note
    moved = timing.move([Note(onset, duration, 60, 100)], kept)
    assert [(n.onset_seconds, n.duration_seconds) for n in moved] == ([wanted] if wanted else [])


def test_a_stopped_prepare_that_cleans_resumes_to_the_same_bytes(notes, tmp_path, tree_bytes):
    every = Cleaning(True, True, True, "rms", True)

    def prepare(name, **options):
        corpus.prepare([notes], tmp_path / name, sample_rate=RATE, cleaning=every, **options)

    def stop(done, total):
        if done == 2:
            raise KeyboardInterrupt

    prepare("whole")
    with pytest.raises(KeyboardInterrupt):
        prepare("c", progress=stop)
    prepare("c")
    prepare("two", workers=2)
    whole = tree_bytes(tmp_path / "whole")
    assert tree_bytes(tmp_path / "c") == whole
    assert tree_bytes(tmp_path / "two") == whole


def test_other_cleaning_starts_over(notes, tmp_path):
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        corpus.prepare([notes], tmp_path / "c", sample_rate=RATE, progress=stop)
    calls = []
    corpus.prepare(
        [notes],
        tmp_path / "c",
        sample_rate=RATE,
        cleaning=Cleaning(normalize="peak"),
        progress=lambda done, total: calls.append(done),
    )
    assert calls == [1, 2, 3]
    manifest = json.loads((tmp_path / "c" / "manifest.json").read_text())
    assert manifest["cleaning"]["normalize"] == "peak"
    split = corpus.open(tmp_path / "c").splits["train"]
    peaks = [np.abs(split.read(i)).max() for i in range(split.num_items)]
    np.testing.assert_allclose(peaks, 32767 * 10 ** (-1 / 20), rtol=1e-3)


def test_an_offset_goes_from_a_long_recording_in_blocks(tmp_path, monkeypatch):
    time = np.arange(30 * RATE) / RATE
    sound = 0.3 * np.sin(2 * np.pi * 200 * time) + 0.2
    soundfile.write(tmp_path / "a.wav", sound, RATE)
    monkeypatch.setattr(listening, "LONGEST_CLEANED", RATE)
    made = corpus.prepare(
        [tmp_path / "a.wav"], tmp_path / "c", sample_rate=RATE, cleaning=Cleaning(highpass=True)
    )
    (file,) = made.kept
    assert abs(file["dc_offset"]) < 1e-3
    assert file["cleaning"] == {"highpass_hz": 20.0}


def test_what_is_too_long_to_be_cleaned_is_dropped_in_words(tmp_path, write_tone, monkeypatch):
    write_tone(tmp_path / "in" / "long.wav", 3 * RATE)
    write_tone(tmp_path / "in" / "short.wav", RATE // 2)
    monkeypatch.setattr(listening, "LONGEST_CLEANED", RATE)
    made = corpus.prepare(
        [tmp_path / "in"], tmp_path / "c", sample_rate=RATE, cleaning=Cleaning(normalize="peak")
    )
    (dropped,) = made.dropped
    assert dropped["name"] == "long.wav"
    assert "cut it into shorter files" in dropped["reason"]


def test_what_is_silent_is_not_made_loud_and_kept(tmp_path, write_tone):
    write_tone(tmp_path / "in" / "a.wav")
    soundfile.write(tmp_path / "in" / "b.wav", np.full(RATE, 3e-5), RATE, "FLOAT")
    made = corpus.prepare(
        [tmp_path / "in"], tmp_path / "c", sample_rate=RATE, cleaning=Cleaning(normalize="peak")
    )
    (dropped,) = made.dropped
    assert "as good as silent: -90.5 dBFS" in dropped["reason"]
    assert math.isclose(20 * math.log10(3e-5), -90.5, abs_tol=0.05)


def test_loudness_at_too_low_a_rate_is_refused_before_any_work(notes, tmp_path):
    with pytest.raises(WavegenError, match="8000 Hz or more"):
        corpus.prepare(
            [notes], tmp_path / "c", sample_rate=4000, cleaning=Cleaning(normalize="loudness")
        )
    assert not (tmp_path / "c.partial").exists()
