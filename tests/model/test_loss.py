"""The loss and what it counts."""

import jax.numpy as jnp
import numpy as np

from wavegen.model import loss


def test_a_hit_is_where_argmax_would_find_the_code_even_in_a_tie():
    rng = np.random.default_rng(0)
    logits = jnp.asarray(rng.integers(0, 4, (500, 9)), jnp.float32)  # many ties
    codes = jnp.asarray(rng.integers(0, 9, 500))
    found = loss._is_likeliest(logits, codes)
    np.testing.assert_array_equal(found, jnp.argmax(logits, axis=-1) == codes)
    assert 0 < int(found.sum()) < 500
