"""The jnp functions that a kernel may call, and two that not every accelerator's compiler knows.

Handed as `xp` to the functions of wavegen_kernels.predictor.
"""

from __future__ import annotations

from jax import Array
from jax.numpy import abs, clip, exp, log, maximum, minimum, sign, sqrt, where

__all__ = [
    "abs",
    "arcsinh",
    "clip",
    "exp",
    "expm1",
    "log",
    "maximum",
    "minimum",
    "sign",
    "sqrt",
    "where",
]

SMALL = 0.3  # below, e^x - 1 by its series: e^x alone has lost 2 bits at 0.3, and more below


def expm1(x: Array) -> Array:
    """e^x - 1, to 3e-7 of its size."""
    series = 1.0
    for n in range(7, 1, -1):
        series = 1 + x / n * series
    return where(abs(x) < SMALL, x * series, exp(x) - 1)


def arcsinh(x: Array) -> Array:
    """The inverse hyperbolic sine, to 2e-7."""
    return sign(x) * log(abs(x) + sqrt(x * x + 1))
