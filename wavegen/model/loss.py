"""Cross-entropy over codes, in nats and in bits per sample."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from wavegen.model.conditioner import Expected
from wavegen.model.network import Hidden
from wavegen.model.wavenet import WaveNet

Array = Any  # a jax array, or a numpy one that becomes one inside jit

# Samples whose logits exist at one time. 256 codes of 2048 samples are 2 MiB in float32,
# which stays in the cache; all of a batch's at once would be hundreds.
CHUNK_SAMPLES = 2048
# Nats for a level, an error level and one band's strength that are off by 1 (4.3, 8.7 and 4.3
# dB): they are learnt in the first hundreds of steps, and cost the network nothing.
STRAYS = Expected(0.025, 0.1, 0.01)


class Score(NamedTuple):
    """Sums over the samples that carry weight; divide by `weight` for means."""

    nats: Array  # float32 scalar, as all of them; [N] where they are of N parts
    hits: Array  # how often the likeliest code was the true one
    weight: Array
    objective: Array  # what training lowers; `nats` but for label smoothing


def score(
    wavenet: WaveNet,
    hidden: Hidden,  # of [B, T] samples
    codes: Array,  # [B, T] int32
    weights: Array,  # [B, T] float32
    smoothing: float = 0.0,
    valid: Array | None = None,  # [B, X+F]; wanted where the predictor is steered
) -> Score:
    """The sums of `score_parts`; to the objective what was expected wrongly is added.

    That is squared, the mean of all frames that are of recordings; of noises, of those whose
    samples carry weight.
    """
    found = jax.tree.map(jnp.sum, score_parts(wavenet, hidden, codes, weights, smoothing))
    strays = hidden.strays
    if strays is None or valid is None:
        return found
    of_window = jnp.reshape(weights, (*strays.noises.shape, -1)).mean(axis=-1)
    shares = Expected(valid, of_window, valid[..., None])
    wrong = jax.tree.map(
        lambda stray, share, cost: cost * jnp.sum(share * stray**2) / jnp.maximum(share.sum(), 1.0),
        strays, shares, STRAYS,
    )  # fmt: skip
    return found._replace(objective=found.objective + sum(wrong) * found.weight)


def score_parts(
    wavenet: WaveNet,
    hidden: Hidden,  # of [B, T] samples
    codes: Array,  # [B, T] int32
    weights: Array,  # [B, T] float32
    smoothing: float = 0.0,
) -> Score:  # of N parts of CHUNK_SAMPLES samples, row after row
    """Cross-entropy of the true codes, computed in float32, chunk by chunk.

    The objective's targets are smoothed labels: the share `smoothing` of them asks for all codes
    alike (Szegedy et al. 2015, arXiv 1512.00567, section 7).
    """
    fill = -codes.size % CHUNK_SAMPLES  # samples without weight, so that all chunks are whole

    def parted(array: Array) -> Array:  # [B, T, ...] to [chunks, CHUNK_SAMPLES, ...]
        flat = jnp.reshape(array, (codes.size, *array.shape[2:]))
        filled = jnp.pad(flat, ((0, fill), *((0, 0) for _ in flat.shape[1:])), mode="edge")
        return filled.reshape(-1, CHUNK_SAMPLES, *flat.shape[1:])

    @jax.checkpoint
    def one(part: tuple[Hidden, Array, Array]) -> Score:
        hidden, target, weight = part
        logits = wavenet.logits(hidden.skip_sum, hidden.foretold).astype(jnp.float32)
        nats = optax.softmax_cross_entropy_with_integer_labels(logits, target)
        hit = _is_likeliest(logits, target).astype(jnp.float32)
        sought = nats
        if smoothing:
            of_all = jax.nn.logsumexp(logits, axis=-1) - jnp.mean(logits, axis=-1)
            sought = (1 - smoothing) * nats + smoothing * of_all
        return Score(*(jnp.sum(each * weight) for each in (nats, hit, 1.0, sought)))

    weights = jnp.pad(jnp.reshape(weights, -1), (0, fill)).reshape(-1, CHUNK_SAMPLES)
    hidden = hidden._replace(strays=None)
    parts = (*jax.tree.map(parted, (hidden, codes)), weights)
    return jax.lax.map(one, parts)


def _is_likeliest(logits: Array, codes: Array) -> Array:  # [N, V], [N] -> [N] bool
    """Whether each code is where argmax would find it, which on CPUs takes 16 times as long."""
    own = jnp.take_along_axis(logits, codes[:, None], axis=-1)
    is_before = jnp.arange(logits.shape[-1])[None] < codes[:, None]
    return jnp.all(jnp.where(is_before, logits < own, logits <= own), axis=-1)


def bits(nats: float) -> float:
    """Nats per sample as bits per sample; 8.0 is a fair guess among 256 codes."""
    return nats / math.log(2)
