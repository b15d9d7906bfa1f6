"""A song in a mix: every note where it belongs, of the right pitch, and never a click."""

import tracemalloc

import numpy as np
import pytest

from tests.sampling.networks import make
from tests.sampling.players import (
    EPS,
    NOTES,
    RATE,
    RELEASE,
    TRAINED,
    arranged,
    impulse,
    joined,
    loud,
    mix,
    mixes,
    noise,
    part,
    sine,
    stub,
)
from wavegen.audio import features
from wavegen.music.score import Note
from wavegen.sampling import arrangement, render
from wavegen.sampling.arrangement import Voice
from wavegen.sampling.request import Draws


def test_notes_begin_at_the_sample_nearest_to_their_onset(monkeypatch):
    stub(monkeypatch, impulse)
    onsets = (0.0, 0.10003, 0.25, 0.25 + 1 / RATE, 1.5)
    sound = mix(*(Note(onset, 0.1 + i / 100, 60 + i, 100) for i, onset in enumerate(onsets)))
    found = np.flatnonzero(np.abs(sound) > 0.5)  # an impulse is 1, all else is almost silence
    np.testing.assert_array_equal(found, [round(onset * RATE) for onset in onsets])


@pytest.mark.parametrize("block_seconds", [0.013, 0.25, 60.0])
@pytest.mark.parametrize(("batch", "hurried"), [(1, False), (3, False), (32, True)])
@pytest.mark.parametrize("backwards", [False, True])
def test_onsets_are_kept_however_a_song_is_made(
    monkeypatch, block_seconds, batch, hurried, backwards
):
    stub(monkeypatch, impulse)
    monkeypatch.setattr(render, "BLOCK_SECONDS", block_seconds)
    monkeypatch.setattr(render, "BATCH", batch)
    parts = (part(*NOTES[:30]), part(*NOTES[30:], track=1))
    song = arranged(*(parts[::-1] if backwards else parts))
    sound = joined(mixes(song, hurried=hurried))[:, 0, 0]
    found = np.flatnonzero(sound > 0.5)
    expected = sorted({round(note.onset_seconds * RATE) for note in NOTES})
    np.testing.assert_array_equal(found, expected)
    onsets = np.sort([note.onset_seconds for note in NOTES])
    assert np.abs(found / RATE - onsets).max() <= 0.5 / RATE + 1e-12  # half a sample


@pytest.mark.parametrize("block_seconds", [0.013, 0.1, 60.0])
def test_how_the_mix_is_cut_changes_nothing(monkeypatch, block_seconds):
    stub(monkeypatch, noise)
    once = mixes(arranged(part(*NOTES)))
    monkeypatch.setattr(render, "BLOCK_SECONDS", block_seconds)
    again = mixes(arranged(part(*NOTES)))
    np.testing.assert_array_equal(joined(again), joined(once))
    assert len(again) == -(-len(joined(once)) // round(block_seconds * RATE))


@pytest.mark.parametrize(("batch", "hurried"), [(1, False), (3, False), (3, True), (32, True)])
def test_what_is_made_side_by_side_changes_nothing(monkeypatch, batch, hurried):
    stub(monkeypatch, noise)
    once = mix(*NOTES)
    monkeypatch.setattr(render, "BATCH", batch)
    np.testing.assert_array_equal(mix(*NOTES, hurried=hurried), once)


def test_a_kind_of_note_sounds_the_same_in_every_song_and_batch(monkeypatch):
    """Of a network, whose notes are made side by side or alone, with others or without."""
    trained = make("notes and labels")
    voice = {0: Voice("bell", (1.0, 0.0, 1.0), 0, 127)}

    def played(*notes):
        return joined(mixes(arranged(part(*notes), trained=trained, voices=voice), trained))

    one, rest = Note(0.0, 0.3, 60, 100), [Note(1.0 + n, 0.1 + n / 9, 50 + n, 100) for n in range(9)]
    alone = played(one)
    assert len(np.unique(alone)) > 100  # it is no silence
    together = played(one, *rest)
    monkeypatch.setattr(render, "BATCH", 2)
    pairwise = played(one, *rest)
    np.testing.assert_array_equal(together[: len(alone)], alone)
    np.testing.assert_array_equal(pairwise, together)


def test_equal_notes_sound_equal_and_others_do_not(monkeypatch):
    stub(monkeypatch, noise)
    note, again = Note(0.0, 0.1, 60, 100), Note(1.0, 0.1, 60, 100)
    longer, higher = Note(2.0, 0.2, 60, 100), Note(3.0, 0.1, 61, 100)
    sound = mix(note, again, longer, higher)
    length = round((0.1 + RELEASE) * RATE)
    takes = [sound[second * RATE : second * RATE + length] for second in range(4)]
    np.testing.assert_array_equal(takes[0], takes[1])
    assert np.any(takes[0] != takes[2])
    assert np.any(takes[0] != takes[3])


def test_another_seed_is_another_mix(monkeypatch):
    stub(monkeypatch, noise)
    assert np.any(mix(*NOTES[:3]) != mix(*NOTES[:3], draws=Draws(1)))


def test_a_louder_note_is_the_same_take_with_more_gain(monkeypatch):
    stub(monkeypatch, noise)
    soft, full = mix(Note(0.0, 0.1, 60, 50)), mix(Note(0.0, 0.1, 60, 100))
    np.testing.assert_array_equal(soft, full / 4)  # (50 / 100) ** 2, exact in binary


def test_a_take_ends_in_nothing_after_its_release(monkeypatch):
    stub(monkeypatch, noise)
    sound = mix(Note(0.5, 0.1, 60, 100))
    assert len(sound) == round(0.5 * RATE) + round((0.1 + RELEASE) * RATE)
    assert sound[-1] == 0
    assert not sound[: RATE // 2].any()


@pytest.mark.parametrize("release", [0.0, 0.001, 0.1, 0.5, 3.0])
@pytest.mark.parametrize("bend", [[], [(0.0, 7.0)], [(0.0, -7.0)]])
def test_no_note_ends_in_a_click(monkeypatch, release, bend):
    """However its length compares with that of the take: it sinks evenly to 0."""
    stub(monkeypatch, loud)
    fade = max(render.FADE_SHARE * release, render.SHORTEST_FADE_SECONDS) * RATE
    for held in (0.1, 0.1234, 0.35, 1.03, 2.0):
        song = arranged(part(Note(0.0, held, 60, 100), bend=bend), release_seconds=release)
        sound = joined(mixes(song))[400:, 0, 0]  # what is bent begins with a sinc at a border
        last = np.flatnonzero(sound)[-1]
        # A step of an even fade; as much again where the interpolation swings at a take's end.
        step = (2 if bend else 1) * 0.95 / (fade - 1)
        assert np.abs(np.diff(sound)).max() <= step
        assert abs(sound[last]) <= step
        assert len(sound) + 400 == round((held + release) * RATE)


def test_the_held_part_of_a_note_is_not_faded(monkeypatch):
    stub(monkeypatch, loud)
    sound = mix(Note(0.0, 0.3, 60, 100))
    until = round(0.3 * RATE) + round(RELEASE * RATE / 3)
    assert np.ptp(sound[:until]) == 0
    assert sound[0] == pytest.approx(-0.9, abs=0.03)  # as mu-law holds it


def test_a_mix_is_the_sum_of_its_tracks(monkeypatch):
    stub(monkeypatch, noise)
    parts = [part(*NOTES[n::3], track=track) for n, track in enumerate((7, 2, 4))]
    song = arrangement.spread(arranged(*parts), is_wide=True)
    for channels in (1, 2):
        whole = joined(mixes(song, channels=channels))
        apart = joined(mixes(song, channels=channels, tracks=(2, 4, 7)))
        assert whole.shape == (song.num_samples, 1, channels)
        assert apart.shape == (song.num_samples, 3, channels)
        # Up to 40 notes sound at once, each below 0.2.
        np.testing.assert_allclose(apart.sum(axis=1), whole[:, 0], atol=40 * 0.2 * 40 * EPS)
        alone = joined(mixes(arrangement.spread(arranged(parts[1]), False)))
        if channels == 1:
            np.testing.assert_array_equal(apart[: len(alone), 0], alone[:, 0])


@pytest.mark.parametrize("pan", [-1.0, -0.7, 0.0, 0.2, 1.0])
def test_a_note_is_as_loud_wherever_it_stands(monkeypatch, pan):
    stub(monkeypatch, noise)
    song = arranged(part(Note(0.0, 0.2, 60, 100), pan=pan))
    mono, stereo = joined(mixes(song))[:, 0, 0], joined(mixes(song, channels=2))[:, 0]
    # Constant power: two squares of float32 gains.
    np.testing.assert_allclose(np.square(stereo).sum(axis=1), mono**2, rtol=8 * EPS)
    left, right = np.abs(stereo).max(axis=0)
    assert (left > right, left < right) == (pan < 0, pan > 0)
    if abs(pan) == 1:
        assert min(left, right) < EPS  # the cosine of a right angle in float32


def test_a_long_note_makes_no_long_mix_of_every_track(monkeypatch):
    stub(monkeypatch, noise)
    song = arranged(*(part(Note(0.0, 0.1, 60, 100), track=n) for n in range(40)),
                    part(Note(0.0, 60.0, 50, 100), track=40))  # fmt: skip
    tracemalloc.start()
    next(render.render(TRAINED, song, Draws(), "numba_cpu", tracks=range(41), channels=2))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 82 * 4 * 60 * RATE / 2  # bytes; half of 41 tracks of a minute in stereo


def heard_cents(sound, pitch):
    hz = features.midi_hz(pitch)
    return features.cents(features.fundamental(sound, RATE, hz / 2, hz * 2), pitch)


@pytest.mark.parametrize("semitones", [-12.0, -2.0, 0.5, 7.0])
def test_a_note_under_a_bent_wheel_has_the_pitch_that_is_asked_for(monkeypatch, semitones):
    stub(monkeypatch, sine)
    song = arranged(part(Note(0.0, 1.0, 69, 100), bend=[(0.0, semitones)]))
    sound = joined(mixes(song))[:, 0, 0]
    assert abs(heard_cents(sound[:RATE], 69 + semitones)) < 5  # yin finds a tone to some cents
    level = lambda part: np.sqrt(np.mean(np.square(part)))
    # It lasts as long as it is held, though less or more of its take is heard in that time.
    assert level(sound[RATE - 1000 : RATE]) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)


def test_a_wheel_that_moves_while_a_note_sounds_moves_its_pitch_without_a_click(monkeypatch):
    stub(monkeypatch, sine)
    song = arranged(part(Note(0.5, 2.0, 57, 100), bend=[(0.0, 2.0), (1.0, -3.0), (1.5, 12.0)]))
    sound = joined(mixes(song))[:, 0, 0]
    for first, last, pitch in ((0.52, 0.98, 59), (1.02, 1.48, 54), (1.52, 2.48, 69)):
        stretch = sound[round(first * RATE) : round(last * RATE)]
        assert abs(heard_cents(stretch, pitch)) < 5  # yin finds a tone to some cents
    # A sine of 0.5 at the highest pitch never moves faster; codes of mu-law are 0.02 apart there.
    fastest = 0.5 * 2 * np.pi * features.midi_hz(69) / RATE
    assert np.abs(np.diff(sound[round(0.51 * RATE) :])).max() <= fastest + 0.03


def test_a_vibrato_swings_about_the_pitch(monkeypatch):
    stub(monkeypatch, sine)
    song = arranged(part(Note(0.0, 2.0, 69, 100)), vibrato=(5.0, 1.0))
    sound = joined(mixes(song))[: 2 * RATE, 0, 0]
    highest = sound[round(0.03 * RATE) : round(0.07 * RATE)]  # a quarter of a turn is 0.05 s
    crossings = np.flatnonzero((highest[1:] > 0) & (highest[:-1] <= 0))
    hz = RATE * (len(crossings) - 1) / (crossings[-1] - crossings[0])
    # The mean of a cosine over a fifth of its turn about the top is 0.94; some samples of 600.
    assert 12 * np.log2(hz / 440) == pytest.approx(0.94, abs=0.1)


def test_an_empty_song_is_no_sound(monkeypatch):
    asked = stub(monkeypatch, noise)
    assert mixes(arranged()) == mixes(arranged(part())) == []
    assert asked == []
