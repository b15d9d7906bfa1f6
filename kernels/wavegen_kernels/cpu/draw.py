"""One code drawn from one stream's logits, and the uniform number it is drawn with; compiled."""

from __future__ import annotations

import numpy as np
from numba import njit

from wavegen_kernels.cpu.vector import exponentials, first, largest, rows
from wavegen_kernels.random import DRAW_KEY

GROUP = 16  # probabilities that are added up before the place of the draw is searched for

_PARITY = np.uint32(0x1BD11BDA)  # see wavegen_kernels.random, whose bits these are
_ROTATIONS = np.array([[13, 15, 26, 6], [17, 29, 16, 24]], np.uint32)


@njit(nogil=True, error_model="numpy")
def uniform(seed, stream, time):  # three uint32
    """The number of wavegen_kernels.random.uniforms, bit for bit."""
    keys = (seed, np.uint32(DRAW_KEY), np.uint32(seed ^ np.uint32(DRAW_KEY) ^ _PARITY))
    x0, x1 = np.uint32(stream + keys[0]), np.uint32(time + keys[1])
    for i in range(5):
        for j in range(4):
            r = _ROTATIONS[i % 2, j]
            x0 = np.uint32(x0 + x1)
            x1 = np.uint32(np.uint32(x1 << r) | np.uint32(x1 >> (np.uint32(32) - r))) ^ x0
        x0 = np.uint32(x0 + keys[(i + 1) % 3])
        x1 = np.uint32(x1 + keys[(i + 2) % 3] + np.uint32(i + 1))
    return np.float32(x0 >> np.uint32(8)) * np.float32(2**-24)


@njit(nogil=True, error_model="numpy")
def draw(logits, p, groups, n_codes, u, settings):
    """The first code whose cumulative probability exceeds u; `logits` is an address.

    p and groups are room for as many probabilities and sums, padded. Where rounding leaves no
    such code, it is the last one that can be drawn at all.
    """
    temperature, top_k, top_p = settings
    top = largest(logits, n_codes)
    if temperature == 0:
        return first(logits, n_codes, top)
    exponentials(logits, top, np.float32(1) / temperature, rows(p)[0], p.size)
    for v in range(n_codes, p.size):
        p[v] = 0
    if 0 < top_k < n_codes:
        _keep_most_probable(p, top_k)
    if top_p < 1:
        _keep_share(p, top_p)
    return _search(p, groups, u)


@njit(nogil=True, error_model="numpy")
def _keep_most_probable(p, k):
    """Zero for all but the k largest; of equals the first stay."""
    bits = p.view(np.uint32)  # of positive numbers: in the order of the numbers
    least = np.uint32(0)  # the k-th largest, found bit by bit
    for i in range(31):
        higher = least | np.uint32(1 << (30 - i))
        if _count(bits, higher) >= k:
            least = higher
    equals = k - _count(bits, least + np.uint32(1))
    for v in range(p.size):
        if bits[v] == least and equals > 0:
            equals -= 1
        elif bits[v] <= least:
            p[v] = 0


@njit(nogil=True, error_model="numpy")
def _keep_share(p, share):
    """Zero for all but the fewest, in falling order, that make up this share of the whole."""
    bits = p.view(np.uint32)
    wanted = share * _sum_from(p, bits, np.uint32(0))
    least = np.uint32(0)
    for i in range(31):
        higher = least | np.uint32(1 << (30 - i))
        if _sum_from(p, bits, higher) >= wanted:
            least = higher
    reached = _sum_from(p, bits, least + np.uint32(1))
    for v in range(p.size):
        if bits[v] == least and reached < wanted:
            reached += p[v]
        elif bits[v] <= least:
            p[v] = 0


@njit(nogil=True, error_model="numpy")
def _count(bits, least):
    n = np.uint32(0)
    for v in range(bits.size):
        n += np.uint32(bits[v] >= least)
    return np.int64(n)


@njit(nogil=True, error_model="numpy", fastmath={"reassoc"})
def _sum_from(p, bits, least):
    total = np.float32(0)
    for v in range(p.size):
        total += p[v] if bits[v] >= least else np.float32(0)
    return total


@njit(nogil=True, error_model="numpy")
def _search(p, groups, u):
    """Where the running sum of p passes u times the whole: among sums of groups, then in one."""
    whole = np.float32(0)
    for g in range(groups.size):
        groups[g] = _sum(p, g * GROUP)
        whole += groups[g]
    target, below, found = u * whole, np.float32(0), 0
    for g in range(groups.size):
        if groups[g] > 0:
            found = g
        if below + groups[g] > target:
            break
        below += groups[g]
    code = found * GROUP
    for v in range(code, code + GROUP):
        if p[v] > 0:
            code = v
            below += p[v]
            if below > target:
                break
    return code


@njit(nogil=True, error_model="numpy", fastmath={"reassoc"})
def _sum(p, first):
    total = np.float32(0)
    for i in range(GROUP):
        total += p[first + i]
    return total
