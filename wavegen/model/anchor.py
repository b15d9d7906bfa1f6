"""A tone like the one asked for, from its period and the strength of its harmonics.

A steered predictor hears it besides the past; see wavegen_kernels.steering. The harmonics lie in
bands: the lowest stand alone, the higher the more of them share one strength.

Letters: K bands, M samples of a period as it lies in WAVES, A samples of an anchor.
"""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from wavegen_kernels.steering import along

Array = Any  # a jax array, or a numpy one that becomes one inside jit

# The first harmonic of each band, and the first beyond the last band.
FIRSTS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 18, 20, 24, 28, 32, 40, 48, 64, 80)
BANDS = len(FIRSTS) - 1  # K
PERIOD_SAMPLES = 1024  # M: 13 of the highest harmonic's shortest period
HIGHEST = 0.49  # of the sample rate: what is higher is left out, with its band

# An anchor counts as much as so many samples at its level do; the past, as half its window.
COUNTS = 3000.0
# What a fit hears and what is drawn has noise, of which faint harmonics get as much as strong ones:
# so the anchor's are that much further apart, in dB, than those that shall come out.
CONTRAST = 1.15
# A fit to a bare tone has poles as narrow for its faint harmonics as for the strong ones, and noise
# as loud as the tone then drives all of them alike: a plucked string whistles. The anchor's noise
# is to its tone as this power of what is expected, and so drowns what is faint while it is loud.
NOISE_POWER = 2.0
FAINTEST = 1e-6  # of all of a tone's power: a harmonic that is fainter is none


def _waves() -> np.ndarray:  # [K, M]
    """A period of each band: its harmonics, each of a mean square of 1, their phases spread."""
    turns = np.arange(PERIOD_SAMPLES) / PERIOD_SAMPLES
    harmonics = np.arange(FIRSTS[0], FIRSTS[-1])[:, None]
    golden = harmonics**2 * (math.sqrt(5) - 1) / 2  # no two alike, and so no pulse
    tones = math.sqrt(2) * np.cos(2 * math.pi * (harmonics * turns + golden))
    starts = np.array(FIRSTS[:-1]) - FIRSTS[0]
    return np.add.reduceat(tones, starts, axis=0)


WAVES = _waves().astype(np.float32)
WIDTHS = np.diff(FIRSTS).astype(np.float32)  # [K] harmonics in each band


def _sweep(count: int) -> np.ndarray:  # [A]
    """Stands for noise of a mean square of 1: a tone that rises from 0 to half the rate.

    It is as loud at every frequency. Of noise, a fit to so few samples takes every chance peak
    for a resonance.
    """
    samples = np.arange(count)
    return (math.sqrt(2) * np.cos(math.pi * samples**2 / (2 * count))).astype(np.float32)


def heard(periods: Array) -> Array:  # [...] -> [..., K] bool
    """Which bands a tone of that period has: all whose harmonics are below half the rate."""
    lasts = np.array(FIRSTS[1:], np.float32) - 1
    reach = HIGHEST * periods[..., None]
    return along(lasts, reach) < reach


def sounds(
    periods: Array,  # [...] samples; 0: nothing is asked for
    strengths: Array,  # [..., K]: logarithms of the power of one harmonic, to a common factor
    noises: Array,  # [...]: logarithms of the error level expected over the level expected
    count: int,  # A
) -> Array:  # [..., A]
    """An anchor: so many samples of the tone, of the energy of COUNTS samples at full scale.

    Read from WAVES along a straight line between two samples. Where noise of the tone's level is
    expected, as when a string is plucked, there is as much besides; where less, far less.
    """
    noise = jnp.exp(NOISE_POWER * jnp.minimum(noises, 0.0)) * math.sqrt(COUNTS / count)
    noise = jnp.where(periods > 0, noise, 0.0)[..., None]
    return _tone(periods, strengths, count) + noise * along(_sweep(count), noise)


def _tone(periods: Array, strengths: Array, count: int) -> Array:  # as in sounds
    powers = jnp.where(heard(periods), jnp.exp(CONTRAST * strengths), 0.0)
    whole = powers @ WIDTHS
    scale = COUNTS / count / jnp.maximum(whole, 1e-30)
    period = jnp.sqrt(powers * scale[..., None]) @ WAVES  # [..., M]
    turns = _along(np.arange(count), periods)
    place = PERIOD_SAMPLES * (turns - jnp.floor(turns))
    before = jnp.minimum(place.astype(jnp.int32), PERIOD_SAMPLES - 1)
    low, high = (
        jnp.take_along_axis(period, at, axis=-1) for at in (before, (before + 1) % PERIOD_SAMPLES)
    )
    return low + (place - before) * (high - low)


def strengths(samples: Array, periods: Array) -> Array:  # [..., n], [...] -> [..., K]
    """The strengths that a sound has: logarithms, as shares of all of it, at least FAINTEST.

    The power of a band is what lies between half a harmonic below its first one and half of one
    above its last one, in a spectrum under a Hann window; a little out of tune matters little.
    """
    n = samples.shape[-1]
    window = along(np.hanning(n).astype(np.float32), samples)
    powers = jnp.abs(jnp.fft.rfft(samples * window, 2 * n)) ** 2
    sums = jnp.cumsum(powers, axis=-1)  # up to each bin, of which there are 2n in a whole turn
    edges = jnp.clip(_along(2 * n * (np.array(FIRSTS) - 0.5), periods), 0, n - 1)
    below = edges.astype(jnp.int32)
    low, high = (jnp.take_along_axis(sums, at, axis=-1) for at in (below, below + 1))
    within = jnp.diff(low + (edges - below) * (high - low), axis=-1)
    shares = within / jnp.maximum(within.sum(axis=-1, keepdims=True), 1e-12)
    return jnp.log(jnp.maximum(shares / along(WIDTHS, shares), FAINTEST))


def _along(row: np.ndarray, periods: Array) -> Array:  # [n], [...] -> [..., n]
    """A row of numbers in periods; where there is none, as if it were a sample."""
    periods = jnp.maximum(periods, 1.0)[..., None]
    return along(row.astype(np.float32), periods) / periods
