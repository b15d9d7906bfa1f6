"""A sound beside another: every metric has its words, and those of auraloss are auraloss's."""

import math

import numpy as np
import pytest

from wavegen.evaluation.metrics import pairs, words
from wavegen.evaluation.metrics.measures import NotApplicable

RATE = 8000
RECONSTRUCTION = [
    "mse", "psnr_db", "snr_db", "log_spectral_distance_db", "multi_resolution_stft",
    "mfcc_distance",
]  # fmt: skip

# What auraloss 0.4.0 makes of `sounds`, in float64 with torch 2.13, times -1 but for the last:
#     torch.set_default_dtype(torch.float64)
#     estimate, reference = (torch.from_numpy(each)[None, None] for each in (estimate, reference))
#     auraloss.time.SNRLoss(zero_mean=False)(estimate, reference)
#     auraloss.time.SISDRLoss()(estimate, reference)
#     auraloss.freq.MultiResolutionSTFTLoss()(estimate, reference)
AURALOSS = {
    "snr_db": 22.91228528595553,
    "si_sdr_db": 27.33521962408496,
    "multi_resolution_stft": 2.20458450737155,
}


@pytest.fixture(scope="module")
def sounds():
    """A second of a rising tone under a steady one, and the same distorted, with a whistle."""
    time = np.arange(RATE) / RATE
    reference = 0.5 * np.sin(2 * np.pi * 220 * time * (1 + time))
    reference += 0.1 * np.sin(2 * np.pi * 1777 * time)
    estimate = 0.9 * np.tanh(1.2 * reference) + 0.01 * np.sin(2 * np.pi * 3001 * time) + 0.02
    return reference, estimate


def test_numbers_are_those_that_auraloss_gave(sounds):
    found = pairs.compare(*sounds, sample_rate=RATE)
    # It adds 1e-8 to energies of some hundreds, against a division by nothing.
    assert {name: found[name] for name in AURALOSS} == pytest.approx(AURALOSS, rel=1e-8)


def test_numbers_are_those_that_auraloss_gives(sounds):
    auraloss = pytest.importorskip("auraloss", reason="the extra `peers` is not installed")
    torch = pytest.importorskip("torch")

    noise = np.random.default_rng(1).standard_normal((2, 5000)) / 5
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # of the windows, which are made in it
    try:
        losses = {
            "snr_db": auraloss.time.SNRLoss(zero_mean=False),
            "si_sdr_db": auraloss.time.SISDRLoss(),
            "multi_resolution_stft": auraloss.freq.MultiResolutionSTFTLoss(),
        }
        for reference, estimate in (sounds, sounds[::-1], (noise[0], noise[0] + noise[1] / 9)):
            found = pairs.compare(reference, estimate, RATE)
            tensors = [torch.from_numpy(each)[None, None] for each in (estimate, reference)]
            for name, loss in losses.items():
                sign = -1 if name.endswith("_db") else 1
                # As above; a thousand times under what is asked.
                assert found[name] == pytest.approx(sign * float(loss(*tensors)), rel=1e-8)
    finally:
        torch.set_default_dtype(before)


def test_every_metric_has_its_words(sounds):
    assert list(pairs.reconstruction(*sounds, sample_rate=RATE)) == RECONSTRUCTION
    found = pairs.compare(*sounds, sample_rate=RATE)
    assert found.keys() > set(RECONSTRUCTION)
    assert found.keys() <= words.METRICS.keys()
    assert pairs.reconstruction(*sounds, sample_rate=RATE).items() <= found.items()


def test_the_nearer_is_nearer_by_every_metric(sounds):
    reference, estimate = sounds
    far = pairs.reconstruction(reference, estimate, RATE)
    near = pairs.reconstruction(reference, reference + (estimate - reference) / 10, RATE)
    for name in RECONSTRUCTION:
        change = np.diff(np.array([far[name], near[name]], np.float64))
        assert (change < 0) == (words.METRICS[name].better == "lower"), name


def test_the_same_sound_is_at_no_distance(sounds):
    found = pairs.compare(sounds[0], sounds[0].copy(), RATE)
    same = {name for name, value in found.items() if isinstance(value, NotApplicable)}
    assert same >= {"psnr_db", "snr_db", "si_sdr_db"}
    distances = [*RECONSTRUCTION, "loudness_distance_db", "loudness_difference_lu"]
    assert {found[name] for name in distances if name not in same} == {0}


@pytest.mark.parametrize("rate", [1000, 8000, 44_100])
@pytest.mark.parametrize("count", [0, 1, 50, 700, 4000])
@pytest.mark.parametrize(
    ("reference", "estimate"),
    [
        ("silence", "silence"),
        ("silence", "sound"),
        ("sound", "silence"),
        ("flat", "sound"),
        ("flat", "flat"),
        ("sound", "broken"),
    ],
)
def test_every_metric_is_a_finite_number_or_a_reason(rate, count, reference, estimate):
    made = {
        "silence": np.zeros(count, np.float32),
        "flat": np.full(count, 0.25, np.float32),
        "broken": np.full(count, np.nan, np.float32),
        "sound": np.random.default_rng(0).uniform(-1, 1, count).astype(np.float32),
    }
    found = pairs.compare(made[reference], made[estimate], rate)
    for name, value in found.items():
        assert isinstance(value, NotApplicable) or math.isfinite(value), name


def test_what_cannot_be_compared_is_refused(sounds):
    with pytest.raises(ValueError, match="one length"):
        pairs.compare(sounds[0], sounds[1][:-1], RATE)
