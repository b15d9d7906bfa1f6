"""Onsets: when something begins, and how far that is from when it was asked for."""

from __future__ import annotations

import numpy as np

from wavegen.audio import features
from wavegen.evaluation.metrics.measures import Measure, NotApplicable

WINDOW_SECONDS = 0.05

# A note begins where it first reaches a tenth of its peak: soon after a string is struck, and
# above the hiss of mu-law codes.
_ATTACK = 0.1

# An attack is looked for from so long before a peak of the spectral flux to so long after.
_BEFORE_SECONDS, _AFTER_SECONDS = 0.06, 0.04
_HALF_SECONDS = 0.02

# An end is a peak of the flux as well, where it is sudden; there the energy does not rise.
_RISE = 1.05

_NOT_FINITE = NotApplicable("the sound holds values that are no finite numbers")


def found(
    samples: np.ndarray,  # [T] float, finite
    sample_rate: int,
) -> np.ndarray:  # [N] seconds
    """When something begins, ascending, to about 10 ms.

    Near each peak of the spectral flux, the moment at which the energy of 20 ms after it most
    exceeds that of 20 ms before. The energy is that of the differences of samples, in which an
    attack stands out from low notes that still ring.
    """
    about = features.onsets(samples, sample_rate)
    if not len(about):
        return about
    half = max(1, round(_HALF_SECONDS * sample_rate))
    power = np.pad(np.diff(np.asarray(samples, np.float64), prepend=0.0) ** 2, half)
    energy = np.pad(np.cumsum(power), (1, 0))
    floor = 1e-6 * half * power.max() + 1e-20
    exact = set()
    for seconds in about:
        first = round((seconds - _BEFORE_SECONDS) * sample_rate)
        last = round((seconds + _AFTER_SECONDS) * sample_rate)
        # Sample t of the sound has `half` zeros and t samples before it.
        near = half + np.arange(max(0, first), min(len(samples), last))
        after, before = energy[near + half] - energy[near], energy[near] - energy[near - half]
        rise = (after + floor) / (before + floor)
        if rise.max() >= _RISE:
            exact.add((near[rise.argmax()] - half) / sample_rate)
    return np.array(sorted(exact))


def of_note(
    samples: np.ndarray,  # [T] float
    sample_rate: int,
    asked_seconds: float,
) -> Measure:
    """How late the only note of a sound begins, in ms; negative where it is early."""
    size = np.abs(np.asarray(samples))
    if not np.isfinite(size).all():
        return _NOT_FINITE
    if not size.size or size.max() == 0:
        return NotApplicable("nothing sounds")
    return 1000 * (float(np.argmax(size >= _ATTACK * size.max())) / sample_rate - asked_seconds)


def against(
    asked: np.ndarray,  # [N] seconds
    heard: np.ndarray,  # [M] seconds
) -> dict[str, Measure]:
    """`onset_f_measure` within 50 ms, and `onset_error_ms`: the median distance of the matched.

    As many are matched as can be, each once, as in mir_eval.onset, and of such matchings the
    nearest. Boeck et al. 2012, "Evaluating the online capabilities of onset detection methods".
    """
    from scipy.optimize import linear_sum_assignment

    if not len(asked):
        nothing = NotApplicable("no onset was asked for")
        return {"onset_f_measure": nothing, "onset_error_ms": nothing}
    distance = np.abs(np.subtract.outer(np.asarray(asked, float), np.asarray(heard, float)))
    # A pair too many costs more than all that a better fit of the others can save.
    too_far = float(len(asked) + len(heard))
    matched = linear_sum_assignment(np.where(distance <= WINDOW_SECONDS, distance, too_far))
    errors = distance[matched]
    errors = errors[errors <= WINDOW_SECONDS]
    return {
        # 2PR / (P + R) with P = matched / heard and R = matched / asked
        "onset_f_measure": 2 * len(errors) / (len(asked) + len(heard)),
        "onset_error_ms": 1000 * float(np.median(errors))
        if len(errors)
        else NotApplicable("no onset is within 50 ms of one asked for"),
    }


def beside(
    reference: np.ndarray,  # [T] float
    estimate: np.ndarray,  # [T'] float
    sample_rate: int,
) -> dict[str, Measure]:
    """The onsets of one sound `against` those of another."""
    if not (np.isfinite(reference).all() and np.isfinite(estimate).all()):
        return {"onset_f_measure": _NOT_FINITE, "onset_error_ms": _NOT_FINITE}
    return against(found(reference, sample_rate), found(estimate, sample_rate))
