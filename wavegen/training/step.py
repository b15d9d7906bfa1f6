"""One step of training: a pure function of the state and the batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.sharding import Mesh

from wavegen.config import Config
from wavegen.data.batches import Batch
from wavegen.model import loss, network
from wavegen.model.network import Inputs, Params
from wavegen.training import devices, optimizer


class TrainState(NamedTuple):
    """Everything that a step changes."""

    step: jax.Array  # int32 scalar: steps done
    params: Params
    ema: Params  # moving average of the parameters, the one that is used
    optimizer: Any


class Metrics(NamedTuple):
    """What one step tells."""

    nats: jax.Array  # mean cross-entropy over the samples that carry loss
    accuracy: jax.Array
    gradient_norm: jax.Array  # before clipping
    weight: jax.Array  # samples that carried loss


def initial_state(config: Config, params: Params) -> TrainState:
    """The state before the first step."""
    # The average starts as a copy: the step donates both trees, and one buffer cannot be
    # given away twice.
    ema = jax.tree.map(jnp.copy, params)
    return TrainState(jnp.int32(0), params, ema, optimizer.create(config.training).init(params))


def step(
    config: Config, graphdef: nnx.GraphDef, state: TrainState, batch: Batch
) -> tuple[TrainState, Metrics]:
    """One step of gradient descent on the mean cross-entropy of the batch."""
    key = jax.random.fold_in(jax.random.key(config.training.seed), state.step)

    def mean_nats(params: Params) -> tuple[jax.Array, loss.Score]:
        found = score(network.assemble(graphdef, params), config, batch, key)
        return found.nats / jnp.maximum(found.weight, 1.0), found

    (nats, found), gradient = jax.value_and_grad(mean_nats, has_aux=True)(state.params)
    tx = optimizer.create(config.training)
    updates, opt_state = tx.update(gradient, state.optimizer, state.params)
    params = optax.apply_updates(state.params, updates)
    # The average of few steps should forget quickly (as in tf.train.ExponentialMovingAverage).
    decay = jnp.minimum(config.training.ema_decay, (1.0 + state.step) / (10.0 + state.step))
    ema = jax.tree.map(lambda old, new: decay * old + (1 - decay) * new, state.ema, params)
    metrics = Metrics(
        nats, found.hits / jnp.maximum(found.weight, 1.0), optax.tree.norm(gradient), found.weight
    )
    return TrainState(state.step + 1, params, ema, opt_state), metrics


train_step = jax.jit(step, static_argnums=(0, 1), donate_argnums=2)


def compiled(mesh: Mesh) -> Callable[..., tuple[TrainState, Metrics]]:
    """`train_step` for a state that is on all devices of a mesh, and a batch spread over them."""
    everywhere = devices.everywhere(mesh)
    return jax.jit(step, static_argnums=(0, 1), donate_argnums=2, out_shardings=everywhere)


def score(net: network.Network, config: Config, batch: Batch, key: jax.Array) -> loss.Score:
    """Cross-entropy of the windows of a batch, their inputs jittered if the config says so."""
    heard = _jittered(config, batch, key)
    inputs = Inputs(heard, batch.notes, batch.labels, batch.valid, batch.periods, batch.acoustics)
    state = net.initial_state(heard.shape[0])
    hidden, _ = net.hidden(inputs, state, config.context_frames, clean=batch.codes)
    targets = batch.codes[:, config.context_frames * config.model.hop_length :]
    return loss.score(net.wavenet, hidden, targets, batch.weights)


def _jittered(config: Config, batch: Batch, key: jax.Array) -> jax.Array:  # [B, (X+F)*P]
    """The codes as the network hears them; what it has to foretell stays as it was.

    Its own draws will not be as clean as recordings: inputs that are off by some codes make
    it trust the notes more than the last few samples. The silence before a recording is
    never off: sampling begins from it too. The linear predictor hears no jitter: it would count
    on larger errors than it makes when it hears the network's draws.
    """
    codes, reach = jnp.asarray(batch.codes), config.training.input_jitter
    if not reach:
        return codes
    moves = jax.random.randint(key, codes.shape, -reach, reach + 1, codes.dtype)
    moved = jnp.clip(codes + moves, 0, config.audio.n_codes - 1)
    is_recording = jnp.repeat(jnp.asarray(batch.valid), config.model.hop_length, axis=1) > 0
    return jnp.where(is_recording, moved, codes)
