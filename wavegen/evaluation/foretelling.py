"""What a network says of every sample of whole recordings before it hears it, added up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from wavegen.audio import mulaw
from wavegen.data.batches import Batch
from wavegen.data.corpus import Split
from wavegen.errors import WavegenError
from wavegen.evaluation.metrics import waveforms
from wavegen.evaluation.metrics.measures import Measure
from wavegen.model import loss, network
from wavegen.model.network import Inputs, Params, SequenceState, Trained
from wavegen.training import evaluate
from wavegen_kernels.weights import amplitudes

Array = Any  # a jax array, or a numpy one that becomes one inside jit

CONFIDENCE_BINS = 15  # as in Guo et al. 2017, arXiv 1706.04599
PIT_BINS = 20
IMPOSSIBLE = 1e-30  # a smaller probability is taken for this one, whose inverse is still a float32


class Foretelling(NamedTuple):
    """Sums over the samples of one recording of T samples, S seconds of them begun."""

    item: int  # of the split
    samples: np.ndarray  # [S] int64: in each second; only the last may be shorter
    nats: np.ndarray  # [S] float64: of each second
    # [3, CONFIDENCE_BINS] by the likeliest code's probability: samples, sum of it, times it was
    # the true code
    confidence: np.ndarray
    pit: np.ndarray  # [PIT_BINS]: samples by where they lie in what was foretold
    snr_db: Measure  # of the guesses


class _Said(NamedTuple):
    """Of T samples, each [T] float32."""

    nats: Array
    is_likeliest: Array  # 1 or 0: the true code
    confidence: Array  # the likeliest code's probability
    below: Array  # probability of the codes below the true one
    guess: Array


def hear(
    trained: Trained,
    recordings: Split,
    *,
    progress: Callable[[float, float], None] = lambda done, total: None,
) -> Iterator[tuple[Foretelling, np.ndarray]]:  # and [T] float32
    """What is foretold of a split's recordings, one after the other.

    With each recording's sums come the guesses of its samples: the mean amplitude under what
    is foretold, and so the best guess by squared error. A recording is heard whole, in float32,
    by the network of training.evaluate with carried state, and alone: no more than one is in
    memory, with a few bytes a sample. `progress` is told the samples done and those there are.
    """
    total, done = int(recordings.lengths.sum()), 0

    def tell(samples: int) -> None:
        progress(done + samples, total)

    for item in range(recordings.num_items):
        yield _hear_one(trained, recordings, item, tell)
        done += int(recordings.lengths[item])


def _hear_one(
    trained: Trained, recordings: Split, item: int, tell: Callable[[int], None]
) -> tuple[Foretelling, np.ndarray]:
    rate, T = trained.config.audio.sample_rate, int(recordings.lengths[item])
    samples = np.diff(np.append(np.arange(0, T, rate), T))
    nats, guess = np.zeros(len(samples)), np.zeros(T, np.float32)
    confidence, pit = np.zeros((3, CONFIDENCE_BINS)), np.zeros(PIT_BINS)
    start = 0
    for said in _foretell(trained, recordings, item):
        said = _Said(*(each[: T - start] for each in said))  # silence follows the end
        end = start + len(said.nats)
        nats += np.bincount(np.arange(start, end) // rate, said.nats, len(nats))
        confidence += _by_confidence(said)
        pit += transformed(said.below, np.exp(-said.nats))
        guess[start:end] = said.guess
        start = end
        tell(end)
    sound = recordings.read(item) / np.float32(mulaw.INT16_FULL_SCALE)
    snr_db = waveforms.snr_db(sound, guess)
    return Foretelling(item, samples, nats, confidence, pit, snr_db), guess


def _foretell(trained: Trained, recordings: Split, item: int) -> Iterator[_Said]:
    """Chunk by chunk; the last goes on beyond the recording's end."""
    state = network.assemble(trained.graphdef, trained.params).initial_state(1)
    group = np.array([item])
    for batch in evaluate.chunks(recordings, group, 1, trained.config, trained.vocabulary):
        said, state = _chunk(trained.graphdef, trained.params, batch, state)
        if not np.isfinite(said.guess).all():
            raise WavegenError(
                f"what step {trained.step} foretells of {recordings.names[item]} is not finite",
                "a network whose weights are finite",
                "take another --checkpoint, from before the training went astray",
            )
        yield _Said(*(np.asarray(each) for each in said))


@partial(jax.jit, static_argnums=0)
def _chunk(
    graphdef: nnx.GraphDef,
    params: Params,
    batch: Batch,  # of one recording
    state: SequenceState,
) -> tuple[_Said, SequenceState]:
    net = network.assemble(graphdef, params)
    inputs = Inputs.of(batch)
    hidden, state = net.hidden(inputs, state)
    hidden = hidden._replace(strays=None)
    sounds = jnp.asarray(amplitudes(net.wavenet.n_codes), jnp.float32)

    def of_one(sample: tuple) -> _Said:
        hidden, code = sample
        logits = net.wavenet.logits(hidden.skip_sum, hidden.foretold)  # [V]
        log_shares = jax.nn.log_softmax(logits)
        shares, is_below = jnp.exp(log_shares), jnp.arange(len(sounds)) < code
        own = logits[code]  # the first of those that are highest is the likeliest
        is_likeliest = jnp.all(jnp.where(is_below, logits < own, logits <= own))
        return _Said(
            -log_shares[code],
            is_likeliest.astype(jnp.float32),
            shares.max(),
            jnp.sum(shares, where=is_below),
            shares @ sounds,
        )

    samples = jax.tree.map(lambda each: each[0], (hidden, batch.codes))
    # Logits of all samples at one time would be the most of what is in memory.
    return jax.lax.map(of_one, samples, batch_size=loss.CHUNK_SAMPLES), state


def _by_confidence(said: _Said) -> np.ndarray:  # [3, CONFIDENCE_BINS]
    bins = np.minimum((said.confidence * CONFIDENCE_BINS).astype(np.int64), CONFIDENCE_BINS - 1)
    weights = np.ones_like(said.confidence), said.confidence, said.is_likeliest
    return np.stack([np.bincount(bins, each, CONFIDENCE_BINS) for each in weights])


def transformed(
    below: np.ndarray,  # [T] probability of all codes below the true one
    share: np.ndarray,  # [T] probability of the true one
) -> np.ndarray:  # [PIT_BINS]: numbers of samples, T in all
    """Histogram of the probability integral transform; flat where the foretelling is right.

    A code has no single place in its distribution, so a sample is spread evenly over the
    probability that its code covers (Czado, Gneiting and Held 2009, "Predictive model
    assessment for count data", section 2.1).
    """
    edges = np.linspace(0, 1, PIT_BINS + 1)[1:-1, None]
    passed = np.clip((edges - below) / np.maximum(share, IMPOSSIBLE), 0, 1).sum(axis=1)
    return np.diff(passed, prepend=0, append=len(below))
