"""The parts of the Pallas kernels by themselves, and how a call is laid over a device."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wavegen_kernels import backends, cases, predictor, weights
from wavegen_kernels.accelerator import draw, launch, numbers, padding, queues, stretches
from wavegen_kernels.bench import targets
from wavegen_kernels.generate import api, pallas_gpu, pallas_tpu, reference

running_sum = lambda x: jnp.cumsum(x, axis=1)


def kernels():
    """The names of the Pallas kernels; one that cannot run here says why."""
    for name in ("pallas_gpu", "pallas_tpu"):
        with backends.interpreted():
            reason = backends.unavailable_reason(name)
        mark = pytest.mark.skipif(reason is not None, reason=str(reason))
        yield pytest.param(name, marks=mark, id=name)


KERNELS = list(kernels())


def drawn(logits, u, temperature=1.0, top_k=0, top_p=1.0, n_codes=None):
    n_codes = n_codes or logits.shape[1]
    column = lambda x: jnp.full((len(logits), 1), x, jnp.float32)
    settings = (column(temperature), column(top_k), column(top_p), True, n_codes)
    u = jnp.asarray(u, jnp.float32)[:, None]
    return np.asarray(draw.drawn(jnp.asarray(logits), u, *settings, running_sum))[:, 0]


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p"),
    [
        (1, 0, 1),
        (1, 1, 1),
        (1, 3, 1),
        (1, 16, 1),
        (1, 99, 1),
        (1, 0, 0.5),
        (1, 0, 1e-6),
        (0, 3, 0.5),
    ],
)
def test_codes_are_kept_without_sorting_as_with_it_ties_included(temperature, top_k, top_p):
    # Logits of whole eighths: many are exactly equal, of which the lower codes are kept.
    rng = np.random.default_rng(top_k)
    logits = (rng.integers(-16, 1, (200, 16)) / 8).astype(np.float32)
    u = rng.random(200)
    expected = [
        reference.draw(row, x, temperature, top_k, top_p) for row, x in zip(logits, u, strict=True)
    ]
    found = drawn(logits, u, temperature, top_k, top_p)
    # Where a sum of float32 falls on a boundary, the next code is as right; nowhere else.
    assert np.mean(found != expected) < 0.01


def test_a_code_is_drawn_from_any_logits():
    cliff = np.full((1, 8), -80.0, np.float32)
    cliff[0, 5] = 0
    for logits in (np.zeros((1, 8), np.float32), cliff, cliff * 1e4, cliff - 1e3):
        for u, top_p in itertools.product((0.0, 1 - 2.0**-24), (1.0, 1e-30, 1 - 1e-7)):
            code = drawn(logits, [u], top_p=top_p)[0]
            assert 0 <= code < 8
            assert np.isfinite(logits[0, code])
            if logits[0, 0] < -1e5:  # the others' probability is zero
                assert code == 5


@pytest.mark.parametrize("spoilt", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("temperature", [0.0, 1.0, 1e35])
@pytest.mark.parametrize("top_p", [1.0, 1e-40])
def test_a_code_is_one_of_the_networks_even_of_logits_that_are_no_numbers(
    spoilt, temperature, top_p
):
    logits = np.zeros((3, 8), np.float32)
    logits[:, 6:] = padding.IMPOSSIBLE
    logits[0, 2] = logits[1, :6] = spoilt
    codes = drawn(logits, [1 - 2.0**-24] * 3, temperature, 0, top_p, n_codes=6)
    assert ((codes >= 0) & (codes < 6)).all()


def test_the_two_functions_of_our_own_are_those_of_numpy():
    x = np.concatenate([np.linspace(-80, 3, 4001), np.geomspace(1e-9, 1, 500)]).astype(np.float32)
    near = np.abs(np.expm1(x.astype(np.float64)))
    off = np.abs(np.asarray(numbers.expm1(jnp.asarray(x))) - np.expm1(x.astype(np.float64)))
    assert (off <= 4e-7 * near).all()  # two bits of a float32 and the series' rest
    y = np.concatenate([x, -x, np.geomspace(1, 1e9, 100)]).astype(np.float32)
    off = np.asarray(numbers.arcsinh(jnp.asarray(y))) - np.arcsinh(y.astype(np.float64))
    # 2e-7 where the logarithm's argument is near 1; else a float32's rounding of what is asked.
    assert (np.abs(off) <= 3e-7 + 2e-7 * np.abs(np.arcsinh(y))).all()


@pytest.mark.parametrize("time", [0, 1, 5, 97, 2**32 - 3])
@pytest.mark.parametrize("passed", [0, 1, 2, 3, 50])
def test_queues_come_back_from_a_kernel_in_the_order_of_their_times(time, passed):
    lengths = (1, 2, 4, 8)

    def held(time):  # a state's queues where an activation is the time that it is of
        rows = [
            next(t for t in range(time - length, time) if t % length == row)
            for length in lengths
            for row in range(length)
        ]
        return np.array(rows, np.float64)

    rows = queues.roomy(held(time), lengths, jnp.uint32(time))
    rows, first = np.array(rows), 0
    for length in lengths:  # what a kernel does to them
        for i in range(passed):
            rows[first + (length + i) % (length + 1)] = time + i
        first += length + 1
    after = (time + passed) % 2**32
    found = np.asarray(queues.tight(rows, lengths, jnp.uint32(after), passed))
    np.testing.assert_array_equal(found, held(time + passed))


def test_channels_are_filled_up_with_what_changes_nothing():
    case = cases.CASES["tiny_foretold"]
    stack = cases.weights(case)
    for unit, R, V in ((pallas_gpu.UNIT, 16, 64), (pallas_tpu.UNIT, 128, 128)):
        net = padding.net(stack, "float32", unit)
        assert net.gate.shape == (3, 2, 2, R, R)
        assert net.head2.shape[1] == V
        assert not net.gate[..., 8:, :].any()
        assert not net.gate[..., 8:].any()
        np.testing.assert_array_equal(net.gate[:, :, 1, :8, :8], stack.gate[..., 8:])
        assert (net.head2_bias[0, 64:] < -1e29).all()
        assert padding.net(stack, "float32", unit) is net  # made once


def tiling(machine, case, batch, precision, chip, **asked):
    stack = cases.weights(case)
    given = {"hop": 256, "filtered": False, "measured": False, "teacher": False} | asked
    plan = launch.plan(stack, **given)
    return launch.prepared(machine, chip, plan, stack, batch, precision)[0]


def test_few_streams_take_a_block_each_and_many_the_matrix_units():
    def streams(batch, precision, case="reference", chip=targets.TARGETS["h100"].chip):
        return tiling(pallas_gpu.MACHINE, cases.CASES[case], batch, precision, chip).streams

    assert [streams(batch, "bfloat16") for batch in (1, 132)] == [1, 1]
    assert [streams(batch, "bfloat16") for batch in (133, 2112)] == [16, 16]
    assert streams(2113, "bfloat16") == 32
    assert streams(100_000, "float32") == 16


@pytest.mark.parametrize(
    ("case", "precision", "near", "streams", "widest", "stages"),
    [
        ("reference", "bfloat16", 232_448, 32, 256, 2),
        ("reference", "bfloat16", 101_376, 32, 128, 2),
        ("reference", "float32", 101_376, 16, 64, 1),
        ("reference", "float32", 49_152, 16, 32, 1),
        ("big", "bfloat16", 232_448, 32, 256, 1),
        ("big", "float32", 65_536, 1, 128, 1),  # 128 rows and columns alone are as much
    ],
)
def test_what_does_not_fit_shared_memory_is_multiplied_in_parts_or_not_brought_there(
    case, precision, near, streams, widest, stages
):
    chip, shape = launch.Chip(128, near), cases.CASES[case]
    assert tiling(pallas_gpu.MACHINE, shape, 4096, precision, chip).streams == streams
    net = padding.net(cases.weights(shape), precision, pallas_gpu.UNIT)
    assert pallas_gpu._widest(net, streams, near) == widest
    assert pallas_gpu._stages(net, streams, near) == stages


def test_a_tile_of_a_tpu_fits_its_memory_or_is_refused_before_anything_runs():
    def streams(batch, vector_memory, **asked):
        chip = launch.Chip(1, vector_memory)
        given = (cases.CASES["reference"], batch, "bfloat16", chip)
        return tiling(pallas_tpu.MACHINE, *given, **asked).streams

    assert [streams(batch, 2**27) for batch in (1, 8, 9, 1000)] == [8, 8, 16, 64]
    assert streams(1000, 40 * 2**20) == 16  # 1 MiB of queues each
    assert streams(64, 2**27, teacher=True, hop=512) == 32  # and 1 MiB of logits
    with pytest.raises(backends.BackendUnavailable, match=r"want 22 MiB.* has 16; xla_scan"):
        streams(1, 2**24)


@pytest.mark.parametrize(("name", "what"), [("pallas_gpu", "NVIDIA GPU"), ("pallas_tpu", "a TPU")])
def test_without_its_device_a_kernel_says_what_it_needs(name, what):
    if jax.default_backend() != "cpu":
        pytest.skip("there is an accelerator here")
    with pytest.raises(backends.BackendUnavailable, match=rf"{what}.* pip install 'jax\["):
        backends.choose(name)
    with pytest.raises(backends.BackendUnavailable, match="int8 is a precision of numba_cpu"):
        backends.choose(name, "int8")
    assert backends.choose("auto") == "numba_cpu"


@pytest.mark.parametrize(
    ("case", "where", "bound", "size", "launches"),
    [
        ("tiny_periodic", stretches, "LONGEST", 16, 3),  # two frames of 8 samples at once
        ("tiny_periodic", stretches, "MOST", 23, 3),
        ("tiny_periodic", stretches, "LONGEST", 5, 12),  # parts of 5 and of 3
        ("tiny_foretold", stretches, "LONGEST", 7, 12),  # whole fits, of 4
        ("tiny_steered", stretches, "LONGEST", 7, 12),
        ("tiny_periodic", pallas_tpu, "LONGEST_FRAME", 4, 12),
    ],
)
@pytest.mark.parametrize("name", KERNELS)
def test_long_calls_are_cut_into_launches_of_the_same_samples(
    name, case, where, bound, size, launches, interpreted, monkeypatch
):
    if name == "pallas_gpu" and where is pallas_tpu:
        pytest.skip("a GPU's frames are as long as you like")
    stack = cases.weights(cases.CASES[case])
    cond, asked = cases.conditioning(cases.CASES[case], 1, 6), cases.asked(cases.CASES[case], 1, 6)
    given = {"hop_length": 8, "seed": 1, "streams": [3], "backend": name, **asked}
    calls, block = [], jax.block_until_ready
    _, whole = api.generate(stack, weights.initial_state(stack, 1), cond, **given)
    monkeypatch.setattr(where, bound, size)
    monkeypatch.setattr(jax, "block_until_ready", lambda x: calls.append(0) or block(x))
    _, parts = api.generate(stack, weights.initial_state(stack, 1), cond, **given)
    assert len(calls) == launches  # between them Ctrl-C is heard
    np.testing.assert_array_equal(parts, whole)


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("Shared memory size limit exceeded: requested 2", backends.BackendUnavailable),
        ("Ran out of memory in memory space vmem. Used 3", backends.BackendUnavailable),
        ("Triton support is only enabled for Ampere GPUs", backends.BackendUnavailable),
        ("an illegal memory access was encountered", jax.errors.JaxRuntimeError),
    ],
)
def test_what_a_devices_compiler_refuses_is_told_in_words(words, kind, interpreted, monkeypatch):
    def compiled(*_):
        raise jax.errors.JaxRuntimeError(f"KIND: {words}\nand many lines more")

    monkeypatch.setattr(launch, "_compiled", compiled)
    monkeypatch.setattr(backends, "interpreting", lambda: True)  # whatever there is
    stack = cases.weights(cases.CASES["tiny_odd"])
    cond = cases.conditioning(cases.CASES["tiny_odd"], 1, 1)
    given = {"hop_length": 8, "seed": 1, "streams": [3], "backend": "pallas_gpu"}
    with pytest.raises(kind, match=words) as told:
        api.generate(stack, weights.initial_state(stack, 1), cond, **given)
    assert ("many lines" in str(told.value)) == (kind is jax.errors.JaxRuntimeError)


@pytest.mark.parametrize("name", KERNELS)
def test_what_fills_up_a_tile_is_not_heard(name, interpreted, monkeypatch):
    """Streams that fill a tile come out of nothing that the others' numbers go through."""
    monkeypatch.setattr(pallas_gpu, "cores", lambda: 1)  # a tile of 16 for 3 streams
    stack = cases.weights(cases.CASES["tiny_odd"])
    cond = cases.conditioning(cases.CASES["tiny_odd"], 3, 2)
    given = {"hop_length": 8, "seed": 1, "backend": name}
    state, codes = api.generate(
        stack, weights.initial_state(stack, 3), cond, streams=[3, 1, 2], **given
    )
    for b, stream in enumerate([3, 1, 2]):
        alone, same = api.generate(
            stack, weights.initial_state(stack, 1), cond[b : b + 1], streams=[stream], **given
        )
        np.testing.assert_array_equal(same[0], codes[b])
        # One stream is multiplied otherwise than a tile; sums are rounded in another order.
        np.testing.assert_allclose(alone.queues[:, 0], state.queues[:, b], atol=1e-5)


@pytest.mark.parametrize("anchor", [0, 30])
@pytest.mark.parametrize("name", KERNELS)
def test_the_fit_inside_a_kernel_is_that_of_the_predictor(name, anchor, interpreted):
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((8, 100)).astype(np.float32)
    heard = np.cumsum(noise, axis=1) * np.geomspace(1e-4, 0.1, 8, dtype=np.float32)[:, None]
    heard[0] = 0  # silence
    fit = {"pallas_gpu": pallas_gpu.fit, "pallas_tpu": pallas_tpu.fit}[name]
    anchors = heard[:, ::-1][:, :anchor] if anchor else None
    given = None if anchors is None else jnp.asarray(anchors)
    found = np.asarray(fit(jnp.asarray(heard), given, 20, 0.99))
    expected = predictor.fit(heard.astype(np.float64), 20, 0.99, np, anchors=anchors)
    assert not found[0].any()
    # 20 stages of float32, each with a sum of 100 terms; coefficients are of order 1.
    np.testing.assert_allclose(found, expected, atol=2e-4)


@pytest.mark.parametrize("refit", [0, 3])
@pytest.mark.parametrize(("frames", "hop"), [(1, 12), (5, 12), (7, 60)])
@pytest.mark.parametrize("most", [1, 4, 12, 30, 100])
def test_stretches_are_all_samples_in_order_and_none_too_long(frames, hop, most, refit):
    found = list(stretches.cut(frames, hop, most, refit))
    times = [t for _, samples in found for t in range(samples.start, samples.stop)]
    assert times == list(range(frames * hop))
    for of_frames, samples in found:
        length = samples.stop - samples.start
        assert length <= max(most, refit)
        assert length % (refit or 1) == 0
        first, last = samples.start // hop, (samples.stop - 1) // hop
        assert (of_frames.start, of_frames.stop) == (first, last + 1)
        assert first == last or length % hop == 0


def test_more_streams_than_the_memory_holds_are_refused_before_anything_runs(monkeypatch):
    needed = stretches.Bytes(always=2**20, frame=2**18, sample=2**10)  # 1.3 MiB of 64 samples
    longest = lambda batch, refit=0: stretches.longest("pallas_gpu", needed, batch, 256, refit)
    monkeypatch.setattr(stretches, "memory", lambda: None)
    assert longest(10_000) == stretches.MOST // 10_000
    monkeypatch.setattr(stretches, "memory", lambda: 2**30)
    words = r"'pallas_gpu'.* 10000 streams .* 12.8 GiB, this device has 1.0; it holds 780 streams"
    with pytest.raises(backends.BackendUnavailable, match=words):
        longest(10_000)
    assert longest(780) == 64
    assert longest(780, refit=64) == 64
    # Of the 2 MiB of a stream 3/4 are free for stretches; a sample takes 2 KiB of them, with its
    # share of the conditioning.
    assert longest(512) == 384
    assert longest(1) == stretches.LONGEST


@pytest.mark.parametrize("name", KERNELS)
def test_a_queues_new_row_is_written_before_it_is_read(name, interpreted, monkeypatch):
    stack = cases.weights(cases.CASES["tiny_three_taps"])
    cond = cases.conditioning(cases.CASES["tiny_three_taps"], 2, 3)
    given = {"hop_length": 7, "seed": 1, "streams": [1, 2], "backend": name}
    _, expected = api.generate(stack, weights.initial_state(stack, 2), cond, **given)
    new = np.cumsum(np.array(stack.queue_lengths) + 1) - 1
    roomy = queues.roomy
    monkeypatch.setattr(queues, "roomy", lambda *x: roomy(*x).at[new].set(np.nan))
    state = weights.initial_state(stack, 2)  # another program, so that it is compiled anew
    state, codes, _ = api.generate_measured(stack, state, cond, **given)
    np.testing.assert_array_equal(codes, expected)
    assert np.isfinite(state.queues).all()
