"""Distances of spectra: none from itself, finite from silence, and librosa's where it has one."""

import math
from functools import partial

import librosa
import numpy as np
import pytest

from wavegen.evaluation.metrics import spectra
from wavegen.evaluation.metrics.measures import NotApplicable

RATE = 8000
ALL = [
    partial(spectra.log_spectral_distance_db, sample_rate=RATE),
    spectra.multi_resolution_stft,
    partial(spectra.mfcc_distance, sample_rate=RATE),
]
EXACT = 1e-12  # relative: sums of some thousand float64 in another order


@pytest.fixture(scope="module")
def noise():
    """Two sounds whose level goes up and down, three quarters of a second long."""
    swell = 0.2 + 0.2 * np.sin(2 * np.pi * 3 * np.arange(6000) / RATE)
    white = np.random.default_rng(0).standard_normal((2, 6000))
    return (0.3 * swell * white).astype(np.float32)


def test_a_gain_is_its_decibels_in_every_bin_and_no_timbre(noise):
    reference = 1000 * noise[0].astype(np.float64)  # so that no bin is at the floor
    # All levels differ by 20 dB, the cepstra not at all.
    found = spectra.log_spectral_distance_db(reference, reference / 10, RATE)
    assert found == pytest.approx(20, rel=1e-9)  # bins that are nearly empty round at 1e-12
    found = spectra.mfcc_distance(reference, reference / 10, RATE)
    assert found == pytest.approx(0, abs=1e-9)  # as above


def test_a_gain_is_reckoned_by_hand_at_several_resolutions(noise):
    reference = 1000 * noise[0].astype(np.float64)  # as above
    # |Y| = |X| / 10: convergence 0.9, distance of logarithms ln 10.
    found = spectra.multi_resolution_stft(reference, reference / 10)
    assert found == pytest.approx(0.9 + math.log(10), rel=1e-9)


@pytest.mark.parametrize("rate", [1000, 8000, 11_025, 44_100])
def test_cepstra_are_those_of_librosa(noise, rate):
    cut = spectra._frames(rate)
    length = 3 * cut.fft + 100
    cepstra = []
    for samples in np.resize(noise, (2, length)).astype(np.float64):
        mel = librosa.feature.melspectrogram(
            y=samples,
            sr=rate,
            n_fft=cut.fft,
            hop_length=cut.hop,
            win_length=cut.window,
            n_mels=spectra.MEL_BANDS,
            norm=None,
            dtype=np.float64,
        )
        decibels = librosa.power_to_db(mel / (cut.window / 4) ** 2, amin=1e-10, top_db=None)
        cepstra.append(librosa.feature.mfcc(S=decibels, n_mfcc=13)[1:])
    expected = np.linalg.norm(cepstra[0] - cepstra[1], axis=0).mean()
    sounds = np.resize(noise, (2, length))
    # Two ways of the same float64 transforms; logarithms of bands that may be near nothing.
    assert spectra.mfcc_distance(*sounds, sample_rate=rate) == pytest.approx(expected, rel=1e-6)


def test_levels_are_those_of_librosa(noise):
    cut = spectra._frames(RATE)
    levels = []
    for samples in noise.astype(np.float64):
        spectrum = librosa.stft(samples, n_fft=cut.fft, hop_length=cut.hop, win_length=cut.window)
        power = np.square(np.abs(spectrum) / (cut.window / 4))
        levels.append(librosa.power_to_db(power, amin=1e-10, top_db=None))
    expected = np.sqrt(np.mean((levels[0] - levels[1]) ** 2, axis=0)).mean()
    found = spectra.log_spectral_distance_db(*noise, sample_rate=RATE)
    assert found == pytest.approx(expected, rel=1e-6)  # two ways of one transform, as above


def test_a_sine_at_full_scale_stands_at_zero_decibels():
    sine = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)
    cut = spectra._frames(RATE)
    power = next(spectra._powers(sine, cut, "constant")) / spectra._sine_power(cut)
    inner = power[4:-4]  # whose windows the edges do not reach
    # The sine's image at -1000 Hz leaks in by less than 1e-6 of its power.
    assert inner.max(axis=1) == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("measure", ALL)
def test_nothing_is_nearer_than_the_same(noise, measure):
    near = (noise[0] + 0.01 * noise[1]).astype(np.float32)
    assert measure(noise[0], noise[0]) == 0
    assert 0 < measure(noise[0], near) < measure(noise[0], noise[1]) < math.inf


@pytest.mark.parametrize("measure", [ALL[0], ALL[2]])
def test_both_ways_are_as_far(noise, measure):
    assert measure(*noise) == pytest.approx(measure(*noise[::-1]), rel=EXACT)


@pytest.mark.parametrize("measure", ALL)
def test_chunks_do_not_matter(noise, measure, monkeypatch):
    whole = measure(*noise)
    monkeypatch.setattr(spectra, "CHUNK_SAMPLES", 7 * 2048)  # divides no number of frames here
    assert measure(*noise) == pytest.approx(whole, rel=EXACT)


@pytest.mark.parametrize("measure", ALL)
def test_silence_is_none_from_itself_and_finitely_far_from_sound(noise, measure):
    silence = np.zeros_like(noise[0])
    assert measure(silence, silence) == 0
    assert 1 < measure(noise[0], silence) < math.inf
    if measure is spectra.multi_resolution_stft:  # of which a part is relative to the reference
        assert measure(silence, noise[0]) == NotApplicable("the reference is silent")
    else:
        assert measure(silence, noise[0]) == pytest.approx(measure(noise[0], silence), rel=EXACT)


@pytest.mark.parametrize("level", [0.0, 0.5])
@pytest.mark.parametrize("count", [0, 1, 100, 600, 601])
@pytest.mark.parametrize("measure", ALL)
def test_short_and_flat_sounds_have_a_number_or_a_reason(noise, count, measure, level):
    flat = np.full(count, level, np.float32)
    for reference, estimate in [(noise[0, :count], flat), (flat, noise[0, :count]), (flat, flat)]:
        found = measure(reference, estimate)
        short = count == 0 or (measure is spectra.multi_resolution_stft and count <= 600)
        silent = measure is spectra.multi_resolution_stft and not reference.any()
        if short or (silent and estimate.any()):
            assert isinstance(found, NotApplicable)
        else:
            assert (found == 0) == (reference is estimate)
            assert 0 <= found < math.inf


@pytest.mark.parametrize("measure", ALL)
def test_what_cannot_be_compared_is_refused(noise, measure):
    with pytest.raises(ValueError, match="one length"):
        measure(noise[0], noise[0, 1:])
