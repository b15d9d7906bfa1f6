import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.random import threefry_2x32

from wavegen_kernels import random

# Known answers of Threefry-2x32-20, from the test vectors of the Random123 library.
KNOWN = [
    ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF,) * 2, (0xFFFFFFFF,) * 2, (0x1CB996FC, 0xBB002BE7)),
    ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
]


@pytest.mark.parametrize("xp", [np, jnp])
@pytest.mark.parametrize(("key", "counter", "answer"), KNOWN)
def test_threefry_gives_the_published_answers(xp, key, counter, answer):
    words = [xp.full((1,), word, xp.uint32) for word in (*key, *counter)]
    found = random.threefry2x32((words[0], words[1]), (words[2], words[3]), xp)
    assert [int(word[0]) for word in found] == list(answer)


def test_uniforms_are_the_high_bits_of_the_threefry_that_jax_uses():
    streams = np.arange(50, dtype=np.uint32)
    times = np.arange(50, dtype=np.uint32) * 90_000_000
    key = jnp.array([7, random.DRAW_KEY], jnp.uint32)
    words = np.asarray(threefry_2x32(key, jnp.concatenate([streams, times])))[:50]
    expected = (words >> 8).astype(np.float32) / np.float32(2**24)
    np.testing.assert_array_equal(random.uniforms(7, streams, times, np), expected)


def test_numpy_and_jax_give_the_same_bits():
    streams, times = np.arange(5)[:, None], np.arange(1000)[None]
    for seed in (0, 2**32 - 1):
        ours = random.uniforms(seed, streams, times, np)
        theirs = random.uniforms(seed, streams, times, jnp)
        assert ours.dtype == np.float32
        np.testing.assert_array_equal(ours, np.asarray(theirs))


def test_a_scalar_draw_equals_its_place_in_an_array_of_draws():
    many = random.uniforms(3, np.array([1, 2]), np.array(9), np)
    assert random.uniforms(3, 2, 9, np) == many[1]


def test_uniforms_lie_in_the_unit_interval_and_are_spread_evenly():
    u = random.uniforms(1, np.arange(4)[:, None], np.arange(25_000)[None], np)
    assert u.min() >= 0
    assert u.max() < 1
    counts = np.histogram(u, bins=20, range=(0, 1))[0]
    # 100,000 draws in 20 bins: a count has mean 5000 and standard deviation 69; 5 of those.
    assert abs(counts - 5000).max() < 5 * 69
