"""The mathematics of the loop in float64 numpy: what every other backend is compared with."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np

from wavegen_kernels import predictor, random
from wavegen_kernels.predictor import Echo, Foretold
from wavegen_kernels.steering import Aim
from wavegen_kernels.weights import StackWeights, StepState, amplitudes


def generate(
    weights,
    state,
    cond,
    *,
    hop_length,
    seed,
    streams,
    temperature,
    top_k,
    top_p,
    forced,
    echo,
    aim,
    precision,
    measured,
):
    """See wavegen_kernels.generate.api.generate_measured; always exact, and always measured."""
    weights, cond, codes = _exact(weights), np.asarray(cond), np.empty_like(forced)
    found, linear = np.empty((*codes.shape, 2), np.float32), None
    for t in range(codes.shape[1]):
        f = t // hop_length
        now = _of_frame(aim, f)
        linear = _filter(weights, state, t, linear, echo, f, now)
        foretold = _foretell(weights, state, linear, now)
        state, logits = _step(weights, state, cond[:, f], foretold)
        u = random.uniforms(seed, streams, state.time, np)
        for b, row in enumerate(logits):
            drawn = draw(row, u[b], temperature[b, f], top_k[b, f], top_p[b, f])
            codes[b, t] = forced[b, t] if forced[b, t] >= 0 else drawn
            found[b, t] = measure(row, codes[b, t])
        state = _after(weights, state, codes[:, t], foretold)
    return state, codes, found


def logits(weights, state, cond, codes, *, hop_length, echo, aim, precision):
    """See wavegen_kernels.generate.api.logits."""
    weights, cond, rows, linear = _exact(weights), np.asarray(cond), [], None
    for t in range(codes.shape[1]):
        f = t // hop_length
        now = _of_frame(aim, f)
        linear = _filter(weights, state, t, linear, echo, f, now)
        foretold = _foretell(weights, state, linear, now)
        state, row = _step(weights, state, cond[:, f], foretold)
        state = _after(weights, state, codes[:, t], foretold)
        rows.append(row)
    return state, np.stack(rows, axis=1)


def draw(logits: np.ndarray, u, temperature, top_k, top_p) -> int:  # logits [V]; scalars
    """The code that the number u in [0, 1) draws from one stream's logits."""
    if temperature == 0:
        return int(np.argmax(logits))
    p = np.exp((logits - logits.max()) / np.float64(temperature))
    order = np.argsort(-p, kind="stable")
    if top_k > 0:
        p[order[int(top_k) :]] = 0
    if top_p < 1:
        cdf = np.cumsum(p[order]) / p.sum()
        p[order[np.searchsorted(cdf, np.float64(top_p)) + 1 :]] = 0
    cdf = np.cumsum(p) / p.sum()
    return int(np.searchsorted(cdf, u, side="right"))


def measure(logits: np.ndarray, code: int) -> tuple[float, float]:  # logits [V]
    """ln p(code), and the entropy in nats, of the distribution that these logits are of."""
    above = logits - logits.max()
    log_p = above - np.log(np.exp(above).sum())
    return log_p[code], -(np.exp(log_p) * log_p).sum()


def _of_frame(aim: Aim | None, f: int) -> Aim | None:  # of [B]
    """What is asked for in frame f of the call."""
    return aim and Aim(*(each[:, f].astype(np.float64) for each in aim))


def _filter(
    weights: StackWeights,
    state: StepState,
    t: int,
    linear: Echo | None,
    echo: Echo | None,
    f: int,
    aim: Aim | None,
) -> Echo | None:  # [B]
    """The predictor's delays and coefficients for sample t of the call, which is of frame f."""
    w = weights.predictor
    if echo is not None:
        return Echo(echo.delay[:, f], echo.taps[:, f])
    if w is None or t % w.refit:
        return linear
    heard = np.asarray(state.heard, np.float64)
    fitted = predictor.coefficients(heard, aim, w.order, w.damping, np)
    return Echo(np.ones(len(fitted), np.int32), fitted)


def _foretell(
    weights: StackWeights, state: StepState, linear: Echo | None, aim: Aim | None
) -> Foretold | None:
    w = weights.predictor
    if w is None or linear is None:
        return None
    heard, errors = (np.asarray(each, np.float64) for each in (state.heard, state.errors))
    ago = w.window - linear.delay[:, None] - np.arange(w.order)[::-1]  # [B, N]
    past = np.take_along_axis(heard, ago, axis=1)
    noises = aim and aim.noises
    return predictor.foretell(past, linear.taps, errors, w.floor, weights.n_codes, np, noises)


def _step(
    weights: StackWeights,
    state: StepState,
    cond,  # [B, L, 2R]
    foretold: Foretold | None,  # [B]
) -> tuple[StepState, np.ndarray]:
    """The state with this sample's activations queued, and logits [B, V]."""
    w, K = weights, weights.kernel_size
    queues, t = np.array(state.queues, np.float64), int(state.time)  # [rows, B, R]
    h = w.embed[np.arange(K)[:, None], state.codes].sum(axis=0)  # [B, R]
    s, first = w.skip_bias, 0
    if w.predictor is not None and foretold is not None:
        h = h + predictor.hint(w.predictor, w.n_codes, foretold, np)
    for layer, (d, slots) in enumerate(zip(w.dilations, w.queue_lengths, strict=True)):
        a = w.gate_bias[layer] + cond[:, layer] + h @ w.gate[layer, 0]
        for k in range(1, K):
            a = a + queues[first + (t - k * d) % slots] @ w.gate[layer, k]
        queues[first + t % slots] = h
        filter_, gate = np.split(a, 2, axis=-1)
        z = np.tanh(filter_) / (1 + np.exp(-gate))
        h = h + z @ w.residual[layer] + w.residual_bias[layer]
        s = s + z @ w.skip[layer]
        first += slots
    hidden = np.maximum(s, 0) @ w.head1 + w.head1_bias
    logits = np.maximum(hidden, 0) @ w.head2 + w.head2_bias
    if w.predictor is not None and foretold is not None:
        logits = logits + predictor.base(w.predictor, w.n_codes, s, foretold, np)
    return replace(state, queues=queues), logits


def _after(
    weights: StackWeights,
    state: StepState,
    code,  # [B]
    foretold: Foretold | None,  # [B]
) -> StepState:
    codes = np.concatenate([[code], state.codes[:-1]])
    heard, errors = state.heard, state.errors
    if foretold is not None:
        sample = amplitudes(weights.n_codes)[code]
        heard = np.concatenate([heard[:, 1:], sample[:, None]], axis=1)
        errors = predictor.updated(np.asarray(errors, np.float64), foretold, sample, np)
    return StepState(np.uint32((int(state.time) + 1) % 2**32), codes, state.queues, heard, errors)


def _exact(weights: StackWeights) -> StackWeights:  # also brings them from a device
    return jax.tree.map(lambda x: np.asarray(x, np.float64), weights)
