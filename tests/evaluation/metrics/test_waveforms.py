"""Distances sample by sample are those of the formulas, and have words where there is no number."""

import math

import numpy as np
import pytest

from wavegen.evaluation.metrics import waveforms
from wavegen.evaluation.metrics.measures import NotApplicable

ALL = [waveforms.mse, waveforms.psnr_db, waveforms.snr_db, waveforms.si_sdr_db]
SQUARE = np.tile([0.5, -0.5], 500).astype(np.float32)
ACROSS = np.tile([0.5, 0.5, -0.5, -0.5], 250).astype(np.float32)  # orthogonal to SQUARE
EXACT = 1e-12  # relative: some thousand roundings of 2^-53


@pytest.fixture
def noise():
    """Two sounds that have little in common."""
    return np.random.default_rng(0).uniform(-1, 1, (2, 5000)).astype(np.float32)


def test_square_waves_give_what_is_reckoned_by_hand():
    estimate = SQUARE + ACROSS / 10
    assert waveforms.mse(SQUARE, estimate) == pytest.approx(0.05**2, rel=1e-6)  # float32 samples
    assert waveforms.psnr_db(SQUARE, estimate) == pytest.approx(10 * math.log10(400), abs=1e-5)
    assert waveforms.snr_db(SQUARE, estimate) == pytest.approx(20, abs=1e-5)
    assert waveforms.si_sdr_db(SQUARE, estimate) == pytest.approx(20, abs=1e-5)


def test_silence_for_an_answer_is_as_wrong_as_the_reference_is_loud():
    assert waveforms.mse(SQUARE, 0 * SQUARE) == 0.25
    assert waveforms.snr_db(SQUARE, 0 * SQUARE) == 0
    assert waveforms.si_sdr_db(SQUARE, 0 * SQUARE) == NotApplicable(
        "nothing of the reference is in the estimate"
    )


def test_only_the_scale_invariant_ratio_overlooks_gain_and_offset(noise):
    reference, other = noise[0], noise[0] + noise[1] / 100
    moved = 0.25 * other.astype(np.float64) + 0.1
    found, plain = (waveforms.si_sdr_db(reference, each) for each in (moved, other))
    assert found == pytest.approx(plain, rel=EXACT)
    assert plain == pytest.approx(40, abs=0.5)  # where two kinds of noise are about as loud
    assert waveforms.snr_db(reference, other) == pytest.approx(plain, abs=0.01)  # 1 in 1e4 of each
    # Three quarters of the sound are missing: 2.5 dB; the offset takes some of these.
    assert waveforms.snr_db(reference, moved) == pytest.approx(2.2, abs=0.5)


def test_the_less_noise_the_nearer(noise):
    estimates = [noise[0] + level * noise[1] for level in (0.1, 0.01, 0.001)]
    errors, *ratios = (
        np.array([measure(noise[0], each) for each in estimates], np.float64) for measure in ALL
    )
    assert (np.diff(errors) < 0).all()
    for found in ratios:
        # Twenty dB a step, but for what both sounds happen to have in common and float32 rounds.
        assert np.diff(found) == pytest.approx(20, abs=0.1)


def test_pieces_do_not_matter(noise, monkeypatch):
    whole = [measure(*noise) for measure in ALL]
    monkeypatch.setattr(waveforms.pieces, "__defaults__", (777,))
    assert [measure(*noise) for measure in ALL] == pytest.approx(whole, rel=EXACT)
    pieces = list(waveforms.pieces(*noise))
    assert [len(reference) for reference, _ in pieces] == [777] * 6 + [338]


def test_precision_is_that_of_float64(noise):
    reference, noise = noise.astype(np.float64)
    # In float32 the difference would be rounded away.
    assert waveforms.snr_db(reference, reference + 1e-9 * noise) == pytest.approx(180, abs=0.5)
    assert waveforms.si_sdr_db(reference, reference + 1e-9 * noise) == pytest.approx(180, abs=0.5)


def test_what_is_the_same_has_no_ratio(noise):
    same = NotApplicable("they are the same")
    assert waveforms.mse(noise[0], noise[0]) == 0
    assert waveforms.psnr_db(noise[0], noise[0]) == same
    assert waveforms.snr_db(noise[0], noise[0]) == same
    for gain in (1.0, 0.3, -2.0):
        louder = gain * noise[0].astype(np.float64) + 0.01
        assert waveforms.si_sdr_db(noise[0], louder) == NotApplicable(
            "they are the same but for a gain"
        )


@pytest.mark.parametrize("level", [0.0, 0.1])
def test_a_silent_or_constant_reference_has_no_ratio(noise, level):
    flat = np.full(5000, level, np.float32)
    silent, constant = (
        NotApplicable(f"the reference is {what}") for what in ("silent", "constant")
    )
    assert waveforms.si_sdr_db(flat, noise[1]) == (constant if level else silent)
    if not level:  # an offset has energy
        assert waveforms.snr_db(flat, noise[1]) == silent
        assert waveforms.snr_db(flat, flat) == silent
        assert waveforms.mse(flat, flat) == 0


@pytest.mark.parametrize("measure", ALL)
def test_no_samples_have_no_distance(measure):
    empty = np.zeros(0, np.float32)
    assert measure(empty, empty) == NotApplicable("there are no samples")


@pytest.mark.parametrize("measure", ALL)
def test_what_cannot_be_compared_is_refused(measure):
    with pytest.raises(ValueError, match=r"one length: \(1000,\) and \(999,\)"):
        measure(SQUARE, SQUARE[1:])
    with pytest.raises(ValueError, match="one length"):
        measure(SQUARE[:, None], SQUARE[:, None])


@pytest.mark.parametrize("measure", ALL)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_sound_has_no_distance(measure, bad):
    reason = NotApplicable("there are NaN or infinite samples")
    for pair in (SQUARE, np.where(SQUARE > 0, bad, 0)), (np.full(1000, bad), SQUARE):
        assert measure(*pair) == reason
