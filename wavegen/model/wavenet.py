"""The stack: dilated causal convolutions over mu-law codes, for a whole sequence at once.

Source: van den Oord et al. 2016, "WaveNet", arXiv 1609.03499, section 2; the input layer
and the single skip product follow the Deep Voice variant, arXiv 1702.07825. The layer's
mathematics stands in `wavegen_kernels.stack`, which the sampling loop uses too.
"""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp
from flax import nnx

from wavegen.config import Model
from wavegen_kernels import predictor, stack
from wavegen_kernels.predictor import Foretold
from wavegen_kernels.weights import Predictor as PredictorWeights
from wavegen_kernels.weights import StackWeights

Array = jax.Array
QUIET = 0.05  # of the usual size: the logits' first weights over a predictor


class WaveNet(nnx.Module):
    """Parameters of the stack, those of all layers laid on one leading axis.

    Products are of the dtype of their weights: see `network.for_products`. All else is float32.
    """

    def __init__(self, config: Model, n_codes: int, *, remat: bool = True, rngs: nnx.Rngs) -> None:
        K, V, L = config.kernel_size, n_codes, config.num_layers
        R, S, H = config.residual_channels, config.skip_channels, config.head_channels
        self.dilations, self.n_codes, self.remat = config.dilations, n_codes, remat

        def normal(fan_in: int, *shape: int) -> nnx.Param:
            return nnx.Param(rngs.params.normal(shape) * fan_in**-0.5)

        def zeros(*shape: int) -> nnx.Param:
            return nnx.Param(jnp.zeros(shape))

        self.embed = nnx.Param(smooth_embedding(rngs, K, V, R) * K**-0.5)
        self.gate = normal(K * R, L, K, R, 2 * R)
        self.gate_bias = zeros(L, 2 * R)
        self.residual = normal(R * L, L, R, R)  # a sum over layers that keeps its scale
        self.residual_bias = zeros(L, R)
        self.skip = normal(R * L, L, R, S)
        self.skip_bias = zeros(S)
        self.head1 = normal(S, S, H)
        self.head1_bias = zeros(H)
        self.head2 = normal(H, H, V)
        self.head2_bias = zeros(V)
        self.predictor = Predictor(config, rngs=rngs) if config.predictor.order else None
        if self.predictor is not None:
            # What is left to say at first is little: the predictor has said the rest.
            self.head2[...] *= QUIET

    @property
    def reach(self) -> int:
        """Past activations that the widest layer needs."""
        return (self.embed.shape[0] - 1) * max(self.dilations)

    def initial_queues(self, batch: int) -> Array:  # [L, B, reach, R]
        """Activations before the first sample: zeros, the causal convolutions' padding."""
        L, _, R, _ = self.gate.shape
        return jnp.zeros((L, batch, self.reach, R))

    def skip_sum(
        self,
        history: Array,  # [B, K-1+T] int32: the codes before each sample; ends before the last
        cond: Array | None,  # [B, F, L, 2R], F frames that share T samples evenly
        queues: Array,  # [L, B, reach, R]: activations before the first sample
        foretold: Foretold | None = None,  # [B, T]; None without a predictor
    ) -> tuple[Array, Array]:  # [B, T, S], [L, B, reach, R]
        """Sum of all layers' skips, and the queues after the last sample."""
        K = self.embed.shape[0]
        T, dtype = history.shape[1] - K + 1, self.gate.dtype
        first = [self.embed[k][history[:, K - 1 - k : K - 1 - k + T]] for k in range(K)]
        layers = (
            self.gate[...],
            self._added(cond),
            self.residual[...],
            self.residual_bias[...],
            self.skip[...],
            jnp.asarray(self.dilations),
            queues.astype(dtype),
        )
        h = functools.reduce(jnp.add, first)
        total = jnp.broadcast_to(self.skip_bias[...], (*h.shape[:2], self.skip.shape[-1]))
        if self.predictor is not None and foretold is not None:
            h = h + predictor.hint(self.predictor.weights(), self.n_codes, foretold, jnp)
        # Inside a scan the checkpoint works on every device; around unrolled layers it does not.
        layer = jax.checkpoint(_layer) if self.remat else _layer
        (_, total), queues = jax.lax.scan(layer, (h.astype(dtype), total), layers)
        return total, queues

    def _added(self, cond: Array | None) -> Array:  # [L, 2, B, F, 2R], or [L, 2, 1, 1, 2R]
        """What each layer adds to its convolution: its bias, and its conditioning."""
        bias = self.gate_bias[...][:, None, None]  # [L, 1, 1, 2R]
        cond = jnp.zeros_like(bias) if cond is None else jnp.moveaxis(cond, 2, 0)
        return jnp.stack([cond, jnp.broadcast_to(bias, cond.shape)], axis=1)

    def logits(
        self,
        skip_sum: Array,  # [..., S]
        foretold: Foretold | None = None,  # [...]; None without a predictor
    ) -> Array:  # [..., V] float32
        """The distribution of each code, unnormalised."""
        logits = stack.head(
            skip_sum,
            self.head1[...],
            self.head1_bias[...],
            self.head2[...],
            self.head2_bias[...],
        )
        if self.predictor is None or foretold is None:
            return logits
        return logits + predictor.base(
            self.predictor.weights(), self.n_codes, skip_sum, foretold, jnp
        )

    def export(self) -> StackWeights:
        """The plain arrays that the sampling kernels take."""
        return StackWeights(
            **{
                name: getattr(self, name)[...]
                for name in StackWeights.__dataclass_fields__
                if name not in ("dilations", "predictor")
            },
            dilations=self.dilations,
            predictor=None if self.predictor is None else self.predictor.weights(),
        )


class Predictor(nnx.Module):
    """What is learnt about the linear predictor: how to read it, how far to trust it."""

    def __init__(self, config: Model, *, rngs: nnx.Rngs) -> None:
        R, S = config.residual_channels, config.skip_channels
        self.config = config.predictor
        self.value, self.level, self.surprise = (
            nnx.Param(table * 2**-0.5) for table in smooth_embedding(rngs, 3, predictor.STEPS, R)
        )
        shape = [0.0, math.log(predictor.INITIAL_WIDTH)]
        if self.config.is_periodic:
            shape.append(0.0)
        self.shape = nnx.Param(jnp.zeros((S, len(shape))))
        self.shape_bias = nnx.Param(jnp.array(shape))

    def weights(self) -> PredictorWeights:
        """The plain arrays, as the kernels take them."""
        return PredictorWeights(
            value=self.value[...],
            level=self.level[...],
            surprise=self.surprise[...],
            shape=self.shape[...],
            shape_bias=self.shape_bias[...],
            order=self.config.order,
            window=self.config.window,
            refit=self.config.refit,
            floor=self.config.floor,
            damping=self.config.damping,
            periodic=self.config.is_periodic,
            steered=self.config.is_steered,
        )


def _layer(carry: tuple[Array, Array], layer: tuple) -> tuple[tuple[Array, Array], Array]:
    """One layer over all samples of a window, its dilation a run-time number.

    The skips are added up layer by layer. One product over all layers' gated outputs, as
    the sampling kernels do it, has to keep them all: twice the memory.

    Two things are for XLA's sake, on CPUs, and make a step half as fast again or more. Products
    are of [B*T, R]: of three axes, the gradient of a weight is multiplied at a tenth of the speed.
    And bias and conditioning are two rows to be summed: one alone is fetched from among all
    layers' for every sample, and a loop that does so is not vectorised.
    """
    h, total = carry
    gate, added, residual, residual_bias, skip, dilation, queue = layer
    (B, T, R), reach, K, F = h.shape, queue.shape[1], gate.shape[0], added.shape[2]
    padded = jnp.concatenate([queue, h], axis=1)  # [B, reach+T, R]
    past = [
        jax.lax.dynamic_slice_in_dim(padded, reach - k * dilation, T, axis=1) for k in range(1, K)
    ]
    flat = h.reshape(B * T, R)
    pre = stack.convolved([flat, *(tap.reshape(B * T, R) for tap in past)], gate)
    pre = pre.reshape(B, F, T // F, 2 * R) + added.sum(0)[:, :, None]
    z = stack.gated(pre.reshape(B * T, 2 * R)).astype(h.dtype)
    new = stack.residual(flat.astype(added.dtype), z, residual, residual_bias)
    h = new.astype(h.dtype).reshape(B, T, R)
    return (h, total + (z @ skip).reshape(B, T, -1)), padded[:, T:]


def smooth_embedding(rngs: nnx.Rngs, taps: int, n_codes: int, channels: int) -> Array:
    """Initial embeddings [taps, n_codes, channels] in which neighbouring codes lie close.

    Random Fourier features of the code's place on the mu-law scale (Rahimi and Recht 2007,
    "Random features for large-scale kernel machines"), of unit variance: the network need
    not first find out that code 129 sounds like code 130.
    """
    place = jnp.linspace(-1.0, 1.0, n_codes)[None, :, None]
    frequency = rngs.params.normal((taps, 1, channels)) * jnp.pi
    phase = rngs.params.uniform((taps, 1, channels), maxval=2 * jnp.pi)
    return jnp.sqrt(2.0) * jnp.cos(frequency * place + phase)
