import numpy as np
import pytest

from wavegen.errors import WavegenError
from wavegen.music import frames
from wavegen.music.score import Note, Score


def slow_notes(score, num_frames, frame_seconds, start_frame):
    """The definition, frame by frame; times are whole quarters of a frame, so exact."""
    out = np.zeros((num_frames, 256), np.float32)
    for note in sorted(score.notes, key=lambda note: note.onset_seconds):
        for row in range(num_frames):
            begin = (start_frame + row) * frame_seconds
            end = begin + frame_seconds
            if note.onset_seconds < end and note.end_seconds > begin:
                out[row, note.pitch] = note.velocity / 127
            if begin <= note.onset_seconds < end:
                out[row, 128 + note.pitch] = note.velocity / 127
    return out


@pytest.mark.parametrize("start_frame", [-5, 0, 7])
def test_frames_follow_the_definition(start_frame):
    rng = np.random.default_rng(0)
    quarters = rng.integers(1, 80, (40, 2)) / 4
    pitches, velocities = rng.integers(58, 64, 40), rng.integers(1, 128, 40)
    played = zip(*(quarters / 8).T, pitches, velocities, strict=True)
    score = Score(tuple(Note(float(t), float(d), int(p), int(v)) for t, d, p, v in played))
    np.testing.assert_array_equal(
        frames.notes(score, 20, 1 / 8, start_frame), slow_notes(score, 20, 1 / 8, start_frame)
    )


def test_a_very_short_note_sounds_in_the_frame_of_its_onset():
    out = frames.notes(Score((Note(0.25, 1e-9, 60, 127),)), 4, 0.1)
    assert np.argwhere(out).tolist() == [[2, 60], [2, 188]]


def test_an_onset_on_a_border_belongs_to_the_frame_that_begins_there():
    out = frames.notes(Score((Note(0.3, 0.3, 60, 127),)), 8, 0.1)  # 0.3 / 0.1 < 3 in floats
    assert np.flatnonzero(out[:, 60]).tolist() == [3, 4, 5]
    assert np.flatnonzero(out[:, 188]).tolist() == [3]


@pytest.mark.parametrize("start_frame", [-5, 0, 10, 30])  # 10: frame 16 has 0.05 s to wait
def test_the_period_and_the_age_are_those_of_the_note_that_began_last(start_frame):
    score = Score(
        (Note(2.0, 0.1, 81, 9), Note(0.5, 9.0, 69, 9), Note(2.0, 5.0, 57, 9), Note(3.3, 1.0, 45, 9))
    )
    found, ages = (make(score, 20, 1 / 8, start_frame) for make in (frames.periods, frames.ages))
    for row, seconds in enumerate((start_frame + np.arange(20)) / 8):
        begun = [note for note in score.notes if note.onset_seconds < seconds + 1 / 8]
        # Two begin at 2 s; the one that stands later in the score counts.
        last = sorted(begun, key=lambda note: note.onset_seconds)[-1:]
        expected = 1 / {57: 220, 69: 440, 45: 110}[last[0].pitch] if last else 0
        assert found[row] == pytest.approx(expected, rel=1e-6)
        age = seconds - last[0].onset_seconds if last else 0.0
        assert ages[row] == pytest.approx(age, abs=1e-5)


def all_notes(score, num_frames, frame_seconds, start_frame):
    """Notes and periods by the rules of a batch, which looks at every note there is."""
    table = np.array(
        [(n.onset_seconds, n.duration_seconds, n.pitch, n.velocity) for n in score.notes]
    )
    onsets, durations = table[:, 0] / frame_seconds, table[:, 1] / frame_seconds
    pitches, rows = table[:, 2].astype(int), np.zeros(len(table), int)
    out, starts = np.zeros((1, num_frames, 256), np.float32), np.array([start_frame])
    frames.fill(out, rows, onsets, durations, pitches, table[:, 3], starts)
    order = np.argsort(onsets, kind="stable")
    periods = frames.last_periods(rows, onsets[order], pitches[order], starts, num_frames)
    return out[0], periods[0]


def random_score(rng, size):
    """Very short, long and lifelong notes in no order; few keys, and onsets that coincide."""
    onsets = rng.choice([rng.uniform(0, 20, size), rng.integers(0, 200, size) / 10])
    durations = 10 ** rng.uniform(-9, 1.5, size)
    pitches, velocities = rng.integers(60, 64, size), rng.integers(1, 128, size)
    played = zip(onsets.tolist(), durations.tolist(), pitches, velocities, strict=True)
    return Score(tuple(Note(t, d, int(p), int(v)) for t, d, p, v in played))


@pytest.mark.parametrize("seed", range(20))
def test_any_stretch_is_as_if_every_note_were_looked_at(seed):
    rng = np.random.default_rng(seed)
    frame_seconds = rng.choice([0.1, 0.004, 256 / 16_000])
    score = random_score(rng, rng.integers(1, 200))
    played = frames.played(score)
    for start_frame in rng.integers(-5, int(25 / frame_seconds), 20).tolist():
        num_frames = int(rng.integers(1, 30))
        where = (num_frames, frame_seconds, start_frame)
        notes, periods = all_notes(score, *where)
        for given in (score, played):
            np.testing.assert_array_equal(frames.notes(given, *where), notes)
            np.testing.assert_array_equal(frames.periods(given, *where), periods)


def test_stretches_one_after_the_other_equal_one_pass():
    score = random_score(np.random.default_rng(1), 100)
    played, starts = frames.played(score), range(-8, 64, 8)
    for make in (frames.notes, frames.periods, frames.ages):
        stretches = [make(played, 8, 0.1, start) for start in starts]
        np.testing.assert_array_equal(np.concatenate(stretches), make(played, 72, 0.1, -8))


def test_a_note_held_for_hours_brings_no_other_note_along(monkeypatch):
    """What is looked at does not grow with the piece; without classes it would be all notes."""
    beats = [Note(k / 4, 0.2, 60 + k % 12, 64) for k in range(10_000)]
    played = frames.played(Score((Note(0.0, 2500.0, 30, 64), *beats)))
    looked_at, fill = [], frames.fill

    def counting(out, rows, *rest):
        looked_at.append(len(rows))
        fill(out, rows, *rest)

    monkeypatch.setattr(frames, "fill", counting)
    out = frames.notes(played, 25, 0.01, 200_000)  # the quarter second from 2000 s on
    assert np.flatnonzero(out.any(axis=0)).tolist() == [30, 68, 196]
    assert looked_at[0] <= 4  # the long one, that of the quarter and what touches its ends


def test_no_notes_give_zeros():
    assert not frames.periods(Score(), 5, 0.1).any()
    assert not frames.ages(Score(), 5, 0.1).any()
    assert not frames.notes(Score(), 5, 0.1).any()
    assert not frames.periods(frames.played(Score()), 5, 0.1).any()
    assert Score().duration_seconds == 0


@pytest.mark.parametrize(
    "wrong", [(0, 1, 128, 64), (0, 1, -1, 64), (0, 1, 60, 0), (0, 0, 60, 64), (-1, 1, 60, 64)]
)
def test_a_note_that_cannot_be_played_is_refused(wrong):
    with pytest.raises(WavegenError):
        Note(*wrong)


def test_a_score_lasts_until_its_last_note_ends():
    assert Score((Note(0, 5, 60, 1), Note(1, 2, 61, 1))).duration_seconds == 5


def test_notes_overlap_that_sound_together_for_longer_than_a_legato():
    first, after = Note(0.0, 1.0, 60, 90), Note(0.98, 1.0, 62, 90)
    assert not Score((after, first)).overlaps
    assert not Score((first,)).overlaps
    assert not Score().overlaps
    assert Score((after, first, Note(1.5, 0.1, 64, 90))).overlaps
    assert Score((first, Note(0.0, 1.0, 64, 90))).overlaps
    # A short note within a long one hides nothing of what the long one reaches into.
    assert Score((Note(0.0, 3.0, 60, 90), Note(2.97, 0.01, 61, 90), Note(2.9, 1, 62, 90))).overlaps
