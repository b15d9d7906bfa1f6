import itertools
from dataclasses import replace

import numpy as np
import pytest

from wavegen.audio import cleaning, limiter, loudness, mastering, room
from wavegen.audio.mastering import Mastering
from wavegen.errors import WavegenError

RATE = 8000
ROUND = 2.0**-23  # the relative step of a float32


def noise(count, channels=1, level=0.3):
    random = np.random.default_rng(0)
    return (level * random.standard_normal((count, channels))).astype(np.float32)


def sine(seconds, hz=440.0, level=0.5, channels=1):
    time = np.arange(round(seconds * RATE)) / RATE
    return np.tile((level * np.sin(2 * np.pi * hz * time))[:, None], channels).astype(np.float32)


def cut(samples, size):
    return (samples[start : start + size] for start in range(0, len(samples), size))


def whole(blocks):
    made = np.concatenate(list(blocks))
    assert made.dtype == np.float32
    return made


def level_db(samples):
    return 10 * np.log10(np.mean(np.square(samples, dtype=np.float64)))


STEPS = {
    "offset": lambda blocks: mastering.remove_dc(blocks, RATE),
    "room": lambda blocks: room.reverb(blocks, RATE, -12, 0.3),
    "gain": lambda blocks: mastering.gain(blocks, -3.3),
    "fade": lambda blocks: mastering.fade(blocks, RATE, 0.2, 0.5, 9001),
    "limiter": lambda blocks: limiter.limit(blocks, RATE, -9),
    "dither": lambda blocks: mastering.dither(blocks, 3),
    "mix": lambda blocks: mastering.mix([blocks, cut(noise(5000, 2), 333)], [-2, 1]),
}


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
@pytest.mark.parametrize("size", [1, 799, 801, 4096])
def test_a_step_does_not_depend_on_the_cuts(step, size):
    samples = noise(9001, 2)
    np.testing.assert_array_equal(whole(step(cut(samples, size))), whole(step([samples])))


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_an_empty_block_changes_nothing(step):
    samples = noise(9001, 2)
    parts = [samples[:0], samples[:5], samples[:0], samples[5:], samples[:0]]
    np.testing.assert_array_equal(whole(step(iter(parts))), whole(step([samples])))


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
@pytest.mark.parametrize("count", [1, 2, 50])
def test_the_shortest_sounds_come_out_finite_and_as_long(step, count):
    made = whole(step([noise(count, 2)]))
    extra = {"room": 2399, "mix": 5000 - count}
    name = next(name for name, each in STEPS.items() if each is step)
    assert made.shape == (count + extra.get(name, 0), 2)
    assert np.isfinite(made).all()


@pytest.mark.parametrize("step", [each for name, each in STEPS.items() if name != "mix"])
def test_a_step_takes_sound_as_it_comes(step):
    def endless():
        for _ in range(10_000):
            yield noise(1000, 1)
        raise AssertionError("the whole sound was taken before any was given")

    next(iter(step(endless())))


def test_an_offset_is_taken_out_and_the_sound_stays():
    made = whole(mastering.remove_dc([sine(2) + np.float32(0.7)], RATE))  # peaks over full scale
    assert abs(made[0, 0]) < 0.02  # no thump
    assert abs(made[RATE:].mean()) < 1e-4
    # Of second order at 20 Hz: 440 Hz loses (20 / 440)^4 / 2 of its amplitude.
    np.testing.assert_allclose(np.std(made[RATE:]), np.std(sine(1)), rtol=1e-5)
    mono = cleaning.highpass(sine(1)[:, 0], RATE)
    np.testing.assert_array_equal(whole(mastering.remove_dc([sine(1)], RATE))[:, 0], mono)


def test_channels_are_filtered_apart():
    both = whole(mastering.remove_dc([np.hstack([sine(1), noise(RATE)])], RATE))
    np.testing.assert_array_equal(both[:, :1], whole(mastering.remove_dc([sine(1)], RATE)))
    np.testing.assert_array_equal(both[:, 1:], whole(mastering.remove_dc([noise(RATE)], RATE)))


@pytest.mark.parametrize("rate", [1000, 8000, 48_000])
@pytest.mark.parametrize("seconds", [0.05, 1.2])
def test_a_room_has_energy_one_and_falls_by_sixty_decibels(rate, seconds):
    impulse = room.room_impulse(rate, seconds, 2)
    assert len(impulse) == round(seconds * rate)
    np.testing.assert_allclose(np.square(impulse).sum(axis=0), 1, rtol=1e-12)
    tenth = len(impulse) // 10
    first, last = level_db(impulse[2 * tenth : 3 * tenth]), level_db(impulse[-tenth:])
    # 42 dB in the 0.7 of it between; noise of 2 * `tenth` samples is known to some dB only.
    assert first - last == pytest.approx(42, abs=20 / (2 * tenth) ** 0.5 + 3)
    np.testing.assert_array_equal(room.room_impulse(rate, seconds, 2), impulse)
    mono = room.room_impulse(rate, seconds, 1)
    np.testing.assert_allclose(mono, impulse[:, :1], atol=1e-12)  # energies summed in other orders


def test_a_room_has_neither_rumble_nor_hiss():
    spectrum = np.square(np.abs(np.fft.rfft(room.room_impulse(44_100, 1.2, 1)[:, 0])))
    hz = np.fft.rfftfreq(round(1.2 * 44_100), 1 / 44_100)
    middle = spectrum[(hz > 500) & (hz < 3000)].mean()
    # A slope of 6 dB an octave: 10 dB at a third of the one corner, 9 at three times the other.
    assert spectrum[hz < 50].mean() < 0.2 * middle
    assert spectrum[hz > 15_000].mean() < 0.2 * middle


def test_the_channels_of_a_room_are_not_alike():
    impulse = room.room_impulse(44_100, 1.2, 2)
    # Noise of some ten thousand samples in effect: chance gives a few hundredths.
    assert abs(np.sum(impulse[:, 0] * impulse[:, 1])) < 0.1


def test_reverb_is_the_sound_and_its_convolution():
    samples = noise(5000, 2)
    made = whole(room.reverb([samples], RATE, -6, 0.25))
    impulse = room.room_impulse(RATE, 0.25, 2) * 10 ** (-6 / 20)
    for channel in range(2):
        wanted = np.convolve(samples[:, channel], impulse[:, channel])
        wanted[:5000] += samples[:, channel]
        # Rounded to float32 once, on samples up to 2.
        np.testing.assert_allclose(made[:, channel], wanted, atol=2 * ROUND, rtol=0)


def test_a_room_at_minus_eighteen_adds_that_much():
    samples = noise(40_000)
    made = whole(room.reverb([samples], RATE, -18, 0.5))
    wet = made - np.pad(samples, ((0, len(made) - len(samples)), (0, 0)))
    ratio = np.sum(np.square(wet, dtype=np.float64)) / np.sum(np.square(samples, dtype=np.float64))
    # White noise of 40,000 samples has the energy of its spectrum to about 1 / sqrt(40000).
    assert 10 * np.log10(ratio) == pytest.approx(-18, abs=0.2)


def test_gain_is_a_factor_and_none_at_zero():
    samples = noise(1000, 2)
    np.testing.assert_array_equal(whole(mastering.gain([samples], 0)), samples)
    made = whole(mastering.gain([samples], 20))
    np.testing.assert_allclose(made, 10 * samples, rtol=ROUND)  # one rounding


def test_a_fade_begins_and_ends_in_silence_and_leaves_the_middle():
    samples = np.ones((RATE, 2), np.float32)
    made = whole(mastering.fade([samples], RATE, 0.25, 0.5, RATE))
    assert (made[0] == 0).all()
    assert (made[-1] == 0).all()
    np.testing.assert_array_equal(made[2000:3999], samples[2000:3999])
    assert (np.diff(made[:2001], axis=0) >= 0).all()
    assert (np.diff(made[3999:], axis=0) <= 0).all()
    np.testing.assert_allclose(made[1000], 0.5, rtol=ROUND)  # half way, half of it


def test_no_fade_is_no_change():
    samples = noise(1000, 2)
    np.testing.assert_array_equal(whole(mastering.fade([samples], RATE, 0, 0, 1000)), samples)


@pytest.mark.parametrize("ceiling", [0.0, -1.0, -20.0])
@pytest.mark.parametrize("rate", [1000, 8000, 44_100])
def test_no_sample_is_above_the_ceiling(ceiling, rate):
    made = whole(limiter.limit([noise(30_000, 2, 1.0)], rate, ceiling))
    assert len(made) == 30_000
    assert np.abs(made.astype(np.float64)).max() <= 10 ** (ceiling / 20)


def test_a_sound_below_the_ceiling_is_not_touched():
    samples = np.clip(noise(30_000, 2), -1, 1)
    np.testing.assert_array_equal(whole(limiter.limit([samples], RATE, 0)), samples)


def test_the_limiter_has_no_delay_and_one_gain_for_both_channels():
    samples = sine(1, channels=2) * np.array([1, 0.1], np.float32)
    samples[4000, 0] = 3.0  # a click
    made = whole(limiter.limit([samples], RATE, -1))
    touched = np.flatnonzero(made[:, 1] != samples[:, 1])
    ahead = round(limiter.AHEAD_SECONDS * RATE)
    assert touched[0] in range(4000 - ahead, 4000 - ahead + 3)  # the slope begins with a touch
    np.testing.assert_array_equal(made[: 4000 - ahead], samples[: 4000 - ahead])
    sounding = np.abs(samples[:, 1]) > 0.01
    gains = made[sounding] / samples[sounding]
    np.testing.assert_allclose(gains[:, 0], gains[:, 1], rtol=2 * ROUND)  # each rounded once
    assert made[4000, 0] == np.abs(made).max()


def test_the_gain_moves_without_a_jump_and_comes_back():
    samples = np.full((3 * RATE, 1), 0.5, np.float32)
    samples[4000] = 2.0
    made = whole(limiter.limit([samples], RATE, -1))
    gains = made[:, 0] / samples[:, 0]
    ahead = limiter.AHEAD_SECONDS * RATE
    # A raised cosine over `ahead` samples is nowhere steeper than twice its mean slope.
    assert np.abs(np.diff(gains)).max() < 2 * (1 - gains.min()) / ahead
    # e-fold in 0.1 s: after half a second, e^-5 of the reduction is left.
    left = (1 - gains[4000 + RATE // 2]) / (1 - gains[4000])
    assert left == pytest.approx(np.exp(-5), rel=0.05)  # 5 ms of hold in 100
    np.testing.assert_array_equal(made[-100:], samples[-100:])


def test_a_peak_at_the_very_start_is_met_with_a_gain_not_cut_off():
    samples = sine(0.2, 100, level=2.0)
    samples = samples[20:]  # from the crest on
    made = whole(limiter.limit([samples], RATE, 0))
    # The crests are flattened by the release between them, by no more than e^(-5 ms / 0.1 s).
    np.testing.assert_allclose(made, samples / 2, atol=0.05, rtol=0)
    assert np.count_nonzero(np.abs(made) == 1) <= 40  # once a crest; clipping would give 1000


def test_a_loud_channel_beside_a_silent_one_is_not_cut_off():
    loud = sine(0.2, 100, level=2.0)
    made = whole(limiter.limit([np.hstack([loud, 0 * loud])], RATE, 0))
    np.testing.assert_array_equal(made[:, :1], whole(limiter.limit([loud], RATE, 0)))
    assert not made[:, 1].any()


def test_dither_is_triangular_noise_of_one_step():
    steps = (whole(mastering.dither([np.zeros((100_000, 2), np.float32)], 0)) * 2**15).astype("f8")
    assert np.abs(steps).max() < 1
    # Triangular on (-1, 1): variance 1/6, mean 0; four standard errors of 200,000 draws.
    assert steps.var() == pytest.approx(1 / 6, abs=4 * 0.2 / 200_000**0.5)
    assert steps.mean() == pytest.approx(0, abs=4 * 0.41 / 200_000**0.5)
    assert abs(np.corrcoef(steps.T)[0, 1]) < 4 / 100_000**0.5  # channels have noise of their own


def test_dither_is_a_function_of_seed_channel_and_place():
    silence = np.zeros((1000, 2), np.float32)
    both = whole(mastering.dither([silence], 5))
    np.testing.assert_array_equal(whole(mastering.dither([silence[:, :1]], 5)), both[:, :1])
    np.testing.assert_array_equal(whole(mastering.dither([silence[:600]], 5)), both[:600])
    assert np.mean(whole(mastering.dither([silence], 6)) == both) < 0.01
    whole(mastering.dither([silence], -1))  # any seed will do


def test_dither_keeps_what_rounding_alone_would_lose():
    quiet = sine(4, 440, level=0.3 * 2**-15)  # of a third of a step
    rounded = np.round(whole(mastering.dither([quiet], 0)) * 2**15)
    assert not np.round(quiet * 2**15).any()
    share = np.sum(rounded * quiet) / np.sum(np.square(quiet) * 2**15)
    # The sine is still there: its amplitude, to 4 standard errors of noise of variance 1/4.
    assert share == pytest.approx(1, abs=4 * (0.25 / len(quiet) / (0.3**2 / 2)) ** 0.5)


def test_a_mix_is_the_sum_of_its_tracks_as_long_as_the_longest():
    one, two = noise(40_000, 2), noise(25_000, 2)
    made = whole(mastering.mix([cut(one, 999), cut(two, 5000)], [0, -6]))
    wanted = one.astype(np.float64)
    wanted[:25_000] += two * np.float64(10 ** (-6 / 20))
    np.testing.assert_array_equal(made, wanted.astype(np.float32))


def test_a_mix_of_one_is_that_one():
    samples = noise(40_000, 2)
    np.testing.assert_array_equal(whole(mastering.mix([[samples]], [0])), samples)


def mastered(samples, asked, seed=0, size=1000):
    count, channels = samples.shape
    blocks, facts = mastering.master(lambda: cut(samples, size), RATE, count, channels, asked, seed)
    made = whole(blocks)
    assert facts["num_samples"] == len(made)
    return made, facts


EVERYTHING = Mastering(
    remove_dc=True, reverb_db=-15, reverb_seconds=0.3, gain_db=2, fade_in_seconds=0.1,
    fade_out_seconds=0.4, loudness_lufs=-14, limit_dbfs=-2, dither=True,
)  # fmt: skip


def test_nothing_is_done_that_was_not_asked_for():
    samples = noise(9000, 2)
    made, facts = mastered(samples, Mastering())
    np.testing.assert_array_equal(made, samples)
    assert facts == {"num_samples": 9000}


def test_all_that_was_asked_for_is_done_and_told_whatever_the_cuts():
    samples = noise(2 * RATE, 2, 0.05) + np.float32(0.2)
    made, facts = mastered(samples, EVERYTHING)
    again, told = mastered(samples, EVERYTHING, size=77)
    np.testing.assert_array_equal(made, again)
    assert facts == told
    assert facts["limit_dbfs"] == -2  # as asked for, though a loudness brings one of its own
    assert np.abs(made).max() <= 10 ** (-2 / 20) + 2**-15  # dither goes a step above
    assert (np.abs(made[[0, -1]]) <= 2**-15).all()  # faded, but for the dither
    assert set(facts) == {
        "num_samples", "highpass_hz", "reverb_db", "reverb_seconds", "gain_db", "fade_in_seconds",
        "fade_out_seconds", "loudness_lufs", "loudness_gain_db", "limit_dbfs", "dither",
    }  # fmt: skip


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("fades", [0.0, 0.7])
def test_a_loudness_is_met_where_the_limiter_leaves_it(channels, fades):
    asked = Mastering(loudness_lufs=-20, fade_in_seconds=fades, fade_out_seconds=fades)
    made, facts = mastered(sine(2, channels=channels), asked)
    meter = loudness.Meter(RATE, channels)
    meter.push(made)
    assert meter.lufs == pytest.approx(-20, abs=1e-4)  # samples rounded to 2^-24 of themselves
    before = loudness.Meter(RATE, channels)
    before.push(mastered(sine(2, channels=channels), replace(asked, loudness_lufs=None))[0])
    gain_db = facts["loudness_gain_db"]
    assert gain_db == pytest.approx(-20 - before.lufs, abs=0.01)  # told in hundredths


def test_a_sound_fades_out_at_the_end_of_its_room():
    asked = Mastering(reverb_db=0, reverb_seconds=1, fade_out_seconds=0.5)
    made, _ = mastered(noise(RATE), asked)
    wet, _ = mastered(noise(RATE), replace(asked, fade_out_seconds=0))
    np.testing.assert_array_equal(made[: RATE + RATE // 2 - 1], wet[: RATE + RATE // 2 - 1])
    assert np.abs(made[-100:]).max() < 0.01 * np.abs(wet[-100:]).max()
    mastered(noise(RATE), replace(asked, fade_out_seconds=1.5))  # longer than the sound alone


def test_no_sound_at_all_has_no_room():
    blocks, facts = mastering.master(lambda: iter([]), RATE, 0, 1, Mastering(reverb_db=-10))
    assert (list(blocks), facts["num_samples"]) == ([], 0)


def test_a_sound_is_made_quieter_by_what_its_peak_is_too_high():
    found = mastering.quieter(Mastering(gain_db=-3, dither=True), peak=1.8, highest=0.9)
    assert found.gain_db == pytest.approx(-3 - 6.0206, abs=1e-4)  # half of it
    assert found.dither


def test_loudness_brings_its_own_limiter():
    made, facts = mastered(noise(2 * RATE), Mastering(loudness_lufs=-3))
    assert facts["limit_dbfs"] == mastering.CEILING_DBFS
    assert np.abs(made).max() <= 10 ** (mastering.CEILING_DBFS / 20)


@pytest.mark.parametrize("level", [0.0, 1e-6])
def test_silence_gets_no_gain_and_is_said_to_be_silence(level):
    samples = np.full((RATE, 1), level, np.float32)
    made, facts = mastered(samples, Mastering(loudness_lufs=-20))
    np.testing.assert_array_equal(made, samples)
    assert facts["silent"]
    assert facts["loudness_gain_db"] == 0


def test_the_sound_is_opened_once_a_pass():
    for asked in (Mastering(limit_dbfs=-1), Mastering(loudness_lufs=-20)):
        passes = itertools.count()
        blocks, _ = mastering.master(
            lambda passes=passes: [iter([sine(1)]), next(passes)][0], RATE, RATE, 1, asked
        )
        whole(blocks)
        assert next(passes) == asked.num_passes


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"loudness_lufs": 3}, "-70 to 0 LUFS"),
        ({"limit_dbfs": 0.5}, "-60 to 0 dBFS"),
        ({"limit_dbfs": float("nan")}, "-60 to 0 dBFS"),
        ({"reverb_db": 40}, "-80 to 20 dB"),
        ({"reverb_seconds": 0}, "0.05 to 10 seconds"),
        ({"fade_in_seconds": -1}, "0 or more seconds"),
        ({"gain_db": 400}, "-120 to 120 dB"),
    ],
)
def test_a_wrong_wish_is_refused_in_words(asked, words):
    with pytest.raises(WavegenError, match=words):
        Mastering(**asked)


def test_a_fade_longer_than_the_sound_is_refused():
    with pytest.raises(WavegenError, match="a fade-out of 2 seconds in a sound of 1"):
        mastered(sine(1), Mastering(fade_out_seconds=2))
