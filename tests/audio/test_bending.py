"""A sound that is bent has the pitch that was asked for, at every time."""

import numpy as np
import pytest

from wavegen.audio import bending, features
from wavegen.audio.bending import Bend
from wavegen.curves import Curve
from wavegen.errors import WavegenError

RATE = 16_000


def sine(hz, seconds=1.0):
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)).astype("f")


def bent(samples, bend, sizes=(100_000,)):
    reader, parts, at = bend.reader(), [], 0
    while at < len(samples):
        for size in sizes:
            parts.append(reader.push(samples[at : at + size]))
            at += size
    return np.concatenate([*parts, reader.end()])


def test_unbent_a_sound_stays_itself():
    noise = np.random.default_rng(0).uniform(-1, 1, 5000).astype(np.float32)
    found = bent(noise, Bend(RATE))
    # A sinc is 0 at every other sample but for the rounding of pi in float64.
    np.testing.assert_allclose(found, noise, atol=1e-6)


@pytest.mark.parametrize("semitones", [-12, -2, -0.3, 0.5, 2, 12])
def test_a_bend_moves_the_pitch_and_so_the_length(semitones):
    found = bent(sine(440), Bend(RATE, semitones))
    assert len(found) == pytest.approx(RATE / 2 ** (semitones / 12), abs=2)
    hz = 440 * 2 ** (semitones / 12)
    middle = found[1000:-1000]
    expected = sine(hz, len(found) / RATE)[1000:-1000]
    # The window's passband: a ripple of 1e-4, and a whole more where it narrows near Nyquist.
    np.testing.assert_allclose(middle, expected, atol=1e-3)


@pytest.mark.parametrize("sizes", [(1,), (7, 1000), (1023,), (4096, 1)])
def test_how_the_sound_is_cut_changes_nothing(sizes):
    bend = Bend(RATE, Curve((0.0, 0.2), (0.0, 3.0)), 6.0, 0.4)
    noise = np.random.default_rng(1).uniform(-1, 1, 6000).astype(np.float32)
    np.testing.assert_array_equal(bent(noise, bend, sizes), bent(noise, bend))


def test_a_curve_is_followed_in_time():
    found = bent(sine(440, 2.0), Bend(RATE, Curve((0.5, 0.5001), (0.0, 7.0))))
    before, after = found[: RATE // 2 - 50], found[RATE // 2 + 50 : RATE]
    assert abs(features.cents(features.fundamental(before, RATE, 100, 1200), 69)) < 5
    assert abs(features.cents(features.fundamental(after, RATE, 100, 1200), 76)) < 5


@pytest.mark.parametrize("count", [1000, 1030, 5000])
def test_the_end_is_reached_however_slowly_it_is_read(count):
    assert len(bent(sine(440)[:count], Bend(RATE, -24.0))) == 4 * count


def test_a_glide_is_the_sound_at_the_places_that_were_passed():
    bend = Bend(RATE, Curve((0.0, 2.0), (0.0, -12.0)))
    found = bent(sine(440, 1.5), bend)
    speed = bend.speed(np.arange(len(found)) / RATE)
    places = np.cumsum(speed) - speed
    expected = 0.5 * np.sin(2 * np.pi * 440 * places / RATE)
    # As in the middle of a bend; places are sums of float64.
    np.testing.assert_allclose(found[100:-100], expected[100:-100], atol=1e-3)


def test_a_vibrato_swings_to_both_sides():
    found = bent(sine(440, 2.0), Bend(RATE, vibrato_hz=5.0, vibrato_semitones=1.0))
    # The instantaneous frequency from the phase of the analytic signal.
    from scipy import signal

    hz = (
        np.diff(np.unwrap(np.angle(np.asarray(signal.hilbert(found[1000:-1000])))))
        * RATE
        / (2 * np.pi)
    )
    semitones = 12 * np.log2(np.convolve(hz, np.ones(50) / 50, "valid") / 440)
    assert semitones.max() == pytest.approx(1.0, abs=0.05)
    assert semitones.min() == pytest.approx(-1.0, abs=0.05)
    rises = np.count_nonzero((semitones[1:] > 0) & (semitones[:-1] <= 0))
    assert rises == pytest.approx(5 * len(found) / RATE, abs=1)


def test_what_would_rise_beyond_nyquist_is_taken_off():
    found = bent(sine(7000), Bend(RATE, 7.0))  # to 10.5 kHz of 8
    assert np.abs(found[1000:-1000]).max() < 0.01  # -34 dB of 0.5


def test_as_many_samples_as_it_says_are_needed():
    bend = Bend(RATE, Curve((0.0, 0.5), (-5.0, 9.0)), 6.0, 0.4)
    needed = bend.samples_needed(9000)
    noise = np.random.default_rng(0).uniform(-1, 1, 2 * needed).astype(np.float32)
    np.testing.assert_array_equal(bent(noise[:needed], bend)[:9000], bent(noise, bend)[:9000])
    assert needed < 9000 * 2 ** (9.4 / 12) + bending.TAPS + 1
    assert Bend(RATE, 12.0).samples_needed(100_000) == 200_000 + bending.TAPS


@pytest.mark.parametrize(
    "wrong",
    [
        {"semitones": 25.0},
        {"vibrato_hz": -1.0},
        {"semitones": Curve((0,), (-99,))},
        {"semitones": Curve((0, 1), (0, 25))},
    ],
)
def test_bends_beyond_two_octaves_are_refused(wrong):
    with pytest.raises(WavegenError, match=r"a (bend|vibrato's rate) of"):
        Bend(RATE, **wrong)
