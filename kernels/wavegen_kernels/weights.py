"""The plain pytrees that cross the wall between the model and the kernels.

Axis letters, the same everywhere: B batch, T samples, F frames, P hop_length (samples
per frame), K taps, R residual, S skip, H head, V codes, L layers; of the predictor N order,
W window.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import jax
import numpy as np

Array = Any  # a numpy array or a jax array


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Predictor:
    """What the network learns about its linear predictor, and how that one is fitted.

    See wavegen_kernels.predictor.
    """

    value: Array  # [STEPS, R]: the foretold sample's embedding
    level: Array  # [STEPS, R]: that of the error level
    surprise: Array  # [STEPS, R]: that of the last sample's error
    # From the skips to shift and width of the base distribution; and gain, of a periodic one.
    shape: Array  # [S, 2 or 3]
    shape_bias: Array  # [2 or 3]
    order: int = field(metadata={"static": True})  # N: coefficients
    window: int = field(metadata={"static": True})  # W: samples that each fit hears
    refit: int = field(metadata={"static": True})  # samples from fit to fit
    floor: float = field(metadata={"static": True})  # the least error level, in cells
    damping: float = field(metadata={"static": True})  # of a tone, per sample; or of an echo
    # Whether it repeats what sounded one period of the asked note ago, instead of being fitted;
    # `refit` then means nothing.
    periodic: bool = field(default=False, metadata={"static": True})
    # Whether a fitted one is held to the sound that is asked for; see wavegen_kernels.steering.
    steered: bool = field(default=False, metadata={"static": True})


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class StackWeights:
    """Everything that the sample-by-sample loop multiplies with; float32.

    Two are equal only if they are one: what is known of weights is kept by their identity.

    Tap k of a convolution with dilation d looks k*d samples back, so tap 0 is "now".
    """

    embed: Array  # [K, V, R]     tap k embeds code[t-1-k]
    gate: Array  # [L, K, R, 2R]  columns: filter | gate
    gate_bias: Array  # [L, 2R]
    residual: Array  # [L, R, R]
    residual_bias: Array  # [L, R]
    skip: Array  # [L, R, S]
    skip_bias: Array  # [S]
    head1: Array  # [S, H]
    head1_bias: Array  # [H]
    head2: Array  # [H, V]
    head2_bias: Array  # [V]
    dilations: tuple[int, ...] = field(metadata={"static": True})  # L of them
    predictor: Predictor | None = None

    @property
    def kernel_size(self) -> int:
        """Taps of every causal convolution."""
        return self.embed.shape[0]

    @property
    def n_codes(self) -> int:
        """Size of the distribution that every sample is drawn from."""
        return self.embed.shape[1]

    @property
    def residual_channels(self) -> int:
        """Width of the residual stream."""
        return self.embed.shape[2]

    @property
    def silence(self) -> int:
        """The code of amplitude zero (the upper of the two middle ones where n_codes is even)."""
        return self.n_codes // 2

    @property
    def window(self) -> int:
        """Past samples that the predictor hears; 0 where there is none."""
        return 0 if self.predictor is None else self.predictor.window

    @cached_property  # every call of a kernel asks
    def queue_lengths(self) -> tuple[int, ...]:
        """Past samples that each layer's queue holds: (K-1) * dilation."""
        return tuple((self.kernel_size - 1) * d for d in self.dilations)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class StepState:
    """What the loop remembers between two samples; a value, handed in and out.

    Layer l owns queue_lengths[l] consecutive rows of `queues`, after those of the layers
    below it. Its activation of time t lies in its row `t mod queue_lengths[l]`.
    """

    time: Array  # uint32 scalar: samples made so far, the counter of the draws
    codes: Array  # int32 [K, B]: row k is code[time-1-k]
    queues: Array  # float32 [sum of queue_lengths, B, R]
    heard: Array  # float32 [B, W]: the predictor's past, oldest first; samples, not codes
    errors: Array  # float32 [B, 3]: the predictor's: two running mean squares, the last one


def initial_state(weights: StackWeights, batch: int) -> StepState:
    """The state before the first sample: silence behind, queues of zeros."""
    rows, silent = sum(weights.queue_lengths), amplitudes(weights.n_codes)[weights.silence]
    return StepState(
        time=np.uint32(0),
        codes=np.full((weights.kernel_size, batch), weights.silence, np.int32),
        queues=np.zeros((rows, batch, weights.residual_channels), np.float32),
        heard=np.full((batch, weights.window), silent, np.float32),
        errors=np.zeros((batch, 3), np.float32),
    )


def amplitudes(n_codes: int) -> np.ndarray:  # [V] float64
    """The sample in [-1, 1] that each mu-law code stands for (ITU-T G.711's law, mu = V - 1)."""
    return expanded(np.arange(n_codes), n_codes)


def expanded(places: np.ndarray, n_codes: int) -> np.ndarray:
    """The samples at places on the mu-law scale of 0 ... n_codes - 1."""
    companded = 2 * places / (n_codes - 1) - 1
    return np.sign(companded) * np.expm1(np.abs(companded) * np.log(n_codes)) / (n_codes - 1)
