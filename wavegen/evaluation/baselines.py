"""What trivial models make of recordings: the figures that a network's bits stand beside."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit

from wavegen.audio import mulaw
from wavegen.config import Predictor
from wavegen.data import entropy
from wavegen.data.corpus import Split
from wavegen.evaluation.metrics.measures import Measure, NotApplicable
from wavegen.model import loss
from wavegen_kernels import predictor
from wavegen_kernels.weights import amplitudes

Progress = Callable[[float, float], None]

LINEAR = Predictor(order=64)
CHUNK_SAMPLES = 8192  # of a recording that are foretold in one call; a multiple of the refit
WIDTH_SAMPLES = 1 << 18  # of the training recordings, about: the width is found on these
MOST_COUNTS = 1 << 28  # of a Markov chain: a gibibyte


class Foretold(NamedTuple):
    """T samples, and what the linear predictor made of them from those before."""

    codes: np.ndarray  # [T] int64
    value: np.ndarray  # [T] float64: the foretold sample
    error: np.ndarray  # [T] float64: how far off it has been lately


def bits(
    train: Split | None,
    held: Split,
    n_codes: int,
    progress: Progress = lambda done, total: None,
) -> dict[str, Measure]:
    """Bits per sample of `held` under each trivial model, by its name among the metrics.

    What these models know of other recordings they know from `train`. `progress` is told how
    many samples were heard and how many there are to hear, those of each model counted anew.
    """
    names = [f"markov_{order}_bits" for order in range(3)]
    if train is None or not train.num_items:
        reason = "there are no recordings to learn it from: the corpus has no split named train"
        return dict.fromkeys([*names, "linear_predictor_bits"], NotApplicable(reason))
    of_train, of_held = int(train.lengths.sum()), int(held.lengths.sum())
    total, found = 3 * of_train + 4 * of_held, {}
    for order, name in enumerate(names):
        found[name] = _markov(train, held, n_codes, order)
        progress((order + 1) * (of_train + of_held), total)
    log_width = fitted_log_width(train, n_codes)

    def tell(samples: int) -> None:
        progress(total - of_held + samples, total)

    return found | {"linear_predictor_bits": linear_bits(held, n_codes, log_width, tell)}


def linear_bits(
    split: Split,
    n_codes: int,
    log_width: float,
    tell: Callable[[int], None] = lambda samples: None,
) -> float:
    """Bits per sample of whole recordings, by the linear predictor alone; exact.

    The predictor under the networks (wavegen_kernels.predictor), fitted to the past of order 64
    as the config has it by default, and its distribution: a logistic one whose width in error
    levels is e to the power of `log_width`.
    """
    nats, done = 0.0, 0
    for item in range(split.num_items):
        for part in _foretell(split, item, n_codes, int(split.lengths[item])):
            nats += float(_nats(part, n_codes, log_width).sum())
            done += len(part.codes)
            tell(done)
    return loss.bits(nats / done)


def fitted_log_width(split: Split, n_codes: int) -> float:
    """Which log_width makes a split cheapest: one number, from the starts of its recordings.

    From about WIDTH_SAMPLES in all, of recordings spread evenly over the split.
    """
    count = int(np.clip(WIDTH_SAMPLES // CHUNK_SAMPLES, 1, split.num_items))
    longest = WIDTH_SAMPLES // count
    parts = [
        part
        for item in np.linspace(0, split.num_items - 1, count).round().astype(int).tolist()
        for part in _foretell(split, item, n_codes, longest)
    ]
    found = Foretold(*(np.concatenate(each) for each in zip(*parts, strict=True)))

    def mean(log_width: float) -> float:
        return float(_nats(found, n_codes, log_width).mean())

    bounds = (-predictor.WIDEST, predictor.WIDEST)
    best: Any = minimize_scalar(mean, bounds=bounds, method="bounded")
    return float(best.x)


def _markov(train: Split, held: Split, n_codes: int, order: int) -> Measure:
    if n_codes ** (order + 1) > MOST_COUNTS:
        return NotApplicable(f"{n_codes} codes would take {n_codes ** (order + 1):.0e} counts")
    return entropy.markov_bits(train, held, n_codes, order)


def _foretell(split: Split, item: int, n_codes: int, longest: int) -> Iterator[Foretold]:
    """The first `longest` samples of a recording, chunk by chunk."""
    samples, table = split.read(item)[:longest], mulaw.int16_codes(n_codes)
    sounds = amplitudes(n_codes).astype(np.float32)
    before = np.full(LINEAR.window, sounds[mulaw.silence(n_codes)])
    errors = jnp.zeros((1, 3))
    for start in range(0, len(samples), CHUNK_SAMPLES):
        chunk = samples[start : start + CHUNK_SAMPLES].astype(np.int64)
        here = table[chunk + 32768].astype(np.int64)
        sound = np.zeros(CHUNK_SAMPLES, np.float32)  # what follows the end is foretold in vain
        sound[: len(here)] = sounds[here]
        known = np.concatenate([before, sound])
        foretold, errors, _ = predictor.foretell_all(
            known[None],
            errors,
            order=LINEAR.order,
            window=LINEAR.window,
            refit=LINEAR.refit,
            floor=LINEAR.floor,
            damping=LINEAR.damping,
            n_codes=n_codes,
        )
        before = known[-LINEAR.window :]
        value, error = (
            np.asarray(each, np.float64)[0, : len(here)]
            for each in (foretold.value, foretold.error)
        )
        yield Foretold(here, value, error)


def _nats(foretold: Foretold, n_codes: int, log_width: float) -> np.ndarray:  # [T]
    """What the codes cost under predictor.logistic, of which only their own cells are computed.

    The shares of all cells add up to that between the outermost edges.
    """
    codes, value, error = foretold
    middle, half = predictor.cells(n_codes)
    slope = math.exp(-log_width) / error

    def place(edge: np.ndarray) -> np.ndarray:
        return (edge - value) * slope

    low, high = place((middle - half)[codes]), place((middle + half)[codes])
    share = expit(high) * expit(-low) * -np.expm1(low - high)
    lowest, highest = place(middle[0] - half[0]), place(middle[-1] + half[-1])
    whole = expit(highest) - expit(lowest) + n_codes * predictor.EVEN
    return np.log(whole) - np.log(share + predictor.EVEN)
