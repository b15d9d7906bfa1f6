import json
import pickle

import pytest

from wavegen.data import corpus, layouts
from wavegen.data.layouts import Dropped, Recording
from wavegen.errors import WavegenError


def find(source, layout="nsynth"):
    found = list(layouts.find(source, layout))
    good = {item.name: item for item in found if isinstance(item, Recording)}
    return good, {item.name: item.reason for item in found if isinstance(item, Dropped)}


def test_nsynth_notes_carry_their_labels_pitch_and_held_time(tmp_path, make_nsynth):
    make_nsynth(tmp_path / "nsynth-valid", (60,), "synth_lead_acoustic_003")
    good, dropped = find(tmp_path / "nsynth-valid")
    (item,) = good.values()
    assert not dropped
    assert item.split == "valid"
    assert item.labels == {
        "instrument": "synth_lead_acoustic_003",
        "instrument_family": "synth_lead",
        "instrument_source": "acoustic",
        "qualities": "dark",
    }
    (note,) = item.notes
    assert (note.onset_seconds, note.duration_seconds, note.pitch, note.velocity) == (0, 3, 60, 100)
    blocks = pickle.loads(pickle.dumps(item)).load(16_000)
    assert (sum(map(len, blocks)), blocks.facts["sample_rate"]) == (9600, 8000)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda entry: entry.pop("pitch"), "no 'pitch'"),
        (lambda entry: entry.update(pitch="sixty"), "not a whole number"),
        (lambda entry: entry.update(velocity=None), "not a whole number"),
        (lambda entry: entry.update(velocity=True), "not a whole number"),
        (lambda entry: entry.update(pitch=300), "pitch is 300"),
        (lambda entry: entry.update(qualities=[1]), "10 times"),
        (lambda entry: entry.update(qualities_str=[1]), "list of texts"),
        (lambda entry: entry.update(note_str="other"), "'other'"),
    ],
)
def test_a_wrong_entry_is_named_and_the_others_are_kept(tmp_path, make_nsynth, change, words):
    entries = make_nsynth(tmp_path)
    name = sorted(entries)[0]
    change(entries[name])
    (tmp_path / "examples.json").write_text(json.dumps(entries))
    good, dropped = find(tmp_path)
    assert len(good) == 2
    assert words in dropped[name]


def test_entries_without_sound_and_sounds_without_entry_are_named(tmp_path, make_nsynth):
    entries = make_nsynth(tmp_path)
    first, second, third = sorted(entries)
    (tmp_path / "audio" / f"{first}.wav").unlink()
    escaping = "../../audio/x"
    entries[escaping] = entries.pop(second) | {"note_str": escaping}
    (tmp_path / "examples.json").write_text(json.dumps(entries))
    good, dropped = find(tmp_path)
    assert set(good) == {third}
    assert set(dropped) == {first, second, escaping}
    assert "leads out" in dropped[escaping]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"a": {', "\x00"])
def test_a_broken_index_drops_its_folder_only(tmp_path, make_nsynth, text):
    make_nsynth(tmp_path / "nsynth-train")
    (tmp_path / "nsynth-valid").mkdir()
    (tmp_path / "nsynth-valid" / "examples.json").write_text(text)
    good, dropped = find(tmp_path)
    assert len(good) == 3
    assert list(dropped) == ["nsynth-valid"]
    with pytest.raises(WavegenError, match=r"examples\.json"):
        find(tmp_path / "nsynth-valid")


def test_auto_tells_the_layouts_apart(tmp_path, make_nsynth, write_tone):
    make_nsynth(tmp_path / "n" / "nsynth-train")
    write_tone(tmp_path / "f" / "a.wav")
    assert layouts.name_of(tmp_path / "n") == "nsynth"
    assert layouts.name_of(tmp_path / "n" / "nsynth-train") == "nsynth"
    assert layouts.name_of(tmp_path / "f") == "folder"
    assert layouts.name_of(tmp_path / "f" / "a.wav") == "folder"
    write_tone(tmp_path / "n" / "beside.wav")  # NSynth has no sounds beside its split folders
    assert layouts.name_of(tmp_path / "n") == "folder"
    with pytest.raises(WavegenError, match=r"no examples\.json"):
        find(tmp_path / "f")


def test_splits_of_a_data_set_are_kept(tmp_path, make_nsynth):
    for split, pitch in (("train", 60), ("valid", 62), ("test", 64)):
        make_nsynth(tmp_path / "in" / f"nsynth-{split}", (pitch,))
    corpus.prepare([tmp_path / "in"], tmp_path / "c", sample_rate=8000)
    opened = corpus.open(tmp_path / "c")
    pitches = {name: split.score(0).notes[0].pitch for name, split in opened.splits.items()}
    assert pitches == {"train": 60, "valid": 62, "test": 64}
    assert opened.vocabulary.pitches == (60, 62, 64)


def test_a_split_that_was_only_silence_is_drawn_from_the_rest(tmp_path, make_nsynth):
    make_nsynth(tmp_path / "in" / "nsynth-train", (60, 62, 64, 65))
    make_nsynth(tmp_path / "in" / "nsynth-valid", (67,), silent=True)
    made = corpus.prepare([tmp_path / "in"], tmp_path / "c", sample_rate=8000)
    opened = corpus.open(tmp_path / "c")
    assert {name: split.num_items for name, split in opened.splits.items()} == {
        "train": 3,
        "valid": 1,
    }
    assert [file["reason"] for file in made.dropped] == ["silent: every sample is 0"]
    assert opened.splits["valid"].read(0).any()


def test_the_synthetic_layout_needs_no_source_and_obeys_the_pitches(small_corpus):
    assert small_corpus.layout == "synthetic"
    assert small_corpus.vocabulary.pitches == tuple(range(48, 73))
    assert small_corpus.vocabulary.velocities == tuple(range(31, 128, 16))
    assert "flute" in small_corpus.vocabulary.labels["instrument"]
