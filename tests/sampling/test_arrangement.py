"""A song on paper: what is made of it, and where it goes."""

import dataclasses
import random
import tracemalloc

import numpy as np
import pytest

from wavegen.config import Audio, Config, Model, Vocabulary
from wavegen.errors import WavegenError
from wavegen.music.score import Note
from wavegen.music.song import Part, Song, Steps
from wavegen.sampling import arrangement
from wavegen.sampling.arrangement import Voice

RATE, HOP = 8000, 32
CONFIG = Config(audio=Audio(sample_rate=RATE), model=Model(hop_length=HOP))
FRAME = CONFIG.frame_seconds
VOICE = Voice("organ", (1.0,), 0, 127)
BANDS = (20, 60, 100)


def steps(default, *said):
    times, values = zip(*said, strict=True) if said else ((), ())
    return Steps(np.array(times, np.float64), np.array(values, np.float64), default)


def part(*notes, track=0, bend=(), gain=(), pan=()):
    return Part(track, 0, 0, "", notes, steps(0.0, *bend), steps(1.0, *gain), steps(0.0, *pan))


def arranged(*parts, voices=(VOICE,), velocities=BANDS, **settings):
    cast = dict(enumerate(voices * len(parts) if len(voices) == 1 else voices))
    vocabulary = Vocabulary(velocities=velocities)
    return arrangement.arrange(Song(parts), cast, CONFIG, vocabulary, **settings)


def note(onset=0.0, duration=0.5, pitch=60, velocity=100):
    return Note(onset, duration, pitch, velocity)


def some_notes(count, seconds, seed=0):
    rng = random.Random(seed)
    onset, duration = lambda: rng.uniform(0, seconds), lambda: rng.expovariate(2) + 0.01
    keys, velocities = range(21, 109), range(1, 128)
    return [
        Note(onset(), duration(), rng.choice(keys), rng.choice(velocities)) for _ in range(count)
    ]


def test_a_song_of_notes_is_one_straight_part_sorted_by_onset_and_pitch():
    late, high, low = note(1.0), note(pitch=70), note(pitch=50)
    (only,) = Song.of(iter([late, high, low]), program=19).parts
    assert only.notes == (low, high, late)
    assert (only.track, only.channel, only.program, only.name) == (0, 0, 19, "")
    said = [float(told.at(0.7)) for told in (only.bend_semitones, only.gain, only.pan)]
    assert said == [0, 1, 0]


def test_a_song_of_no_notes_comes_to_nothing():
    assert Song.of([]) == Song(())
    nothing = arrangement.arrange(Song.of([]), {}, CONFIG, Vocabulary())
    assert (nothing.kinds, nothing.placed, nothing.num_samples) == ((), (), 0)
    assert arranged(part()).placed == ()
    for change in (arrangement.shortened(nothing, 99), arrangement.spread(nothing, True)):
        assert change == nothing


def test_every_note_begins_within_half_a_sample_of_its_onset():
    notes = some_notes(2000, 5000.0)
    found = arranged(part(*notes)).placed
    onsets = np.sort([each.onset_seconds for each in notes]) * RATE
    starts = np.array([each.start for each in found])
    # Half a sample, and the rounding of 4e7 in float64.
    assert np.abs(starts - onsets).max() <= 0.5 + 1e-8


def test_every_note_is_heard_as_long_as_it_is_held_and_its_release():
    notes = [note(0.0, 1e-6), note(1.0, 0.12345), note(2.0, 9.0)]
    found = arranged(part(*notes), release_seconds=0.25)
    assert [each.length for each in found.placed] == [2001, 988 + 2000, 72_000 + 2000]
    assert found.num_samples == 2 * RATE + 74_000
    assert found.release_samples == 2000


def test_a_note_is_made_about_as_long_as_it_is_held():
    durations = np.geomspace(0.001, 60, 500)
    notes = [note(float(n), float(duration)) for n, duration in enumerate(durations)]
    found = arranged(part(*notes))
    made = np.array([found.kinds[each.kind].hold_frames for each in found.placed]) * FRAME
    assert (made > 0).all()
    assert (np.diff(made) >= 0).all()
    # 3 % of the length or 30 ms, whichever is less, and what is rounded to whole frames.
    assert (np.abs(made - durations) <= np.minimum(0.03 * durations, 0.03) + FRAME).all()
    assert len(found.kinds) == len(set(made)) < 350


@pytest.mark.parametrize("change", ["pitch", "velocity", "duration", "voice"])
def test_notes_that_differ_in_what_is_heard_are_of_two_kinds(change):
    other = {"pitch": 61, "velocity": 60, "duration": 0.6}
    changed = note(2.0, **{change: other[change]} if change in other else {})
    voices = (VOICE, Voice("bell", (0.5,), 0, 127) if change == "voice" else VOICE)
    found = arranged(part(note(), note(1.0)), part(changed), voices=voices)
    assert [each.kind for each in found.placed] == [0, 0, 1]


def test_notes_that_sound_alike_are_of_one_kind_wherever_they_are_played():
    first = part(note(), note(1.0, velocity=97), pan=[(0.5, 1.0)])
    found = arranged(first, part(note(2.0, 0.501), track=3, gain=[(0.0, 0.5)]))
    assert [each.kind for each in found.placed] == [0, 0, 0]
    assert [each.pan for each in found.placed] == [0, 1, 0]
    assert [each.track for each in found.placed] == [0, 0, 3]


def test_kinds_stand_in_the_order_in_which_the_song_needs_them():
    notes = some_notes(300, 60.0)
    found = arranged(part(*notes[:150]), part(*notes[150:]))
    starts = [each.start for each in found.placed]
    assert starts == sorted(starts)
    assert list(dict.fromkeys(each.kind for each in found.placed)) == list(range(len(found.kinds)))
    pitches = {(round(each.onset_seconds * RATE), each.pitch) for each in notes}
    assert {(each.start, found.kinds[each.kind].pitch) for each in found.placed} == pitches


def test_a_velocity_is_the_nearest_band_and_the_rest_of_it_is_gain():
    struck = range(1, 128)
    found = arranged(part(*(note(float(v), velocity=v) for v in struck)))
    bands = np.array([found.kinds[each.kind].velocity for each in found.placed])
    nearest = [min(BANDS, key=lambda band, v=v: abs(band - v)) for v in struck]
    assert bands.tolist() == nearest
    decibels = 20 * np.log10([each.gain for each in found.placed])
    # Some logarithms of float64.
    np.testing.assert_allclose(decibels, 40 * np.log10(np.array(struck) / bands), atol=1e-12)


def test_the_gain_of_a_note_is_that_of_its_onset():
    found = arranged(part(note(), note(1.0), gain=[(0.5, 0.25), (1.0, 0.5), (1.1, 0.9)]))
    assert [each.gain for each in found.placed] == [1.0, 0.5]


@pytest.mark.parametrize(
    ("learned", "bands"),
    [
        ((), [100]),
        ((64,), [64]),
        (tuple(range(8)), list(range(8))),
        (tuple(range(1, 128)), [1, 19, 37, 55, 73, 91, 109, 127]),
        (tuple(range(1, 10)), [1, 2, 3, 4, 6, 7, 8, 9]),
    ],
)
def test_there_are_eight_bands_at_most_evenly_spread(learned, bands):
    assert arrangement.velocity_bands(learned) == bands


@pytest.mark.parametrize(
    ("pitch", "played"), [(48, 48), (71, 71), (47, 59), (0, 48), (72, 60), (127, 67), (35, 59)]
)
def test_pitches_that_were_not_learned_are_moved_to_the_nearest_octave(pitch, played):
    found = arranged(part(note(pitch=pitch)), voices=(Voice("bell", (), 48, 71),))
    assert [kind.pitch for kind in found.kinds] == [played]
    assert (found.moved, found.left_out) == (pitch != played, 0)


def test_pitches_without_an_octave_that_was_learned_are_left_out_and_counted():
    notes = [note(pitch=pitch) for pitch in (60, 61, 73, 74, 50, 48)]
    found = arranged(part(*notes), voices=(Voice("bell", (), 60, 61),))
    assert [kind.pitch for kind in found.kinds] == [60, 61]
    assert (len(found.placed), found.moved, found.left_out) == (4, 2, 2)


def test_out_of_range_is_refused_where_that_is_asked_for():
    bell = Voice("bell", (), 48, 72)
    found = arranged(part(note(pitch=72)), voices=(bell,), out_of_range="refuse")
    assert found.moved == 0
    with pytest.raises(WavegenError, match=r"pitch 73; bell learned 48 to 72[^$]*--out-of-range"):
        arranged(part(note(pitch=73)), voices=(bell,), out_of_range="refuse")
    with pytest.raises(WavegenError, match="one of: octave, refuse"):
        arranged(part(note()), out_of_range="ignore")


def test_parts_without_a_voice_are_not_heard():
    song = Song((part(note()), part(note(1.0, pitch=50))))
    found = arrangement.arrange(song, {1: VOICE}, CONFIG, Vocabulary())
    assert [kind.pitch for kind in found.kinds] == [50]


def bend_at(found, seconds):
    """Semitones of the first note, at times from its onset on."""
    return np.log2(found.placed[0].bend.speed(np.array(seconds))) * 12


def test_notes_are_bent_only_where_the_wheel_or_a_vibrato_does_it():
    wheel = [(0.2, 1.0), (0.9, 0.0)]
    found = arranged(part(note(), note(1.0), bend=wheel), release_seconds=0.1)
    assert [each.bend is None for each in found.placed] == [False, True]
    found = arranged(part(note()), vibrato=(5.0, 0.5))
    np.testing.assert_allclose(bend_at(found, [0.0, 0.05, 0.15]), [0, 0.5, -0.5], atol=1e-12)
    assert arranged(part(note()), vibrato=(5.0, 0.0)).placed[0].bend is None


def test_the_wheel_is_followed_from_before_the_note_to_the_end_of_its_release():
    wheel = [(0.5, 2.0), (1.25, -1.0), (1.5, 0.5), (1.85, 3.0), (9.0, 5.0)]
    found = arranged(part(note(1.0), bend=wheel), release_seconds=0.4)
    seconds = [0.0, 0.2449, 0.25, 0.4949, 0.5, 0.84, 0.8501, 99.0]
    expected = [2, 2, -1, -1, 0.5, 0.5, 3, 3]
    # Each value holds until a glide before the next; exponentials of float64.
    np.testing.assert_allclose(bend_at(found, seconds), expected, atol=1e-12)


def test_the_wheel_glides_from_each_step_to_the_next():
    found = arranged(part(note(1.0), bend=[(1.25, 2.0)]))
    middle = 0.25 - arrangement.GLIDE_SECONDS / 2
    np.testing.assert_allclose(bend_at(found, [middle]), [1.0], atol=1e-9)
    moves = np.diff(bend_at(found, np.arange(RATE) / RATE))
    assert moves.max() <= 2.0 / (arrangement.GLIDE_SECONDS * RATE) + 1e-9


def test_steps_that_come_faster_than_a_glide_or_together_are_followed_as_they_come():
    wheel = [(1.001, 1.0), (1.002, -1.0), (1.002, 3.0), (1.0025, 2.0), (1.0071, 2.5)]
    found = arranged(part(note(1.0), bend=wheel))
    seconds = [0.0, 0.001, 0.002, 0.0025, 0.0071]
    # Times of 1 s less 1 s: 2e-16 of float64, on slopes of 4000 semitones a second.
    np.testing.assert_allclose(bend_at(found, seconds), [0, 1, 3, 2, 2.5], atol=1e-9)


def test_a_note_that_is_bent_up_is_made_longer_and_one_that_is_bent_down_shorter():
    up, straight, down = (
        arranged(part(note(), bend=[(0.0, semitones)])).kinds[0].hold_frames * FRAME
        for semitones in (12.0, 0.0, -12.0)
    )
    # The taps of the interpolation, 3 % and a frame.
    assert up == pytest.approx(1.0, abs=0.05)
    assert straight == pytest.approx(0.5, abs=0.02)
    assert down == pytest.approx(0.25, abs=0.02)


def test_a_song_that_is_shortened_keeps_what_begins_in_time_and_nothing_else():
    whole = arranged(part(*some_notes(200, 30.0)))
    cut = whole.placed[80].start
    found = arrangement.shortened(whole, cut)
    told = lambda song, notes: [(n._replace(kind=0), song.kinds[n.kind]) for n in notes]
    assert told(found, found.placed) == told(whole, [n for n in whole.placed if n.start < cut])
    assert {each.kind for each in found.placed} == set(range(len(found.kinds)))
    assert arrangement.shortened(whole, whole.num_samples) == whole


def test_tracks_are_spread_evenly_from_left_to_right():
    tracks = (5, 1, 2)
    whole = arranged(*(part(note(), track=track, pan=[(0.0, 0.3)]) for track in tracks))
    pans = lambda found: {each.track: each.pan for each in found.placed}
    wide = arrangement.WIDTH
    assert pans(arrangement.spread(whole, is_wide=True)) == {1: -wide, 2: 0.0, 5: wide}
    assert pans(arrangement.spread(whole, is_wide=False)) == {1: 0.0, 2: 0.0, 5: 0.0}
    one = dataclasses.replace(whole, placed=whole.placed[:1])
    assert pans(arrangement.spread(one, is_wide=True)) == {5: 0.0}


def test_twenty_thousand_notes_are_a_few_megabytes():
    song = Song.of(some_notes(20_000, 4 * 3600.0))
    tracemalloc.start()
    found = arrangement.arrange(song, {0: VOICE}, CONFIG, Vocabulary(velocities=BANDS))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found.placed) == 20_000
    longest = max(kind.hold_frames for kind in found.kinds) * FRAME
    few = np.log(100) / np.log(1 + arrangement.ALIKE_SHARE) + longest / arrangement.ALIKE_SECONDS
    # Steps of 6 % from 0.01 to 1 s, of 60 ms beyond; there are ten times as many frames.
    assert len({kind.hold_frames for kind in found.kinds}) <= few
    assert peak < 20_000 * 1000  # bytes of a note: about 300, and as many while it is built


def test_a_wheel_beyond_two_octaves_stops_there():
    (placed,) = arranged(part(note(0.5), bend=((0.0, 48.0),))).placed
    assert placed.bend is not None
    assert placed.bend.semitones == 24.0
