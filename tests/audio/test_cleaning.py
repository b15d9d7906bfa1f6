import numpy as np
import pytest

from wavegen.audio import cleaning, denoising
from wavegen.audio.cleaning import Cleaning
from wavegen.errors import WavegenError

RATE = 16_000


def sine(seconds, hz=440.0, level=0.5):
    time = np.arange(round(seconds * RATE)) / RATE
    return (level * np.sin(2 * np.pi * hz * time)).astype(np.float32)


def silence(seconds):
    return np.zeros(round(seconds * RATE), np.float32)


def hiss(seconds, level):
    random = np.random.default_rng(0)
    return (level * random.standard_normal(round(seconds * RATE))).astype(np.float32)


def snr_db(sound, recording):
    return 10 * np.log10(np.sum(sound**2) / np.sum((recording - sound) ** 2))


def plucks(seconds=6.0):
    """A tone that is struck every two seconds and rings."""
    time = np.arange(round(seconds * RATE)) / RATE
    return (0.5 * np.exp(-2 * (time % 2)) * np.sin(2 * np.pi * 440 * time)).astype(np.float32)


def test_nothing_is_done_that_was_not_asked_for():
    samples = np.concatenate([silence(2), sine(1), silence(2)])
    cleaned, facts = cleaning.clean(samples, RATE, cleaning.NOTHING)
    np.testing.assert_array_equal(cleaned, samples)
    assert facts == {}


def test_trimming_leaves_the_sound_and_a_margin():
    samples = np.concatenate([silence(0.5), sine(1), silence(0.7)])
    start, end = cleaning.trim_silence(samples, RATE)
    # A margin of 5 ms at either end, and at most a frame of 10 ms more.
    assert 0.485 * RATE <= start <= 0.495 * RATE
    assert 1.505 * RATE <= end <= 1.515 * RATE


def test_silence_is_measured_against_the_loudest_frame():
    loud = np.concatenate([sine(0.5, level=0.001), sine(0.5, level=0.5)])
    assert cleaning.trim_silence(loud, RATE, -60.0)[0] == 0  # 54 dB below
    assert cleaning.trim_silence(loud, RATE, -50.0)[0] > 0.48 * RATE
    assert cleaning.trim_silence(loud / 100, RATE, -50.0) == cleaning.trim_silence(loud, RATE, -50)


@pytest.mark.parametrize("samples", [silence(1), silence(0), sine(0.003)])
def test_what_holds_no_silence_beside_a_sound_is_left_whole(samples):
    asked = Cleaning(trim_silence=True, drop_silence=True)
    cleaned, facts = cleaning.clean(samples, RATE, asked)
    np.testing.assert_array_equal(cleaned, samples)
    assert "kept_seconds" not in facts


def test_long_silences_become_short_and_short_ones_stay():
    samples = np.concatenate([sine(1), silence(0.9), sine(1), silence(3), sine(1)])
    cleaned, facts = cleaning.clean(samples, RATE, Cleaning(drop_silence=True))
    assert facts["dropped_seconds"] == pytest.approx(2.7, abs=0.02)  # two frames
    assert len(cleaned) == len(samples) - round(facts["dropped_seconds"] * RATE)
    (first, second), (third, fourth) = facts["kept_seconds"]
    assert (first, fourth) == (0, 6.9)
    assert second == pytest.approx(2.9 + 0.15, abs=0.02)
    assert third == pytest.approx(5.9 - 0.15, abs=0.02)


def test_what_is_kept_is_told_on_the_old_time_line():
    samples = np.concatenate([silence(2), sine(1), silence(3), sine(1, 660), silence(2)])
    asked = Cleaning(trim_silence=True, drop_silence=True)
    cleaned, facts = cleaning.clean(samples, RATE, asked)
    spans = [(round(start * RATE), round(end * RATE)) for start, end in facts["kept_seconds"]]
    assert len(spans) == 2
    np.testing.assert_array_equal(cleaned, np.concatenate([samples[a:b] for a, b in spans]))
    lost = sum(facts[f"{name}_seconds"] for name in ("trimmed_start", "trimmed_end", "dropped"))
    assert len(cleaned) / RATE + lost == pytest.approx(9, abs=3e-4)  # each is rounded to 1e-4


@pytest.mark.parametrize("level", [0.003, 0.01, 0.03])
def test_hiss_is_taken_off_a_tone_that_pauses(level):
    time = np.arange(6 * RATE) / RATE
    sound = (sine(6, 440, 0.3) + sine(6, 1320, 0.2)) * (time % 2 < 1.3)
    noisy = sound + hiss(6, level)
    cleaned, noise_dbfs = denoising.denoise(noisy, RATE)
    assert snr_db(sound, cleaned) > snr_db(sound, noisy) + 4.5
    assert noise_dbfs == pytest.approx(20 * np.log10(level), abs=1)
    inside = slice(RATE // 2, RATE)  # where the tone sounds, it is not made quieter
    assert np.std(cleaned[inside]) == pytest.approx(np.std(sound[inside]), rel=0.01)


@pytest.mark.parametrize(
    "samples",
    [plucks(), sine(4), sine(4, 100) + sine(4, 200, 0.2) + sine(4, 300, 0.1), hiss(4, 0.1)],
    ids=["plucks", "sustained", "harmonics", "noise alone"],
)
def test_a_clean_recording_is_next_to_unchanged_by_denoising(samples):
    cleaned, _ = denoising.denoise(samples, RATE)
    if np.any(cleaned != samples):
        assert snr_db(samples, cleaned) > 60  # below the noise of 10 bits


def test_denoising_in_pieces_is_denoising_at_once(monkeypatch):
    noisy = plucks() + hiss(6, 0.003)
    whole, _ = denoising.denoise(noisy, RATE)
    monkeypatch.setattr(denoising, "_PIECE", 40)
    pieces, _ = denoising.denoise(noisy, RATE)
    np.testing.assert_allclose(pieces, whole, atol=1e-6, rtol=0)  # float32 sums, other order


def test_what_was_never_recorded_is_not_taken_for_the_noise():
    noisy = np.concatenate([silence(1), plucks() + hiss(6, 0.003)])
    _, noise_dbfs = denoising.denoise(noisy, RATE)
    assert noise_dbfs is not None
    assert noise_dbfs > -60


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.3, 0.7])
def test_the_shortest_recordings_can_be_cleaned(seconds):
    every = Cleaning(True, True, True, "loudness", True)
    cleaned, _ = cleaning.clean(sine(seconds), RATE, every)
    assert np.isfinite(cleaned).all()


@pytest.mark.parametrize("level", [0.001, 0.1, 0.9])
def test_normalizing_reaches_its_level(level):
    samples = sine(2, 1000, level)
    peak, _ = cleaning.normalize(samples, RATE, "peak")
    assert np.abs(peak).max() == pytest.approx(10 ** (-1 / 20), rel=1e-4)
    rms, facts = cleaning.normalize(samples, RATE, "rms")
    assert np.std(rms) == pytest.approx(0.1, rel=1e-4)
    assert facts["gain_db"] == pytest.approx(20 * np.log10(0.1 * np.sqrt(2) / level), abs=0.01)
    loud, _ = cleaning.normalize(samples, RATE, "loudness")
    assert cleaning.loudness(loud, RATE) == pytest.approx(-23, abs=0.05)


def test_a_full_scale_sine_of_997_hz_has_the_loudness_that_the_standard_gives_it():
    # ITU-R BS.1770-4, annex 1: -3.01 LKFS in one front channel.
    assert cleaning.loudness(sine(5, 997, 1.0), RATE) == pytest.approx(-3.01, abs=0.1)


def test_a_short_sound_is_as_loud_as_the_same_sound_held():
    short, long = sine(0.2, 1000), sine(4, 1000)
    assert cleaning.loudness(short, RATE) == pytest.approx(cleaning.loudness(long, RATE), abs=0.2)


def test_a_peak_keeps_the_gain_from_clipping_and_says_so():
    click = sine(2, 1000, 0.001)
    click[100] = 0.8
    for kind in ("rms", "loudness"):
        made, facts = cleaning.normalize(click, RATE, kind)
        assert facts["limited_by_peak"]
        assert np.abs(made).max() == pytest.approx(10 ** (-1 / 20), rel=1e-4)


@pytest.mark.parametrize("kind", cleaning.NORMALIZE)
@pytest.mark.parametrize("level", [0.0, 1e-5])
def test_silence_is_not_made_loud(kind, level):
    made, facts = cleaning.normalize(sine(1, 440, level), RATE, kind)
    np.testing.assert_array_equal(made, sine(1, 440, level))
    assert facts == {}


def test_what_is_left_of_an_offset_alone_is_not_made_loud():
    constant = np.full(RATE, 0.99, np.float32)
    made, _ = cleaning.clean(constant, RATE, Cleaning(highpass=True, normalize="peak"))
    assert np.abs(made).max() < 1e-4


def test_the_high_pass_takes_an_offset_out_and_leaves_the_sound():
    made = cleaning.highpass(sine(2, 440) * 0.5 + np.float32(0.2), RATE)
    assert abs(np.mean(made)) < 1e-4
    assert abs(made[0]) < 0.01  # no thump at the start
    # Of second order at 20 Hz: 440 Hz loses (20 / 440)^4 / 2 of its amplitude.
    assert np.std(made[RATE:]) == pytest.approx(np.std(sine(1, 440) * 0.5), rel=1e-4)


def test_the_high_pass_in_blocks_is_the_high_pass_at_once():
    samples = sine(2, 110) + np.float32(0.1)
    blocks = [samples[:1600], samples[1600:1600], samples[1600:7777], samples[7777:]]
    made = np.concatenate(list(cleaning.highpass_blocks(blocks, RATE)))
    np.testing.assert_array_equal(made, cleaning.highpass(samples, RATE))


@pytest.mark.parametrize(
    ("asked", "words"),
    [({"normalize": "loud"}, "none, peak, rms, loudness"), ({"silence_db": 3.0}, "-120 to -10")],
)
def test_a_wrong_wish_is_refused_in_words(asked, words):
    with pytest.raises(WavegenError, match=words):
        Cleaning(**asked)


def test_loudness_is_refused_where_it_is_not_defined():
    with pytest.raises(WavegenError, match="8000 Hz or more"):
        cleaning.loudness(sine(1), 4000)
