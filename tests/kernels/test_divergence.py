import numpy as np

from wavegen_kernels import divergence


def kl_by_hand(reference, other):
    """The definition, in float64."""
    p, q = (np.exp(x - np.logaddexp.reduce(x, axis=-1)[..., None]) for x in (reference, other))
    return (p * (np.log(p) - np.log(q))).sum(axis=-1)


def test_divergence_is_that_of_kullback_and_leibler():
    reference, other = np.random.default_rng(0).normal(size=(2, 5, 7, 256))
    found = divergence.nats(reference, other)
    assert found.shape == (5, 7)
    np.testing.assert_allclose(found, kl_by_hand(reference, other), rtol=1e-10)


def test_divergence_is_zero_for_logits_that_differ_by_a_constant():
    logits = np.random.default_rng(0).normal(size=(9, 256))
    np.testing.assert_allclose(divergence.nats(logits, logits + 3), 0, atol=1e-15)


def test_divergence_in_float32_sees_what_bfloat16_changes():
    rng = np.random.default_rng(0)
    reference = rng.normal(0, 3, (100, 256)).astype(np.float32)
    other = reference + rng.normal(0, 1e-3, reference.shape).astype(np.float32)
    expected = kl_by_hand(reference.astype(np.float64), other.astype(np.float64))
    # Differences of 1e-3 between numbers up to 12, which are rounded by up to 5e-7 each: 1e-3 of
    # the difference, twice that of its square, and as much again for the sum's.
    np.testing.assert_allclose(divergence.nats(reference, other), expected, rtol=4e-3)
