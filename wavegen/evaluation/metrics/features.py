"""What sets of sounds are compared by: mel levels and cepstra of frames, one vector a sound.

Each function takes what the one before it gave: samples, mel levels, cepstra, a vector.
"""

from __future__ import annotations

import numpy as np

from wavegen.audio import signals

HOP_SECONDS = 0.016
LOWEST_DB = -80.0  # below a sine at full scale; nobody hears what differs below
NUM_COEFFICIENTS = 20
NUM_SPANS = 8  # of a sound's time, whose levels stand in its vector
NUM_FEATURES = 2 * NUM_COEFFICIENTS + NUM_SPANS  # of that vector
_FRAMES_AT_A_TIME = 4096  # about a minute: of an hour only the levels are held whole


def log_mel(
    samples: np.ndarray,  # [T] in [-1, 1]
    sample_rate: int,
) -> np.ndarray:  # [F, M] float32
    """Levels of 64 mel bands in dB below a sine at full scale, down to LOWEST_DB.

    A frame each 16 ms, in a window of 64 ms or somewhat more around it. Before and after the
    sound is silence; so there is a frame, at least, even where the sound is shorter than a window.
    """
    hop = max(1, round(HOP_SECONDS * sample_rate))
    F = max(1, -(-len(samples) // hop))
    before, after = signals.margins(sample_rate, hop)
    padded = np.zeros(before + F * hop + after, np.float32)
    padded[before : before + len(samples)] = samples
    parts = []
    for first in range(0, F, _FRAMES_AT_A_TIME):
        last = min(first + _FRAMES_AT_A_TIME, F)
        part = padded[None, first * hop : before + last * hop + after]
        parts.append(signals.frames(["mel"], part, sample_rate, hop)[0])
    return np.maximum(signals.level_db(np.concatenate(parts)), LOWEST_DB)


def mfcc(
    levels: np.ndarray,  # [F, M] dB, of `log_mel`
) -> np.ndarray:  # [F, D] float32
    """The first 20 coefficients of the orthonormal cosine transform of mel levels.

    Davis and Mermelstein 1980, "Comparison of parametric representations". Coefficient 0 is the
    mean level times 8, the root of the number of bands.
    """
    from scipy import fft

    return np.asarray(fft.dct(levels, axis=1, norm="ortho"))[:, :NUM_COEFFICIENTS]


def summary(
    cepstra: np.ndarray,  # [F, D], of `mfcc`; F > 0
) -> np.ndarray:  # [K] float64
    """A sound in 48 numbers: of its cepstra the mean and the spread over time, then its course.

    The course is how far the level (coefficient 0) of each eighth of the sound lies above the
    level of the whole: so attack and decay count, and sounds of unlike lengths can be compared.
    """
    cepstra = np.asarray(cepstra, np.float64)
    F = len(cepstra)
    mean = cepstra.mean(axis=0)
    so_far = np.concatenate([[0.0], np.cumsum(cepstra[:, 0])])
    edges = np.interp(np.linspace(0, F, NUM_SPANS + 1), np.arange(F + 1), so_far)
    course = np.diff(edges) * NUM_SPANS / F - mean[0]
    return np.concatenate([mean, cepstra.std(axis=0), course])
