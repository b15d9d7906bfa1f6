"""Nothing is timed that computes the wrong thing."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import numpy as np

from wavegen_kernels import cases, divergence, random
from wavegen_kernels.bench import contenders
from wavegen_kernels.bench.contenders import SEED, Contender
from wavegen_kernels.generate import api
from wavegen_kernels.weights import initial_state

FRAMES = 2
SAMPLES = 32  # of a frame, or as many as there are between two fits
# Float32 rounding of the largest case was seen to reach 2e-5; wrong mathematics gives 0.1 and more.
LOGIT_TOLERANCE = 1e-4
# What rounded weights may cost, in nats a sample; a wrong weight costs a hundred times as much.
KL_TOLERANCES = {"bfloat16": 1e-4, "int8": 2e-3}
# How far a uniform number may lie outside of what the drawn code has of the cumulative
# probability: by a backend's own logits, for sums are rounded; where a kernel rounds what it
# multiplies, too, its two programs may round one apart, which is a 256th of one term of many.
TIE, ROUNDED_TIE = 1e-5, 1e-3
# By the reference's logits: 0, 0.005 and 0.018 were seen, and 0.11 where one layer of 30 is deaf.
FAR = {"float32": 1e-4, "bfloat16": 0.03, "int8": 0.06}


class Wrong(Exception):
    """A contender computes something else than the reference; the text says what."""


@dataclass(frozen=True)
class Proof:
    """How far the logits of a contender are from those of the reference."""

    largest_logit_error: float
    mean_kl_nats: float  # KL divergence of its distributions from the reference's, a sample


def prove(case: cases.Case, batch: int, contender: Contender) -> Proof:
    """How near it is. Raises Wrong where its logits or its draws are not what they should be.

    All streams run, as they will when they are timed; the first and the last of them are compared
    with the reference, which takes long. Draws are compared with those of the reference from the
    contender's own logits. On an accelerator the very program that is timed is proved as well.
    """
    hop, few = max(SAMPLES, case.refit), sorted({0, batch - 1})
    cond = cases.conditioning(case, batch, FRAMES, seed=1)
    codes = contender.draw(cond, hop)
    found = contender.logits(cond, codes, hop)
    proof = compare(found[few], _reference(case, cond, codes, few, hop))
    if contender.precision == "float32":
        if not proof.largest_logit_error < LOGIT_TOLERANCE:
            raise Wrong(f"logits differ by {proof.largest_logit_error:.2g}")
    elif not proof.mean_kl_nats <= KL_TOLERANCES[contender.precision]:
        raise Wrong(f"distributions differ by {proof.mean_kl_nats:.2g} nats")
    there = contender.threads is None
    rounded = there and contender.precision == "bfloat16"
    for stream, (row, logits) in enumerate(zip(codes, found, strict=True)):
        _check_draws(stream, row, logits, ROUNDED_TIE if rounded else TIE, "its own")
    if there:
        _prove_timed(case, batch, contender)
    return proof


def _prove_timed(case: cases.Case, batch: int, contender: Contender) -> None:
    """Raises Wrong where the codes of the timed program are none that the reference would draw.

    They are so many that every queue of the cases goes round; their logits would fill a memory.
    """
    cond, few = cases.conditioning(case, batch, contenders.FRAMES), [0, batch // 2, batch - 1]
    few = sorted(set(few))
    codes = contender.draw(cond, contenders.HOP_LENGTH)
    expected = _reference(case, cond, codes, few, contenders.HOP_LENGTH)
    for stream, logits in zip(few, expected, strict=True):
        far = FAR[contender.precision]
        _check_draws(stream, codes[stream], logits, far, "the reference's")


def _reference(
    case: cases.Case, cond: np.ndarray, codes: np.ndarray, few: list[int], hop_length: int
) -> np.ndarray:  # [len(few), T, V]
    """The reference's logits of a few streams after these codes."""
    stack, asked = cases.weights(case), cases.asked(case, *cond.shape[:2])
    return api.logits(
        stack,
        initial_state(stack, len(few)),
        cond[few],
        codes[few],
        hop_length=hop_length,
        backend="reference",
        **jax.tree.map(lambda each: each[few], asked),
    )[1]


def compare(
    found: np.ndarray,  # [B, T, V]
    expected: np.ndarray,  # [B, T, V]
) -> Proof:
    """The distance of two sets of logits."""
    found = found.astype(np.float64)
    nats = divergence.nats(expected, found)
    return Proof(float(np.abs(found - expected).max()), float(nats.mean()))


def off(
    codes: np.ndarray,  # [T]
    logits: np.ndarray,  # [T, V]
    u: np.ndarray,  # [T]
) -> np.ndarray:  # [T]
    """How far each number lies outside of what its code has of the cumulative probability.

    0 where reference.draw gives this code.
    """
    p = np.exp(logits - logits.max(axis=-1, keepdims=True))
    cdf = np.cumsum(p, axis=-1) / p.sum(axis=-1, keepdims=True)
    ends = np.concatenate([np.zeros_like(cdf[:, :1]), cdf[:, :-1], np.ones_like(cdf[:, :1])], 1)
    low, high = (np.take_along_axis(ends, codes[:, None] + i, axis=1)[:, 0] for i in (0, 1))
    return np.maximum(0, np.maximum(low - u, u - high))


def _check_draws(
    stream: int, codes: np.ndarray, logits: np.ndarray, tolerance: float, whose: str
) -> None:
    times = np.arange(len(codes))
    u = random.uniforms(SEED, np.full_like(times, stream), times, np)
    far = off(codes, logits.astype(np.float64), u)
    if not far.max() <= tolerance:  # which is no number where a logit is none
        raise Wrong(
            f"sample {np.argmax(~(far <= tolerance))} of stream {stream} is another draw "
            f"by {whose} logits: off by {far.max():.2g} of the probability, {tolerance:.0e} are "
            "rounding"
        )
