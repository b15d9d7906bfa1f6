"""What has gone wrong with a training, in words, and what to try.

Functions of numbers that the training told: each gives the words, or None where all is well.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from wavegen.config import Config, Training
from wavegen.errors import WavegenError
from wavegen.model import loss
from wavegen.training.progress import Progress

Point = tuple[int, float]  # a step, and bits per sample there

RECENT = 5  # log lines that a look goes back; and looks without it that a condition has to be over
PATIENCE_STEPS = 500  # after the warm-up; until then a network may still know nothing
ASTRAY_IN_A_ROW = 8  # steps; then the training ends
# A loss of so many times what a fair guess costs: no network gets there by learning slowly.
ASTRAY_GUESSES = 4.0
ONLY_SILENCE = 1e-3  # accuracy this near to the share of silence is right about nothing else
RISING = 1.005  # times the best validation; less may be chance
VALIDATIONS = 3  # after the best one
STARVED = 0.2  # share of the time that the device waits for data


class Tally(NamedTuple):
    """What the steps of a training came to."""

    heard_samples: int = 0  # that carried loss, in steps that were not skipped
    skipped_steps: int = 0
    astray_in_a_row: int = 0  # up to now: skipped, or of a loss beyond all measure


def count(tally: Tally, nats: float, gradient_norm: float, weight: float, config: Config) -> Tally:
    """The tally with one more step in it.

    A step whose loss or gradient is no number was skipped: see training.step.
    """
    skipped = not math.isfinite(nats + gradient_norm)
    astray = skipped or nats > ASTRAY_GUESSES * math.log(config.audio.n_codes)
    return Tally(
        tally.heard_samples + (0 if skipped else int(weight)),
        tally.skipped_steps + skipped,
        tally.astray_in_a_row + 1 if astray else 0,
    )


def refuse_astray(tally: Tally, step: int, nats: float, gradient_norm: float) -> None:
    """Ends a training that learns nothing any more, several steps in a row."""
    if tally.astray_in_a_row < ASTRAY_IN_A_ROW:
        return
    found = f"the loss is {loss.bits(nats):.4g} bits per sample"
    if not math.isfinite(gradient_norm) and math.isfinite(nats):
        found = f"the gradient is {gradient_norm}"
    raise WavegenError(
        f"{found} at step {step}, the last of {tally.astray_in_a_row} steps in a row that taught "
        "nothing: the training has gone astray",
        "a finite loss, not far above what a fair guess among the codes costs",
        "begin another --run with a lower training.learning_rate or a longer "
        "training.warmup_steps; what was saved is kept",
    )


def look(
    lines: Sequence[Progress],  # the newest, oldest first
    curve: Sequence[Point],  # of all log lines
    validations: Sequence[Point],
    order0_bits: float,  # entropy of the codes: what it costs to know how frequent each is
    plan: Training,
) -> dict[str, str]:
    """All that is wrong, as name: words."""
    found = {
        "skipped_steps": skipping(lines),
        "learnt_nothing": learnt_nothing(lines, order0_bits, plan),
        "only_silence": only_silence(lines, plan),
        "overfitting": overfitting(curve, validations),
        "starved": starved(lines),
    }
    return {name: words for name, words in found.items() if words}


def remember(told: dict[str, int], found: Collection[str]) -> dict[str, int]:
    """For each condition that was told: for how many looks it has been over.

    It is forgotten, and would be told again, once it was over for RECENT looks: one that comes
    and goes with the chance of a batch is told once.
    """
    absent = {name: looks + 1 for name, looks in told.items() if name not in found}
    kept = {name: looks for name, looks in absent.items() if looks < RECENT}
    return kept | dict.fromkeys(found, 0)


def skipping(lines: Sequence[Progress]) -> str | None:
    """Steps since the line before had a gradient that was no number."""
    totals = [0, *(line.skipped_steps for line in lines)]
    if not lines or totals[-1] == totals[-2]:
        return None
    return (
        f"{totals[-1] - totals[-2]} of the last steps had a loss or gradient that is no number: "
        f"they were skipped and changed nothing ({totals[-1]} so far). If it happens again, try a "
        "lower training.learning_rate"
    )


def learnt_nothing(lines: Sequence[Progress], order0_bits: float, plan: Training) -> str | None:
    """The loss is not below what the frequency of each code alone tells."""
    if not _is_due(lines, plan):
        return None
    bits = float(np.mean([line.bits_per_sample for line in lines]))
    if bits < order0_bits:  # not so, too, where bits is not a number
        return None
    return (
        f"the loss is {bits:.3f} bits per sample at step {lines[-1].step}, and knowing no more "
        f"than how frequent each code is costs {order0_bits:.3f}: nothing has been learnt of "
        f"their order. Try a lower training.learning_rate (now {plan.learning_rate:g}), a longer "
        "training.warmup_steps, and listen to the corpus: is it what you meant?"
    )


def only_silence(lines: Sequence[Progress], plan: Training) -> str | None:
    """Right where the recordings are silent, and nowhere else."""
    # What foretells SILENCE always is right exactly as often as SILENCE is what was asked for.
    apart = [abs(line.accuracy - line.silence_share) for line in lines]
    if not _is_due(lines, plan) or not max(apart) <= ONLY_SILENCE:
        return None
    share = np.mean([line.silence_share for line in lines])
    return (
        f"the likeliest code is always silence: right {share:.1%} of the time, which is the share "
        "of silence in what it hears, and generated sound will be silent. Prepare the corpus with "
        "--trim-silence or --drop-silence, lower training.start_fraction, or train longer"
    )


def overfitting(curve: Sequence[Point], validations: Sequence[Point]) -> str | None:
    """Validation rises since its best, while the training still falls."""
    known = [point for point in validations if math.isfinite(point[1])]
    if not known:
        return None
    place = min(range(len(known)), key=lambda i: known[i][1])
    (best_step, best), (last_step, last) = known[place], known[-1]
    if len(known) - 1 - place < VALIDATIONS or last < RISING * best:
        return None
    width = last_step - known[-2][0]  # steps from one validation to the next
    then, now = _mean_before(curve, best_step, width), _mean_before(curve, last_step, width)
    if not now < then:
        return None
    return (
        f"validation was best at step {best_step} ({best:.3f} bits per sample) and is {last:.3f} "
        f"now, while training fell from {then:.3f} to {now:.3f}: the network learns its recordings "
        f"by heart. Use the checkpoint of step {best_step} if it was saved; for a better one try "
        "more recordings, [augmentation], a smaller network or training.weight_decay"
    )


def is_exhausted(validations: Sequence[Point], patience: int) -> bool:
    """Whether the last `patience` validations were all no better than one before; 0: never."""
    bits = [bits for _, bits in validations if math.isfinite(bits)]
    if not patience or len(bits) <= patience:
        return False
    return min(bits[-patience:]) >= min(bits[:-patience])


def starved(lines: Sequence[Progress]) -> str | None:
    """The device waits for batches."""
    if len(lines) < 2 or min(line.wait_share for line in lines[-2:]) < STARVED:
        return None
    return (
        f"{lines[-1].wait_share:.0%} of the time is spent waiting for data. Acoustic signals (mel, "
        "mfcc, f0_loudness) and augmentation.transpose_semitones cost most: leave them out if you "
        "can, keep the corpus on a disk of this machine, and leave a processor core to the data"
    )


def _is_due(lines: Sequence[Progress], plan: Training) -> bool:
    """Whether a network should know something by now, and there are lines enough to tell."""
    return len(lines) >= RECENT and lines[0].step >= plan.warmup_steps + PATIENCE_STEPS


def _mean_before(curve: Sequence[Point], step: int, width: int) -> float:
    """Mean of the log lines of the `width` steps up to `step`; NaN where there are none."""
    near = [bits for at, bits in curve if step - width < at <= step and math.isfinite(bits)]
    return float(np.mean(near)) if near else math.nan
