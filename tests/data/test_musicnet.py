"""Layout `musicnet`, against folders true to its format."""

import re

import pytest

from wavegen.data import corpus, layouts
from wavegen.data.layouts import Dropped, Recording


def find(source, layout):
    found = list(layouts.find(source, layout))
    good = {item.name: item for item in found if isinstance(item, Recording)}
    return good, {item.name: item.reason for item in found if isinstance(item, Dropped)}


MUSICNET = "start_time,end_time,instrument,note,start_beat,end_beat,note_value\n"
METADATA = (
    "id,composer,composition,movement,ensemble,source,transcriber,catalog_name,seconds\n"
    "1727,Schubert,Piano Quintet in A major,2. Andante,Piano Quintet,a,b,OP114,447\n"
    '1759,Schubert,"Sonata, in A","4. Allegro, Con Moto",Solo Piano,a,b,D959,440\n'
)


@pytest.fixture
def musicnet(tmp_path, write_tone):
    """MusicNet with one recording in each split, nested twice as one copy has it."""
    base = tmp_path / "archive" / "musicnet" / "musicnet"
    for split, number in (("train", 1727), ("test", 1759)):
        write_tone(base / f"{split}_data" / f"{number}.wav", 8000)
        (base / f"{split}_labels").mkdir()
        labels = "22050,44100,41,67,4.0,1.0,Quarter\n0,11025,1,60,0.0,0.5,Eighth\n"
        (base / f"{split}_labels" / f"{number}.csv").write_text(MUSICNET + labels)
    (tmp_path / "archive" / "musicnet_metadata.csv").write_text(METADATA)
    return tmp_path / "archive"


def test_musicnet_goes_through_prepare_with_labels_in_samples_of_44100_hz(musicnet, tmp_path):
    assert layouts.name_of(musicnet) == "musicnet"
    corpus.prepare([musicnet], tmp_path / "c", sample_rate=4000)
    opened = corpus.open(tmp_path / "c")
    assert set(opened.splits) == {"train", "test"}
    assert opened.splits["train"].names == ("train_data/1727.wav",)
    notes = opened.splits["train"].score(0).notes
    assert [(n.onset_seconds, n.duration_seconds, n.pitch) for n in notes] == [
        (0.0, 0.25, 60),
        (0.5, 0.5, 67),
    ]
    assert {note.velocity for note in notes} == {80}
    assert opened.vocabulary.labels == {
        "composer": ("Schubert",),
        "ensemble": ("Piano Quintet", "Solo Piano"),
    }


@pytest.mark.parametrize("below", [".", "musicnet", "musicnet/musicnet"])
def test_musicnet_is_found_at_any_depth_up_to_three_and_needs_no_metadata(musicnet, below):
    (musicnet / "musicnet_metadata.csv").unlink()
    assert layouts.name_of(musicnet / below) == "musicnet"
    good, dropped = find(musicnet / below, "musicnet")
    assert [item.split for item in good.values()] == ["train", "test"]
    assert all(not item.labels for item in good.values())
    assert not dropped


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("0,44100,1,128,0,1,x", "row 1 of train_labels/1727.csv is no note: a note's pitch is 128"),
        ("0.5,44100,1,60,0,1,x", "invalid literal"),
        ("44100,0,1,60,0,1,x", "a note lasts -1.0 s"),
        ("-5,44100,1,60,0,1,x", "a note starts at"),
        ("0,1" + "0" * 400 + ",1,60,0,1,x", "is no note"),
        ("0,44100", "row 1 of train_labels/1727.csv has 2 cells"),
        ("0,44100,1,\x00,0,1,x", "invalid literal|no whole table"),
    ],
)
def test_labels_that_are_no_notes_drop_their_recording_alone(musicnet, row, words):
    base = musicnet / "musicnet" / "musicnet"
    (base / "train_labels" / "1727.csv").write_text(MUSICNET + row + "\n")
    good, dropped = find(musicnet, "musicnet")
    assert list(good) == ["test_data/1759.wav"]
    assert re.search(words, dropped["train_data/1727.wav"])


def test_sounds_and_labels_of_musicnet_without_each_other_are_named(musicnet, write_tone):
    base = musicnet / "musicnet" / "musicnet"
    write_tone(base / "train_data" / "1.wav")
    (base / "train_labels" / "2.csv").write_text(MUSICNET)
    write_tone(base / "train_data" / "3.wav")
    (base / "train_labels" / "3.csv").write_text(MUSICNET)
    good, dropped = find(musicnet, "musicnet")
    assert len(good) == 2
    assert dropped == {
        "train_data/1.wav": "train_labels/1.csv is missing",
        "train_data/2.wav": "is missing, though there are labels for it",
        "train_data/3.wav": "there is no row for it in musicnet_metadata.csv",
    }
