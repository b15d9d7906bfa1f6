import dataclasses

import numpy as np
import pytest

from wavegen.audio import features
from wavegen.config import (
    Audio,
    Augmentation,
    Conditioner,
    Config,
    Model,
    Predictor,
    Training,
    Vocabulary,
)
from wavegen.data import augmentation, batches
from wavegen.errors import WavegenError
from wavegen.music import frames

HOP, RATE = 64, 8000
PLAIN = Config(
    audio=Audio(sample_rate=RATE),
    model=Model(hop_length=HOP, layers_per_cycle=7, predictor=Predictor(order=4, follows="notes")),
    conditioner=Conditioner(signals=("notes",), labels=("instrument",)),
    training=Training(batch_size=24, crop_samples=2048, start_fraction=0.25, context_seconds=0.2),
)
EVERYTHING = Augmentation(
    gain_db=6.0,
    polarity_fraction=0.5,
    delay_samples=50,
    transpose_semitones=3,
    softer_db=20.0,
    let_go_fraction=0.5,
)


def config_of(**plan):
    return dataclasses.replace(PLAIN, augmentation=Augmentation(**plan))


@pytest.fixture(scope="module")
def train(small_corpus):
    return small_corpus.splits["train"]


def draw(split, step, config):
    """A batch, and the recordings, first frames and changes that it was made of."""
    batch = batches.windows(split, config, split.vocabulary, 7, step)
    return batch, *batches._draw(split, config, 7, step)


def sound_of(split, item, change, row):
    """A whole recording, changed."""
    one = augmentation.Changes(*(field[row : row + 1] for field in change))
    items = np.array([item])
    length = int(augmentation.lengths(split, items, one)[0])
    return augmentation.read(split, items, np.array([0]), length, one, RATE)[0]


def read(split, items, begin, count, changes):
    """A stretch of one recording, changed."""
    stretch = augmentation.read(split, items, np.array([begin]), count, changes, RATE)
    return stretch[0].astype(float)


def test_an_augmented_batch_is_a_function_of_seed_and_step(train):
    config = dataclasses.replace(PLAIN, augmentation=EVERYTHING)
    for step in range(5):
        for first, again in zip(
            draw(train, step, config)[0], draw(train, step, config)[0], strict=True
        ):
            np.testing.assert_array_equal(first, again)
    assert (draw(train, 0, config)[0].codes != draw(train, 1, config)[0].codes).any()


def test_nothing_is_changed_unless_it_is_asked_for(train):
    _, items, _, changes = draw(train, 0, PLAIN)
    for field, unchanged in zip(changes, augmentation.none(len(items)), strict=True):
        np.testing.assert_array_equal(field, unchanged)


def test_gain_and_polarity_change_nothing_but_the_samples(train):
    plain, items, starts, _ = draw(train, 0, PLAIN)
    changed, *same, changes = draw(train, 0, config_of(gain_db=6.0, polarity_fraction=0.5))
    np.testing.assert_array_equal(same, (items, starts))
    for name in ("weights", "valid", "notes", "periods", "labels"):
        np.testing.assert_array_equal(getattr(changed, name), getattr(plain, name))
    assert (np.abs(20 * np.log10(np.abs(changes.gains))) <= 6).all()
    assert 0 < (changes.gains < 0).sum() < len(items)
    for row, item in enumerate(items):
        sound, before = sound_of(train, item, changes, row), train.read(item)
        # Rounded to whole samples of 16 bits; a smaller gain where it would have clipped.
        scale = sound.astype(float) @ before / (before.astype(float) @ before)
        np.testing.assert_allclose(sound, before * scale, atol=0.51)
        assert np.sign(scale) == np.sign(changes.gains[row])
        assert abs(scale) <= abs(changes.gains[row]) * 1.001
        if abs(scale) < abs(changes.gains[row]) * 0.999:
            assert np.abs(sound).max() == 32767


def test_no_gain_clips(train):
    config = config_of(gain_db=40.0)
    _, items, _, changes = draw(train, 3, config)
    loud = np.abs(changes.gains) > 3
    assert loud.any()
    for row in np.flatnonzero(loud):
        sound, before = sound_of(train, items[row], changes, row), train.read(items[row])
        flat = np.count_nonzero(np.abs(sound) == 32767)
        assert flat <= np.count_nonzero(np.abs(before) >= np.abs(before).max() * 0.9999)


def test_a_delay_moves_sound_and_notes_by_the_same_samples(train):
    config = config_of(delay_samples=50)
    batch, items, starts, changes = draw(train, 0, config)
    assert len(set(changes.delays)) > 5
    assert (changes.delays <= 50).all()
    for row, item in enumerate(items):
        late, before = sound_of(train, item, changes, row), train.read(item)
        delay = changes.delays[row]
        assert not late[:delay].any()
        np.testing.assert_array_equal(late[delay:], before)
    # At a recording's start there is the delay's silence, and all of it carries loss.
    row = int(np.flatnonzero((starts == 0) & (changes.delays > 20))[0])
    lead = config.context_frames * HOP
    assert (batch.codes[row, : lead + changes.delays[row]] == 128).all()
    assert batch.weights[row].sum() == min(
        batch.weights.shape[1], train.lengths[items[row]] + changes.delays[row]
    )


def test_notes_and_periods_are_those_of_the_changed_recording(train):
    plan = dataclasses.replace(EVERYTHING, softer_db=0.0, let_go_fraction=0.0)
    config = dataclasses.replace(PLAIN, augmentation=plan)
    moved = 0
    for step in range(3):
        batch, items, starts, changes = draw(train, step, config)
        for row, (item, start) in enumerate(zip(items, starts, strict=True)):
            speed, delay = 2 ** (changes.semitones[row] / 12), changes.delays[row] / RATE
            score = train.score(item)
            played = dataclasses.replace(
                score,
                notes=tuple(
                    dataclasses.replace(
                        note,
                        onset_seconds=note.onset_seconds / speed + delay,
                        duration_seconds=note.duration_seconds / speed,
                        pitch=note.pitch + int(changes.semitones[row]),
                    )
                    for note in score.notes
                ),
            )
            first, total = int(start) - config.context_frames, batch.valid.shape[1]
            expected = frames.notes(played, total, config.frame_seconds, first)
            np.testing.assert_array_equal(batch.notes[row], expected)
            periods = frames.periods(played, total, config.frame_seconds, first) * RATE
            np.testing.assert_allclose(batch.periods[row], periods, rtol=1e-6)
            ages = frames.ages(played, total, config.frame_seconds, first) * RATE
            np.testing.assert_allclose(batch.ages[row], ages, atol=1e-2)  # samples, in float32
            moved += changes.semitones[row] != 0
    assert moved > 20


def test_a_transposed_note_sounds_where_its_label_says(train):
    config = config_of(transpose_semitones=4)
    organ = train.vocabulary.labels["instrument"].index("organ")
    heard = 0
    for step in range(4):
        _, items, _, changes = draw(train, step, config)
        for row in np.flatnonzero((changes.semitones != 0) & (train.label_ids[items, 0] == organ)):
            sound = sound_of(train, items[row], changes, row) / 32767
            pitch = train.score(items[row]).notes[0].pitch + int(changes.semitones[row])
            hertz = features.midi_hz(pitch)
            found = features.fundamental(sound, RATE, hertz / 1.5, hertz * 1.5)
            assert abs(features.cents(found, pitch)) < 10, (pitch, found)
            heard += 1
    assert heard > 5


def test_windows_of_a_transposed_recording_fit_together(train):
    items, whole = np.array([4]), 4096
    for semitones in (-5, 3, 7):
        changes = augmentation.none(1)._replace(semitones=np.array([semitones]))
        length = int(augmentation.lengths(train, items, changes)[0])
        assert length == round(train.lengths[4] / 2 ** (semitones / 12))
        long = read(train, items, 0, whole, changes)
        for begin in (512, 1000, 2048):
            part = read(train, items, begin, 1024, changes)
            there = long[begin : begin + 1024]
            # Up to half a sample beside its place each, so one apart: of a tone whose loudest
            # partial lies at an eighth of the rate, that is not more than a part of this.
            away = [np.abs(part - np.roll(there, n))[8:-8].mean() for n in (-1, 0, 1)]
            slope = np.abs(np.diff(there)).mean()
            assert min(away) <= 0.6 * slope


def test_no_note_is_transposed_beyond_the_keys(train):
    edge = dataclasses.replace(train, pitch=np.full_like(train.pitch, 126))
    items = np.arange(train.num_items)
    changes = augmentation.draw(edge, items, Augmentation(transpose_semitones=12), RATE, 0, 0)
    assert changes.semitones.max() == 1
    assert changes.semitones.min() < -6


def test_the_vocabulary_knows_the_pitches_that_transposing_makes():
    plan = Augmentation(transpose_semitones=2)
    vocabulary = Vocabulary({}, pitches=(1, 60, 127), velocities=(100,))
    found = augmentation.widened(vocabulary, plan)
    assert found.pitches == (0, 1, 2, 3, 58, 59, 60, 61, 62, 125, 126, 127)
    assert augmentation.widened(vocabulary, Augmentation()) == vocabulary


def test_evaluation_hears_recordings_as_they_are(train):
    config = dataclasses.replace(PLAIN, augmentation=EVERYTHING)
    plain = batches.stretch(train, [3, 0], PLAIN, train.vocabulary, 0, 40)
    for a, b in zip(
        plain, batches.stretch(train, [3, 0], config, train.vocabulary, 0, 40), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_a_delay_of_a_frame_or_more_is_refused():
    with pytest.raises(WavegenError, match="delay_samples is 64"):
        config_of(delay_samples=64)


def test_acoustic_signals_are_measured_in_what_is_heard(train):
    """In the changed recording: a louder one is louder, a transposed one higher."""
    conditioner = Conditioner(signals=("notes", "f0_loudness"))
    plain = dataclasses.replace(PLAIN, conditioner=conditioner)
    loud = dataclasses.replace(plain, augmentation=Augmentation(polarity_fraction=1.0))
    before, after = draw(train, 0, plain)[0], draw(train, 0, loud)[0]
    assert before.acoustics.shape == (24, before.valid.shape[1], 2)
    np.testing.assert_allclose(before.acoustics, after.acoustics, atol=1e-3)  # turned over
    high = dataclasses.replace(plain, augmentation=Augmentation(transpose_semitones=6))
    batch, items, _, changes = draw(train, 0, high)
    compared = 0
    for row, item in enumerate(items):
        pitch = train.score(item).notes[0].pitch + changes.semitones[row]
        found = batch.acoustics[row, :, 0]
        compared += (found > 0).any() and abs(np.median(found[found > 0]) - pitch) < 0.5
    assert compared > 12  # yin takes some plucks and brasses for an octave higher or lower


def test_acoustic_signals_of_a_window_are_those_of_the_recording(train):
    conditioner = Conditioner(signals=("mel", "mfcc", "f0_loudness"))
    config = dataclasses.replace(PLAIN, model=Model(hop_length=HOP), conditioner=conditioner)
    batch, items, starts, _ = draw(train, 0, config)
    total = batch.valid.shape[1]
    for row in range(6):
        whole = batches.stretch(train, items[row : row + 1], config, train.vocabulary, 0, 300)
        begin = int(starts[row]) - config.context_frames
        here = slice(max(0, begin), begin + total)
        heard = batch.acoustics[row, max(0, -begin) :]
        count = min(len(heard), 300 - here.start)
        # The same sums in float32, taken in another order.
        np.testing.assert_allclose(heard[:count], whole.acoustics[0, here][:count], atol=5e-3)


def test_periods_of_the_fundamental_are_those_of_what_is_heard(train):
    conditioner = Conditioner(signals=("mel", "f0_loudness"))
    model = Model(hop_length=HOP, predictor=Predictor(order=4, follows="f0"))
    config = dataclasses.replace(
        PLAIN,
        model=model,
        conditioner=conditioner,
        augmentation=Augmentation(transpose_semitones=3),
    )
    batch = draw(train, 0, config)[0]
    pitch = batch.acoustics[..., -2]
    voiced = pitch > 0
    assert voiced.any()
    assert not voiced.all()
    assert not batch.periods[~voiced].any()
    np.testing.assert_allclose(
        RATE / batch.periods[voiced], features.midi_hz(0) * 2 ** (pitch[voiced] / 12), rtol=1e-5
    )


def test_played_more_softly_a_note_is_as_much_softer_as_its_velocity_says(train):
    config = config_of(softer_db=20.0)
    batch, items, _, changes = draw(train, 0, config)
    assert changes.softer_db.max() > 15
    for row, item in enumerate(items):
        sound, before = sound_of(train, item, changes, row), train.read(item)
        scale = sound.astype(float) @ before / (before.astype(float) @ before)
        # Rounded to whole samples, of which a soft note has few.
        assert 20 * np.log10(scale) == pytest.approx(-changes.softer_db[row], abs=0.1)
        note = train.score(item).notes[0]
        asked = batch.notes[row, :, : frames.KEYS].max() * 127
        if asked:  # the window lies where the note sounds
            decibels = 40 * np.log10(asked / note.velocity)
            assert decibels == pytest.approx(-changes.softer_db[row], abs=1e-3)
    heard = augmentation.widened(train.vocabulary, config.augmentation).velocities
    assert min(heard) == round(min(train.vocabulary.velocities) / 10**0.5)
    assert set(train.vocabulary.velocities) <= set(heard)


def test_a_note_that_is_let_go_ends_there_and_fades_like_one_that_is_damped(train):
    config = config_of(let_go_fraction=1.0, delay_samples=50, transpose_semitones=2)
    counts = np.diff(train.note_start)
    compared = 0
    for step in range(4):
        batch, items, starts, changes = draw(train, step, config)
        np.testing.assert_array_equal(np.isfinite(changes.ends), counts[items] == 1)
        for row in np.flatnonzero(np.isfinite(changes.ends)):
            sound = sound_of(train, items[row], changes, row)
            as_it_was = changes._replace(ends=np.full(len(items), np.inf))
            before, end = sound_of(train, items[row], as_it_was, row), changes.ends[row]
            late = np.arange(len(sound)) - end
            fading = np.exp(-np.maximum(late, 0) / (0.15 * RATE))
            np.testing.assert_allclose(sound, before * fading, atol=0.51)
            # What is asked for ends in the frame in which the sound does.
            asked = np.asarray(batch.notes[row, :, : frames.KEYS].any(axis=1))
            last = (end / HOP) - (starts[row] - config.context_frames)
            if 2 < last < len(asked) - 1:
                assert asked[int(last) - 1]
                assert not asked[int(last) + 1 :].any()
                compared += 1
    assert compared > 20
