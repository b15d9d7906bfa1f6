import numpy as np
import pytest

from wavegen.audio import signals
from wavegen.config import ACOUSTIC

RATE, HOP = 16_000, 64
BEFORE, AFTER = signals.margins(RATE, HOP)


def framed(samples, names, rate=RATE, hop=HOP):
    """The frames of a recording, with silence around it."""
    padded = np.pad(samples.astype(np.float32), signals.margins(rate, hop))
    return signals.frames(names, padded[None], rate, hop)[0]


def tone(hertz, seconds=0.5, rate=RATE, level=0.5):
    return level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def buzz(hertz, seconds=0.5, rate=RATE):
    return sum(tone(k * hertz, seconds, rate, 0.3 / k) for k in range(1, 6))


@pytest.mark.parametrize("name", ACOUSTIC)
@pytest.mark.parametrize(("rate", "hop"), [(16_000, 64), (8000, 64), (44_100, 256), (1000, 100)])
def test_every_signal_has_its_width_at_every_rate_and_is_finite(name, rate, hop):
    samples = np.random.default_rng(0).normal(0, 0.1, 20 * hop)
    found = framed(samples, [name], rate, hop)
    assert found.shape == (20, ACOUSTIC[name])
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert np.isfinite(framed(np.zeros(20 * hop), [name], rate, hop)).all()


def test_frames_of_a_part_are_those_of_the_whole():
    names = list(ACOUSTIC)
    sound = buzz(220, 1.0) + np.random.default_rng(1).normal(0, 0.02, RATE)
    sound = np.pad(sound.astype(np.float32), (BEFORE, AFTER))
    whole = signals.frames(names, sound[None], RATE, HOP)[0]
    for first, count in ((0, 10), (37, 50), (100, 3)):
        part = sound[first * HOP : first * HOP + BEFORE + count * HOP + AFTER]
        found = signals.frames(names, part[None], RATE, HOP)[0]
        # The same sums in float32, taken in another order.
        np.testing.assert_allclose(found, whole[first : first + count], atol=2e-3)


def test_rows_of_a_batch_do_not_hear_each_other():
    rows = np.stack([np.pad(buzz(hertz), (BEFORE, AFTER)) for hertz in (110, 330)])
    together = signals.frames(list(ACOUSTIC), rows.astype(np.float32), RATE, HOP)
    for row, found in zip(rows, together, strict=True):
        alone = signals.frames(list(ACOUSTIC), row[None].astype(np.float32), RATE, HOP)[0]
        np.testing.assert_allclose(found, alone, atol=2e-3)  # sums in another order


def test_signals_stand_in_the_order_in_which_they_are_named():
    sound = buzz(200)
    both = framed(sound, ["f0_loudness", "mel"])
    np.testing.assert_array_equal(both[:, :2], framed(sound, ["f0_loudness"]))
    np.testing.assert_array_equal(both[:, 2:], framed(sound, ["mel"]))
    assert framed(sound, []).shape == (125, 0)


def test_a_frame_is_measured_around_its_middle():
    click = np.zeros(100 * HOP)
    click[50 * HOP + HOP // 2] = 1.0
    levels = framed(click, ["f0_loudness"])[:, 1]
    assert levels.argmax() == 50
    np.testing.assert_allclose(levels[50 - 5 : 50], levels[55:50:-1], atol=0.15)


@pytest.mark.parametrize("pitch", [40, 52, 60, 69, 81])
def test_the_fundamental_of_a_tone_with_overtones_is_its_pitch(pitch):
    hertz = 440 * 2 ** ((pitch - 69) / 12)
    found = framed(buzz(hertz), ["f0_loudness"])[20:-20, 0]
    # yin's parabola between lags of whole samples is off by some cents.
    assert np.abs(found - pitch).max() < 0.15


def test_noise_and_silence_have_no_pitch():
    noise = np.random.default_rng(2).normal(0, 0.1, RATE)
    assert (framed(noise, ["f0_loudness"])[20:-20, 0] == 0).mean() > 0.95
    assert not framed(np.zeros(RATE), ["f0_loudness"])[:, 0].any()
    assert not framed(1e-5 * buzz(220), ["f0_loudness"])[:, 0].any()


def test_levels_follow_the_sound_decibel_by_decibel():
    loud, soft = (framed(gain * buzz(300), ["mel", "f0_loudness"])[30:-30] for gain in (1, 0.1))
    heard = loud[..., :64] > -1.0  # beyond what the soft one has at the floor
    # 20 dB are 0.8 in these units.
    np.testing.assert_allclose((loud - soft)[..., :64][heard], 0.8, atol=1e-3)
    np.testing.assert_allclose((loud - soft)[..., 65], 0.8, atol=1e-3)


def test_a_sine_at_full_scale_is_at_zero_decibels():
    found = framed(tone(1000, level=1.0), ["f0_loudness"])[30:-30, 1]
    np.testing.assert_allclose(found * 25 - 50, 0.0, atol=0.1)  # A-weighting is 0 dB at 1 kHz


def test_the_loudest_band_rises_with_the_frequency():
    loudest = [framed(tone(hertz), ["mel"])[60].argmax() for hertz in (100, 400, 1500, 6000)]
    assert loudest == sorted(set(loudest))


def test_mfcc_of_a_louder_sound_differ_in_the_first_one_only():
    sound = np.random.default_rng(3).normal(0, 0.05, RATE)
    loud, soft = (framed(gain * sound, ["mfcc"])[30:-30] for gain in (1.0, 0.5))
    np.testing.assert_allclose(loud[:, 1:], soft[:, 1:], atol=1e-4)
    assert (loud[:, 0] > soft[:, 0]).all()
