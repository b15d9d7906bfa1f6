"""How likely one stream's code was, and how open its draw, read from its logits; compiled."""

from __future__ import annotations

import numpy as np
from numba import njit
from numba.core import cgutils, types

from wavegen_kernels.cpu.llvm import (
    EXP_LIMIT,
    FLOATS,
    clamped,
    constant,
    each,
    exp,
    fma,
    instruction,
    splat,
    total,
)
from wavegen_kernels.cpu.scalar import logarithm, number
from wavegen_kernels.cpu.vector import largest


@njit(nogil=True, error_model="numpy")
def measure(logits, n_codes, code):
    """ln p(code), and the entropy in nats, of the softmax of the logits at an address.

    With l a logit less the largest one, w = e^l and W the sum of all w: ln p = l - ln W, and
    the entropy is ln W - sum(w l) / W. Both terms of it are at least 0, so nothing cancels.
    """
    top = largest(logits, n_codes)
    whole, below = sums(logits, top, n_codes)
    log_whole = logarithm(whole)
    return number(logits + 4 * code) - top - log_whole, log_whole - below / whole


@instruction
def sums(context, logits, top, n):
    """Sums of w and of w l, with l = logit - top and w = e^l, over n logits at an address.

    l is cut off at -87 in both, where w is 1.6e-38; so the masked places add nothing either.
    """

    def generate(context, b, signature, args):
        logits, top, n = args
        top = splat(b, top, FLOATS)
        whole, below = (cgutils.alloca_once_value(b, constant(0.0)) for _ in range(2))

        def add(i, logit) -> None:
            lower = clamped(b, b.fsub(logit, top), EXP_LIMIT)
            weight = exp(b, lower)
            b.store(b.fadd(b.load(whole), weight), whole)
            b.store(fma(b, weight, lower, b.load(below)), below)

        each(b, n, [logits], add, fill=float(np.finfo(np.float32).min))
        found = [total(b, b.load(sum_)) for sum_ in (whole, below)]
        return context.make_tuple(b, signature.return_type, found)

    index = types.int64
    return types.UniTuple(types.float32, 2)(index, types.float32, index), generate
