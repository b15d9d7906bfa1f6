"""The loss and what it counts."""

import jax.numpy as jnp
import numpy as np

from wavegen.config import Conditioner, Config, Model, Predictor, Vocabulary
from wavegen.model import anchor, loss, network
from wavegen.model.conditioner import Expected
from wavegen.model.network import Hidden
from wavegen_kernels.predictor import Foretold


def test_a_hit_is_where_argmax_would_find_the_code_even_in_a_tie():
    rng = np.random.default_rng(0)
    logits = jnp.asarray(rng.integers(0, 4, (500, 9)), jnp.float32)  # many ties
    codes = jnp.asarray(rng.integers(0, 9, 500))
    found = loss._is_likeliest(logits, codes)
    np.testing.assert_array_equal(found, jnp.argmax(logits, axis=-1) == codes)
    assert 0 < int(found.sum()) < 500


def test_what_was_expected_wrongly_is_added_to_the_objective_and_to_nothing_else():
    """Two frames of context, which count for levels and strengths, and one of the window."""
    rng = np.random.default_rng(0)
    config = Config(
        model=Model(
            8, 8, 8, 2, hop_length=8, predictor=Predictor(order=4, window=32, refit=8, steered=True)
        ),
        conditioner=Conditioner(signals=("notes",)),
    )
    graphdef, params = network.create(config, Vocabulary(), 0)
    wavenet = network.assemble(graphdef, params).wavenet
    foretold = Foretold(*(jnp.asarray(rng.uniform(0.1, 0.2, (1, 8)), jnp.float32) for _ in "123"))
    skip_sum = jnp.asarray(rng.normal(0, 1, (1, 8, 8)), jnp.float32)
    codes, weights = jnp.asarray(rng.integers(0, 256, (1, 8))), jnp.ones((1, 8))
    strays = Expected(
        jnp.array([[5.0, 2.0, -1.0]]),  # the first frame lies before the recording
        jnp.array([[3.0]]),
        jnp.zeros((1, 3, anchor.BANDS)).at[0, :, 4].set(jnp.array([9.0, 2.0, 0.0])),
    )
    plain, held = (
        loss.score(
            wavenet, Hidden(skip_sum, foretold, each), codes, weights,
            valid=jnp.array([[0.0, 1.0, 1.0]]),
        )
        for each in (None, strays)
    )  # fmt: skip
    assert (held.nats, held.hits, held.weight) == (plain.nats, plain.hits, plain.weight)
    cost = loss.STRAYS.levels * (4 + 1) / 2 + loss.STRAYS.noises * 9
    cost += loss.STRAYS.strengths * 4 / 2
    np.testing.assert_allclose(held.objective - plain.objective, 8 * cost, rtol=1e-4)
