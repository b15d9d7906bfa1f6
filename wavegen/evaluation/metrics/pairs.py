"""All that is measured of a sound beside another, by the names of words.METRICS."""

from __future__ import annotations

import numpy as np

from wavegen.evaluation.metrics import loudness, onsets, pitch, spectra, waveforms
from wavegen.evaluation.metrics.measures import Measure


def reconstruction(
    reference: np.ndarray,  # [T] in [-1, 1]
    estimate: np.ndarray,  # [T] in [-1, 1]
    sample_rate: int,
) -> dict[str, Measure]:
    """How well a sound was reconstructed, sample by sample and in its spectra."""
    return {
        "mse": waveforms.mse(reference, estimate),
        "psnr_db": waveforms.psnr_db(reference, estimate),
        "snr_db": waveforms.snr_db(reference, estimate),
        "log_spectral_distance_db": spectra.log_spectral_distance_db(
            reference, estimate, sample_rate
        ),
        "multi_resolution_stft": spectra.multi_resolution_stft(reference, estimate),
        "mfcc_distance": spectra.mfcc_distance(reference, estimate, sample_rate),
    }


def compare(
    reference: np.ndarray,  # [T] in [-1, 1]
    estimate: np.ndarray,  # [T] in [-1, 1]
    sample_rate: int,
) -> dict[str, Measure]:
    """Every metric of a sound beside another: reconstruction, loudness, pitch and onsets."""
    return {
        **reconstruction(reference, estimate, sample_rate),
        "si_sdr_db": waveforms.si_sdr_db(reference, estimate),
        "loudness_distance_db": loudness.loudness_distance_db(reference, estimate, sample_rate),
        "loudness_difference_lu": loudness.loudness_difference_lu(reference, estimate, sample_rate),
        **pitch.beside(reference, estimate, sample_rate),
        **onsets.beside(reference, estimate, sample_rate),
    }
