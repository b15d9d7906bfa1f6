"""Each layout against small folders that are true to the format of its data set."""

import csv
import io
import json
import re

import mido
import pytest

from wavegen.data import corpus, layouts
from wavegen.data.layouts import Dropped, Recording
from wavegen.errors import WavegenError

MAESTRO = ["canonical_composer", "canonical_title", "split", "year", "midi_filename"]
MAESTRO += ["audio_filename", "duration"]
PIECES = [  # composer, title, split, year
    ("Alban Berg", "Sonata Op. 1", "train", 2018),
    ("Ludwig van Beethoven", 'Sonata "Waldstein", Op. 53, I', "validation", 2004),
    ("Franz Liszt", "Etude, No. 3", "test", 2004),
]


def find(source, layout):
    found = list(layouts.find(source, layout))
    good = {item.name: item for item in found if isinstance(item, Recording)}
    return good, {item.name: item.reason for item in found if isinstance(item, Dropped)}


def write_midi(path, pitch=60, ticks=480):
    path.parent.mkdir(parents=True, exist_ok=True)
    file = mido.MidiFile()
    notes = [mido.Message("note_on", note=pitch, velocity=70)]
    notes += [mido.Message("note_off", note=pitch, time=ticks)]
    file.tracks.append(mido.MidiTrack(notes))
    file.save(path)


def table(rows):
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


@pytest.fixture
def maestro(tmp_path, write_tone):
    """MAESTRO 3 with three pieces of a second; index in all three shapes, as text."""
    root = tmp_path / "maestro-v3.0.0"
    rows = []
    for number, (composer, title, split, year) in enumerate(PIECES):
        stem = f"{year}/MIDI-Unprocessed_{number}_R3_{year}_wav--1"
        write_tone(root / f"{stem}.wav", 8000 + number)
        write_midi(root / f"{stem}.midi", 60 + number)
        rows.append([composer, title, split, year, f"{stem}.midi", f"{stem}.wav", 1.0])
    of_version_2 = [dict(zip(MAESTRO, row, strict=True)) for row in rows]
    of_version_3 = {
        name: {str(i): row[place] for i, row in enumerate(rows)}
        for place, name in enumerate(MAESTRO)
    }
    texts = {
        "csv": table([MAESTRO, *rows]),
        "json of version 2": json.dumps(of_version_2),
        "json of version 3": json.dumps(of_version_3),
    }
    (root / "maestro-v3.0.0.csv").write_text(texts["csv"])
    return root, texts


@pytest.mark.parametrize("shape", ["csv", "json of version 2", "json of version 3"])
def test_maestro_is_read_from_its_index_in_any_shape(maestro, shape):
    root, texts = maestro
    (root / "maestro-v3.0.0.csv").unlink()
    (root / f"maestro-v3.0.0.{shape[:4].strip()}").write_text(texts[shape])
    assert layouts.name_of(root) == layouts.name_of(root.parent) == "maestro"
    good, dropped = find(root, "maestro")
    assert not dropped
    assert [item.split for item in good.values()] == ["train", "valid", "test"]
    assert [item.labels["composer"] for item in good.values()] == [row[0] for row in PIECES]
    assert [item.labels["year"] for item in good.values()] == ["2018", "2004", "2004"]
    assert [item.notes[0].pitch for item in good.values()] == [60, 61, 62]
    assert all(item.path == root / name for name, item in good.items())


def test_maestro_prefers_its_csv_and_goes_through_prepare(maestro, tmp_path):
    root, _ = maestro
    (root / "maestro-v3.0.0.json").write_text("not whole")
    made = corpus.prepare([root], tmp_path / "c", sample_rate=4000)
    assert (made.layout, len(made.kept), made.dropped) == ("maestro", 3, [])
    opened = corpus.open(tmp_path / "c")
    assert {name: split.num_items for name, split in opened.splits.items()} == {
        "test": 1,
        "train": 1,
        "valid": 1,
    }
    (note,) = opened.splits["valid"].score(0).notes
    assert (note.onset_seconds, note.duration_seconds, note.pitch, note.velocity) == (
        0,
        0.5,
        61,
        70,
    )
    assert len(opened.splits["train"].read(0)) == 4000
    assert opened.vocabulary.labels["composer"] == tuple(sorted(row[0] for row in PIECES))


def test_maestro_without_its_audio_says_so(maestro):
    root, _ = maestro
    for path in root.rglob("*.wav"):
        path.unlink()
    with pytest.raises(WavegenError, match=r"none of the audio[\s\S]*-midi has none"):
        find(root, "maestro")


def test_maestro_drops_what_is_not_whole_and_says_why(maestro, write_tone):
    root, texts = maestro
    rows = list(csv.reader(io.StringIO(texts["csv"])))
    good_row = rows[1]
    first, second, third = (row[5] for row in rows[1:])
    (root / rows[1][4]).write_bytes(b"MThd")
    (root / second).unlink()
    rows[3][2] = "both"
    outside = [*good_row[:4], good_row[4], "../other.wav", "1"]
    away = [*good_row[:4], "/etc/passwd", "2018/extra.wav", "1"]
    write_tone(root.parent / "other.wav")
    write_tone(root / "2018" / "extra.wav")
    write_tone(root / "2018" / "unnamed.wav")
    (root / "maestro-v3.0.0.csv").write_text(table([*rows, outside, away]))
    good, dropped = find(root, "maestro")
    assert not good
    assert dropped == {
        first: f"{rows[1][4]} is cut short",
        second: f"{second} is missing",
        third: "its split is 'both'",
        "../other.wav": "its name '../other.wav' leads out of the data set's folder",
        "2018/extra.wav": "its name '/etc/passwd' leads out of the data set's folder",
        "2018/unnamed.wav": "there is no row for it in maestro-v3.0.0.csv",
    }


def test_a_recording_that_an_index_names_twice_is_taken_once(maestro):
    root, texts = maestro
    last = texts["csv"].splitlines()[-1]
    (root / "maestro-v3.0.0.csv").write_text(texts["csv"] + last + "\n")
    good, dropped = find(root, "maestro")
    assert len(good) == 3
    assert list(dropped.values()) == ["another recording has the same name"]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("csv", "", "is empty"),
        ("csv", ",".join(MAESTRO), "has no rows"),
        ("csv", "a,b\n1,2\n", "no column canonical_composer"),
        ("csv", "\ufeff" + ",".join(MAESTRO) + "\nBerg,Sonata\n", "row 1 of .* has 2 cells"),
        ("csv", ",".join(MAESTRO) + '\n"Berg', "no whole table"),
        ("json", "", "not whole JSON"),
        ("json", "[]", "neither rows nor columns"),
        ("json", "3", "neither rows nor columns"),
        ("json", "[3]", "row 0 of .* lacks"),
        ("json", '{"audio_filename": {"0": "a.wav"}}', "row 0 of .* lacks"),
        ("json", "[" * 100_000, "not whole JSON"),
    ],
)
def test_a_broken_index_of_maestro_is_told(maestro, name, text, words):
    root, _ = maestro
    (root / "maestro-v3.0.0.csv").unlink()
    (root / f"maestro-v3.0.0.{name}").write_text(text, encoding="utf-8")
    with pytest.raises(WavegenError, match=words):
        find(root, "maestro")


def test_two_editions_of_maestro_are_not_mixed(maestro):
    root, texts = maestro
    (root / "maestro-v2.0.0.csv").write_text(texts["csv"])
    with pytest.raises(WavegenError, match="holds several"):
        find(root, "maestro")


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


TRACKS = (
    ",album,set,set,track,track\n,comments,split,subset,genre_top,title\ntrack_id,,,,,\n"
    '2,"a,\nb",training,small,Hip-Hop,Food\n3,0,validation,small,Rock,"So, so"\n'
    "5,0,test,medium,,This World\n7,0,test,small,Rock,Gone\n9,0,test,large,Rock,Not here\n"
)


@pytest.fixture
def fma(tmp_path, write_tone):
    """FMA's metadata, its smallest folder and the next, which holds the same clips and more."""
    root = tmp_path / "fma"
    (root / "fma_metadata").mkdir(parents=True)
    (root / "fma_metadata" / "tracks.csv").write_text(TRACKS)
    for folder, number in (("small", 2), ("small", 3), ("medium", 2), ("medium", 3), ("medium", 5)):
        write_tone(root / f"fma_{folder}" / "000" / f"{number:06d}.wav", 8000 + number)
    for path in root.rglob("*.wav"):
        path.rename(path.with_suffix(".mp3"))  # libsndfile looks at the bytes, not at the name
    (root / "fma_small" / "README.txt").write_text("")
    return root


def test_fma_keeps_its_splits_and_genres_and_takes_a_clip_once(fma):
    assert layouts.name_of(fma) == "fma"
    good, dropped = find(fma, "fma")
    assert {name: (item.split, item.labels) for name, item in good.items()} == {
        "fma_small/000/000002.mp3": ("train", {"genre": "Hip-Hop"}),
        "fma_small/000/000003.mp3": ("valid", {"genre": "Rock"}),
        "fma_medium/000/000005.mp3": ("test", {}),
    }
    assert dropped == {
        "fma_small/000/000007.mp3": "is missing",
        "fma_medium/000/000002.mp3": "it lies in a smaller folder too",
        "fma_medium/000/000003.mp3": "it lies in a smaller folder too",
    }


def test_a_broken_clip_of_fma_is_dropped_and_the_others_are_kept(fma, tmp_path):
    (fma / "fma_small" / "000" / "000003.mp3").write_bytes(b"ID3 and then nothing")
    (fma / "fma_small" / "000" / "000004.mp3").write_bytes(b"")
    made = corpus.prepare([fma], tmp_path / "c", sample_rate=4000)
    assert [file["name"] for file in made.kept] == [
        "fma_small/000/000002.mp3",
        "fma_medium/000/000005.mp3",
    ]
    reasons = {file["name"]: file["reason"] for file in made.dropped}
    assert "cannot be read as sound" in reasons["fma_small/000/000003.mp3"]
    assert "no row" in reasons["fma_small/000/000004.mp3"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no columns set.split"),
        ("track_id,split,subset,genre_top\n2,training,small,Rock\n", "no columns"),
        (TRACKS + "x,0,test,small,Rock,Gone\n", "no track: x"),
        (TRACKS + "10,0,test\n", "no track: 10"),
    ],
)
def test_a_broken_table_of_fma_is_told(fma, text, words):
    (fma / "fma_metadata" / "tracks.csv").write_text(text)
    with pytest.raises(WavegenError, match=words):
        find(fma, "fma")


def test_fma_without_clips_says_so(fma):
    for folder in ("fma_small", "fma_medium"):
        (fma / folder).rename(fma / f"other_{folder}")
    with pytest.raises(WavegenError, match="has no clips"):
        find(fma, "fma")


def test_words_in_folders_keep_their_label_and_official_splits(tmp_path, write_tone):
    for word in ("zero", "one"):
        for name in ("a_nohash_0", "b_nohash_0", "c_nohash_0"):
            write_tone(tmp_path / word / f"{name}.wav")
    write_tone(tmp_path / "_background_noise_" / "pink.wav")
    write_tone(tmp_path / "loose.wav")
    (tmp_path / "validation_list.txt").write_text("zero/b_nohash_0.wav\none/b_nohash_0.wav\n")
    (tmp_path / "testing_list.txt").write_text("zero/c_nohash_0.wav\none/gone.wav\n../x.wav\n")
    assert layouts.name_of(tmp_path) == "speech"
    good, dropped = find(tmp_path, "speech")
    assert {name: item.split for name, item in good.items()} == {
        "one/a_nohash_0.wav": "train",
        "one/b_nohash_0.wav": "valid",
        "one/c_nohash_0.wav": "train",
        "zero/a_nohash_0.wav": "train",
        "zero/b_nohash_0.wav": "valid",
        "zero/c_nohash_0.wav": "test",
    }
    assert all(item.labels == {"word": name.split("/")[0]} for name, item in good.items())
    assert dropped == {
        "../x.wav": "its name '../x.wav' leads out of the data set's folder",
        "_background_noise_/pink.wav": "_background_noise_ is no word",
        "loose.wav": "it lies in no word's folder",
        "one/gone.wav": "one/gone.wav is missing",
    }


def test_ljspeech_takes_what_its_table_names_and_leaves_its_quotes_alone(tmp_path, write_tone):
    for name in ("LJ001-0001", "LJ001-0002", "LJ001-0009"):
        write_tone(tmp_path / "wavs" / f"{name}.wav")
    (tmp_path / "metadata.csv").write_text(
        'LJ001-0001|"Printing, in|"Printing, in\nLJ001-0002|an "x"|a\nLJ001-0003|c|d\n../a|e|f\n'
    )
    assert layouts.name_of(tmp_path) == "speech"
    good, dropped = find(tmp_path, "speech")
    assert list(good) == ["wavs/LJ001-0001.wav", "wavs/LJ001-0002.wav"]
    assert dropped == {
        "wavs/../a.wav": "its name 'wavs/../a.wav' leads out of the data set's folder",
        "wavs/LJ001-0003.wav": "wavs/LJ001-0003.wav is missing",
        "wavs/LJ001-0009.wav": "there is no row for it in metadata.csv",
    }


def test_vctk_says_who_speaks_and_into_which_microphone(tmp_path, write_tone):
    write_tone(tmp_path / "wav48" / "p225" / "p225_001.wav")
    write_tone(tmp_path / "wav48_silence_trimmed" / "s5" / "s5_001_mic2.wav")
    write_tone(tmp_path / "wav48" / "p225" / "noise.wav")
    (tmp_path / "txt").mkdir()
    assert layouts.name_of(tmp_path) == "speech"
    good, dropped = find(tmp_path, "speech")
    assert {name: item.labels for name, item in good.items()} == {
        "wav48/p225/p225_001.wav": {"speaker": "p225"},
        "wav48_silence_trimmed/s5/s5_001_mic2.wav": {"speaker": "s5", "microphone": "mic2"},
    }
    assert dropped == {"wav48/p225/noise.wav": "its name does not say who speaks"}


@pytest.mark.parametrize("layout", ["nsynth", "maestro", "musicnet", "fma", "speech"])
def test_a_layout_that_is_asked_for_by_name_says_what_it_misses(tmp_path, write_tone, layout):
    write_tone(tmp_path / "in" / "a.wav")
    for source in (tmp_path / "in", tmp_path / "in" / "a.wav"):
        with pytest.raises(WavegenError, match="has no"):
            find(source, layout)
