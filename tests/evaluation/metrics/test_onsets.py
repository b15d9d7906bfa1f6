import json

import numpy as np
import pytest
from mir_eval import onset

from wavegen.audio import files
from wavegen.evaluation.metrics import onsets, words
from wavegen.evaluation.metrics.measures import NotApplicable

rng = np.random.default_rng(0)


def plucked(starts, sample_rate, seconds=3.0, tail=6.0):
    """Decaying harmonic tones that ring on into each other."""
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    samples = np.zeros(len(time))
    for number, start in enumerate(starts):
        since = np.clip(time - start, 0, None)
        hz = 220 * 2 ** (5 * number % 12 / 12)
        shape = np.exp(-tail * since) * (time >= start)
        samples += sum(0.1 / n * shape * np.sin(2 * np.pi * n * hz * since) for n in range(1, 8))
    return samples


@pytest.mark.parametrize("sample_rate", [8000, 16_000, 44_100])
def test_onsets_are_found_within_10_ms(sample_rate):
    starts = np.array([0.0, 0.313, 0.7, 1.151, 1.4, 2.25])
    found = onsets.found(plucked(starts, sample_rate), sample_rate)
    np.testing.assert_allclose(found, starts, atol=0.01)  # what was promised


def test_onsets_move_with_the_sound():
    starts = np.array([0.2, 0.9, 1.7])
    for late in (0.001, 0.004, 0.007, 0.011):
        moved = onsets.found(plucked(starts + late, 8000), 8000) - starts
        np.testing.assert_allclose(moved, late, atol=0.005)


def test_an_end_is_no_onset():
    time = np.arange(16_000) / 8000
    samples = np.where(time % 1 < 0.5, 0.3 * np.sin(2 * np.pi * 300 * time), 0)
    np.testing.assert_allclose(onsets.found(samples, 8000), [0, 1], atol=0.01)


@pytest.mark.parametrize("samples", [np.zeros(0), np.zeros(3), np.zeros(8000), np.full(8000, 0.0)])
def test_silence_has_no_onsets(samples):
    assert not len(onsets.found(samples, 8000))
    assert onsets.of_note(samples, 8000, 0.0) == NotApplicable("nothing sounds")
    assert isinstance(onsets.beside(samples, samples, 8000)["onset_f_measure"], NotApplicable)


def test_steady_noise_begins_once():
    noise = rng.normal(0, 0.1, 24_000)
    assert len(onsets.found(noise, 8000)) <= 2


def test_values_that_are_no_numbers_are_said_to_be_none():
    samples = np.full(8000, np.nan)
    beside = onsets.beside(samples, np.zeros(8000), 8000)
    for measure in (onsets.of_note(samples, 8000, 0.0), *beside.values()):
        assert isinstance(measure, NotApplicable)
        assert "finite" in measure.reason


def test_a_note_is_late_or_early_by_the_clock():
    samples = plucked([0.5], 8000)
    # Seven harmonics reach a tenth of their peak within 1 ms.
    assert onsets.of_note(samples, 8000, 0.5) == pytest.approx(0, abs=1)
    assert onsets.of_note(samples, 8000, 0.4) == pytest.approx(100, abs=1)
    assert onsets.of_note(samples, 8000, 0.75) == pytest.approx(-250, abs=1)


def test_hiss_before_a_note_does_not_begin_it():
    samples = plucked([0.5], 8000)
    hiss = rng.normal(0, 0.01 * np.abs(samples).max(), len(samples))
    assert onsets.of_note(samples + hiss, 8000, 0.5) == pytest.approx(0, abs=1)


@pytest.mark.parametrize("num", [1, 7, 60])
@pytest.mark.parametrize("more", [0, 1, 25])
def test_the_f_measure_is_mir_evals(num, more):
    asked = np.sort(rng.uniform(0.2, 0.2 + num / 10, num))  # often within the window of several
    heard = np.sort(
        np.concatenate([asked + rng.normal(0, 0.04, num), rng.uniform(0, num / 10, more)])
    )
    heard = heard[heard > 0]
    found = onsets.against(asked, heard)
    expected, _, _ = onset.f_measure(asked, heard, window=0.05)
    assert found["onset_f_measure"] == pytest.approx(expected, abs=1e-5)  # what was promised
    assert set(found) <= set(words.METRICS)


def test_of_two_onsets_within_the_window_the_nearer_is_meant():
    found = onsets.against(np.array([1.0]), np.array([0.96, 1.001]))
    assert found["onset_error_ms"] == pytest.approx(1, abs=1e-6)  # sums in float64
    assert found["onset_f_measure"] == pytest.approx(2 / 3)


def test_nothing_asked_and_nothing_heard_are_told_apart():
    none, one = np.zeros(0), np.array([1.0])
    assert onsets.against(none, one)["onset_f_measure"] == NotApplicable("no onset was asked for")
    unheard = onsets.against(one, none)
    assert unheard["onset_f_measure"] == 0
    assert isinstance(unheard["onset_error_ms"], NotApplicable)


def test_a_sound_beside_itself_is_on_time():
    samples = plucked([0.1, 0.8, 1.5], 8000)
    assert onsets.beside(samples, samples, 8000) == {"onset_f_measure": 1, "onset_error_ms": 0}


def real_sequence(shared_data, sample_rate, seed):
    """Real notes one after the other, each faded as the next begins, and when they begin."""
    draws = np.random.default_rng(seed)
    folder = shared_data / "notes" / "nsynth-train"
    names = sorted(json.loads((folder / "examples.json").read_text()))
    mix, starts, at = np.zeros(9 * sample_rate), [], 0.2
    while at < 8:
        samples, _ = files.read(folder / "audio" / f"{draws.choice(names)}.wav", sample_rate)
        samples = 0.5 * samples / np.abs(samples).max()
        attack = int(np.argmax(np.abs(samples) >= 0.05))
        lasts = draws.uniform(0.2, 0.8)
        samples = samples[max(0, attack - 100) :][: round(lasts * sample_rate)]
        samples[-100:] *= np.linspace(1, 0, 100)
        first = round(at * sample_rate)
        mix[first : first + len(samples)] += samples
        starts.append((first + min(attack, 100)) / sample_rate)
        at += lasts
    return mix, np.array(starts)


@pytest.mark.parametrize("sample_rate", [8000, 16_000])
def test_onsets_of_real_notes_in_a_row_are_found(shared_data, sample_rate):
    measured = []
    for seed in range(5):
        mix, starts = real_sequence(shared_data, sample_rate, seed)
        measured.append(onsets.against(starts, onsets.found(mix, sample_rate)))
    # 0.96 over twelve such sequences; a detector that listens to levels alone has 0.8.
    assert np.mean([each["onset_f_measure"] for each in measured]) > 0.9
    assert np.median([each["onset_error_ms"] for each in measured]) < 5
