import json
import random
import struct

import mido
import pytest

from wavegen.errors import WavegenError
from wavegen.music import midi


def on(pitch, velocity=64, time=0, channel=0):
    return mido.Message("note_on", note=pitch, velocity=velocity, time=time, channel=channel)


def off(pitch, time=0, channel=0):
    return mido.Message("note_off", note=pitch, time=time, channel=channel)


def pedal(value, time=0, channel=0, control=64):
    return mido.Message("control_change", control=control, value=value, time=time, channel=channel)


def tempo(microseconds, time=0):
    return mido.MetaMessage("set_tempo", tempo=microseconds, time=time)


def end(time=0):
    return mido.MetaMessage("end_of_track", time=time)


@pytest.fixture
def played(tmp_path):
    """A function: what `read` makes of some tracks; 100 ticks are half a second."""

    def play(*tracks, format=1, division=100):
        file = mido.MidiFile(type=format, ticks_per_beat=division)
        file.tracks += [mido.MidiTrack(track) for track in tracks]
        file.save(tmp_path / "a.mid")
        score = midi.read(tmp_path / "a.mid")
        return [
            (round(n.onset_seconds, 6), round(n.duration_seconds, 6), n.pitch, n.velocity)
            for n in score.notes
        ]

    return play


def raw(tmp_path, data, division=100, format=0, tracks=1):
    """A file of one track with these very bytes."""
    head = b"MThd" + struct.pack(">lhhh", 6, format, tracks, division)
    (tmp_path / "a.mid").write_bytes(head + b"MTrk" + struct.pack(">l", len(data)) + data)
    return tmp_path / "a.mid"


@pytest.mark.parametrize("format", [0, 1])
def test_notes_come_out_in_seconds_with_their_pitch_and_velocity(played, format):
    notes = played([on(60, 1), off(60, 100), on(64, 127, 100), off(64, 50)], format=format)
    assert notes == [(0, 0.5, 60, 1), (1.0, 0.25, 64, 127)]


def test_a_velocity_of_zero_ends_a_note(played):
    assert played([on(60), on(60, 0, 100)]) == [(0, 0.5, 60, 64)]


def test_running_status_is_read(tmp_path):
    path = raw(tmp_path, b"\x00\x90\x3c\x40" + b"\x64\x3c\x00" + b"\x00\xff\x2f\x00")
    (note,) = midi.read(path).notes
    assert (note.duration_seconds, note.pitch) == (0.5, 60)


def test_a_tempo_counts_in_every_track_from_its_tick_on(played):
    tempi = [tempo(1_000_000), tempo(250_000, 100)]
    assert played(tempi, [on(60), off(60, 100), on(62), off(62, 100)]) == [
        (0, 1.0, 60, 64),
        (1.0, 0.25, 62, 64),
    ]


def test_a_tempo_within_a_note_bends_its_length(played):
    assert played([tempo(1_000_000), on(60), tempo(500_000, 100), off(60, 100)]) == [
        (0, 1.5, 60, 64)
    ]


def test_the_tracks_of_format_2_are_played_one_after_the_other(played):
    first = [tempo(1_000_000), on(60), off(60, 100), end(100)]
    assert played(first, [on(62), off(62, 100)], format=2) == [(0, 1, 60, 64), (2, 0.5, 62, 64)]


def test_of_equal_notes_that_overlap_the_first_ends_first(played):
    assert played([on(60, 10), on(60, 20, 100), off(60, 100), off(60, 100)]) == [
        (0, 1.0, 60, 10),
        (0.5, 1.0, 60, 20),
    ]


def test_equal_notes_of_two_tracks_or_channels_do_not_end_each_other(played):
    one = [on(60, 10), on(60, 20, channel=1), off(60, 100), off(60, 100, channel=1)]
    assert played(one, [on(60, 30), off(60, 300)]) == [
        (0, 0.5, 60, 10),
        (0, 1.0, 60, 20),
        (0, 1.5, 60, 30),
    ]


def test_a_note_that_is_never_ended_ends_with_the_file(played):
    assert played([on(60), end(100)], [on(62), off(62, 300)]) == [
        (0, 1.5, 60, 64),
        (0, 1.5, 62, 64),
    ]


def test_drums_and_notes_without_length_are_left_out(played):
    drums = [on(36, channel=9), off(36, 100, channel=9)]
    assert played(drums, [off(61), on(60), off(60)]) == []


@pytest.mark.parametrize("value", [64, 127])
def test_the_pedal_holds_notes_until_it_is_lifted(played, value):
    track = [pedal(value), on(60), off(60, 100), on(62), off(62, 100), pedal(63, 100)]
    assert played(track) == [(0, 1.5, 60, 64), (0.5, 1.0, 62, 64)]


def test_the_pedal_lets_a_note_go_where_its_key_is_struck_again(played):
    track = [pedal(127), on(60, 10), off(60, 100), on(60, 20, 100), off(60, 50), pedal(0, 50)]
    assert played(track) == [(0, 1.0, 60, 10), (1.0, 0.5, 60, 20)]


def test_keys_that_are_down_outlast_the_pedal_and_a_late_pedal_holds_nothing(played):
    assert played([pedal(127), on(60), pedal(0, 100), off(60, 100)]) == [(0, 1.0, 60, 64)]
    assert played([on(60), off(60, 100), pedal(127), end(100)]) == [(0, 0.5, 60, 64)]


def test_a_pedal_never_lifted_holds_to_the_end_of_the_file(played):
    assert played([pedal(127), on(60), off(60, 100), end(100)]) == [(0, 1.0, 60, 64)]


def test_the_pedal_belongs_to_its_channel_in_all_tracks_and_other_pedals_hold_nothing(played):
    pedals = [pedal(127), pedal(127, channel=2, control=66), pedal(0, 200)]
    notes = [on(n, channel=c) for c, n in enumerate((60, 61, 62))]
    ends = [off(60, 100), off(61, channel=1), off(62, channel=2)]
    assert played(pedals, notes + ends) == [(0, 1.0, 60, 64), (0, 0.5, 61, 64), (0, 0.5, 62, 64)]


@pytest.mark.parametrize(("rate", "seconds"), [(24, 1 / 960), (25, 1e-3), (29, 1.001 / 1200)])
def test_smpte_time_has_no_tempo(tmp_path, rate, seconds):
    track = b"\x00\xff\x51\x03\x01\x00\x00\x00\x90\x3c\x40\x28\x80\x3c\x00\x00\xff\x2f\x00"
    (note,) = midi.read(raw(tmp_path, track, division=(-rate << 8) + 40)).notes
    assert note.duration_seconds == pytest.approx(40 * seconds)


LONG = b"\x00\x90\x3c\x40" + b"\xff\xff\xff\x7f\x80\x3c\x00" + b"\x00\xff\x2f\x00"


@pytest.mark.parametrize(
    ("track", "change", "words"),
    [
        (LONG, {"division": 100}, "more than 24 hours"),
        (LONG, {"division": (-25 << 8)}, "into 0 ticks"),
        (LONG, {"division": (-77 << 8) + 4}, "77 frames"),
        (LONG, {"format": 7}, "format 7"),
        (LONG, {"tracks": -1}, "no tracks"),
        (LONG, {"tracks": 2}, "cut short"),
        (b"\x00\x3c\x40", {}, "running status"),
        (b"\x00\xf1", {}, "cut short"),
        (b"\xff" * 1_000_000, {}, "no end"),
        (b"\xff" * 4000 + b"\x7f\x90\x3c\x40\x00\xff\x2f\x00", {}, "more than 24 hours"),
        (b"\x00\xff\x59\x02\x63\x63" + b"\x00\xff\x2f\x00", {}, "cannot be read as MIDI"),
    ],
)
def test_what_is_no_score_is_refused_in_words(tmp_path, track, change, words):
    with pytest.raises(WavegenError, match=words) as caught:
        midi.read(raw(tmp_path, track, **change))
    assert "a.mid" in caught.value.came


def test_a_folder_a_missing_file_and_a_huge_one_are_refused(tmp_path, monkeypatch):
    with pytest.raises(WavegenError, match="is a folder"):
        midi.read(tmp_path)
    with pytest.raises(WavegenError, match="cannot be read"):
        midi.read(tmp_path / "none.mid")
    monkeypatch.setattr(midi, "MAX_BYTES", 20)
    with pytest.raises(WavegenError, match="larger than"):
        midi.read(raw(tmp_path, LONG))


def test_damage_anywhere_gives_notes_or_words_but_nothing_else(tmp_path):
    whole = raw(tmp_path, LONG.replace(b"\xff\xff\xff\x7f", b"\x64")).read_bytes()
    draw, refused, heard, path = random.Random(0), [], [], tmp_path / "a.mid"
    for turn in range(400):
        size = draw.randint(1, len(whole)) if turn % 4 == 0 else len(whole)
        data = bytearray(whole[:size])
        data[draw.randrange(size)] = draw.randrange(256)
        path.write_bytes(data)
        try:
            heard.append(midi.read(path))
        except WavegenError as error:
            refused.append(error.came)
    assert all(str(path) in words for words in refused)
    for score in heard:
        assert all(note.duration_seconds > 0 for note in score.notes)
        assert all(note.end_seconds <= midi.MAX_SECONDS for note in score.notes)
    assert min(len(refused), len(heard)) > 50  # of 400


def test_hostile_files_give_notes_or_words(shared_data):
    refused = {}
    for path in sorted((shared_data / "odd").glob("midi_*")):
        try:
            refused[path.stem] = len(midi.read(path).notes)
        except WavegenError as error:
            refused[path.stem] = error.came.removeprefix(str(path))
    assert refused == {
        "midi_division_0": " divides its beats into 0 ticks",
        "midi_empty": " is empty: 0 bytes",
        "midi_no_tracks": " has no tracks",
        "midi_smpte": 1,
        "midi_stuck_note": 0,  # it ends where it begins
        "midi_text": " cannot be read as MIDI: MThd not found. Probably not a MIDI file",
        "midi_truncated_track": " is cut short",
    }


@pytest.mark.parametrize("folder", ["giantmidi", "lieder"])
def test_real_scores_have_the_notes_and_seconds_they_are_known_to_have(shared_data, folder):
    known = json.loads((shared_data / "midi" / "manifest.json").read_text())
    known = [entry for entry in known if entry["file"].startswith(folder)]
    for entry in sorted(known, key=lambda entry: entry["bytes"])[:8]:
        score = midi.read(shared_data / "midi" / entry["file"])
        assert len(score.notes) == entry["notes"], entry["file"]
        assert score.duration_seconds <= entry["seconds"] + 0.01
        onsets = [note.onset_seconds for note in score.notes]
        assert onsets == sorted(onsets)


def test_what_is_read_is_the_score_of_the_song(shared_data):
    for path in sorted((shared_data / "midi" / "freedoom").glob("*.mid"))[:5]:
        assert midi.read(path) == midi.song(path).score()


@pytest.mark.parametrize("control", [120, 121, 123])
def test_ends_of_all_notes_and_resets_change_no_note(played, control):
    one = [pedal(127), on(60), off(60, 100), on(62), pedal(0, 100, control=control)]
    assert played([*one, off(62, 100), pedal(0)]) == [(0, 1.5, 60, 64), (0.5, 1.0, 62, 64)]
