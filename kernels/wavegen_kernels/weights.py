"""The plain pytrees that cross the wall between the model and the kernels.

Axis letters, the same everywhere: B batch, T samples, F frames, P hop_length (samples
per frame), K taps, R residual, S skip, H head, V codes, L layers.
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


def initial_state(weights: StackWeights, batch: int) -> StepState:
    """The state before the first sample: silence behind, queues of zeros."""
    rows = sum(weights.queue_lengths)
    return StepState(
        time=np.uint32(0),
        codes=np.full((weights.kernel_size, batch), weights.silence, np.int32),
        queues=np.zeros((rows, batch, weights.residual_channels), np.float32),
    )
