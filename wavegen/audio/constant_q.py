"""The constant-Q transform: as many rows in each octave, so that a chord moves as one."""

from __future__ import annotations

import math

import numpy as np

LOWEST_PITCH = 24  # MIDI, C1; as in the NSynth paper's figures
OCTAVES = 8  # at most, to C9
BINS_PER_OCTAVE = 36  # whole in a semitone, so that a note in tune is in the middle of a row
FILTER_SCALE = 0.8  # windows a little shorter than full resolution asks for, as in the paper
_HOP_SECONDS = 0.016  # the paper's 256 samples at 16,000 Hz
_HIGHEST = 0.9  # share of half the sample rate that the highest row may reach
_LOWEST_HZ = 440.0 * 2.0 ** ((LOWEST_PITCH - 69) / 12)


def hop_length(sample_rate: int) -> int:
    """Samples from one column to the next, a power of two: the most within 16 ms."""
    return 1 << int(math.log2(_HOP_SECONDS * sample_rate))


def num_bins(sample_rate: int) -> int:
    """Rows that a sound of this rate has; at 1000 Hz there are three octaves of them."""
    octaves = math.log2(_HIGHEST * sample_rate / 2 / _LOWEST_HZ)
    return 1 + int(BINS_PER_OCTAVE * min(OCTAVES, octaves))


def longest_window(sample_rate: int) -> int:
    """Samples that the lowest row hears for a column: 1.26 s of them."""
    return math.ceil(_lengths(sample_rate).max())


def transform(
    samples: np.ndarray,  # [T] float32, at least two of the longest windows
    sample_rate: int,
) -> np.ndarray:  # [bins, 1 + T // hop_length] complex64
    """Column i is around sample i * hop_length; a full-scale sine has magnitude 1 in its row.

    Row k stands for MIDI pitch 24 + k / 3. The phase turns by 2 pi f hop_length / sample_rate
    from one column to the next where a tone of f Hz is heard.

    Brown 1991, "Calculation of a constant Q spectral transform", by the octaves of Schoerkhuber
    and Klapuri 2010; librosa's.
    """
    import librosa

    found = librosa.cqt(
        samples,
        sr=sample_rate,
        hop_length=hop_length(sample_rate),
        fmin=_LOWEST_HZ,
        n_bins=num_bins(sample_rate),
        bins_per_octave=BINS_PER_OCTAVE,
        filter_scale=FILTER_SCALE,
    )
    # librosa divides by the root of a window's length, and a real tone has half its power here.
    return found * (2 / np.sqrt(_lengths(sample_rate)))[:, None].astype(np.float32)


def _lengths(sample_rate: int) -> np.ndarray:  # [bins]
    """Samples of each row's window."""
    import librosa

    rows = np.arange(num_bins(sample_rate))
    hz = _LOWEST_HZ * 2.0 ** (rows / BINS_PER_OCTAVE)
    return librosa.filters.wavelet_lengths(freqs=hz, sr=sample_rate, filter_scale=FILTER_SCALE)[0]
