import json
from dataclasses import replace

import numpy as np
import pytest
from mir_eval import melody

from wavegen.audio import features, files
from wavegen.evaluation.metrics import pitch, words
from wavegen.evaluation.metrics.measures import Measure, NotApplicable

RATE = 8000
rng = np.random.default_rng(0)


def tone(midi_pitch, sample_rate=RATE, seconds=1.0, harmonics=(1, 2, 3, 4, 5), vibrato=0.0):
    """Harmonics that fall by 3 dB each and stay below half the rate; vibrato is in cents."""
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    hz = features.midi_hz(midi_pitch) * 2 ** (vibrato / 1200 * np.sin(2 * np.pi * 5 * time))
    phase = 2 * np.pi * np.cumsum(hz) / sample_rate
    audible = [n for n in harmonics if n * hz.max() < sample_rate / 2]
    return 0.2 * sum((0.7**n * np.sin(n * phase + n) for n in audible), np.zeros(len(time)))


def played(samples, asked, sample_rate=RATE):
    return pitch.of_note(samples, sample_rate, asked, 0.0, len(samples) / sample_rate)


def number(measure: Measure) -> float:
    assert not isinstance(measure, NotApplicable)
    return measure


def reason(measure: Measure) -> str:
    assert isinstance(measure, NotApplicable)
    return measure.reason


def cents_off(samples, asked):
    return number(played(samples, asked)["pitch_cents"])


@pytest.mark.parametrize("sample_rate", [8000, 16_000, 44_100])
@pytest.mark.parametrize("asked", [21, 33, 48, 60, 72, 84, 96, 106, 108])
@pytest.mark.parametrize("harmonics", [(1,), (1, 2, 3, 4, 5)])
def test_every_key_of_a_piano_measures_within_five_cents(sample_rate, asked, harmonics):
    note = played(tone(asked, sample_rate, 0.4, harmonics), asked, sample_rate)
    if features.midi_hz(asked) > sample_rate / 2:
        assert "beyond" in reason(note["pitch_cents"])
        assert "beyond" in reason(note["voiced_share"])
    else:
        assert abs(number(note["pitch_cents"])) < 5
        assert note["voiced_share"] == 1


@pytest.mark.parametrize("asked", [36, 60, 72])
def test_a_fundamental_need_not_be_there(asked):
    assert abs(cents_off(tone(asked, harmonics=(2, 3, 4, 5, 6)), asked)) < 5


def test_a_faint_whistle_above_a_note_does_not_lead_astray():
    samples = tone(36, harmonics=(1,)) + 0.1 * tone(101, harmonics=(1,))
    # Half a period of the whistle, 1.4 samples, in one of the note, 122: 20 cents.
    assert abs(cents_off(samples, 36)) < 20


@pytest.mark.parametrize("off", [-0.5, -0.2, 0.3, 0.5])
def test_a_note_that_is_off_is_measured_so(off):
    for asked in (21, 60, 100):
        assert played(tone(asked + off), asked)["pitch_cents"] == pytest.approx(100 * off, abs=5)


def test_the_search_does_not_depend_on_what_was_asked():
    heard = [cents_off(tone(60), asked) + 100 * asked for asked in (24, 48, 60, 90)]
    np.testing.assert_allclose(heard, heard[0], atol=1e-6)  # cents, in float64


def test_a_vibrato_is_in_tune_in_its_middle():
    note = played(tone(69, vibrato=40.0), 69)
    assert abs(number(note["pitch_cents"])) < 5
    assert note["voiced_share"] == 1


def test_what_rings_before_and_after_the_note_does_not_count():
    samples = np.concatenate([tone(40), tone(60), tone(80)])
    note = pitch.of_note(samples, RATE, 60, 1.0, 2.0)
    assert abs(number(note["pitch_cents"])) < 5


def test_the_attack_and_the_tail_do_not_count():
    samples = np.concatenate([rng.normal(0, 0.1, 1000), tone(60), 0.01 * tone(67, seconds=3.0)])
    assert abs(cents_off(samples, 60)) < 5


@pytest.mark.parametrize("sample_rate", [8000, 16_000])
def test_noise_silence_and_clicks_are_not_voiced(sample_rate):
    white = rng.normal(0, 0.1, 2 * sample_rate)
    for samples in (
        white,
        np.convolve(white, np.exp(-np.arange(50) / 10), "same"),  # darker
        np.zeros(sample_rate),
        np.full(sample_rate, 0.2),
        np.eye(1, sample_rate, 500)[0],
        1e-4 * tone(60, sample_rate),
    ):
        note = played(samples, 60, sample_rate)
        assert number(note["voiced_share"]) < 0.05
        if note["voiced_share"] == 0:
            assert note["pitch_cents"] == NotApplicable("no pitch is heard")


def test_a_decaying_tone_is_voiced_for_as_long_as_it_is_heard():
    time = np.arange(3 * RATE) / RATE
    samples = tone(60, seconds=3.0) * 10 ** (-30 * time / 20)
    note = played(samples, 60)
    level = 10 * np.log10(np.mean(tone(60) ** 2))
    assert abs(number(note["pitch_cents"])) < 5
    # From its level at the start down to -60 dB, 30 dB a second; frames lie 10 ms apart.
    assert note["voiced_share"] == pytest.approx((level + 60) / 30 / 3, abs=0.01)


@pytest.mark.parametrize("samples", [np.zeros(0), np.zeros(2), np.full(9000, np.nan)])
def test_what_cannot_be_measured_says_why(samples):
    note = pitch.of_note(samples, RATE, 60, 0.0, 1.0)
    assert reason(note["pitch_cents"])
    for beside in (pitch.beside(samples, tone(60), RATE), pitch.beside(samples, samples, RATE)):
        assert set(beside) == set(pitch.BESIDE)
        assert isinstance(beside["pitch_error_cents"], NotApplicable)


def note(cents: Measure, voiced_share: Measure = 1.0) -> dict[str, Measure]:
    return {"pitch_cents": cents, "voiced_share": voiced_share}


def test_a_summary_counts_octaves_and_the_unheard_as_wrong():
    beyond = NotApplicable("beyond")
    found = pitch.summary(
        [
            note(10.0),
            note(-50.0),
            note(60.0),
            note(1210.0),
            note(-2360.0),
            note(1260.0),
            note(NotApplicable("no pitch is heard"), 0.0),
            note(beyond, beyond),
        ]
    )
    assert found == {
        "pitch_within_50_cents": 2 / 7,
        "pitch_error_cents": np.median([10, 50, 60, 1210, 2360, 1260]),
        "octave_errors": 2 / 7,
        "voiced_share": 6 / 7,
    }
    assert set(found) == set(pitch.SUMMARY) <= set(words.METRICS)


def test_an_octave_off_is_heard_as_an_octave():
    found = pitch.summary([played(tone(asked + 12), asked) for asked in (30, 60, 80)])
    assert found["octave_errors"] == 1
    assert found["pitch_within_50_cents"] == 0


def test_a_summary_of_nothing_says_why():
    beyond = NotApplicable("beyond")
    assert set(pitch.summary([note(beyond, beyond)]).values()) == {beyond}
    assert all(isinstance(value, NotApplicable) for value in pitch.summary([]).values())


def random_track(num):
    hz = np.where(rng.random(num) < 0.1, 0.0, 440 * 2 ** rng.normal(0, 0.04, num))
    return pitch.PitchTrack(hz, (rng.random(num) < 0.6) & (hz > 0), 0.01)


@pytest.mark.parametrize("num", [40, 100, 1000])
@pytest.mark.parametrize("longer", [-30, 0, 30])
def test_tracks_beside_each_other_are_as_mir_eval_has_them(num, longer):
    reference, estimate = random_track(num), random_track(max(1, num + longer))
    cut = min(num, len(estimate.hz))
    hz, voiced = np.zeros(num), np.zeros(num)
    hz[:cut], voiced[:cut] = estimate.hz[:cut], estimate.is_voiced[:cut]
    time = np.arange(num) * 0.01
    expected = melody.evaluate(
        time, np.where(reference.is_voiced, reference.hz, -reference.hz), time, hz, voiced
    )
    found = pitch.against(reference, estimate)
    for ours, theirs in (
        ("raw_pitch_accuracy", "Raw Pitch Accuracy"),
        ("voicing_recall", "Voicing Recall"),
        ("voicing_false_alarm", "Voicing False Alarm"),
    ):
        assert found[ours] == pytest.approx(expected[theirs], abs=1e-5)  # what was promised


def test_a_sound_beside_itself_is_right():
    samples = np.concatenate([tone(60), np.zeros(RATE), tone(67)])
    assert pitch.beside(samples, samples, RATE) == {
        "raw_pitch_accuracy": 1,
        "voicing_recall": 1,
        "voicing_false_alarm": 0,
        "pitch_error_cents": 0,
    }


def test_a_pitch_a_semitone_off_is_wrong_though_voiced():
    found = pitch.beside(tone(60), tone(61), RATE)
    assert found["raw_pitch_accuracy"] == 0
    assert found["voicing_recall"] == 1
    assert found["pitch_error_cents"] == pytest.approx(100, abs=5)
    assert isinstance(found["voicing_false_alarm"], NotApplicable)


def test_tracks_of_different_hops_are_a_mistake():
    with pytest.raises(ValueError, match="hops differ"):
        pitch.against(random_track(9), replace(random_track(9), hop_seconds=0.02))


def real_notes(shared_data, every, sample_rate):
    for split in sorted((shared_data / "notes").glob("*/examples.json")):
        facts = json.loads(split.read_text())
        for name in sorted(facts)[::every]:
            path = split.parent / "audio" / f"{name}.wav"
            samples, _ = files.read(path, sample_rate)
            yield pitch.of_note(samples, sample_rate, facts[name]["pitch"], 0.0, 3.0)


@pytest.mark.parametrize("sample_rate", [8000, 16_000])
def test_the_meter_hears_a_sample_of_real_notes(shared_data, sample_rate):
    found = pitch.summary(list(real_notes(shared_data, 9, sample_rate)))
    assert number(found["pitch_within_50_cents"]) >= 0.93
    assert number(found["voiced_share"]) > 0.8  # some die away while they are held


@pytest.mark.slow
def test_the_meter_is_right_about_93_of_100_real_notes(shared_data):
    found = pitch.summary(list(real_notes(shared_data, 2, 16_000)))
    assert number(found["pitch_within_50_cents"]) >= 0.93
    assert number(found["octave_errors"]) < 0.03
