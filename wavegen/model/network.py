"""Conditioner and stack put together: codes and signals in, logits of every code out."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from wavegen import config as configs
from wavegen.config import Config, Vocabulary
from wavegen.heard import Heard
from wavegen.model import anchor
from wavegen.model.conditioner import Carry, Conditioner, Expected
from wavegen.model.wavenet import WaveNet
from wavegen_kernels import predictor, steering
from wavegen_kernels.predictor import Foretold
from wavegen_kernels.steering import Aim
from wavegen_kernels.weights import amplitudes

Array = Any  # a jax array, or a numpy one that becomes one inside jit
Params = Any  # nested dict of arrays: nothing but numbers, as jit, optax and orbax like it

ANCHOR_ORDERS = 4  # samples of an anchor, in orders of the predictor


class Inputs(NamedTuple):
    """What the network hears of some recordings: X frames of context, then F frames."""

    codes: Array  # [B, (X+F)*P] int32
    notes: Array  # [B, X+F, 256] float32, or [B, X+F, 0]
    labels: Array  # [B, number of labels] int32, or [B, number of values] float32 shares
    valid: Array  # [B, X+F] float32
    periods: Array  # [B, X+F] float32 samples; read by a periodic or steered predictor
    ages: Array  # [B, X+F] float32 samples since the note of the period began
    acoustics: Array  # [B, X+F, D] float32: see wavegen.audio.signals; D = 0 where unheard

    @classmethod
    def of(cls, batch: Any) -> Inputs:
        """What the network hears of a batch; see wavegen.data.batches."""
        return cls(*(getattr(batch, name) for name in cls._fields))


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
    strays: Expected | None = None  # what was expected, less what is: see Network.strays


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
        carry, cond, expected = self.condition(
            state.carry, inputs, known[:, -inputs.codes.shape[1] - P : -P]
        )
        if cond is not None:
            cond = cond[:, X:]
        T = inputs.codes.shape[1] - X * P
        sounded = known if clean is None else jnp.concatenate([state.codes, clean], axis=1)
        periods, of_window = jax.tree.map(lambda x: x[:, X:], (inputs.periods, expected))
        foretold, errors, free = self.foretell(sounded, T, state.errors, periods, of_window)
        history = known[:, known.shape[1] - T - K : -1]
        skip_sum, queues = self.wavenet.skip_sum(history, cond, state.queues, foretold)
        state = SequenceState(known[:, -state.codes.shape[1] :], queues, carry, errors)
        if expected is None:
            return Hidden(skip_sum, foretold), state
        return Hidden(skip_sum, foretold, self.strays(sounded, inputs, expected, free)), state

    def strays(
        self,
        known: Array,  # [B, at least W+(X+F)*P] int32: codes
        inputs: Inputs,
        expected: Expected,  # of [B, X+F]
        errors: Array,  # [B, F*P]: error levels of the last F frames
    ) -> Expected:  # of [B, X+F], [B, F], [B, X+F, K]
        """What was expected, less what is; zeros where nothing can be said of a strength.

        Those can be told from a quarter of the predictor's window on, where there is a note.
        """
        P, (B, F) = self.hop_length, inputs.valid.shape
        before = steering.level_samples(self.predictor.window)
        table = jnp.asarray(amplitudes(self.wavenet.n_codes), jnp.float32)
        samples = table[known[:, known.shape[1] - F * P - before :]]
        sums = jax.lax.reduce_window(
            samples[:, :-P] ** 2, 0.0, jax.lax.add, (1, before), (1, P), "valid"
        )
        levels = expected.levels - jnp.log(sums / before + math.exp(steering.QUIETEST))
        noises = jnp.log(errors).reshape(B, -1, P).mean(axis=-1)
        after = self.predictor.window // 2
        whole = max(F - -(-after // P) + 1, 0)  # frames from whose start so many are known
        starts = before + P * np.arange(whole)[:, None] + np.arange(after)
        sounds = samples[:, starts]
        found = anchor.strengths(sounds, inputs.periods[:, :whole])
        is_loud = (sounds**2).mean(axis=-1, keepdims=True) > math.exp(steering.QUIETEST)
        is_told = anchor.heard(inputs.periods[:, :whole]) & is_loud
        off = jnp.where(is_told, expected.strengths[:, :whole] - found, 0.0)
        off = jnp.pad(off, ((0, 0), (0, F - whole), (0, 0)))
        return Expected(levels, expected.noises[:, -noises.shape[1] :] - noises, off)

    def foretell(
        self,
        known: Array,  # [B, at least W+T] int32: codes
        num_samples: int,  # T, the last of them
        errors: Array,  # [B, 3]: before the first
        periods: Array,  # [B, F] samples
        expected: Expected | None,  # of [B, F], of a steered one
    ) -> tuple[Foretold | None, Array, Any]:  # of [B, T]; errors after the last; levels [B, T]
        """What the linear predictor makes of the last T samples; None without a predictor.

        Nothing is learnt through it. The error levels are told as they are, not as bounded.
        """
        linear = self.predictor
        if not linear.order:
            return None, errors, None
        aim = self.aim(periods, jax.lax.stop_gradient(expected))
        sounds = jnp.asarray(amplitudes(self.wavenet.n_codes), jnp.float32)
        return predictor.foretell_all(
            sounds[known[:, -num_samples - linear.window :]],
            errors,
            periods if linear.is_periodic else None,
            aim,
            order=linear.order,
            window=linear.window,
            refit=linear.refit,
            floor=linear.floor,
            damping=linear.damping,
            n_codes=self.wavenet.n_codes,
        )

    def aim(self, periods: Array, expected: Expected | None) -> Aim | None:  # [B, F], of [B, F]
        """What a steered predictor is held to; None where nothing is expected."""
        if expected is None:
            return None
        levels, noises, strengths = expected
        count = ANCHOR_ORDERS * self.predictor.order
        shares = noises - levels / 2
        return Aim(anchor.sounds(periods, strengths, shares, count), levels, noises)

    def condition(
        self,
        carry: Carry,
        inputs: Inputs,  # its codes are not read
        codes_before: Array,  # [B, F*P] int32: the codes, one frame late
    ) -> tuple[Carry, Array | None, Expected | None]:  # carry, [B, F, L, 2R], of [B, F]
        """The conditioner's memory after the frames, their conditioning, and what it expects.

        No conditioning without a conditioner; nothing is expected without a steered predictor.
        """
        if self.conditioner is None:
            return carry, None, None
        B, F = inputs.valid.shape
        past = codes_before.reshape(B, F, self.hop_length)
        return self.conditioner(
            carry,
            inputs.notes,
            past,
            inputs.labels,
            inputs.valid,
            inputs.acoustics,
            inputs.periods,
            inputs.ages,
        )

    def logits(
        self, inputs: Inputs, state: SequenceState, context_frames: int = 0
    ) -> tuple[Array, SequenceState]:  # [B, F*P, V] float32
        """Logits of every code of the F frames, each knowing only the codes before it."""
        hidden, state = self.hidden(inputs, state, context_frames)
        return self.wavenet.logits(hidden.skip_sum, hidden.foretold), state


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


def named(tree: Params) -> dict[str, Any]:
    """The leaves by their names, such as wavenet.gate, in the order of the tree."""
    return {
        ".".join(str(getattr(key, "key", key)) for key in path): leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


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
    temperature: float = 1.0  # that it sounds best at, as far as anybody has found out
