"""One step of training: a pure function of the state and the batch."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.sharding import Mesh, PartitionSpec
from jax.stages import Wrapped

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
    config: Config,
    graphdef: nnx.GraphDef,
    state: TrainState,
    batch: Batch,
    mesh: Mesh | None = None,
) -> tuple[TrainState, Metrics]:
    """One step of gradient descent on the mean cross-entropy of the batch.

    On a mesh of several devices each takes its rows of the batch. A step whose loss or gradient
    is no number changes nothing but the number of the step: it would spoil all that was learnt.
    """
    key = jax.random.fold_in(jax.random.key(config.training.seed), state.step)
    found, gradient = _differentiated(config, graphdef, state.params, batch, key, mesh)
    weight = jnp.maximum(found.weight, 1.0)
    tx = optimizer.create(config.training)
    updates, opt_state = tx.update(gradient, state.optimizer, state.params)
    params = optax.apply_updates(state.params, updates)
    # The average of few steps should forget quickly (as in tf.train.ExponentialMovingAverage).
    decay = jnp.minimum(config.training.ema_decay, (1.0 + state.step) / (10.0 + state.step))
    ema = jax.tree.map(lambda old, new: decay * old + (1 - decay) * new, state.ema, params)
    norm = optax.tree.norm(gradient)
    metrics = Metrics(found.nats / weight, found.hits / weight, norm, found.weight)
    usable = jnp.isfinite(metrics.nats) & jnp.isfinite(metrics.gradient_norm)
    after = TrainState(state.step, params, ema, opt_state)
    after = jax.tree.map(lambda new, old: jnp.where(usable, new, old), after, state)
    return after._replace(step=state.step + 1), metrics


train_step = jax.jit(step, static_argnums=(0, 1), donate_argnums=2)


@lru_cache  # so that a second training of the same shapes finds its step compiled
def compiled(mesh: Mesh) -> Wrapped:
    """`train_step` for a state that is on all devices of a mesh, and a batch spread over them."""
    shared = partial(step, mesh=mesh if mesh.size > 1 else None)
    everywhere = devices.everywhere(mesh)
    return jax.jit(shared, static_argnums=(0, 1), donate_argnums=2, out_shardings=everywhere)


def _differentiated(
    config: Config,
    graphdef: nnx.GraphDef,
    params: Params,
    batch: Batch,
    key: jax.Array,
    mesh: Mesh | None = None,
) -> tuple[loss.Score, Params]:
    """Scores of the batch, and the gradient of the mean over its samples that carry loss.

    It is the same for any number of devices and microbatches, whatever their shares of those
    samples: each adds its part of the sum, and all are divided by the weight of the whole.
    """
    weight = jnp.maximum(jnp.sum(jnp.asarray(batch.weights)), 1.0)
    given = (params, weight, _heard(config, batch, key), jnp.asarray(batch.codes))
    if mesh is None:
        return _sums(config, graphdef, *given)

    # Said outright: XLA, left to itself, has every device compute the loss of all windows.
    def shared(*given: Any) -> tuple[loss.Score, Params]:
        return jax.lax.psum(_sums(config, graphdef, *given), devices.AXIS)

    whole, parts = PartitionSpec(), PartitionSpec(devices.AXIS)
    specs = {"in_specs": (whole, whole, parts, parts), "out_specs": whole}
    return jax.shard_map(shared, mesh=mesh, **specs, check_vma=False)(*given)


def _sums(
    config: Config,
    graphdef: nnx.GraphDef,
    params: Params,
    weight: jax.Array,
    heard: Batch,
    codes: jax.Array,
) -> tuple[loss.Score, Params]:
    """Scores of some windows, and their part of the gradient of a mean over `weight` samples."""

    def part_of_mean(params: Params, heard: Batch, codes: jax.Array) -> tuple[jax.Array, Any]:
        rounded = network.for_products(params, config.training.compute_dtype)
        found = _score(network.assemble(graphdef, rounded), config, heard, codes)
        return found.objective / weight, found

    def add(total: Any, part: Any) -> tuple[Any, None]:
        (_, found), gradient = differentiate(params, *part)
        return jax.tree.map(jnp.add, total, (found, gradient)), None

    differentiate = jax.value_and_grad(part_of_mean, has_aux=True)
    if config.training.microbatches == 1:
        (_, found), gradient = differentiate(params, heard, codes)
        return found, gradient
    parts = jax.tree.map(lambda rows: _parted(rows, config.training.microbatches), (heard, codes))
    nothing = (loss.Score(*(jnp.zeros(()),) * 4), jax.tree.map(jnp.zeros_like, params))
    return jax.lax.scan(add, nothing, parts)[0]


def _parted(rows: jax.Array, count: int) -> jax.Array:  # [B, ...] -> [count, B / count, ...]
    return jnp.reshape(rows, (count, rows.shape[0] // count, *rows.shape[1:]))


def _score(net: network.Network, config: Config, heard: Batch, codes: jax.Array) -> loss.Score:
    inputs = Inputs.of(heard)
    state = net.initial_state(heard.codes.shape[0])
    hidden, _ = net.hidden(inputs, state, config.context_frames, clean=codes)
    targets = codes[:, config.context_frames * config.model.hop_length :]
    smoothing = config.training.label_smoothing
    return loss.score(net.wavenet, hidden, targets, heard.weights, smoothing, heard.valid)


def _heard(config: Config, batch: Batch, key: jax.Array) -> Batch:
    """The batch as the network hears it; what it has to foretell stays as it was."""
    jittered = batch._replace(codes=_jittered(config, batch, key))
    return _without_conditioning(config, jittered, jax.random.fold_in(key, 1))


def _without_conditioning(config: Config, batch: Batch, key: jax.Array) -> Batch:
    """The batch, with the conditioning of some windows dropped, all of it at once.

    As in classifier-free guidance (Ho and Salimans 2022, arXiv 2207.12598, section 3.2), so that
    one network plays with and without. Nothing is asked for: no notes, no period, zeros for what
    is measured, unknown labels; the same as a score without notes and labels of -1 in sampling.
    Labels are not dropped alone, nor are notes: each of those would be a third thing to learn.
    The sound so far is heard all the same, since sampling always has it.
    """
    share = config.training.condition_dropout
    if not share:
        return batch
    is_kept = jax.random.uniform(key, (batch.labels.shape[0], 1)) >= share  # [B, 1]
    kept = is_kept[..., None]
    return batch._replace(
        notes=jnp.where(kept, batch.notes, 0.0),
        periods=jnp.where(is_kept, batch.periods, 0.0),
        ages=jnp.where(is_kept, batch.ages, 0.0),
        acoustics=jnp.where(kept, batch.acoustics, 0.0),
        labels=jnp.where(is_kept, batch.labels, -1),
    )


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
