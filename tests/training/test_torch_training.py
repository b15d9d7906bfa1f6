"""The PyTorch baseline of training has the loss and the gradient that the network here has."""

import importlib.util
from pathlib import Path

import jax
import numpy as np
import pytest

from wavegen.config import Vocabulary
from wavegen.evaluation import steps
from wavegen.model import network
from wavegen.training import step
from wavegen_kernels import cases

torch = pytest.importorskip("torch", reason="the PyTorch baseline needs torch, which is optional")

PATH = Path(__file__).parents[2] / "benchmarks" / "torch_training.py"


@pytest.fixture(scope="module")
def torch_training():
    spec = importlib.util.spec_from_file_location("torch_training", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["tiny_three_taps", "tiny_cycles"])
def test_loss_and_gradient_are_those_of_the_network(torch_training, name):
    case = cases.CASES[name]
    codes = np.random.default_rng(1).integers(0, case.n_codes, (2, 128))
    config = steps._config(case, 2, "float32", True)
    graphdef, params = network.create(config, Vocabulary(), 0)
    score, gradient = step._differentiated(
        config, graphdef, params, steps._batch(config, codes), jax.random.key(0)
    )
    weights = network.assemble(graphdef, params).wavenet.export()
    nats, found = torch_training.TorchTraining(weights).gradient(codes)
    assert nats == pytest.approx(float(score.nats / score.weight), rel=1e-5)  # float32 sums
    for key, values in found.items():
        expected = np.asarray(gradient["wavenet"][key])
        off = np.linalg.norm(values - expected)
        assert off <= 1e-4 * np.linalg.norm(expected), key  # they nearly cancel


def test_its_steps_lower_the_loss(torch_training):
    case = cases.CASES["tiny_cycles"]
    peer = torch_training.TorchTraining(cases.weights(case))
    codes = np.random.default_rng(1).integers(0, case.n_codes, (1, 64))
    nats = [peer.step(codes) for _ in range(20)]
    assert nats[-1] < nats[0] - 0.5
