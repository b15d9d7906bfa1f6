"""TFRecord files, written here by the letter of the format: bit by bit checksums, plain loops."""

import contextlib
import pickle
import random
import struct

import numpy as np
import pytest

from wavegen.data import corpus, layouts
from wavegen.data.layouts import Dropped, Recording, nsynth_records, tfrecord
from wavegen.errors import WavegenError

HEAD, FOOT = 12, 4
FIELDS = {
    "note": 7,
    "note_str": "synth_lead_synthetic_003-060-100",
    "instrument": 3,
    "instrument_str": "synth_lead_synthetic_003",
    "pitch": 60,
    "velocity": 100,
    "sample_rate": 16000,
    "qualities": [0, 1, 0, 0, 0, 0, 0, 0, 0, 1],
    "qualities_str": ["dark", "tempo-synced"],
    "instrument_family": 9,
    "instrument_family_str": "synth_lead",
    "instrument_source": 2,
    "instrument_source_str": "synthetic",
}


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def record(data):
    length = struct.pack("<Q", len(data))
    return length + masked(length) + data + masked(data)


def varint(number):
    out = b""
    while number >= 0x80:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def message(field, data):
    return varint(field << 3 | 2) + varint(len(data)) + data


def feature(value, packed=True):
    value = value if isinstance(value, list | np.ndarray) else [value]
    if isinstance(value, np.ndarray):
        floats = [struct.pack("<f", number) for number in value]
        parts = [message(1, b"".join(floats))] if packed else [b"\x0d" + part for part in floats]
        return message(2, b"".join(parts))
    if value and isinstance(value[0], str):
        return message(1, b"".join(message(1, text.encode()) for text in value))
    numbers = [varint(number % 2**64) for number in value]
    parts = [message(1, b"".join(numbers))] if packed else [b"\x08" + part for part in numbers]
    return message(3, b"".join(parts))


def example(features, packed=True):
    entries = b""
    for name, value in features.items():
        entries += message(1, message(1, name.encode()) + message(2, feature(value, packed)))
    return message(1, entries)


def tone(pitch, num_samples=1600):
    hz = 440 * 2 ** ((pitch - 69) / 12)
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(num_samples) / 16000)).astype(np.float32)


def note(pitch=60, packed=True, /, **changes):
    told = FIELDS | {"pitch": pitch, "note_str": f"synth_lead_synthetic_003-{pitch:03d}-100"}
    told |= {"audio": tone(pitch)} | changes
    told = {name: value for name, value in told.items() if value is not None}
    return example(told, packed)


def find(source):
    found = list(layouts.find(source, "nsynth"))
    good = {item.name: item for item in found if isinstance(item, Recording)}
    return good, {item.name: item.reason for item in found if isinstance(item, Dropped)}


def test_the_checksum_is_crc_32c_turned_and_shifted():
    assert crc32c(b"123456789") == 0xE3069283  # the check value in every table of checksums
    for data in (b"", b"\x00" * 32, b"123456789", bytes(range(256)) * 3):
        assert struct.pack("<I", tfrecord._masked(data)) == masked(data)


@pytest.mark.parametrize("packed", [True, False])
def test_a_record_comes_back_with_its_labels_its_note_and_its_very_samples(tmp_path, packed):
    path = tmp_path / "nsynth-valid.tfrecord"
    path.write_bytes(record(note(60, packed)))
    assert layouts.name_of(path) == layouts.name_of(tmp_path) == "nsynth"
    good, dropped = find(path)
    assert not dropped
    (item,) = good.values()
    assert (item.name, item.split, item.path) == ("synth_lead_synthetic_003-060-100", "valid", path)
    assert item.labels == {
        "instrument": "synth_lead_synthetic_003",
        "instrument_family": "synth_lead",
        "instrument_source": "synthetic",
        "qualities": "dark+tempo-synced",
    }
    assert [(n.duration_seconds, n.pitch, n.velocity) for n in item.notes] == [(3.0, 60, 100)]
    sent = pickle.dumps(item)
    assert len(sent) < 2000  # where the samples lie, not the samples
    samples, facts = pickle.loads(sent).load(16000)
    np.testing.assert_array_equal(samples, tone(60))
    assert facts == {
        "sample_rate": 16000,
        "channels": 1,
        "format": "TFRecord FLOAT",
        "clipped": 0,
        "clipped_runs": 0,
    }
    slower, _ = item.load(8000)
    assert len(slower) == 800


def test_what_a_record_leaves_out_is_told_from_the_rest_of_it(tmp_path):
    left_out = ("note", "instrument", "instrument_str", "sample_rate", "qualities_str")
    left_out += ("instrument_family_str", "instrument_source_str")
    (tmp_path / "nsynth-test.tfrecord").write_bytes(record(note(60)))
    whole, _ = find(tmp_path)
    short = note(60, **dict.fromkeys(left_out))
    (tmp_path / "nsynth-test.tfrecord").write_bytes(record(short))
    good, dropped = find(tmp_path)
    assert not dropped
    assert {name: item.labels for name, item in good.items()} == {
        name: item.labels for name, item in whole.items()
    }


def test_shards_and_splits_go_through_prepare_together(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    for pitch, name in enumerate(
        (
            "nsynth-train.tfrecord-00000-of-00002",
            "nsynth-train.tfrecord-00001-of-00002",
            "nsynth-valid.tfrecord",
            "nsynth-test.tfrecord",
        ),
        start=60,
    ):
        (source / name).write_bytes(record(note(pitch)) + record(note(pitch + 12)))
    made = corpus.prepare([source], tmp_path / "c", sample_rate=8000, workers=1)
    assert (made.layout, len(made.kept), made.dropped) == ("nsynth", 8, [])
    opened = corpus.open(tmp_path / "c")
    assert {name: split.num_items for name, split in opened.splits.items()} == {
        "test": 2,
        "train": 4,
        "valid": 2,
    }
    assert opened.splits["test"].score(1).notes[0].pitch == 75
    assert opened.splits["train"].lengths.tolist() == [800] * 4


def test_a_damaged_record_is_dropped_and_the_rest_is_used(tmp_path):
    records = [record(note(pitch)) for pitch in (60, 62, 64, 65, 67)]
    records[1] = records[1][:3000] + b"!" + records[1][3001:]  # in its samples
    records[2] = b"\xff" + records[2][1:]  # in its length
    records[4] = records[4][:-1]
    (tmp_path / "nsynth-train.tfrecord").write_bytes(b"".join(records))
    made = corpus.prepare([tmp_path], tmp_path.with_suffix(".c"), sample_rate=16000)
    assert [file["name"][-7:-4] for file in made.kept] == ["060", "065"]
    begins = len(records[0]) + len(records[1])
    assert [file["reason"] for file in made.dropped] == [
        f"the record at byte {len(records[0]) + HEAD} of the file is damaged: its checksum differs",
        f"no record begins at byte {begins}",
        f"the record at byte {sum(map(len, records[:4]))} is cut short",
    ]


@pytest.mark.parametrize("searched", [1, 7, 1 << 20])
def test_the_next_whole_head_is_found_wherever_it_lies(monkeypatch, searched):
    monkeypatch.setattr(tfrecord, "_SEARCHED", searched)
    for junk in (b"x", b"\x00" * 40, b"\xff" * 33):
        data = np.frombuffer(junk + record(b"one") + junk + record(b""), np.uint8)
        found = [span[:2] for span in tfrecord.spans(data) if not span.reason]
        first = len(junk) + HEAD
        assert found == [(first, 3), (first + 3 + FOOT + len(junk) + HEAD, 0)]


@pytest.mark.parametrize("data", [b"", b"x", b"\x00" * 100, b"\xff" * 100])
def test_a_file_that_holds_no_record_is_named(tmp_path, data):
    (tmp_path / "nsynth-train.tfrecord").write_bytes(data)
    good, dropped = find(tmp_path)
    assert not good
    assert len(dropped) == 1


def test_a_length_that_no_file_could_hold_is_never_allocated(tmp_path):
    length = struct.pack("<Q", 2**62)
    path = tmp_path / "nsynth-train.tfrecord"
    path.write_bytes(record(note(60)) + length + masked(length) + b"x" * 50)
    good, dropped = find(tmp_path)
    assert len(good) == 1
    assert list(dropped.values()) == [f"the record at byte {len(record(note(60)))} is cut short"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"note_str": None}, "no 'note_str'"),
        ({"audio": None}, "no 'audio'"),
        ({"pitch": [60, 61]}, "2 values of 'pitch'"),
        ({"pitch": "60"}, "'pitch' is '60', not a whole number"),
        ({"pitch": -1}, "pitch is -1"),
        ({"velocity": None}, "no 'velocity'"),
        ({"qualities": None, "qualities_str": None}, "no 'qualities'"),
        ({"instrument_family": 99, "instrument_family_str": None}, "no 'instrument_family_str'"),
        ({"note_str": 5}, "no text"),
    ],
)
def test_a_record_that_is_no_note_is_named(tmp_path, changes, words):
    (tmp_path / "nsynth-train.tfrecord").write_bytes(record(note(60, **changes)))
    good, dropped = find(tmp_path)
    assert not good
    assert words in next(iter(dropped.values()))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"audio": "text"}, "no list of floats"),
        ({"audio": np.zeros(0, np.float32)}, "holds no samples"),
        ({"audio": np.full(100, np.nan)}, "NaN or infinite"),
        ({"sample_rate": 5}, "at 5 Hz"),
        ({"sample_rate": 2**62}, "at 4611686018427387904 Hz"),
    ],
)
def test_samples_that_cannot_be_used_are_refused_when_they_are_read(tmp_path, changes, words):
    (tmp_path / "nsynth-train.tfrecord").write_bytes(record(note(60, **changes)))
    (item,) = find(tmp_path)[0].values()
    with pytest.raises(WavegenError, match=words):
        item.load(16000)


def test_any_bytes_in_a_whole_record_give_a_note_or_words(tmp_path):
    draw = random.Random(0)
    whole = note(60, audio=tone(60, 4))
    path = tmp_path / "nsynth-train.tfrecord"
    for _ in range(300):
        data = bytearray(whole[: draw.randint(0, len(whole))])
        for _ in range(draw.randint(1, 3) if data else 0):
            data[draw.randrange(len(data))] = draw.randrange(256)
        path.write_bytes(record(bytes(data)))
        good, dropped = find(path)
        assert len(good) + len(dropped) == 1
        assert all(dropped.values())
        for item in good.values():
            with contextlib.suppress(WavegenError):
                item.load(16000)


def test_negative_numbers_and_long_ones_survive_the_encoding():
    numbers = [0, 1, -1, 2**63 - 1, -(2**63), 300]
    for packed in (True, False):
        values = tfrecord.values(memoryview(feature(numbers, packed)))
        assert isinstance(values, np.ndarray)
        assert values.tolist() == numbers


def test_only_files_named_after_nsynth_are_recognised_but_any_can_be_asked_for(tmp_path):
    (tmp_path / "mine.tfrecord").write_bytes(record(note(60)))
    assert layouts.name_of(tmp_path) == "folder"
    assert nsynth_records.is_file(tmp_path / "mine.tfrecord")
    good, _ = find(tmp_path)
    assert [item.split for item in good.values()] == ["train"]
