import dataclasses

import jax
import numpy as np
import pytest

from wavegen_kernels import backends, cases, divergence, random, weights
from wavegen_kernels.generate import api, pallas_gpu, pallas_tpu, reference

pytestmark = pytest.mark.usefixtures("interpreted")


def ways(precisions, *more):
    """Backends and precisions to be tested; one that cannot run here says why."""
    found = []
    for name in (*backends.NAMES[1:], *more):
        for precision in precisions:
            with backends.interpreted():
                reason = backends.unavailable_reason(name, precision)
            if precision in backends.PRECISIONS_OF[name]:
                mark = pytest.mark.skipif(reason is not None, reason=str(reason))
                way = {"backend": name, "precision": precision}
                found.append(pytest.param(way, marks=mark, id=f"{name}-{precision}"))
    return found


assert backends.NAMES[0] == "reference"  # what the others are compared with
EVERY_WAY = ways(backends.PRECISIONS)
# What only draws is the same code in both precisions of the kernels that take long to compile.
WAYS = [way for way in EVERY_WAY if not (way.id.startswith("pallas") and "bfloat16" in way.id)]
EXACT = ways(["float32"])
REFERENCE = ways(["float32"], "reference")[-1:]
SHAPES = [*(case.name for case in cases.TINY), "small"]
B, F, P = 2, 3, 8
TIE = 1e-5  # what float32 logits of this size leave uncertain of a cumulative probability
STREAMS = np.array([4, 11])


def problem(name, batch=B, frames=F):
    case = cases.CASES[name]
    stack = cases.weights(case, seed=1)
    state = weights.initial_state(stack, batch)
    cond = cases.conditioning(case, batch, frames, seed=2)
    return stack, state, cond, cases.asked(case, batch, frames, seed=3)


def tolerance(case):
    # Float32 rounding of a sum of n terms grows like sqrt(n) * eps; the rounding of every layer
    # adds to the next one's. 4 is the size of the larger activations, another 4 the margin.
    terms = case.num_layers * (case.kernel_size + 1) * case.residual_channels
    terms += case.skip_channels + case.head_channels
    # A fit in float32 foretells what it does in float64 to about 1e-6 of full scale, and the
    # base distribution is as steep as one in a hundredth. What is foretold of a window of 256 may
    # grow by 12 dB in 32 samples, and its rounding with it: 1.1e-3 was seen in 960 samples.
    linear = 2e-3 if case.steered else 1e-4 if case.order else 0
    return 16 * np.finfo(np.float32).eps * np.sqrt(terms) + linear


def margin(logits, u, temperature, top_k, top_p):
    """How near a draw is to another outcome: of its cdf, its top-k or its top-p boundary."""
    if temperature == 0:
        low, high = np.sort(logits)[-2:]
        return high - low
    p = np.exp((logits - logits.max()) / temperature)
    order = np.argsort(-p, kind="stable")
    margins = []
    if 0 < top_k < len(p):
        margins.append(p[order[top_k - 1]] - p[order[top_k]])
        p[order[top_k:]] = 0
    if top_p < 1:
        cdf = np.cumsum(p[order]) / p.sum()
        margins.append(abs(cdf - top_p).min())
        p[order[np.searchsorted(cdf, top_p) + 1 :]] = 0
    return min(*margins, abs(np.cumsum(p) / p.sum() - u).min(), 1)


def exact_logits(stack, cond, codes, way, asked=None):
    """Logits [B, T, V] that draws are judged by, after the same codes.

    They are the reference's; where the backend rounds the weights, they are its own.
    """
    way = {"backend": "reference"} if way["precision"] == "float32" else way
    state = weights.initial_state(stack, len(codes))
    given = {"hop_length": P, **(asked or {}), **way}
    _, logits = api.logits(stack, state, cond, codes, **given)
    return np.asarray(logits, np.float64)


def assert_draws_agree(codes, logits, seed, streams, temperature, top_k, top_p, start=0):
    """Every code is what the reference draws from its own logits after the same codes."""
    batch, samples = codes.shape
    as_frames = lambda value: np.broadcast_to(value, (batch, F))
    temperature, top_k, top_p = map(as_frames, (temperature, top_k, top_p))
    u = random.uniforms(seed, streams[:, None], start + np.arange(samples)[None], np)
    for b in range(batch):
        for t in range(samples):
            f = t // (samples // F)
            settings = u[b, t], temperature[b, f], top_k[b, f], top_p[b, f]
            if codes[b, t] != reference.draw(logits[b, t], *settings):
                assert margin(logits[b, t], *settings) < TIE


@pytest.mark.parametrize("way", EXACT)
@pytest.mark.parametrize("name", SHAPES)
def test_teacher_forced_logits_equal_the_reference(way, name):
    stack, state, cond, asked = problem(name)
    codes = np.random.default_rng(0).integers(0, stack.n_codes, (B, F * P))
    given = {"hop_length": P, **asked}
    _, expected = api.logits(stack, state, cond, codes, backend="reference", **given)
    after, found = api.logits(stack, state, cond, codes, **given, **way)
    assert np.abs(np.asarray(found) - expected).max() < tolerance(cases.CASES[name])
    # Neither a dead nor a saturated stack; a base distribution alone has -18 for the unlikely.
    assert 1 < expected.std() < (6 if stack.predictor else 4)
    assert int(after.time) == F * P
    np.testing.assert_array_equal(after.codes, codes[:, : -1 - stack.kernel_size : -1].T)


@pytest.mark.parametrize("way", [way for way in EVERY_WAY if "bfloat16" in way.id])
@pytest.mark.parametrize("name", ["tiny_foretold", "small"])
def test_bfloat16_diverges_little_from_the_reference(way, name):
    stack, state, cond, _ = problem(name)
    codes = np.random.default_rng(0).integers(0, stack.n_codes, (B, F * P))
    _, expected = api.logits(stack, state, cond, codes, hop_length=P, backend="reference")
    _, found = api.logits(stack, state, cond, codes, hop_length=P, **way)
    nats = divergence.nats(expected, np.asarray(found, np.float64))
    assert 1e-7 < nats.mean() < 1e-4  # the catalogue's promise; and it is not float32


SETTINGS = {
    "plain": (1.0, 0, 1.0),
    "cold": (0.5, 0, 1.0),
    "hot": (2.0, 0, 1.0),
    "greedy": (0.0, 0, 1.0),
    "top_k": (1.0, 5, 1.0),
    "top_k_of_more_than_all": (1.0, 10_000, 1.0),
    "top_p": (1.0, 0, 0.7),
    "top_k_then_top_p": (0.9, 20, 0.8),
    "per_frame": (
        np.array([[0.0, 1.0, 0.7], [1.3, 1.0, 0.0]]),
        np.array([[3, 0, 9], [0, 1, 40]]),
        np.array([[0.5, 1.0, 0.9], [1.0, 0.3, 0.6]]),
    ),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("name", ["tiny_odd", "tiny_foretold", "tiny_periodic", "tiny_steered"])
def test_draws_equal_those_of_the_reference_but_for_ties(way, name, settings):
    stack, state, cond, asked = problem(name)
    temperature, top_k, top_p = settings
    _, codes = api.generate(
        stack,
        state,
        cond,
        hop_length=P,
        seed=5,
        streams=STREAMS,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        **asked,
        **way,
    )
    codes = np.asarray(codes)
    logits = exact_logits(stack, cond, codes, way, asked)
    assert_draws_agree(codes, logits, 5, STREAMS, temperature, top_k, top_p)


EXTREMES = {
    # No normal number of float32, which some machines take for zero: the most probable code.
    "least_share": {"top_p": 1e-40},
    "colder": {"temperature": 1e-40},
    "cold": {"temperature": 1e-37},
    # All codes alike, those that fill up an accelerator's lanes as well.
    "hot": {"temperature": 1e35},
    "hot_and_few": {"temperature": 1e35, "top_k": 99},
}


@pytest.mark.parametrize("way", EXACT)
@pytest.mark.parametrize("asked", EXTREMES.values(), ids=EXTREMES)
def test_extreme_settings_draw_what_the_reference_draws(way, asked):
    odd = dataclasses.replace(cases.CASES["tiny_odd"], n_codes=100)
    stack, cond = cases.weights(odd), cases.conditioning(odd, B, F)
    given = {"hop_length": P, "seed": 5, "streams": STREAMS, **asked}
    _, expected = api.generate(
        stack, weights.initial_state(stack, B), cond, backend="reference", **given
    )
    _, codes = api.generate(stack, weights.initial_state(stack, B), cond, **given, **way)
    np.testing.assert_array_equal(codes, expected)


@pytest.mark.parametrize("way", EXACT)
@pytest.mark.parametrize("asked", [{}, {"top_k": 300, "top_p": 0.9}], ids=["all", "likeliest"])
def test_codes_of_ten_bits_are_drawn_as_the_reference_draws_them(way, asked):
    wide = dataclasses.replace(cases.CASES["tiny_odd"], n_codes=1024)
    stack, cond = cases.weights(wide), cases.conditioning(wide, B, F)
    given = {"hop_length": P, "seed": 5, "streams": STREAMS, **asked}
    state = weights.initial_state(stack, B)
    _, expected = api.generate(stack, state, cond, backend="reference", **given)
    _, codes = api.generate(stack, state, cond, **given, **way)
    assert expected.max() > 255
    np.testing.assert_array_equal(codes, expected)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("asked", [{}, {"temperature": 0.0}, {"top_k": 3, "top_p": 0.5}])
def test_logits_too_large_for_a_float32_draw_codes_of_the_network(way, asked):
    stack, state, cond, _ = problem("tiny_odd")
    huge = {name: getattr(stack, name) * np.float32(1e25) for name in ("head1", "head2")}
    stack = dataclasses.replace(stack, **huge)
    _, codes = api.generate(
        stack, state, cond, hop_length=P, seed=5, streams=STREAMS, **asked, **way
    )
    assert ((np.asarray(codes) >= 0) & (np.asarray(codes) < stack.n_codes)).all()


@pytest.mark.parametrize("way", EVERY_WAY)
@pytest.mark.parametrize("name", ["tiny_three_taps", "small"])
def test_plain_draws_equal_those_of_the_reference_on_other_shapes(way, name):
    stack, state, cond, _ = problem(name)
    _, codes = api.generate(stack, state, cond, hop_length=P, seed=1, streams=STREAMS, **way)
    codes = np.asarray(codes)
    logits = exact_logits(stack, cond, codes, way)
    assert_draws_agree(codes, logits, 1, STREAMS, 1.0, 0, 1.0)


@pytest.mark.parametrize("way", [*WAYS, *REFERENCE])
@pytest.mark.parametrize(
    "name",
    [
        "tiny_one_layer",
        "tiny_three_taps",
        "tiny_cycles",
        "tiny_foretold",
        "tiny_periodic",
        "tiny_steered",
    ],
)
def test_one_call_equals_many(way, name):
    stack, _, cond, asked = problem(name, frames=12)
    keywords = {"hop_length": P, "seed": 9, "streams": STREAMS, **way}
    state = weights.initial_state(stack, B)
    whole_state, whole = api.generate(stack, state, cond, **asked, **keywords)
    for frames in (1, 5):
        state, parts = weights.initial_state(stack, B), []
        for first in range(0, 12, frames):
            part = slice(first, first + frames)
            heard, of_part = jax.tree.map(lambda x, part=part: x[:, part], (cond, asked))
            state, codes = api.generate(stack, state, heard, **of_part, **keywords)
            parts.append(np.asarray(codes))
        np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)
        np.testing.assert_array_equal(state.codes, whole_state.codes)
        np.testing.assert_array_equal(state.heard, whole_state.heard)
        # On the CPU, XLA compiles an interpreted kernel for each number of frames, and then
        # rounds between a product and a sum, or does not.
        rounding = 3e-7 if way["backend"].startswith("pallas") else 0
        np.testing.assert_allclose(state.queues, whole_state.queues, rounding, rounding)
        np.testing.assert_allclose(state.errors, whole_state.errors, rounding, rounding)
        assert int(state.time) == int(whole_state.time) == 12 * P


@pytest.mark.parametrize("way", [*EVERY_WAY, *REFERENCE])
def test_logits_and_generation_go_the_same_way(way):
    stack, state, cond, _ = problem("tiny_cycles")
    keywords = {"hop_length": P, **way}
    drawn, codes = api.generate(stack, state, cond, seed=0, streams=STREAMS, **keywords)
    codes = np.asarray(codes)
    followed, _ = api.logits(stack, weights.initial_state(stack, B), cond, codes, **keywords)
    # Two programs of one backend may round a sum differently, and layers pass that on; where
    # activations are rounded, one of them may then differ by a 256th.
    rounded = way["backend"].startswith("pallas") and way["precision"] == "bfloat16"
    np.testing.assert_allclose(followed.queues, drawn.queues, atol=5e-3 if rounded else 1e-5)
    np.testing.assert_array_equal(followed.codes, drawn.codes)


@pytest.mark.parametrize("way", WAYS)
def test_a_stream_does_not_depend_on_its_batch(way):
    stack, _, cond, _ = problem("small", batch=5)
    streams = np.array([30, 2, 7, 2**32 - 1, 0])
    keywords = {"hop_length": P, "seed": 3, **way}
    state = weights.initial_state(stack, 5)
    _, together = api.generate(stack, state, cond, streams=streams, **keywords)
    for b in range(5):
        state, one = weights.initial_state(stack, 1), slice(b, b + 1)
        _, alone = api.generate(stack, state, cond[one], streams=streams[one], **keywords)
        if np.array_equal(alone[0], together[b]):
            continue
        # A matrix product may round by batch size. The first difference must then be a tie.
        first = int(np.argmax(np.asarray(alone[0]) != np.asarray(together[b])))
        assert way["backend"] != "numba_cpu"  # whose sums do not depend on the batch
        logits = exact_logits(stack, cond[one], np.asarray(alone), way)
        u = random.uniforms(3, streams[b], first, np)
        assert margin(logits[0, first], u, 1.0, 0, 1.0) < TIE


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        ("tiny_three_taps", "float32"),
        ("tiny_foretold", "bfloat16"),
        ("tiny_periodic", "float32"),
        ("tiny_steered", "float32"),
    ],
)
@pytest.mark.parametrize("backend", ["pallas_gpu", "pallas_tpu"])
def test_streams_in_tiles_go_the_same_way(backend, precision, name, monkeypatch):
    way = {"backend": backend, "precision": precision}
    reason = backends.unavailable_reason(**{"name": backend, "precision": precision})
    if reason is not None:
        pytest.skip(reason)
    # 40 streams: of a GPU three tiles of 16, or of bfloat16 two of 32, of a TPU three.
    monkeypatch.setattr(pallas_gpu, "cores", lambda: 1)
    monkeypatch.setattr(pallas_tpu, "LARGEST_TILE", 16)
    stack, state, cond, heard = problem(name, batch=40)
    given = {"hop_length": P, **heard}
    asked = {"seed": 5, "streams": np.arange(40), "top_k": 20, "top_p": 0.9}
    _, codes = api.generate(stack, state, cond, **asked, **given, **way)
    codes = np.asarray(codes)
    _, found = api.logits(stack, weights.initial_state(stack, 40), cond, codes, **given, **way)
    found = np.asarray(found, np.float64)
    _, expected = api.logits(
        stack, weights.initial_state(stack, 40), cond, codes, backend="reference", **given
    )
    if precision == "float32":
        assert np.abs(found - expected).max() < tolerance(cases.CASES[name])
        found = expected
    else:
        assert divergence.nats(expected, found).mean() < 1e-4
    assert_draws_agree(codes, found, 5, asked["streams"], 1.0, 20, 0.9)


@pytest.mark.parametrize("way", ways(backends.PRECISIONS, "reference"))
def test_forced_codes_come_back_and_use_up_their_draws(way):
    stack, _, cond, _ = problem("tiny_cycles")
    keywords = {"hop_length": P, "seed": 6, "streams": STREAMS, **way}
    _, free = api.generate(stack, weights.initial_state(stack, B), cond, **keywords)
    free = np.asarray(free)
    forced = np.full((B, F * P), -1)
    forced[:, :5] = free[:, :5]
    forced[0, 10] = free[0, 10]
    state = weights.initial_state(stack, B)
    _, codes = api.generate(stack, state, cond, forced=forced, **keywords)
    # Forcing what would have been drawn anyway changes nothing after it.
    np.testing.assert_array_equal(codes, free)
    primer = np.arange(B * F * P).reshape(B, -1) % stack.n_codes
    state = weights.initial_state(stack, B)
    _, codes = api.generate(stack, state, cond, forced=primer, **keywords)
    np.testing.assert_array_equal(codes, primer)


@pytest.mark.parametrize("way", WAYS)
def test_draws_of_logits_match_softmax_frequencies(way):
    stack, state, cond, _ = problem("tiny_one_layer", batch=1, frames=1)
    streams = 20_000
    state = weights.initial_state(stack, streams)
    many = np.repeat(cond, streams, axis=0)
    keywords = {"hop_length": 1, **way}
    _, codes = api.generate(stack, state, many, seed=2, streams=np.arange(streams), **keywords)
    _, logits = api.logits(stack, weights.initial_state(stack, 1), cond, [[0]], **keywords)
    p = np.exp(np.asarray(logits[0, 0], np.float64))
    p /= p.sum()
    counts = np.bincount(np.asarray(codes)[:, 0], minlength=len(p))
    deviation = np.sqrt(streams * p * (1 - p))
    # 64 binomial counts: 5 standard deviations, and 3 more draws where a code is expected rarely.
    assert (abs(counts - streams * p) < 5 * deviation + 3).all()
