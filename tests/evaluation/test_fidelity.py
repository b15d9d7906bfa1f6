"""How well notes are played: what is measured of sounds whose errors are known."""

import numpy as np
import pytest

from wavegen.audio import features
from wavegen.evaluation import fidelity
from wavegen.evaluation.metrics.measures import NotApplicable
from wavegen.evaluation.renditions import Rendition
from wavegen.music.score import Note, Score

RATE = 16_000


def tone(*notes, cents=0.0, late=0.0, seconds=2.0, gain=0.3):
    """Notes with six partials, each as long as it is held."""
    sound = np.zeros(round(seconds * RATE), np.float32)
    for note in notes:
        first = round((note.onset_seconds + late) * RATE)
        t = np.arange(round(note.duration_seconds * RATE)) / RATE
        hz = features.midi_hz(note.pitch + cents / 100)
        made = sum(np.sin(2 * np.pi * k * hz * t) / k for k in range(1, 7))
        made *= gain * np.minimum(1, np.minimum(t, t[-1] - t) / 0.005)
        stop = min(len(sound), first + len(made))
        sound[first:stop] += made[: stop - first].astype(np.float32)
    return sound


def rendition(notes, real, generated):
    return Rendition("a", {}, Score(tuple(notes)), real, generated, [])


def measured(*renditions):
    return fidelity.measure(renditions, RATE)


SINGLE = [Note(0.2, 1.5, pitch, 100) for pitch in (48, 60, 67, 76)]


def test_notes_in_tune_and_in_time_are_called_so_and_others_are_not():
    right = [rendition([n], tone(n), tone(n)) for n in SINGLE[:3]]
    wrong = rendition([SINGLE[3]], tone(SINGLE[3]), tone(SINGLE[3], cents=300, late=0.1))
    found = measured(*right, wrong)
    assert found["real"]["pitch_within_50_cents"] == 1
    assert found["model"]["pitch_within_50_cents"] == 0.75
    assert found["model"]["pitch_error_cents"] < 5  # the median; yin is off by a few
    assert [clip["pitch_cents"] for clip in found["clips"]] == pytest.approx([0, 0, 0, 300], abs=5)
    late = [clip["onset_ms"] for clip in found["clips"]]
    assert late == pytest.approx([0, 0, 0, 100], abs=15)  # an attack is not one sample
    assert found["model"]["onset_error_ms"] < 15  # the median again
    assert found["model"]["onset_f_measure"] < found["real"]["onset_f_measure"]
    assert found["model"]["voiced_share"] > 0.9


def test_too_early_is_as_wrong_as_too_late():
    note = SINGLE[0]
    found = measured(rendition([note], tone(note), tone(note, late=-0.1)))
    assert found["clips"][0]["onset_ms"] == pytest.approx(-100, abs=15)
    assert found["model"]["onset_error_ms"] == pytest.approx(100, abs=15)


def test_an_octave_too_high_is_told_apart_from_other_errors():
    notes = SINGLE[:2]
    found = measured(
        rendition([notes[0]], tone(notes[0]), tone(notes[0], cents=1200)),
        rendition([notes[1]], tone(notes[1]), tone(notes[1], cents=500)),
    )
    assert found["model"]["pitch_within_50_cents"] == 0
    assert found["model"]["octave_errors"] == 0.5


def test_only_notes_that_sound_alone_have_a_pitch():
    alone, one, other = Note(0.0, 0.5, 60, 90), Note(0.8, 0.6, 64, 90), Note(1.0, 0.6, 67, 90)
    short = Note(0.65, 0.05, 72, 90)
    notes = [other, short, alone, one]
    (clip,) = measured(rendition(notes, tone(*notes), tone(*notes, cents=20)))["clips"]
    assert clip["pitch_cents"] == pytest.approx(20, abs=5)  # as yin is; of the first note alone
    assert clip["onset_ms"] == NotApplicable("there are several notes")
    chord = [one, other]
    found = measured(rendition(chord, tone(*chord), tone(*chord)))
    assert found["model"]["pitch_error_cents"] == fidelity.NEVER_ALONE
    assert found["model"]["onset_error_ms"] < 30


def test_a_note_after_another_hears_its_release_and_one_cut_short_is_too_short():
    first, next_one = Note(0.0, 0.5, 60, 90), Note(0.5, 0.5, 64, 90)
    soon, later = Note(1.03, 0.3, 67, 90), Note(1.5, 0.4, 72, 90)
    assert fidelity._alone([later, soon, next_one, first], 2.0) == [first, later]
    assert fidelity._alone([first, Note(1.9, 1.0, 60, 90)], 2.0) == [first]  # a tenth of a second


def test_notes_that_begin_together_are_several_with_one_onset():
    chord = [Note(0.2, 5.0, pitch, 90) for pitch in (60, 67)]  # beyond the end of the sound
    sound = tone(*chord, gain=0.2)
    found = measured(rendition(chord, sound, sound))
    assert found["clips"][0]["onset_ms"] == NotApplicable("there are several notes")
    assert found["model"]["onset_f_measure"] == 1


def test_without_notes_there_is_loudness_alone():
    sound = tone(SINGLE[0])
    found = measured(rendition([], sound, 0.5 * sound))
    # 6 dB for three quarters of the time; before and after there is silence beside silence.
    assert found["model"].pop("loudness_distance_db") == pytest.approx(4.5, abs=0.3)
    assert set(found["model"].values()) == {fidelity.UNHEARD}
    assert found["clips"][0]["asked"] == "anything"


def test_silence_has_no_pitch_and_breaks_nothing():
    note = SINGLE[0]
    found = measured(rendition([note], tone(note), np.zeros(2 * RATE, np.float32)))
    assert isinstance(found["clips"][0]["pitch_cents"], NotApplicable)
    assert found["model"]["voiced_share"] == 0
    assert found["model"]["pitch_within_50_cents"] == 0
