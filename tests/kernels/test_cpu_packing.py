import numpy as np
import pytest

from wavegen_kernels import cases
from wavegen_kernels.cpu import packing

LANES = [4, 8, 16]  # SSE2 and Arm, AVX2, AVX-512
SHAPES = ["tiny_odd", "tiny_three_taps", "tiny_cycles"]


def packed(name, precision, lanes):
    stack = cases.weights(cases.CASES[name], seed=3)
    arena = packing.pack(stack, precision, lanes)
    expected = [matrix for matrix, *_ in packing.matrices(stack, precision, lanes)]
    return arena, expected, packing.unpack(arena, stack, lanes)


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("name", SHAPES)
def test_what_is_packed_in_float32_comes_back_the_same(name, lanes):
    _, expected, found = packed(name, "float32", lanes)
    assert len(found) == len(expected)
    for matrix, again in zip(expected, found, strict=True):
        np.testing.assert_array_equal(again, matrix)


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("name", SHAPES)
def test_bfloat16_comes_back_rounded_to_the_nearest(name, lanes):
    _, expected, found = packed(name, "bfloat16", lanes)
    for matrix, again in zip(expected, found, strict=True):
        # Eight bits of mantissa: half a step is 2^-9 of a number, 2^-8 of its power of two.
        assert (np.abs(again - matrix) <= 2**-8 * np.abs(matrix) + 2e-38).all()


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("name", SHAPES)
def test_int8_comes_back_within_half_a_step_of_its_column(name, lanes):
    _, expected, found = packed(name, "int8", lanes)
    for matrix, again in zip(expected[:-1], found, strict=False):
        step = np.abs(matrix).max(axis=0) / 127
        # The last term is the rounding of step times scale to float32.
        assert (np.abs(again - matrix) <= step / 2 + 1e-6 * np.abs(matrix)).all()


@pytest.mark.parametrize("precision", packing.PRECISIONS)
def test_the_matrix_of_the_logits_is_held_finer(precision):
    _, expected, found = packed("tiny_cycles", precision, 8)
    error = np.abs(found[-1] - expected[-1]).max() / np.abs(expected[-1]).max()
    assert error <= {"float32": 0, "bfloat16": 0, "int8": 2**-8}[precision]


@pytest.mark.parametrize("precision", packing.PRECISIONS)
def test_every_word_of_the_arena_belongs_to_one_block(precision):
    stack = cases.weights(cases.CASES["tiny_three_taps"])
    words = sum(
        packing.block_words(kind, len(matrix), width)
        for matrix, kind, _ in packing.matrices(stack, precision, 8)
        for _, width in packing.blocks(matrix.shape[1] // 2, kind, 8)
    )
    assert packing.pack(stack, precision, 8).arena.size == words


def test_the_arena_is_in_the_order_of_use():
    # Tap 1 of layer 0 is heard first, then tap 0 of layer 0, then tap 1 of layer 1.
    stack = cases.weights(cases.CASES["tiny_cycles"])
    first, second, third = (matrix for matrix, *_ in packing.matrices(stack, "float32", 4)[:3])
    np.testing.assert_array_equal(first, stack.gate[0, 1])
    np.testing.assert_array_equal(second, stack.gate[0, 0])
    np.testing.assert_array_equal(third, stack.gate[1, 1])


def test_the_last_residual_is_not_packed():
    case = cases.CASES["small"]
    stack = cases.weights(case)
    assert packing.pack(stack, "float32", 16).arena.size == case.multiply_adds


def test_a_zero_beside_any_weight_stays_next_to_nothing():
    left = np.array([[-1.5, 1.5, -3e38, 1e-38, 0.0, -(2.0**-126)]], np.float32)
    for right in (0.0, -0.0, 1e-42):
        word = packing._word(left, np.full_like(left, right))
        as_right = word.view(np.float32)
        assert np.isfinite(as_right).all()
        assert (np.abs(as_right) < 2.0**-125).all()  # twice the least normal number
        np.testing.assert_allclose((word << np.uint32(16)).view(np.float32), left, rtol=2**-8)


def test_words_hold_every_pair_of_bfloat16_rounded_within_half_a_step():
    rng = np.random.default_rng(0)
    numbers = rng.standard_normal((2, 100_000)) * 10.0 ** rng.integers(-20, 20, (2, 100_000))
    left, right = numbers.astype(np.float32)
    word = packing._word(left, right)
    np.testing.assert_allclose((word << np.uint32(16)).view(np.float32), left, rtol=2**-8)
    np.testing.assert_allclose(word.view(np.float32), right, rtol=2**-8)


def test_int8_of_a_column_of_zeros_is_zero():
    block = np.zeros((5, 32), np.float32)
    left, right = packing._unblock(packing._quantised(block, True), "int8", 5)
    assert not left.any()
    assert not right.any()
