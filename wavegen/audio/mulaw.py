"""Mu-law codes: each sample as one of `n_codes` classes, finer where sound is quiet."""

from __future__ import annotations

import functools

import numpy as np

from wavegen.errors import WavegenError

INT16_FULL_SCALE = 32767  # the sample of 1.0 where samples are int16


def encode(
    samples: np.ndarray,  # [...] in [-1, 1]; what lies beyond is clipped
    n_codes: int,
) -> np.ndarray:  # [...] int32
    """Codes in [0, n_codes). Not finite samples are refused: they have no code."""
    x = np.asarray(samples, np.float64)
    if not np.isfinite(x).all():
        raise WavegenError(
            f"{np.count_nonzero(~np.isfinite(x))} samples are NaN or infinite",
            "finite samples in [-1, 1]",
        )
    mu = n_codes - 1
    x = np.clip(x, -1.0, 1.0)
    companded = np.sign(x) * np.log1p(mu * np.abs(x)) / np.log1p(mu)
    return np.floor((companded + 1) / 2 * mu + 0.5).astype(np.int32)


def decode(
    codes: np.ndarray,  # [...] in [0, n_codes)
    n_codes: int,
) -> np.ndarray:  # [...] float32 in [-1, 1]
    """Samples in [-1, 1]; encoding them gives the codes back."""
    mu = n_codes - 1
    companded = 2 * np.asarray(codes, np.float64) / mu - 1
    samples = np.sign(companded) * np.expm1(np.abs(companded) * np.log1p(mu)) / mu
    return samples.astype(np.float32)


def silence(n_codes: int) -> int:
    """The code of 0.0: the middle, rounded up; 128 of 256. Its decoded value is not quite 0."""
    return int(encode(np.zeros(1), n_codes)[0])


@functools.cache
def int16_codes(n_codes: int) -> np.ndarray:  # [65536] uint8 or uint16
    """The code of every int16 sample, at the place value + 32768; read only.

    An int16 sample v stands for v / 32767, as a prepared corpus stores it.
    """
    samples = np.arange(-32768, 32768) / INT16_FULL_SCALE
    table = encode(samples, n_codes).astype(np.uint8 if n_codes <= 256 else np.uint16)
    table.flags.writeable = False
    return table
