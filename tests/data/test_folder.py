"""Layout `folder`: what may lie beside the sounds."""

import json
import pickle

import mido
import pytest

from wavegen.audio import files
from wavegen.data import corpus, layouts
from wavegen.data.layouts import Dropped, Recording
from wavegen.errors import WavegenError
from wavegen.music import midi
from wavegen.music.score import Note, pitch_of


def find(source):
    found = list(layouts.find(source, "folder"))
    good = {item.name: item for item in found if isinstance(item, Recording)}
    return good, {item.name: item.reason for item in found if isinstance(item, Dropped)}


@pytest.fixture
def takes(tmp_path, write_tone):
    """Three sounds in two folders."""
    for name in ("a/one.wav", "a/two.wav", "b/three.wav"):
        write_tone(tmp_path / "takes" / name)
    return tmp_path / "takes"


def write_midi(path, pitch=60):
    notes = [mido.Message("note_on", note=pitch), mido.Message("note_off", note=pitch, time=480)]
    file = mido.MidiFile()
    file.tracks.append(mido.MidiTrack(notes))
    file.save(path)


@pytest.mark.parametrize("column", ["file", "path", "name"])
def test_a_table_in_the_folder_gives_labels_and_empty_cells_none(takes, column):
    (takes / "labels.csv").write_text(
        f'player,{column}, mood\nMiles,a/one.wav,"cool, blue"\nBill,b/three,\n',
        encoding="utf-8-sig",
    )
    good, dropped = find(takes)
    assert not dropped
    assert {name: item.labels for name, item in good.items()} == {
        "a/one.wav": {"folder": "a", "player": "Miles", "mood": "cool, blue"},
        "a/two.wav": {"folder": "a"},
        "b/three.wav": {"folder": "b", "player": "Bill"},
    }


def test_of_several_columns_that_could_name_files_the_others_are_labels(takes):
    (takes / "labels.csv").write_text("name,file\nNica's Dream,./a/one.wav\n")
    good, _ = find(takes)
    assert good["a/one.wav"].labels == {"folder": "a", "name": "Nica's Dream"}


def test_a_pitch_makes_a_note_of_a_whole_recording(takes, write_tone):
    write_tone(takes / "b/four.wav")
    write_midi(takes / "b/four.mid", 72)
    (takes / "labels.csv").write_text(
        "file,instrument,pitch,velocity,hold_seconds\n"
        "a/one.wav,cello,C#4,,99\na/two.wav,cello,48.0,70.0,0.25\nb/four.wav,cello,50,,\n"
    )
    good, dropped = find(takes)
    assert not dropped
    (one,), (two,), (four,) = (good[f"{name}.wav"].notes for name in ("a/one", "a/two", "b/four"))
    whole = files.info(takes / "a/one.wav").duration_seconds
    assert one == Note(0.0, whole, 61, 100)
    assert two == Note(0.0, 0.25, 48, 70)
    assert four.pitch == 72  # a score says more
    assert good["b/four.wav"].labels == {"folder": "b", "instrument": "cello"}
    assert good["a/one.wav"].labels == {"folder": "a", "instrument": "cello"}
    assert good["b/three.wav"].notes == ()


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("H4,", "'H4' is no pitch"),
        ("128,", "pitch is 128"),
        ("60.5,", "'60.5' is no pitch"),
        ("60,loud", "'velocity': 'loud'"),
        ("60,70.5", "'velocity': '70.5'"),
    ],
)
def test_a_note_that_is_none_drops_its_recording(takes, row, reason):
    (takes / "labels.csv").write_text(f"file,pitch,velocity\na/one.wav,{row}\n")
    assert reason in find(takes)[1]["a/one.wav"]


@pytest.mark.parametrize(
    ("text", "pitch"), [("60", 60), ("C4", 60), ("a4", 69), ("Bb3", 58), ("F♯-1", 6), ("g9", 127)]
)
def test_pitches_have_numbers_and_names(text, pitch):
    assert pitch_of(text) == pitch


def test_rows_of_files_that_are_not_there_are_named(takes):
    (takes / "labels.csv").write_text("file,mood\na/gone.wav,x\n../out.wav,y\n/etc/passwd,z\n")
    good, dropped = find(takes)
    assert len(good) == 3
    assert set(dropped) == {"a/gone.wav", "../out.wav", "/etc/passwd"}
    assert all("labels.csv names it" in reason for reason in dropped.values())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n", "no column file or path or name"),
        ("file,mood\na/one.wav\n", "row 1 of .* has 1 cells"),
        ("file,mood\na/one.wav,x\na/one.wav,y\n", "names a/one.wav twice"),
        ("", "is empty"),
    ],
)
def test_a_broken_table_stops_the_work_at_once(takes, text, words):
    (takes / "labels.csv").write_text(text)
    with pytest.raises(WavegenError, match=words):
        find(takes)


def test_a_json_beside_a_sound_gives_it_labels(takes):
    (takes / "labels.csv").write_text("file,mood,take\na/one.wav,cool,7\n")
    beside = {"mood": "warm", "bpm": 92, "tuning": 440.5, "remark": None}
    (takes / "a" / "one.json").write_text(json.dumps(beside))
    good, dropped = find(takes)
    assert not dropped
    assert good["a/one.wav"].labels == {
        "folder": "a",
        "take": "7",
        "mood": "warm",
        "bpm": "92",
        "tuning": "440.5",
    }


@pytest.mark.parametrize("ending", [".mid", ".midi", ".MID"])
def test_a_score_beside_a_sound_gives_it_notes(takes, ending):
    write_midi(takes / "a" / f"two{ending}", 61)
    good, _ = find(takes)
    assert [note.pitch for note in pickle.loads(pickle.dumps(good["a/two.wav"])).notes] == [61]
    assert good["a/one.wav"].notes == ()
    (alone,) = layouts.find(takes / "a" / "two.wav", "folder")
    assert isinstance(alone, Recording)
    assert (alone.name, alone.notes) == ("two.wav", good["a/two.wav"].notes)


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("one.json", b"{", "not whole JSON"),
        ("one.json", b"\xff\xfe", "not whole JSON"),
        ("one.json", b"[1]", "holds no JSON object"),
        ("one.json", b'{"mood": ["cool"]}', "'mood': ['cool']"),
        ("one.json", b'{"mood": true}', "'mood': True"),
        ("one.json", b'{"mood": NaN}', "'mood': nan"),
        ("one.json", b'{"mood": ' + b"9" * 5000 + b"}", "not whole JSON"),
        ("one.mid", b"MThd", "cut short"),
        ("one.mid", b"", "empty"),
    ],
)
def test_a_broken_side_car_drops_its_sound_and_is_named(takes, file, content, words):
    (takes / "a" / file).write_bytes(content)
    good, dropped = find(takes)
    assert set(good) == {"a/two.wav", "b/three.wav"}
    assert dropped["a/one.wav"].startswith(f"a/{file} ")
    assert words in dropped["a/one.wav"]


def test_side_cars_reach_the_corpus(takes, tmp_path):
    for number, name in enumerate(("a/one", "a/two", "b/three")):
        write_midi(takes / f"{name}.mid", 60 + number)
        (takes / f"{name}.json").write_text(json.dumps({"number": number}))
    made = corpus.prepare([takes], tmp_path / "c", sample_rate=4000)
    assert made.ignored == 6
    opened = corpus.open(tmp_path / "c")
    assert opened.vocabulary.pitches == (60, 61, 62)
    assert opened.vocabulary.labels["number"] == ("0", "1", "2")


def test_real_recordings_find_the_scores_beside_them(shared_data):
    good, dropped = find(shared_data / "music" / "bach_violin")
    assert not dropped
    for item in good.values():
        assert item.path is not None
        assert item.notes == midi.read(item.path.with_suffix(".mid")).notes
        assert len(item.notes) > 100


def test_folders_named_as_splits_are_the_splits(tmp_path, write_tone):
    names = ["train/a.wav", "train/bell/b.wav", "validation/bell/c.wav", "test/d.wav", "e.wav"]
    for number, name in enumerate(names):
        write_tone(tmp_path / "in" / name, hz=200 + 10 * number)
    items = [
        item for item in layouts.find(tmp_path / "in", "folder") if isinstance(item, Recording)
    ]
    found = {item.name: (item.split, item.labels) for item in items}
    assert found == {
        "e.wav": (None, {"folder": "in"}),
        "test/d.wav": ("test", {}),
        "train/a.wav": ("train", {}),
        "train/bell/b.wav": ("train", {"folder": "bell"}),
        "validation/bell/c.wav": ("valid", {"folder": "bell"}),
    }


def test_a_folder_of_trains_is_no_split(tmp_path, write_tone):
    for name in ("train/a.wav", "ship/b.wav"):
        write_tone(tmp_path / "in" / name)
    items = [
        item for item in layouts.find(tmp_path / "in", "folder") if isinstance(item, Recording)
    ]
    found = [(item.split, item.labels["folder"]) for item in items]
    assert sorted(found, key=str) == [(None, "ship"), (None, "train")]
