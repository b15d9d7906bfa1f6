import mido
import numpy as np
import pytest

from wavegen.errors import WavegenError
from wavegen.music import midi
from wavegen.music.score import Note, Score
from wavegen.music.song import Part, Song, Steps

NOTE = 100  # ticks of a quarter of 0.5 s


def note(pitch=60, velocity=64, before=0, channel=0, hold=NOTE):
    """A note that is struck `before` ticks after the message before it."""
    on = mido.Message("note_on", note=pitch, velocity=velocity, time=before, channel=channel)
    return [on, mido.Message("note_off", note=pitch, time=hold, channel=channel)]


def control(number, value, before=0, channel=0):
    return mido.Message("control_change", control=number, value=value, time=before, channel=channel)


def program(number, before=0, channel=0):
    return mido.Message("program_change", program=number, time=before, channel=channel)


def wheel(pitch, before=0, channel=0):
    return mido.Message("pitchwheel", pitch=pitch, time=before, channel=channel)


def bend_range(semitones, cents=None, channel=0):
    fine = [] if cents is None else [control(38, cents, channel=channel)]
    chosen = [control(101, 0, channel=channel), control(100, 0, channel=channel)]
    return [*chosen, control(6, semitones, channel=channel), *fine]


@pytest.fixture
def song(tmp_path):
    """A function: the song of some tracks, each a list of messages; 100 ticks are half a second."""

    def read(*tracks, format=1):
        file = mido.MidiFile(type=format, ticks_per_beat=100, charset="utf-8")
        file.tracks += [mido.MidiTrack(track) for track in tracks]
        file.save(tmp_path / "a.mid")
        return midi.song(tmp_path / "a.mid")

    return read


def parts(found):
    return [(p.track, p.channel, p.program, [n.pitch for n in p.notes]) for p in found.parts]


def steps(told):
    return list(zip(told.times.tolist(), told.values.tolist(), strict=True))


def test_steps_hold_each_value_until_the_next():
    told = Steps(np.array([1.0, 2.0, 2.0]), np.array([5.0, 6.0, 7.0]), default=4.0)
    seconds = np.array([[-1, 0.999, 1.0], [1.5, 2.0, 99.0]])
    assert told.at(seconds).tolist() == [[4, 4, 5], [5, 7, 7]]
    assert [float(told.at(t)) for t in (0.0, 1.0)] == [4, 5]


def test_steps_that_say_nothing_are_their_default():
    nothing = Steps(np.zeros(0), np.zeros(0), default=0.5)
    assert nothing.at(np.arange(3.0)).tolist() == [0.5] * 3
    assert float(nothing.at(9.0)) == 0.5


def test_a_part_is_one_program_of_one_channel_in_one_track(song):
    one = [program(5), *note(60), *note(61, channel=1), program(4, 100), *note(62)]
    found = song(one, note(63, channel=1, hold=300) + note(64))
    assert parts(found) == [
        (0, 0, 4, [62]),
        (0, 0, 5, [60]),
        (0, 1, 0, [61]),
        (1, 0, 4, [64]),  # by then the channel has changed its program, in another track
        (1, 1, 0, [63]),
    ]


def test_a_program_that_changes_while_a_note_sounds_is_that_of_the_next_one(song):
    on, off = note(60)
    found = song([program(1), on, program(2, 50), off, *note(62)])
    assert parts(found) == [(0, 0, 1, [60]), (0, 0, 2, [62])]


def test_a_program_counts_from_its_tick_on_wherever_in_the_file_it_stands(song):
    assert parts(song(note(60), [program(9)])) == [(0, 0, 9, [60])]


def test_channels_of_two_ports_are_not_the_same(song):
    port = mido.MetaMessage("midi_port", port=1)
    found = song([program(3), *note(60)], [port, program(7), *note(61)])
    assert parts(found) == [(0, 0, 3, [60]), (1, 0, 7, [61])]


def test_the_wheel_bends_two_semitones_unless_told_otherwise(song):
    (part,) = song([wheel(-8192), *note(), wheel(4096), *note(), wheel(0), *note()]).parts
    assert steps(part.bend_semitones) == [(0.0, -2.0), (0.5, 1.0), (1.0, 0.0)]
    assert part.bend_semitones.default == 0


@pytest.mark.parametrize(("cents", "semitones"), [(None, 6.0), (50, 6.25)])
def test_the_range_of_the_wheel_is_what_its_parameter_says(song, cents, semitones):
    (part,) = song([*bend_range(12, cents), wheel(4096), *note()]).parts
    assert steps(part.bend_semitones) == [(0.0, semitones)]


def test_a_range_in_whole_semitones_forgets_the_hundredths_before(song):
    (part,) = song([*bend_range(12, 50), *bend_range(12), wheel(4096), *note()]).parts
    assert steps(part.bend_semitones) == [(0.0, 6.0)]


def test_a_new_range_bends_what_is_bent_already(song):
    (part,) = song([wheel(4096), *note(), *bend_range(12), *note()]).parts
    assert steps(part.bend_semitones) == [(0.0, 1.0), (0.5, 6.0)]


@pytest.mark.parametrize(
    "elsewhere",
    [
        [control(101, 127), control(100, 127)],  # none at all
        [control(101, 0), control(100, 1)],  # fine tuning
        [control(99, 0), control(98, 0)],  # one of the maker's
        [control(121, 0)],  # all is reset, and with it the choice
    ],
)
def test_data_for_another_parameter_leaves_the_range_alone(song, elsewhere):
    (part,) = song([*bend_range(12), *elsewhere, control(6, 64), wheel(4096), *note()]).parts
    assert steps(part.bend_semitones) == [(0.0, 6.0)]


def test_a_file_that_says_nothing_plays_straight_at_gain_1_in_the_middle(song):
    (part,) = song(note()).parts
    found = [float(told.at(0.2)) for told in (part.bend_semitones, part.gain, part.pan)]
    assert found == [0, 1, 0]


def test_what_a_file_says_of_its_defaults_changes_nothing(song):
    (part,) = song([control(7, 100), control(11, 127), control(10, 64), wheel(0), *note()]).parts
    assert [steps(told) for told in (part.bend_semitones, part.gain, part.pan)] == [[], [], []]


def test_volume_and_expression_are_loud_as_general_midi_says(song):
    said = [control(7, 50), control(11, 64, 100), control(7, 127, 100), control(11, 0, 100)]
    (part,) = song([*said, *note()]).parts
    decibels = 20 * np.log10(part.gain.at(np.array([0.0, 0.5, 1.0])))
    usual = 40 * np.log10(100 / 127)  # what counts as gain 1
    volume = 40 * np.log10(np.array([50, 50, 127]) / 127)
    expression = 40 * np.log10(np.array([127, 64, 127 * (64 / 127)]) / 127)
    # Three logarithms of float64.
    np.testing.assert_allclose(decibels, volume - usual + expression, atol=1e-12)
    assert part.gain.at(1.5) == 0


@pytest.mark.parametrize(("value", "place"), [(0, -1), (1, -1), (64, 0), (127, 1)])
def test_pan_goes_from_left_to_right_with_64_in_the_middle(song, value, place):
    (part,) = song([control(10, value), *note()]).parts
    assert part.pan.at(0.0) == place


def test_a_reset_straightens_bend_and_expression_but_not_volume_pan_and_program(song):
    said = [program(9), control(7, 50), control(11, 0), control(10, 127), wheel(8191)]
    (part,) = song([*said, *bend_range(12), control(121, 0, 100), *note()]).parts
    found = (part.program, part.bend_semitones.at(1.0), part.gain.at(1.0), part.pan.at(1.0))
    assert found == (9, 0, 0.25, 1)


def test_controllers_of_a_channel_are_heard_in_all_its_tracks_and_no_other_channel(song):
    found = song([control(10, 127)], note(), note(channel=1))
    assert [float(part.pan.at(0.0)) for part in found.parts] == [1, 0]


def test_drums_are_counted_and_left_out(song):
    found = song([*note(36, channel=9), *note(60), *note(38, channel=9)])
    assert (found.num_drums, parts(found)) == (2, [(0, 0, 0, [60])])


def test_the_tracks_of_format_2_follow_each_other_and_share_nothing(song):
    first = [program(5), control(10, 127), wheel(8191), *note(60)]
    found = song(first, [*note(61), wheel(-8192)], format=2)
    assert parts(found) == [(0, 0, 5, [60]), (1, 0, 0, [61])]
    assert [part.notes[0].onset_seconds for part in found.parts] == [0, 0.5]
    assert found.parts[1].pan.at(9.0) == 0
    assert steps(found.parts[1].bend_semitones) == [(1.0, -2.0)]


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("Harp", "Harp"),
        ("", ""),
        ("Flöte 笛", "Flöte 笛"),
        ("  a\x00\x1b[31mb\n\x7f ", "a[31mb"),
        ("x" * 99, "x" * 40),
    ],
)
def test_a_part_bears_the_name_of_its_track_fit_for_one_line(song, told, name):
    (part,) = song([mido.MetaMessage("track_name", name=told), *note()]).parts
    assert part.name == name


def test_a_name_of_any_bytes_is_a_name(tmp_path, song):
    song([mido.MetaMessage("track_name", name="#" * 128), *note()])
    data = (tmp_path / "a.mid").read_bytes()
    (tmp_path / "a.mid").write_bytes(data.replace(b"#" * 128, bytes(range(128, 256))))
    (part,) = midi.song(tmp_path / "a.mid").parts
    assert len(part.name) == 40
    assert part.name.isprintable()


def test_a_song_is_as_long_as_its_score_and_has_its_notes():
    still = Steps(np.zeros(0), np.zeros(0), 0.0)
    late, early, long = Note(1, 1, 50, 9), Note(0, 1, 60, 9), Note(0, 5, 60, 8)
    one = Part(0, 0, 0, "", (long, late), still, still, still)
    song = Song((one, Part(1, 0, 0, "", (early,), still, still, still)))
    assert song.score() == Score((early, long, late))
    assert song.duration_seconds == song.score().duration_seconds == 5
    assert Song(()).score() == Score()
    assert Song(()).duration_seconds == 0


@pytest.mark.slow
def test_all_there_is_is_a_song_or_refused_in_words(shared_data):
    heard, refused = [], []
    paths = sorted((shared_data / "midi").rglob("*.mid"))
    for path in [*paths, *sorted((shared_data / "odd").glob("midi_*"))]:
        try:
            heard.append((path, midi.song(path)))
        except WavegenError as error:
            refused.append((path, error.came))
    assert len(heard) > 150
    assert all(str(path) in words for path, words in refused)
    for path, song in heard:
        assert "midi_" in path.name or song.parts, path
        order = [(part.track, part.channel, part.program) for part in song.parts]
        assert order == sorted(set(order)), path
        for part in song.parts:
            onsets = [n.onset_seconds for n in part.notes]
            assert onsets == sorted(onsets), path
            assert part.channel != 9
            for told, low, high in (
                (part.bend_semitones, -127, 127),
                (part.gain, 0, 1.27**2),
                (part.pan, -1, 1),
            ):
                assert (np.diff(told.times) >= 0).all(), path
                assert ((told.values >= low) & (told.values <= high)).all(), path


@pytest.mark.slow
def test_fifty_thousand_notes_over_four_hours_are_a_song(song):
    track = [m for k in range(50_000) for m in (wheel(k % 99), *note(k % 128, hold=58))]
    (part,) = song(track).parts
    assert len(part.notes) == 50_000
    assert part.notes[-1].end_seconds == pytest.approx(50_000 * 0.29)
