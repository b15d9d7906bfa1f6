"""The compiled parts of the CPU backend, each against numpy."""

import numpy as np
import pytest
from numba import njit

from wavegen_kernels import cases, random
from wavegen_kernels.cpu import draw, loop, machine, packing, vector
from wavegen_kernels.generate import numba_cpu, reference


@njit
def _exponentials(x, largest, slope, out):
    vector.exponentials(vector.rows(x)[0], largest, slope, vector.rows(out)[0], out.size)


@njit
def _gate(word, before, out):
    vector.gate(word, vector.rows(before)[0], vector.rows(out)[0], out.size)


@njit
def _largest(x, n):
    return vector.largest(vector.rows(x)[0], n)


@njit
def _quantise(x, out, scale):
    vector.quantise(vector.rows(x)[0], x.size, vector.rows(out)[0], vector.rows(scale)[0], True)


@njit
def _draw(logits, p, groups, n_codes, u, settings):
    return draw.draw(vector.rows(logits)[0], p, groups, n_codes, u, settings)


@njit
def _uniforms(seed, streams, times, out):
    for i in range(out.size):
        out[i] = draw.uniform(seed, streams[i], times[i])


def test_exponentials_are_those_of_float64_to_a_rounding_or_two():
    x = -np.linspace(0, 87, 16 * 2000).astype(np.float32)
    out = np.empty_like(x)
    _exponentials(x, np.float32(0), np.float32(1), out)
    exact = np.exp(x.astype(np.float64))
    # 1.0e-7 the polynomial, 0.6e-7 each of the last roundings.
    assert np.abs(out / exact - 1).max() < 2.5e-7


def test_gates_are_tanh_times_sigmoid_even_far_out():
    far = np.concatenate([np.linspace(-60, 60, 4096), [1e30, -1e30, 0.0, -0.0]])
    filters, gates = (np.resize(each, 16 * 300) for each in (far, np.roll(far, 1237)))
    before = np.concatenate([filters, gates]).astype(np.float32)
    out = np.empty(16 * 300, np.float32)
    _gate(np.float32(0), before, out)
    x, y = before.astype(np.float64).reshape(2, -1)
    exact = np.tanh(x) / (1 + np.exp(np.minimum(-y, 700)))
    # Absolute: both factors are at most 1, and each is right to 2e-7 of 1.
    assert np.abs(out - exact).max() < 5e-7


def test_the_largest_is_found_among_any_number():
    rng = np.random.default_rng(0)
    for n in (1, 5, 16, 17, 255, 256):
        x = np.full(300, 1e9, np.float32)  # what lies behind must not be looked at
        x[:n] = rng.standard_normal(n) - 5
        assert _largest(x, n) == x[:n].max()


@pytest.mark.skipif(not machine.dot_product(), reason="quantises on CPUs with int8 only")
def test_bytes_stand_for_their_numbers_within_half_a_step():
    rng = np.random.default_rng(0)
    for n in (3, 16, 64, 70):
        x, scale = rng.standard_normal(n).astype(np.float32), np.zeros(1, np.float32)
        out = np.zeros(128, np.uint8)
        _quantise(x, out, scale)
        assert scale[0] == pytest.approx(np.abs(x).max() / 127, rel=1e-6)
        # Half a step, and what float32 leaves open of where a half lies.
        assert np.abs((out[:n].astype(int) - 128) * scale[0] - x).max() < 0.5001 * scale[0]


def test_uniforms_are_those_of_the_other_backends():
    rng = np.random.default_rng(0)
    streams, times = rng.integers(0, 2**32, (2, 1000), np.uint32)
    out = np.empty(1000, np.float32)
    for seed in (0, 1, 2**32 - 1):
        _uniforms(np.uint32(seed), streams, times, out)
        np.testing.assert_array_equal(out, random.uniforms(seed, streams, times, np))


@pytest.mark.parametrize("n_codes", [3, 64, 100, 256])
@pytest.mark.parametrize("top_k", [0, 1, 2, 7, 1000])
@pytest.mark.parametrize("top_p", [1.0, 0.9, 0.3, 1e-6])
def test_draws_are_the_references(n_codes, top_k, top_p):
    rng = np.random.default_rng(n_codes)
    size = -(-n_codes // draw.GROUP) * draw.GROUP
    p, groups = np.empty(size, np.float32), np.empty(size // draw.GROUP, np.float32)
    for spread in (0.1, 3.0, 20.0):
        # Rounded, so that many are equal: of equals the lower codes are kept.
        logits = np.round(spread * rng.standard_normal(size), 1).astype(np.float32)
        for u in np.array([0, 0.1, 0.5, 0.77, 1 - 2**-24], np.float32):
            for temperature in np.array([0, 0.7, 1], np.float32):
                settings = (temperature, np.int32(top_k), np.float32(top_p))
                found = _draw(logits, p, groups, n_codes, u, settings)
                # At a tie of the float32 sums the nearest uniforms draw another code.
                near = np.clip(float(u) + np.array([0, -1e-6, 1e-6]), 0, 1 - 1e-12)
                near_p = np.clip(top_p + np.array([0, -1e-6, 1e-6]), 1e-9, 1) if top_p < 1 else [1]
                exact = logits[:n_codes].astype(np.float64)
                expected = {
                    reference.draw(exact, each, temperature, top_k, share)
                    for each in near
                    for share in near_p
                }
                assert found in expected


def test_a_code_with_no_chance_is_never_drawn():
    logits = np.full(64, -1e4, np.float32)
    logits[20] = 0
    p, groups = np.empty(64, np.float32), np.empty(4, np.float32)
    for u in np.array([0, 0.5, 1 - 2**-24], np.float32):
        settings = (np.float32(1), np.int32(1), np.float32(1))
        assert _draw(logits, p, groups, 64, u, settings) == 20


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize("batch", [1, 2, 3, 4, 5, 6, 8, 13, 32])
def test_groups_of_streams_are_all_streams_once(batch, threads):
    groups = numba_cpu.groups(batch, threads)
    assert [b for low, high in groups for b in range(low, high)] == list(range(batch))
    assert len(groups) <= threads


def test_arrays_of_a_room_begin_with_a_line_of_the_cache_and_do_not_overlap():
    case = cases.CASES["tiny_foretold"]
    room = loop.room(packing.pack(cases.weights(case), "float32", 8), 3, 20)
    for name, array in room._asdict().items():
        assert array.ctypes.data % 64 == 0
        array[...] = 7
        others = (other for key, other in room._asdict().items() if key != name)
        assert not any((other == 7).any() for other in others)
        array[...] = 0
