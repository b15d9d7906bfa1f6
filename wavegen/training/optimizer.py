"""AdamW under a clipped gradient, with warm-up and cosine decay."""

from __future__ import annotations

import jax
import optax

from wavegen.config import Training


def schedule(config: Training) -> optax.Schedule:
    """Learning rate by step: linear warm-up to the highest, cosine decay to the final one."""
    warmup = min(config.warmup_steps, config.steps - 1)
    return optax.warmup_cosine_decay_schedule(
        init_value=0.0 if warmup else config.learning_rate,
        peak_value=config.learning_rate,
        warmup_steps=warmup,
        decay_steps=config.steps,
        end_value=min(config.final_learning_rate, config.learning_rate),
    )


def create(config: Training) -> optax.GradientTransformation:
    """Clip by global norm, then AdamW (Loshchilov and Hutter 2017, arXiv 1711.05101).

    Weight decay spares biases. b2 = 0.99 follows the gradients of a short training faster
    than the usual 0.999.
    """
    return optax.chain(
        optax.clip_by_global_norm(config.clip_norm),
        optax.adamw(
            schedule(config),
            b2=0.99,
            weight_decay=config.weight_decay,
            mask=lambda params: jax.tree_util.tree_map_with_path(
                lambda path, _: "bias" not in jax.tree_util.keystr(path), params
            ),
        ),
    )
