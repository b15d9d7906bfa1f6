import numpy as np
import pytest

from wavegen.audio import features, periods

LOW, HIGH = features.midi_hz(20), features.midi_hz(109)


def tone(hz, sample_rate, seconds=0.5, harmonics=(1,)):
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    partials = [np.sin(2 * np.pi * n * hz * time + n) for n in harmonics]
    return 0.1 * np.sum(partials, axis=0)


def test_frames_cover_the_sound_and_know_their_moment():
    samples = np.concatenate([np.zeros(4000), tone(220, 8000), np.zeros(4000)])
    heard = periods.measured(samples, 8000, LOW, HIGH)
    assert len(heard.hz) == len(heard.clarity) == len(heard.level_db) == 150
    audible = np.flatnonzero(heard.level_db > -40) * heard.hop_seconds
    # The level is that of 38 ms around the moment.
    assert audible[0] == pytest.approx(0.5, abs=0.02)
    assert audible[-1] == pytest.approx(1.0, abs=0.02)


def test_clarity_is_the_share_of_the_energy_that_repeats():
    rng = np.random.default_rng(0)
    clean = tone(220, 16_000, 4.0)
    noise = np.sqrt(np.mean(clean**2)) * rng.normal(size=len(clean))
    heard = periods.measured(clean + noise, 16_000, LOW, HIGH)
    # Half is noise; the best of the peaks is picked, which noise helps by a tenth or less.
    assert np.median(heard.clarity) == pytest.approx(0.5, abs=0.05)
    assert periods.measured(clean, 16_000, LOW, HIGH).clarity.min() > 0.99


def test_loudness_and_an_offset_change_nothing():
    samples = tone(220, 8000, harmonics=(1, 2, 3))
    heard = periods.measured(samples, 8000, LOW, HIGH)
    other = periods.measured(1e-3 * samples + 0.3, 8000, LOW, HIGH)
    # Sums of squares in float64, of numbers 0.3 / 1e-4 apart.
    np.testing.assert_allclose(other.hz, heard.hz, rtol=1e-6)
    np.testing.assert_allclose(other.clarity, heard.clarity, atol=1e-6)


def test_a_sound_of_any_length_is_measured_in_pieces_as_at_once(monkeypatch):
    samples = tone(220, 8000)
    heard = periods.measured(samples, 8000, LOW, HIGH)
    monkeypatch.setattr(periods, "_FRAMES_AT_ONCE", 7)
    np.testing.assert_array_equal(periods.measured(samples, 8000, LOW, HIGH).hz, heard.hz)


def test_a_sound_of_a_few_periods_has_a_pitch():
    hz = periods.measured(tone(1000, 8000, 0.02), 8000, LOW, HIGH).hz
    # Twenty periods of eight samples; a parabola through an eighth of a period.
    np.testing.assert_allclose(hz, 1000, rtol=0.002)


@pytest.mark.parametrize("samples", [np.zeros(0), np.zeros(3), np.ones(8000), np.eye(1, 8000)[0]])
def test_what_does_not_repeat_has_no_clarity(samples):
    heard = periods.measured(samples, 8000, LOW, HIGH)
    # Between its samples a click rings as a sinc, whose second lobe is 0.13, twice at an edge.
    assert (heard.clarity < 0.27).all()
    assert np.isfinite(heard.hz).all()
    assert np.isfinite(heard.level_db).all()
