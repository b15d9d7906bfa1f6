"""Conditioner and stack put together: codes and signals in, logits of every code out."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from wavegen import config as configs
from wavegen.config import Config, Vocabulary
from wavegen.heard import Heard
from wavegen.model.conditioner import Carry, Conditioner
from wavegen.model.wavenet import WaveNet
from wavegen_kernels import predictor
from wavegen_kernels.predictor import Foretold
from wavegen_kernels.weights import amplitudes

Array = Any  # a jax array, or a numpy one that becomes one inside jit
Params = Any  # nested dict of arrays: nothing but numbers, as jit, optax and orbax like it


class Inputs(NamedTuple):
    """What the network hears of some recordings: X frames of context, then F frames."""

    codes: Array  # [B, (X+F)*P] int32
    notes: Array  # [B, X+F, 256] float32, or [B, X+F, 0]
    labels: Array  # [B, number of labels] int32, or [B, number of values] float32 shares
    valid: Array  # [B, X+F] float32
    periods: Array  # [B, X+F] float32 samples; read by a periodic predictor
    acoustics: Array  # [B, X+F, D] float32: see wavegen.audio.signals; D = 0 where unheard


class SequenceState(NamedTuple):
    """What carries over from one stretch of a recording to the next."""

    codes: Array  # [B, max(K, P, W)] int32: the last codes, oldest first
    queues: Array  # [L, B, reach, R]
    carry: Carry
    errors: Array  # [B, 3] float32: what is remembered of the predictor's errors


class Hidden(NamedTuple):
    """What the distribution of each sample follows from."""

    skip_sum: Array  # [..., S]
    foretold: Foretold | None  # [...]; None without a predictor


class Network(nnx.Module):
    """The whole model; its state is a value, handed in and out."""

    def __init__(self, config: Config, vocabulary: Vocabulary, *, rngs: nnx.Rngs) -> None:
        self.hop_length = config.model.hop_length
        self.silence = config.audio.n_codes // 2
        self.predictor = config.model.predictor
        self.wavenet = WaveNet(
            config.model, config.audio.n_codes, remat=config.training.remat, rngs=rngs
        )
        self.conditioner = (
            Conditioner(
                config.conditioner, config.model, config.audio.n_codes, vocabulary, rngs=rngs
            )
            if config.conditioner.is_used
            else None
        )

    def initial_state(self, batch: int) -> SequenceState:
        """The state before a recording's first sample: silence, zeros, no memory."""
        window = self.predictor.window if self.predictor.order else 0
        remembered = max(self.wavenet.embed.shape[0], self.hop_length, window)
        return SequenceState(
            codes=jnp.full((batch, remembered), self.silence, jnp.int32),
            queues=self.wavenet.initial_queues(batch),
            carry=self.initial_carry(batch),
            errors=jnp.zeros((batch, 3)),
        )

    def initial_carry(self, batch: int) -> Carry:
        """The conditioner's memory before the first frame; empty without a conditioner."""
        return () if self.conditioner is None else self.conditioner.initial_carry(batch)

    def hidden(
        self,
        inputs: Inputs,
        state: SequenceState,
        context_frames: int = 0,
        clean: Array | None = None,  # [B, (X+F)*P] int32; inputs.codes unless told
    ) -> tuple[Hidden, SequenceState]:  # of [B, F*P] samples; the state after the last one
        """The stack's output for the F frames that follow the X of context, teacher forced.

        `state` is that before the first frame of context. The stack itself does not hear
        the context: a window brings its own receptive field along. The predictor hears the
        `clean` codes where those of the inputs are jittered.
        """
        P, X = self.hop_length, context_frames
        K = self.wavenet.embed.shape[0]
        known = jnp.concatenate([state.codes, inputs.codes], axis=1)
        carry, cond = self.condition(state.carry, inputs, known[:, -inputs.codes.shape[1] - P : -P])
        if cond is not None:
            cond = cond[:, X:]
        T = inputs.codes.shape[1] - X * P
        sounded = known if clean is None else jnp.concatenate([state.codes, clean], axis=1)
        foretold, errors = self.foretell(sounded, T, state.errors, inputs.periods[:, X:])
        history = known[:, known.shape[1] - T - K : -1]
        skip_sum, queues = self.wavenet.skip_sum(history, cond, state.queues, foretold)
        state = SequenceState(known[:, -state.codes.shape[1] :], queues, carry, errors)
        return Hidden(skip_sum, foretold), state

    def foretell(
        self,
        known: Array,  # [B, at least W+T] int32: codes
        num_samples: int,  # T, the last of them
        errors: Array,  # [B, 3]: before the first
        periods: Array,  # [B, F] samples
    ) -> tuple[Foretold | None, Array]:  # of [B, T]; errors after the last
        """What the linear predictor makes of the last T samples; None without a predictor.

        Nothing is learnt through it.
        """
        linear = self.predictor
        if not linear.order:
            return None, errors
        sounds = jnp.asarray(amplitudes(self.wavenet.n_codes), jnp.float32)
        return predictor.foretell_all(
            sounds[known[:, -num_samples - linear.window :]],
            errors,
            periods if linear.periods_of else None,
            order=linear.order,
            window=linear.window,
            refit=linear.refit,
            floor=linear.floor,
            damping=linear.damping,
            n_codes=self.wavenet.n_codes,
        )

    def condition(
        self,
        carry: Carry,
        inputs: Inputs,  # its codes are not read
        codes_before: Array,  # [B, F*P] int32: the codes, one frame late
    ) -> tuple[Carry, Array | None]:  # carry, [B, F, L, 2R]; None without a conditioner
        """Conditioning of the frames, and the conditioner's memory after them."""
        if self.conditioner is None:
            return carry, None
        B, F = inputs.valid.shape
        past = codes_before.reshape(B, F, self.hop_length)
        return self.conditioner(
            carry, inputs.notes, past, inputs.labels, inputs.valid, inputs.acoustics
        )

    def logits(
        self, inputs: Inputs, state: SequenceState, context_frames: int = 0
    ) -> tuple[Array, SequenceState]:  # [B, F*P, V] float32
        """Logits of every code of the F frames, each knowing only the codes before it."""
        hidden, state = self.hidden(inputs, state, context_frames)
        return self.wavenet.logits(*hidden), state


def create(config: Config, vocabulary: Vocabulary, seed: int) -> tuple[nnx.GraphDef, Params]:
    """A network of random weights, as its structure and its plain nested dict of arrays."""
    graphdef, make, _ = _blueprint(config, vocabulary)
    return graphdef, make(jax.random.key(seed))


def structure(config: Config, vocabulary: Vocabulary) -> tuple[nnx.GraphDef, Params]:
    """The structure, and the shapes of the arrays, without making any."""
    graphdef, _, shapes = _blueprint(config, vocabulary)
    return graphdef, shapes


def _blueprint(
    config: Config, vocabulary: Vocabulary
) -> tuple[nnx.GraphDef, Callable[[jax.Array], Params], Params]:
    """The structure, the function that draws the arrays from a key, and their shapes."""
    shaping = configs.Training(remat=config.training.remat)  # nothing else of it shapes a network
    config = replace(config, training=shaping, augmentation=configs.Augmentation())
    return _traced(config, json.dumps(vocabulary.to_dict()))


@lru_cache(maxsize=16)  # tracing one takes most of a second
def _traced(
    config: Config, vocabulary: str
) -> tuple[nnx.GraphDef, Callable[[jax.Array], Params], Params]:
    known, graphdefs = Vocabulary.from_dict(json.loads(vocabulary)), []

    def make(key: jax.Array) -> Params:
        network = Network(config, known, rngs=nnx.Rngs(params=key))
        graphdef, state = nnx.split(network, nnx.Param)
        graphdefs.append(graphdef)
        return nnx.to_pure_dict(state)

    shapes = jax.eval_shape(make, jax.random.key(0))  # fills graphdefs
    return graphdefs[0], jax.jit(make), shapes


def assemble(graphdef: nnx.GraphDef, params: Params) -> Network:
    """The module again, for calls inside jit: `assemble(graphdef, params).logits(...)`."""
    return nnx.merge(graphdef, params)


def for_products(params: Params, dtype: str) -> Params:
    """The parameters with the large products' weights in another dtype, and so the products.

    These are the stack's, whose number is that of the samples; activations between the layers
    take their dtype too. What needs the precision stays float32: embeddings and biases, whose
    gradients are sums over all samples; head2, since of all that is rounded in a trained network
    the logits suffer most (benchmarks/README.md); the predictor; and the conditioner, a memory.
    """
    wide = ("gate", "residual", "skip", "head1")
    wavenet = params["wavenet"] | {name: params["wavenet"][name].astype(dtype) for name in wide}
    return params | {"wavenet": wavenet}


def count(params: Params) -> int:
    """Number of parameters."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))


@dataclass(frozen=True, eq=False)  # known by its identity: see wavegen.sampling.blocks.export
class Trained:
    """A network that can be used: all that evaluation and generation need."""

    config: Config
    vocabulary: Vocabulary
    graphdef: nnx.GraphDef
    params: Params
    step: int  # of the training, when these parameters were saved
    heard: Heard | None = None  # in training; None where the checkpoint is older than that
