"""What holds a predictor to a level, as the CPU's loop runs it; see wavegen_kernels.steering."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from wavegen_kernels.cpu.scalar import exponential, logarithm
from wavegen_kernels.steering import AS_LOUD, FARTHEST, QUIETEST, level_samples

_AS_LOUD, _FARTHEST = np.float32(AS_LOUD), np.float32(FARTHEST)
_LEAST = np.float32(math.exp(QUIETEST))
_level_samples = njit(nogil=True, error_model="numpy")(level_samples)


@njit(nogil=True, error_model="numpy")
def level(heard):
    """How loud the last of `heard` [W] are: the log of their mean square."""
    count = _level_samples(heard.size)
    total = np.float32(0)
    for i in range(heard.size - count, heard.size):
        total += heard[i] * heard[i]
    return logarithm(total / np.float32(count) + _LEAST)


@njit(nogil=True, error_model="numpy")
def grow(taps, window, off):
    """Multiplies the coefficients `taps` [N], the last one first; `off` is what the level lacks."""
    far = min(max(abs(off) - _AS_LOUD, np.float32(0)), _FARTHEST)
    each = exponential(math.copysign(far, off) / np.float32(2 * _level_samples(window)))
    grown = np.float32(1)
    for m in range(taps.size - 1, -1, -1):
        grown *= each
        taps[m] *= grown
