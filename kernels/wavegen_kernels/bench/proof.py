"""Nothing is timed that computes the wrong thing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wavegen_kernels import cases, divergence, random
from wavegen_kernels.bench.contenders import SEED, Contender
from wavegen_kernels.generate import api
from wavegen_kernels.weights import initial_state

SAMPLES = 64
# Float32 rounding of the largest case was seen to reach 2e-5; wrong mathematics gives 0.1 and more.
LOGIT_TOLERANCE = 1e-4
# What rounded weights may cost, in nats a sample; a wrong weight costs a hundred times as much.
KL_TOLERANCES = {"bfloat16": 1e-4, "int8": 2e-3}
TIE = 1e-5  # a cumulative probability this near to its uniform number may fall either way


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
    contender's own logits.
    """
    cond = cases.conditioning(case, batch, 1, seed=1)
    codes = contender.draw(cond, SAMPLES)
    found = contender.logits(cond, codes, SAMPLES)
    ends = sorted({0, batch - 1})
    stack = cases.weights(case)
    _, expected = api.logits(
        stack,
        initial_state(stack, len(ends)),
        cond[ends],
        codes[ends],
        hop_length=SAMPLES,
        backend="reference",
    )
    proof = compare(found[ends], expected)
    if contender.precision == "float32":
        if not proof.largest_logit_error < LOGIT_TOLERANCE:
            raise Wrong(f"logits differ by {proof.largest_logit_error:.2g}")
    elif not proof.mean_kl_nats <= KL_TOLERANCES[contender.precision]:
        raise Wrong(f"distributions differ by {proof.mean_kl_nats:.2g} nats")
    _check_draws(codes, found)
    return proof


def compare(
    found: np.ndarray,  # [B, T, V]
    expected: np.ndarray,  # [B, T, V]
) -> Proof:
    """The distance of two sets of logits."""
    found = found.astype(np.float64)
    nats = divergence.nats(expected, found)
    return Proof(float(np.abs(found - expected).max()), float(nats.mean()))


def drawn(
    logits: np.ndarray,  # [T, V]
    u: np.ndarray,  # [..., T]
) -> np.ndarray:  # [..., T]
    """The codes that reference.draw gives for unfiltered logits, many at once."""
    p = np.exp(logits - logits.max(axis=-1, keepdims=True))
    cdf = np.cumsum(p, axis=-1) / p.sum(axis=-1, keepdims=True)
    return (cdf.reshape((1,) * (u.ndim - 1) + cdf.shape) <= u[..., None]).sum(axis=-1)


def _check_draws(codes: np.ndarray, logits: np.ndarray) -> None:
    times, ties = np.arange(codes.shape[1]), np.array([[-TIE], [0], [TIE]])
    for stream, row in enumerate(logits):  # thousands at once would fill the memory
        u = random.uniforms(SEED, np.full_like(times, stream), times, np)
        # At a tie the nearest numbers above and below draw another code; one of them is right.
        near = np.clip(u[None] + ties, 0, 1 - TIE)
        right = (drawn(row.astype(np.float64), near) == codes[stream]).any(axis=0)
        if not right.all():
            raise Wrong(f"sample {right.argmin()} of stream {stream} is another draw")
