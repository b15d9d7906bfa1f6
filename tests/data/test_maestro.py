"""Layout `maestro`, against folders true to its format; and names that any index may hold."""

import csv
import io
import json

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


@pytest.mark.parametrize("layout", ["nsynth", "maestro", "musicnet", "fma", "speech"])
def test_a_layout_that_is_asked_for_by_name_says_what_it_misses(tmp_path, write_tone, layout):
    write_tone(tmp_path / "in" / "a.wav")
    for source in (tmp_path / "in", tmp_path / "in" / "a.wav"):
        with pytest.raises(WavegenError, match="has no"):
            find(source, layout)
