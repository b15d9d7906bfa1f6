"""How a gradient becomes a change of the parameters: schedules and optimizers."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import optax
from optax import contrib
from optax.contrib import MuonDimensionNumbers

from wavegen.config import Training

Path = tuple[Any, ...]  # of a leaf in the tree of parameters
Axes = tuple[int, ...]

# The parameters that samples or frames are multiplied with, by the last of their names: the axes
# that are summed over, and the one that comes out. What is left are matrices side by side.
_MATRICES: dict[str, tuple[Axes, Axes]] = {
    "gate": ((1, 2), (3,)),  # [L, K, R, 2R]
    "residual": ((1,), (2,)),  # [L, R, R]
    "skip": ((0, 1), (2,)),  # [L, R, S]: the skips of all layers are one sum
    "head1": ((0,), (1,)),  # [S, H]
    "kernel": ((0,), (1,)),  # of the conditioner's cell and projections
    "from_cell": ((0,), (2,)),  # [D, L, 2R]
    "from_signals": ((0,), (2,)),  # [I, L, 2R]
}
_ADAMW_RMS = 0.2  # of what AdamW changes in a step, in learning rates (Liu et al., section 2.2)
_B2 = 0.99  # follows the gradients of a short training faster than the usual 0.999


def schedule(config: Training) -> optax.Schedule:
    """Learning rate by step: linear warm-up to the highest, then what the config names.

    With w = warmup_steps and n = steps, after the warm-up, of step t:
    "cosine": final + (highest - final) * (1 + cos(pi * (t - w) / (n - w))) / 2 (Loshchilov and
    Hutter 2016, arXiv 1608.03983, equation 5, without restarts); "constant": highest;
    "inverse_sqrt": highest * sqrt(w / t), with at least one step of warm-up (Vaswani et al.
    2017, arXiv 1706.03762, equation 3). The latter two do not depend on n, so that a training
    can be made longer.
    """
    highest, warmup = config.learning_rate, config.warmup_steps
    if config.schedule == "constant":
        return optax.warmup_constant_schedule(0.0 if warmup else highest, highest, warmup)
    if config.schedule == "inverse_sqrt":
        start = max(1, warmup)
        return lambda step: (
            highest * jnp.minimum(step / start, jnp.sqrt(start / jnp.maximum(step, 1)))
        )
    warmup = min(warmup, config.steps - 1)
    return optax.warmup_cosine_decay_schedule(
        init_value=0.0 if warmup else highest,
        peak_value=highest,
        warmup_steps=warmup,
        decay_steps=config.steps,
        end_value=min(config.final_learning_rate, highest),
    )


def create(config: Training) -> optax.GradientTransformation:
    """Clip by global norm, then the config's optimizer; weight decay spares biases.

    "adamw": Loshchilov and Hutter 2017, arXiv 1711.05101. "lion": Chen et al. 2023, arXiv
    2302.06675; it wants a learning rate of a third to a tenth of AdamW's, and as many times its
    weight decay. "muon": see `_muon`; its changes are as large as AdamW's.
    """
    rate, decay = schedule(config), config.weight_decay
    if config.optimizer == "muon":
        rule = optax.chain(
            _muon(),
            optax.add_decayed_weights(decay, _is_no_bias),
            optax.scale_by_learning_rate(rate),
        )
    elif config.optimizer == "lion":
        rule = optax.lion(rate, weight_decay=decay, mask=_is_no_bias)
    else:
        rule = optax.adamw(rate, b2=_B2, weight_decay=decay, mask=_is_no_bias)
    return optax.chain(optax.clip_by_global_norm(config.clip_norm), rule)


def _is_no_bias(params: Any) -> Any:
    return jax.tree_util.tree_map_with_path(
        lambda path, _: "bias" not in jax.tree_util.keystr(path), params
    )


def _muon() -> optax.GradientTransformation:
    """Momentum made orthogonal for matrices, Adam for the rest.

    Jordan et al. 2024, https://kellerjordan.github.io/posts/muon: embeddings and the layer that
    gives the logits are left to Adam. A matrix [n, m] is scaled by 0.2 * sqrt(max(n, m)), so that
    one learning rate serves both (Liu et al. 2025, arXiv 2502.16982, equation 4).
    """
    return optax.partition(
        {
            "matrix": optax.chain(
                contrib.scale_by_muon(weight_dimension_numbers=_dimensions),
                optax.stateless(lambda updates, _: jax.tree.map_with_path(_as_adamw, updates)),
            ),
            "other": optax.scale_by_adam(b2=_B2),
        },
        lambda params: jax.tree.map_with_path(
            lambda path, _: "matrix" if _name(path) in _MATRICES else "other", params
        ),
    )


def _name(path: Path) -> str:
    return str(path[-1].key)


def _dimensions(params: Any) -> Any:  # of the matrices alone
    return jax.tree.map_with_path(
        lambda path, _: MuonDimensionNumbers(*_MATRICES[_name(path)]), params
    )


def _as_adamw(path: Path, update: jax.Array) -> jax.Array:
    """An orthogonal update as large as one of AdamW."""
    widths = (math.prod(update.shape[axis] for axis in axes) for axes in _MATRICES[_name(path)])
    return update * (_ADAMW_RMS * math.sqrt(max(widths)))
