"""What keeps a fitted predictor to the sound asked for, whatever it hears of its own.

A predictor that is fitted to what was drawn goes on with whatever that was: a tone that is faint,
noisy or out of tune costs no likelihood that could be learnt from, so nothing brings it back. A
steered one is told what is asked for, and every fit is held to it:

- it sounds like it: beside the past a fit hears some samples of a sound like the one asked for,
  so that what the past says little of, or says wrongly, is said by them;
- it is as loud: what is foretold grows or fades until the level is the one expected;
- it is as noisy: the error level stays near the one expected.

What is as loud and as noisy as expected is left as it is.

The functions take numpy arrays and jax arrays alike; `xp` says which. Letters as in predictor.py,
and A samples of an anchor.
"""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any, NamedTuple

Array = Any  # a numpy array or a jax array

QUIETEST = math.log(1e-7)  # of the mean square: nothing is fainter
AS_LOUD = math.log(10) * 3 / 10  # a level may be so far off: 3 dB of the mean square
FARTHEST = math.log(10) * 12 / 10  # the more it is off the faster it returns, up to 12 dB
LEVEL_SHARE = 16  # of the window: a level is the mean of its last sixteenth
AS_NOISY = 2.0  # times the error level expected, or a half of it, at most


class Aim(NamedTuple):
    """What a steered predictor is held to, at a fit or in a frame."""

    # What a fit hears besides the past, at a level of 0; zeros are nothing.
    anchors: Array  # [..., A] float32
    levels: Array  # [...] float32: the `level` expected
    noises: Array  # [...] float32: the logarithm of the error level expected


def along(row: Array, x: Array) -> Array:
    """A row [n] with the leading axes that x has; one that has them already stays as it is."""
    return row.reshape((1,) * (x.ndim - row.ndim) + row.shape)


def level_samples(window: int) -> int:
    """Of the window, the last samples that a level is the mean of."""
    return max(1, window // LEVEL_SHARE)


def level(heard: Array, xp: ModuleType) -> Array:  # [..., W] -> [...]
    """How loud the last samples are: the log of their mean square."""
    last = heard[..., heard.shape[-1] - level_samples(heard.shape[-1]) :]
    return xp.log((last * last).mean(-1) + math.exp(QUIETEST))


def growth(heard: Array, asked: Array, xp: ModuleType) -> Array:  # [..., W], [...] -> [...]
    """What a sample should be multiplied with for each sample that passes, as a logarithm.

    It takes the level to within 3 dB of what is asked for, in about the time that it is the
    mean of.
    """
    off = asked - level(heard, xp)
    off = xp.sign(off) * xp.clip(xp.abs(off) - AS_LOUD, 0, FARTHEST)
    return off / (2 * level_samples(heard.shape[-1]))


def anchored(anchors: Array, heard: Array, asked: Array, xp: ModuleType) -> Array:
    """The anchors, as loud as expected or as what is heard, whichever is louder.

    So that a sound that has strayed and is too loud does not drown them. [..., A], [..., W], [...]
    """
    loud = xp.maximum(asked, level(heard, xp))
    return (anchors * xp.exp(loud / 2)[..., None]).astype(heard.dtype)


def grown(coefficients: Array, growth: Array, xp: ModuleType) -> Array:  # [..., N], [...] -> alike
    """The coefficients of what is foretold, so much louder for each sample that passes."""
    ago = along(xp.arange(1, coefficients.shape[-1] + 1), coefficients)
    return (coefficients * xp.exp(growth[..., None] * ago)).astype(coefficients.dtype)


def bounded(error: Array, noises: Array, xp: ModuleType) -> Array:
    """The error level, where it is far from the one expected brought near."""
    expected = xp.exp(noises)
    return xp.clip(error, expected / AS_NOISY, expected * AS_NOISY)
