"""A code drawn from its logits without sorting them; see generate.reference.draw.

M streams, V' codes: the network's, and those that fill them up, which are never drawn.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

Array = jax.Array
_BITS = 30  # of a float32 from 0 to 1: as integers they rise as the numbers do
_LEAST = float(jnp.finfo(jnp.float32).tiny)  # what is smaller an accelerator takes for zero


def drawn(
    logits: Array,  # [M, V']
    u: Array,  # [M, 1] in [0, 1)
    temperature: Array,  # [M, 1]; 0 takes the most probable
    top_k: Array,  # [M, 1] float32, whole numbers; 0 is off
    top_p: Array,  # [M, 1]; 1 is off
    filtered: bool,  # whether any of the two is on
    n_codes: int,  # V
    running_sum: Callable[[Array], Array],  # along the codes
) -> Array:  # int32 [M, 1] in 0 ... V-1
    """The first code whose cumulative probability exceeds u; any, of logits that are no numbers."""
    lanes = lax.broadcasted_iota(jnp.int32, logits.shape, 1)
    above = logits - jnp.max(logits, axis=1, keepdims=True)
    greedy = temperature < _LEAST
    p = jnp.exp(above / jnp.where(greedy, 1.0, temperature))
    p = jnp.where(lanes < n_codes, p, 0.0)  # of a filled code, heat makes something of nothing
    if filtered:
        p = _kept_by_number(p, top_k, running_sum)
        p = _kept_by_share(p, top_p, running_sum)
    # A running sum need not rise evenly in floating point. The largest value that a possible
    # code has is the whole, so that there is always a code to draw and never an excluded one.
    cdf = jnp.where(p > 0, running_sum(p), 0.0)
    target = u * jnp.max(cdf, axis=1, keepdims=True)
    found = jnp.where(greedy, above == 0, cdf > target)
    code = jnp.min(jnp.where(found, lanes, n_codes), axis=1, keepdims=True)
    # The next sample reads a row of the embedding by it, which must be there.
    return jnp.minimum(code, n_codes - 1)


def measure(
    logits: Array,  # [M, V']
    code: Array,  # int32 [M, 1]
) -> tuple[Array, Array]:  # [M, 1] each
    """ln p(code), and the entropy in nats; see generate.xla_scan for why it is computed so."""
    lanes = lax.broadcasted_iota(jnp.int32, logits.shape, 1)
    above = logits - jnp.max(logits, axis=1, keepdims=True)
    weights = jnp.exp(above)
    whole = jnp.sum(weights, axis=1, keepdims=True)
    of_code = jnp.sum(jnp.where(lanes == code, above, 0), axis=1, keepdims=True)
    # A filled code weighs nothing; its logit would make 0 * inf of it all the same.
    mean = jnp.sum(jnp.where(weights > 0, weights * above, 0), axis=1, keepdims=True) / whole
    return of_code - jnp.log(whole), jnp.log(whole) - mean


def _kept_by_number(p: Array, top_k: Array, running_sum: Callable[[Array], Array]) -> Array:
    """The most probable top_k codes' probabilities, the others' zero; of equals the lower codes."""
    k = jnp.where(top_k > 0, top_k, p.shape[1])
    least = _largest(lambda chosen: _sum(jnp.where(chosen, 1.0, 0.0)) >= k, p)
    return _down_to(p, least, k - _sum(jnp.where(p > least, 1.0, 0.0)), running_sum)


def _kept_by_share(p: Array, top_p: Array, running_sum: Callable[[Array], Array]) -> Array:
    """The fewest codes, in falling probability, whose share reaches top_p; the others' zero."""
    wanted = jnp.maximum(top_p * _sum(p), _LEAST)  # of zero, no code at all would be enough
    least = _largest(lambda chosen: _sum(jnp.where(chosen, p, 0.0)) >= wanted, p)
    missing = wanted - _sum(jnp.where(p > least, p, 0.0))
    equals = jnp.ceil(missing / jnp.where(least > 0, least, 1.0))
    return jnp.where(top_p < 1, _down_to(p, least, equals, running_sum), p)


def _down_to(
    p: Array,
    least: Array,  # [M, 1]
    equals: Array,  # [M, 1]: how many of those that are just as probable stay
    running_sum: Callable[[Array], Array],
) -> Array:
    number = running_sum(jnp.where(p == least, 1.0, 0.0))  # of codes so probable, up to each
    return jnp.where((p > least) | ((p == least) & (number <= equals)), p, 0.0)


def _largest(enough: Callable[[Array], Array], p: Array) -> Array:  # [M, 1]
    """The largest number x for which the codes with p >= x are enough, found bit by bit."""

    def one(n: Array, found: Array) -> Array:
        tried = found | jnp.left_shift(jnp.int32(1), _BITS - 1 - n)
        return jnp.where(enough(p >= lax.bitcast_convert_type(tried, jnp.float32)), tried, found)

    none = jnp.zeros((p.shape[0], 1), jnp.int32)
    return lax.bitcast_convert_type(lax.fori_loop(0, _BITS, one, none), jnp.float32)


def _sum(x: Array) -> Array:
    return jnp.sum(x, axis=1, keepdims=True)
