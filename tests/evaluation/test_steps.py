"""The benchmark of training steps: nothing wrong is timed, and every record is whole."""

import contextlib
import json
import math
import types

import numpy as np
import pytest

from wavegen.errors import WavegenError
from wavegen.evaluation import steps
from wavegen_kernels import weights
from wavegen_kernels.bench import contenders
from wavegen_kernels.generate import api


@contextlib.contextmanager
def silent(*_):
    yield lambda *_: None


def measured(monkeypatch, torch=None, **values):
    said = []
    monkeypatch.setattr(contenders, "find_peers", lambda name: (torch, ""))
    plan = steps.Plan(names=("tiny_one_layer",), batch=2, window=64, repeats=2, **values)
    return *steps.report(plan, said.append, said.append, silent), said


class Peer:
    """A PyTorch whose loss is the reference's in one mode, and nonsense in the other."""

    MODES = ("fair", "foul")

    @staticmethod
    def TorchTraining(stack, mode):
        def step(codes):
            cond = np.zeros((*codes.shape, len(stack.dilations), 2 * stack.residual_channels))
            state = weights.initial_state(stack, len(codes))
            words = {"hop_length": 1, "backend": "reference"}
            _, logits = api.logits(stack, state, cond.astype(np.float32), codes, **words)
            log = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
            nats = -np.take_along_axis(log, codes[..., None], -1).mean()
            return float(nats) if mode == "fair" else 1.0

        return types.SimpleNamespace(step=step)


def test_every_record_is_whole_has_its_row_and_nothing_wrong_is_timed(monkeypatch, tmp_path):
    out = tmp_path / "new" / "records.jsonl"
    found, code, said = measured(monkeypatch, Peer, dtypes=("float32", "bfloat16"), out=out)
    assert code == 1
    ways = [(e["contender"], e["compute_dtype"], e["remat"]) for e in found["records"]]
    ours = [("wavegen", d, r) for d in ("float32", "bfloat16") for r in (True, False)]
    assert ways == [*ours, ("torch_fair", "float32", None)]
    (failure,) = found["failures"]
    assert failure in said
    assert "torch_foul in float32 is wrong" in failure
    for entry in found["records"]:
        seconds = entry["step_seconds_median"]  # of which four digits after the point are told
        assert 128 / entry["samples_per_second"] == pytest.approx(seconds, abs=1e-4)
        assert entry["step_seconds_min"] <= seconds <= entry["step_seconds_max"]
        assert 0 < entry["share_of_limit"] < 1
        assert entry["ratio_to_torch"] > 0
        assert all(math.isfinite(x) for x in entry.values() if isinstance(x, float))
        assert entry["loss_error"] <= steps.TOLERANCES[entry["compute_dtype"]]
        assert steps.row(entry) in said
    assert found["records"][-1]["ratio_to_torch"] == 1.0
    assert all(entry["temporaries_mib"] >= 0 for entry in found["records"][:-1])
    assert [json.loads(line) for line in out.read_text().splitlines()] == found["records"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"names": ("smal",)}, "no case 'smal'"),
        ({"dtypes": ("int8",)}, "float32, bfloat16"),
        ({"window": 100}, "multiple of 64"),
    ],
)
def test_what_cannot_be_measured_is_refused(values, words):
    with pytest.raises(WavegenError) as error:
        steps.Plan(**values)
    assert words in str(error.value)
