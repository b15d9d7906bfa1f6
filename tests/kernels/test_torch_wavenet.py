import functools
import importlib.util
from pathlib import Path

import numpy as np
import pytest

from wavegen_kernels import cases, random, weights
from wavegen_kernels.generate import api, reference

torch = pytest.importorskip("torch", reason="the PyTorch baseline needs torch, which is optional")

PATH = Path(__file__).parents[2] / "benchmarks" / "torch_wavenet.py"
MODES = ("eager", "torchscript", pytest.param("compiled", marks=pytest.mark.slow))
SHAPES = ["tiny_one_layer", "tiny_odd", "tiny_three_taps", "small"]
B, F, P = 2, 3, 8
# Float32 rounding of the largest case was seen to reach 2e-5; wrong mathematics gives 0.1 and more.
LOGIT_TOLERANCE = 1e-4
TIE = 1e-5  # what float32 logits of this size leave uncertain of a cumulative probability
SEED, STREAMS = 5, np.array([4, 11])


@pytest.fixture(scope="module")
def network():
    """Networks by shape and mode; each is made once, since compiling takes long."""
    spec = importlib.util.spec_from_file_location("torch_wavenet", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    @functools.cache
    def make(name, mode):
        try:
            return module.TorchWaveNet(stack_of(name), B, mode)
        except RuntimeError as error:
            if mode != "compiled":
                raise
            pytest.skip(str(error))

    return make


def stack_of(name):
    return cases.weights(cases.CASES[name], seed=1)


def cond_of(name):
    return cases.conditioning(cases.CASES[name], B, F, seed=2)


def logits_of_the_reference(stack, cond, codes):
    state = weights.initial_state(stack, B)
    return api.logits(stack, state, cond, codes, hop_length=P, backend="reference")[1]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", SHAPES)
def test_teacher_forced_logits_equal_the_reference(network, name, mode):
    stack, cond = stack_of(name), cond_of(name)
    codes = np.random.default_rng(0).integers(0, stack.n_codes, (B, F * P))
    found = network(name, mode).logits(cond, codes, P)
    assert found.dtype == np.float32
    assert np.abs(found - logits_of_the_reference(stack, cond, codes)).max() < LOGIT_TOLERANCE


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", SHAPES)
def test_draws_equal_those_of_the_reference_but_for_ties(network, name, mode):
    cond = cond_of(name)
    codes = network(name, mode).generate(cond, hop_length=P, seed=SEED, streams=STREAMS)
    assert codes.dtype == np.int32
    logits = logits_of_the_reference(stack_of(name), cond, codes)
    u = random.uniforms(SEED, STREAMS[:, None], np.arange(F * P)[None], np)
    for place in np.ndindex(codes.shape):
        # At a tie the nearest numbers above and below draw another code; one of them is right.
        near = np.clip(u[place] + np.array([-TIE, 0, TIE]), 0, 1 - TIE)
        assert codes[place] in [reference.draw(logits[place], x, 1.0, 0, 1.0) for x in near]


@pytest.mark.parametrize("mode", MODES)
def test_every_call_begins_at_the_initial_state(network, mode):
    cond = cond_of("tiny_three_taps")
    generate = functools.partial(
        network("tiny_three_taps", mode).generate, hop_length=P, seed=SEED, streams=STREAMS
    )
    codes = generate(cond)
    np.testing.assert_array_equal(generate(cond), codes)
    np.testing.assert_array_equal(generate(cond[:, :1]), codes[:, :P])
