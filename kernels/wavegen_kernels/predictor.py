"""The linear predictor: what of the next sample follows from the last ones.

There are two kinds. One is fitted: every `refit` samples to the last `window` samples and to
nothing else (backward adaptation, as in ITU-T G.728), so nothing has to be sent, stored or learnt.
The other is periodic: it repeats what sounded one period of the note asked for ago (the long-term
predictor of speech coders, as in Ramachandran and Kabal 1989, with the lag given instead of
found), so that what is played stays in tune whatever it hears of itself. The network above is
told the foretold sample and how far off it has been lately, and adds its own logits to a
distribution around that sample.

The functions take numpy arrays and jax arrays alike; `xp` says which. Letters as in weights.py,
and N order, W window.
"""

from __future__ import annotations

import math
from functools import partial
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from wavegen_kernels import steering
from wavegen_kernels.steering import Aim, along
from wavegen_kernels.weights import Predictor, expanded

Array = Any  # a numpy array or a jax array

# White noise that every fit takes for granted, as a share of the energy (-50 dB): keeps the
# reflections below 1 where a recording repeats itself exactly, as digital silence and tones do.
NOISE = 1e-5
TINY = 1e-12  # keeps 0 / 0 away where a window is all zeros
FITS_AT_ONCE = 16  # on a CPU: 16 windows of 1024 samples stay in the cache near the core

# The error level is the root of a mean over the last few samples and over some more.
RATES = (1 / 64, 1 / 256)  # per sample
SHARES = (0.7, 0.3)

FLAT = 40.0  # e^40 squared is still a float32; the logistic function is flat long before
# Probability that the base distribution leaves to every code. With 1e-5 it is a click 40 times a
# second, and what was music becomes noise; with less, bits per sample stay as they are.
EVEN = 1e-8
FADES = 0.1  # of its loudness, at most, in each period: without a bound notes die in their attack
WIDEST = 5.0  # the network makes the distribution up to e^5 times as wide or as narrow
# The logistic distribution's scale, before anything is learnt, over the error level: found best
# on music, notes and speech (0.35 to 0.5; benchmarks/README.md).
INITIAL_WIDTH = 0.45

STEPS = 32  # rows of each embedding; with 64 no bit was gained
QUIETEST = 1e-5  # an error level as low as this, or lower, is at its embedding's end
# A surprise of so many times the error level, and any larger one, is at its embedding's end.
FARTHEST = 45.0


class Foretold(NamedTuple):
    """What the past says of some samples."""

    value: Array  # [...] float32 in [-1, 1]: the foretold sample
    error: Array  # [...] float32 > 0: how far off it has been lately
    surprise: Array  # [...] float32: the last sample's error, in error levels


def cells(n_codes: int) -> tuple[np.ndarray, np.ndarray]:  # [V], [V] float64
    """Middle and half width of the amplitudes that each code stands for.

    The outermost reach to +-4 instead of to infinity: no distribution is that wide.
    """
    inner = expanded(np.arange(1, n_codes) - 0.5, n_codes)
    edges = np.concatenate([[-4.0], inner, [4.0]])
    return (edges[1:] + edges[:-1]) / 2, (edges[1:] - edges[:-1]) / 2


def weights_of_samples(window: int) -> np.ndarray:  # [W] float64
    """How much each sample of a fit counts: the later the more, from 0 before the window to 1."""
    return np.arange(1, window + 1) / window


def fit(
    samples: Array,  # [..., W], of which the last is the newest
    order: int,
    damping: float,  # in (0, 1]
    xp: ModuleType,
    weights: np.ndarray | None = None,  # [W]; weights_of_samples unless told
    anchors: Array | None = None,  # [..., A]: samples of another sound, fitted to as well
) -> Array:  # [..., N]
    """Coefficients a of the prediction u[t] = sum over k of a[k-1] * x[t-k].

    Burg's method (Burg 1975, "Maximum entropy spectral analysis", chapter II) with weighted
    errors (Swingler 1979, "A modified Burg algorithm for maximum entropy spectral analysis").
    Every reflection coefficient lies between -1 and 1 whatever the samples, so the prediction
    filter is of minimum phase. `damping` to the power of k, on a[k-1], draws its roots further
    into the unit circle ("bandwidth expansion"), so that no sound goes on by itself for long.
    Each sample of an anchor counts 1. Nothing is foretold from one of the two sounds in the other.
    """
    W = samples.shape[-1]
    weights, place = weights_of_samples(W) if weights is None else weights, np.arange(W)
    if anchors is not None:
        A = anchors.shape[-1]
        samples = xp.concatenate([anchors.astype(samples.dtype), samples], axis=-1)
        weights, place = np.append(np.ones(A), weights), np.append(np.arange(A), place)
    counts = along(xp.asarray(weights, samples.dtype), samples)
    least = least_energy(samples, counts)
    # The lattice that filters the samples, fed with a single 1, gives the coefficients too.
    pulse = xp.concatenate([xp.ones_like(samples[..., :1]), _zeros(xp, samples, order)], axis=-1)

    def stage(m: Any, lattice: tuple) -> tuple:
        ahead, behind, forth, back = lattice
        lattice = (ahead, _delayed(xp, behind), forth, _delayed(xp, back))
        behind_too = along(xp.asarray(place), samples) > m
        return reflected(lattice, xp.where(behind_too, counts, 0), least)

    lattice = (samples, samples, pulse, pulse)
    if xp is jnp:
        lattice = jax.lax.fori_loop(0, order, stage, lattice)
    else:
        for m in range(order):
            lattice = stage(m, lattice)
    fading = xp.asarray(damping ** np.arange(1, order + 1), samples.dtype)
    return -lattice[2][..., 1:] * along(fading, samples)


def least_energy(samples: Array, counts: Array) -> Array:  # [..., W], like it -> [..., 1]
    """What every stage's energy is taken to be more than; it keeps reflections below 1."""
    return 2 * NOISE * (samples * samples * counts).sum(-1, keepdims=True) + TINY


def reflected(lattice: tuple, counts: Array, least: Array) -> tuple:
    """A stage of the lattice: what is left of the samples ahead and behind, and of the pulses.

    The two behind come delayed by a sample; `counts` is zero where there is nothing behind.
    """
    ahead, behind, forth, back = lattice
    both = (counts * (ahead * ahead + behind * behind)).sum(-1, keepdims=True) + least
    k = 2 * (counts * ahead * behind).sum(-1, keepdims=True) / both
    return ahead - k * behind, behind - k * ahead, forth - k * back, back - k * forth


def coefficients(
    samples: Array,  # [..., W]
    aim: Aim | None,  # of [...], of a steered one
    order: int,
    damping: float,
    xp: ModuleType,
) -> Array:  # [..., N]
    """What a fitted predictor makes of the samples before: `fit`, held to what is asked for."""
    if aim is None:
        return fit(samples, order, damping, xp)
    anchors = steering.anchored(aim.anchors, samples, aim.levels, xp)
    fitted = fit(samples, order, damping, xp, anchors=anchors)
    return steering.grown(fitted, steering.growth(samples, aim.levels, xp), xp)


class Echo(NamedTuple):
    """A filter that gives back an earlier sound: u[t] = sum over k of taps[k] * x[t-delay-k]."""

    delay: Array  # [...] int32, at least 1
    taps: Array  # [..., N] float32


def echo(
    periods: Array,  # [...] float32: samples in a period of the note asked for; 0: no note yet
    order: int,
    window: int,
    damping: float,  # in (0, 1]
    xp: ModuleType,
) -> Echo:
    """What repeats the sound of one period ago, `damping` times as loud.

    Zeros where there is no note to repeat.

    Between samples it reads with a sinc of N taps under a Hann window (Laakso et al. 1996,
    "Splitting the unit delay", section on windowed sincs). A period too short for the taps
    is taken several times. One that reaches beyond the window gives zeros too.
    """
    reach = order / 2
    sounding = xp.where(periods > 0, periods, 1)
    ago = sounding * xp.ceil((reach + 1) / sounding)  # a whole number of periods
    delay = xp.ceil(ago - reach)
    off = along(xp.arange(order, dtype=ago.dtype), delay[..., None]) + (delay - ago)[..., None]
    taps = xp.sinc(off) * (1 + xp.cos(math.pi * xp.clip(off / reach, -1, 1)))
    taps = damping * taps / taps.sum(-1, keepdims=True)
    heard = (periods > 0) & (delay + order - 1 <= window)
    return Echo(
        xp.where(heard, delay, 1).astype(np.int32),
        xp.where(heard[..., None], taps, 0).astype(np.float32),
    )


def foretell(
    past: Array,  # [B, N]: the samples that the coefficients weigh, oldest first
    coefficients: Array,  # [B, N]
    errors: Array,  # [B, 3]
    floor: float,
    n_codes: int,
    xp: ModuleType,
    noises: Array | None = None,  # [B]: see steering.Aim; of a steered one
) -> Foretold:  # [B]
    """What the past says of the next sample of every stream."""
    value = (coefficients[:, ::-1] * past).sum(-1)
    value = xp.clip(value, -1, 1)
    error = level(errors[:, 0], errors[:, 1], value, floor, n_codes, xp)
    if noises is not None:
        error = steering.bounded(error, noises, xp)
    return Foretold(value, error, errors[:, 2])


def level(
    fast: Array,  # [...]: running mean square of the error, over the last few samples
    slow: Array,  # [...]: the same over some more
    value: Array,  # [...]: the foretold sample
    floor: float,  # in cells
    n_codes: int,
    xp: ModuleType,
) -> Array:  # [...]
    """The error level: as large as errors were of late, and `floor` cells more.

    A cell is what the foretold sample's code stands for. Without it a network that once draws
    the same code for a while could never leave it again.
    """
    cell = 2 / (n_codes - 1) * math.log(n_codes) * (xp.abs(value) + 1 / (n_codes - 1))
    return xp.sqrt(SHARES[0] * fast + SHARES[1] * slow) + floor * cell


def updated(errors: Array, foretold: Foretold, sample: Array, xp: ModuleType) -> Array:  # [B, 3]
    """What is remembered of the errors after a sample: two running mean squares, the surprise."""
    off, means = (sample - foretold.value)[..., None], errors[..., :2]
    means = means + (off**2 - means) * along(xp.asarray(RATES, errors.dtype), means)
    return xp.concatenate([means, off / foretold.error[..., None]], axis=-1)


@partial(jax.jit, static_argnames=("order", "window", "refit", "damping", "n_codes"))
def foretell_all(
    samples: Array,  # [B, W + T] float32: the window before the first, then all
    errors: Array,  # [B, 3] float32
    periods: Array | None = None,  # [B, F] for a periodic predictor; None: a fitted one
    aim: Aim | None = None,  # of [B, F], for a steered one
    *,
    order: int,
    window: int,
    refit: int,  # of which T is a multiple; not read by a periodic predictor
    floor: float,
    damping: float,
    n_codes: int,
) -> tuple[Foretold, Array, Array]:  # [B, T] each; errors [B, 3]; error levels [B, T]
    """What each of T samples was foretold as by those before it, the errors after the last, and
    the error levels, not bounded where the predictor is steered.

    The same as fitting, foretelling and updating one sample after the other, in another order:
    neither a fit nor a foretold value needs to know an error.
    """
    B, T = samples.shape[0], samples.shape[1] - window
    G = T // refit if periods is None else periods.shape[1]  # parts of unchanging coefficients
    part = T // G
    starts = part * jnp.arange(G)[:, None]
    if periods is None:
        heard = samples[:, starts + jnp.arange(window)[None]]  # [B, G, W]
        fitted = _fit_all(heard, _throughout(aim, G), order, damping)  # [B, G, N]
        near = samples[:, starts + jnp.arange(window - order, window + part - 1)[None]]
    else:
        delay, fitted = echo(periods, order, window, damping, jnp)
        first = starts[None] + window + 1 - order - delay[..., None]  # [B, G, 1]
        places = (first + jnp.arange(part + order - 1)[None, None]).reshape(B, -1)
        near = jnp.take_along_axis(samples, places, axis=1).reshape(B, G, -1)

    def tap(k: Any, total: Array) -> Array:
        x = jax.lax.dynamic_slice_in_dim(near, order - 1 - k, part, axis=2)
        a = jax.lax.dynamic_slice_in_dim(fitted, k, 1, axis=2)
        return total + a * x

    value = jnp.clip(jax.lax.fori_loop(0, order, tap, jnp.zeros((B, G, part))), -1, 1)
    off = samples[:, window:].reshape(B, G, part) - value
    before, means = _running(off**2, errors[:, :2])
    error = level(before[..., 0], before[..., 1], value, floor, n_codes, jnp).reshape(B, T)
    free = error
    if aim is not None:
        error = steering.bounded(error, jnp.repeat(aim.noises, T // aim.noises.shape[1], 1), jnp)
    surprises = jnp.concatenate([errors[:, 2:], off.reshape(B, T) / error], axis=1)
    errors = jnp.concatenate([means, surprises[:, -1:]], axis=1)
    return Foretold(value.reshape(B, T), error, surprises[:, :-1]), errors, free


def _throughout(aim: Aim | None, fits: int) -> Aim | None:  # of [B, F] -> of [B, fits]
    """The aim of each fit, of which a frame may have several."""
    return jax.tree.map(lambda x: jnp.repeat(x, fits // x.shape[1], axis=1), aim)


def _fit_all(
    heard: Array, aim: Aim | None, order: int, damping: float
) -> Array:  # [B, G, W], of [B, G] -> [B, G, N]
    def one(heard: Array, aim: Aim | None) -> Array:
        return coefficients(heard, aim, order, damping, jnp)

    def in_parts(heard: Array, aim: Aim | None) -> Array:  # so that a part stays in the cache
        flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), (heard, aim))
        found = jax.lax.map(lambda given: one(*given), flat, batch_size=FITS_AT_ONCE)
        return found.reshape(*heard.shape[:-1], order)

    return jax.lax.platform_dependent(heard, aim, cpu=in_parts, default=one)


def _running(off: Array, errors: Array) -> tuple[Array, Array]:
    """Running means before each of [B, G, refit] squares: [B, G, refit, 2], and after the last."""
    refit = off.shape[-1]
    ages = np.arange(refit)[:, None] - np.arange(refit)[None] - 1  # of square j at sample i
    rates = np.array(RATES)
    weights = np.where(ages >= 0, rates[:, None, None] * (1 - rates[:, None, None]) ** ages, 0)
    fresh = jnp.einsum("bgj,rij->gbir", off, weights.astype(np.float32), precision="highest")
    keep = (1 - rates[None]) ** np.arange(refit)[:, None]  # [refit, 2]
    keep = keep.astype(np.float32)[None]

    def block(errors: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
        fresh, last = inputs
        before = errors[:, None] * keep + fresh
        rate = jnp.asarray(RATES)[None]
        return before[:, -1] + (last[:, None] - before[:, -1]) * rate, before

    errors, before = jax.lax.scan(block, errors, (fresh, jnp.moveaxis(off[..., -1], 1, 0)))
    return jnp.moveaxis(before, 0, 1), errors


def hint(
    weights: Predictor,
    n_codes: int,
    foretold: Foretold,  # [...]
    xp: ModuleType,
) -> Array:  # [..., R]
    """What h_0 is told: the foretold sample, the error level and the last surprise, embedded.

    Between two rows an embedding is blended, so that rounding never makes a step. All rows in
    one product with their shares are quicker than to gather two, and to scatter what they learn.
    """
    steps = np.arange(STEPS, dtype=foretold.value.dtype)
    shares = [
        xp.maximum(1 - xp.abs(place[..., None] - along(steps, place[..., None])), 0)
        for place in places(foretold, n_codes, xp)
    ]
    rows = xp.concatenate([weights.value, weights.level, weights.surprise])
    return xp.concatenate(shares, axis=-1) @ rows


def places(
    foretold: Foretold, n_codes: int, xp: ModuleType
) -> tuple[Array, Array, Array]:  # each in 0 ... STEPS - 1
    """Where the foretold sample lies on the mu-law scale, the error level on one of logarithms
    from QUIETEST to 1, and the surprise on one that is logarithmic beyond 1 to either side.
    """
    value, error, surprise = foretold[:3]
    companded = xp.log(1 + (n_codes - 1) * xp.abs(value)) / math.log(n_codes)
    level = xp.log(xp.clip(error, QUIETEST, 1)) / math.log(QUIETEST)
    aside = xp.clip(xp.arcsinh(surprise) / math.asinh(FARTHEST), -1, 1)
    middle = (STEPS - 1) / 2
    return middle * (1 + xp.sign(value) * companded), 2 * middle * (1 - level), middle * (1 + aside)


def base(
    weights: Predictor,
    n_codes: int,
    skip_sum: Array,  # [..., S]
    foretold: Foretold,  # [...]
    xp: ModuleType,
) -> Array:  # [..., V]
    """What the predictor adds to the head's logits; the network shapes it."""
    shape = xp.maximum(skip_sum, 0) @ weights.shape + along(weights.shape_bias, skip_sum)
    middle, half = (xp.asarray(each, shape.dtype) for each in cells(n_codes))
    return logistic(foretold, shape, middle, half, xp)


def logistic(
    foretold: Foretold,  # [...]
    shape: Array,  # [..., 2 or 3]: shift, log of the width in error levels; gain less 1
    middle: Array,  # [V], see cells
    half: Array,  # [V]
    xp: ModuleType,
) -> Array:  # [..., V]
    """Logarithms of the base distribution: of a logistic one, cut at the cells' edges, plus EVEN.

    With F the logistic function, b and a a cell's edges in units of the width, F(b) - F(a) is
    F(b) F(-a) (1 - e^(a - b)): nothing cancels, however narrow a cell or wide the distribution.
    The gain is for what fades: a note let go is a little quieter in every period. A fitted
    predictor knows that, and has none: with one, what plays by itself sinks into silence.
    """
    gain = shape[..., 2] if shape.shape[-1] == 3 else None
    place, slope = spread(foretold, shape[..., 0], shape[..., 1], gain, xp)
    if xp is jnp:
        return _log_shares(place, slope, middle, half)
    return log_shares(place[..., None], slope[..., None], middle, half, xp)


def spread(
    foretold: Foretold,  # [...]
    shift: Array,  # [...] in error levels
    width: Array,  # [...]: its logarithm, in error levels
    gain: Array | None,  # [...]: less 1; None: 1
    xp: Any,
) -> tuple[Array, Array]:  # [...], [...]
    """Where the base distribution lies, and how steep it is there: 1 over its scale."""
    value = foretold.value
    if gain is not None:
        value = value * (1 + xp.clip(gain, -FADES, FADES))
    place = value + foretold.error * shift
    return place, xp.exp(-xp.clip(width, -WIDEST, WIDEST)) / foretold.error


def log_shares(place: Array, slope: Array, middle: Array, half: Array, xp: Any) -> Array:
    """ln(F(b) - F(a) + EVEN) of every cell [V], for place and slope [..., 1]; see `logistic`."""
    return xp.log(_cell_shares(place, slope, middle, half, xp)[0] + EVEN)


@jax.custom_vjp
def _log_shares(place: Array, slope: Array, middle: Array, half: Array) -> Array:
    return log_shares(place[..., None], slope[..., None], middle, half, jnp)


def _forward(place: Array, slope: Array, middle: Array, half: Array) -> tuple[Array, tuple]:
    return _log_shares(place, slope, middle, half), (place, slope, middle, half)


def _backward(given: tuple, change: Array) -> tuple:
    """The derivative in closed form, which needs no exponential that the shares do not need."""
    place, slope, middle, half = given
    share, above, below, within, off, reach = _cell_shares(
        place[..., None], slope[..., None], middle, half, jnp
    )
    change = change * share / (share + EVEN)
    aside = change * (below - above)
    wider = change * (2 - above - below + 2 * (1 - within) / within) * reach
    return -(aside.sum(-1) * slope), (aside * off + wider).sum(-1) / slope, None, None


_log_shares.defvjp(_forward, _backward)


def _cell_shares(place: Array, slope: Array, middle: Array, half: Array, xp: Any) -> tuple:
    """F(b) - F(a) of every cell, its factors, and the cell in units of the width."""
    off = (along(middle, slope) - place) * slope
    reach = along(half, slope) * slope
    above = 1 / (1 + xp.exp(xp.minimum(-off - reach, FLAT)))
    below = 1 / (1 + xp.exp(xp.minimum(off - reach, FLAT)))
    within = -xp.expm1(-2 * reach)
    return above * below * within, above, below, within, off, reach


def _delayed(xp: ModuleType, x: Array) -> Array:
    return xp.concatenate([xp.zeros_like(x[..., :1]), x[..., :-1]], axis=-1)


def _zeros(xp: ModuleType, like: Array, count: int) -> Array:
    return xp.zeros((*like.shape[:-1], count), like.dtype)
