"""Schedules by their formulas; optimizers by what one step of each is known to do."""

import math
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from wavegen import checkpoint
from wavegen.checkpoint import About
from wavegen.config import OPTIMIZERS, Training, Vocabulary
from wavegen.data import batches
from wavegen.model import network
from wavegen.training import optimizer, step


def rate(config, at):
    return float(np.asarray(optimizer.schedule(config)(at)))


def first_update(config, gradient, params) -> Any:
    tx = optimizer.create(config)
    return tx.update(gradient, tx.init(params), params)[0]


RATES = Training(learning_rate=4e-3, final_learning_rate=1e-3, warmup_steps=10, steps=110)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cosine", {10: 4e-3, 35: 1e-3 + 3e-3 * (1 + math.cos(math.pi / 4)) / 2, 60: 2.5e-3,
                    110: 1e-3}),
        ("constant", {10: 4e-3, 60: 4e-3, 1000: 4e-3}),
        ("inverse_sqrt", {10: 4e-3, 40: 2e-3, 90: 4e-3 / 3, 1000: 4e-4}),
    ],
)  # fmt: skip
def test_schedules_follow_their_formulas_after_a_linear_warm_up(name, expected):
    config = replace(RATES, schedule=name)
    for at, value in ({0: 0.0, 1: 4e-4, 5: 2e-3} | expected).items():
        assert rate(config, at) == pytest.approx(value, rel=1e-5), at  # float32


@pytest.mark.parametrize("name", ["cosine", "constant", "inverse_sqrt"])
def test_without_warm_up_the_second_step_at_the_latest_has_the_highest_rate(name):
    config = replace(RATES, schedule=name, warmup_steps=0)
    assert rate(config, 1) == pytest.approx(4e-3, rel=1e-3)  # the cosine has begun to fall


def test_a_step_of_adamw_is_that_of_optax_but_biases_do_not_decay():
    config = Training(weight_decay=0.1, warmup_steps=0)
    params = {"skip": jnp.ones((2, 3, 4)), "skip_bias": jnp.ones(4)}
    usual = optax.adamw(optimizer.schedule(config), b2=0.99, weight_decay=0.1)
    gradient = jax.tree.map(lambda leaf: 0.01 * leaf, params)
    found = first_update(config, gradient, params)
    expected: Any = usual.update(gradient, usual.init(params), params)[0]
    np.testing.assert_array_equal(found["skip"], expected["skip"])
    # Adam's first step is of the learning rate, to the eps in its division; biases do not decay.
    np.testing.assert_allclose(found["skip_bias"], -config.learning_rate, rtol=1e-5)


def test_lion_moves_every_parameter_by_the_learning_rate():
    config = Training(optimizer="lion", warmup_steps=0, clip_norm=1e9)
    params = {"skip": jnp.zeros((2, 3, 4))}
    gradient = jax.random.normal(jax.random.key(0), (2, 3, 4))
    found = first_update(config, {"skip": gradient}, params)
    expected = -config.learning_rate * np.sign(gradient)
    np.testing.assert_allclose(found["skip"], expected, rtol=1e-6)


def test_muon_makes_the_change_of_each_layers_matrix_orthogonal():
    config = Training(optimizer="muon", warmup_steps=0)
    L, K, R = 3, 2, 8
    params = {"gate": jnp.zeros((L, K, R, 2 * R)), "embed": jnp.zeros((K, 16, R))}
    gradient = {name: jax.random.normal(jax.random.key(0), p.shape) for name, p in params.items()}
    gradient["gate"] = gradient["gate"] * jnp.array([1.0, 10.0, 0.1])[:, None, None, None]
    found = first_update(config, gradient, params)
    for layer in np.asarray(found["gate"]).reshape(L, K * R, 2 * R):
        values = np.linalg.svd(layer, compute_uv=False)
        # Five steps of the Newton-Schulz iteration bring singular values into 0.7 to 1.2 (Jordan).
        size = config.learning_rate * 0.2 * (2 * R) ** 0.5
        assert 0.6 * size < values.min() < values.max() < 1.3 * size
    # An embedding is looked up, not multiplied: Adam's first step, of the learning rate.
    np.testing.assert_allclose(np.abs(found["embed"]), config.learning_rate, rtol=1e-3)


def test_muon_finds_matrices_in_every_part_of_the_network(tiny, notes_corpus):
    _, params = network.structure(tiny, notes_corpus.vocabulary)
    tx = optimizer.create(Training(optimizer="muon"))
    state: Any = jax.eval_shape(tx.init, params)
    momenta = state[1][0].inner_states["matrix"].inner_state[0].mu
    paths = [path for path, _ in jax.tree_util.tree_leaves_with_path(momenta)]
    found = {jax.tree_util.keystr(path, simple=True, separator=".") for path in paths}
    assert found == {
        "conditioner.cell.dense_h.kernel", "conditioner.cell.dense_i.kernel",
        "conditioner.from_cell", "conditioner.from_signals",
        "wavenet.gate", "wavenet.residual", "wavenet.skip", "wavenet.head1",
    }  # fmt: skip


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_lowers_the_loss(tiny, notes_corpus, name):
    rate = {"adamw": 5e-3, "lion": 1e-3, "muon": 5e-3}[name]
    config = with_training(tiny, optimizer=name, learning_rate=rate, steps=30, weight_decay=0.01)
    split, vocabulary = notes_corpus.splits["train"], notes_corpus.vocabulary
    graphdef, params = network.create(config, vocabulary, 0)
    state, nats = step.initial_state(config, params), []
    for at in range(30):
        batch = batches.windows(split, config, vocabulary, 0, at)
        state, metrics = step.train_step(config, graphdef, state, batch)
        nats.append(float(metrics.nats))
    assert np.mean(nats[-3:]) < np.mean(nats[:3]) - 0.1


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_state_of_an_optimizer_is_saved_whole(tmp_path, tiny, notes_corpus, name):
    config = with_training(tiny, optimizer=name)
    _, params = network.create(config, notes_corpus.vocabulary, 0)
    state = step.initial_state(config, params)
    trees: dict[str, Any] = {
        "params": state.params, "ema": state.ema, "optimizer": state.optimizer
    }  # fmt: skip
    leaves, shape = jax.tree.flatten(trees)
    numbered = [jnp.full_like(leaf, number) for number, leaf in enumerate(leaves)]
    checkpoint.folder(tmp_path).mkdir()
    checkpoint.write(tmp_path, 3, shape.unflatten(numbered), About(config, Vocabulary(), None))
    found = checkpoint.restore(tmp_path, trees)
    assert found is not None
    restored = jax.tree.leaves([getattr(found, key) for key in sorted(trees)])
    assert [float(leaf.ravel()[0]) for leaf in restored] == list(range(len(leaves)))
    assert all((leaf == leaf.ravel()[0]).all() for leaf in restored)


def with_training(config, **values):
    return replace(config, training=replace(config.training, **values))
