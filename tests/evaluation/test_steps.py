"""The benchmark of training steps: nothing wrong is timed, and every record is whole."""

import contextlib
import json
import math

import numpy as np
import pytest

from wavegen.errors import WavegenError
from wavegen.evaluation import steps
from wavegen_kernels.bench import contenders


@contextlib.contextmanager
def silent(*_):
    yield lambda *_: None


def measured(monkeypatch, torch=None, **values):
    said = []
    monkeypatch.setattr(contenders, "find_peers", lambda name: (torch, ""))
    plan = steps.Plan(
        **({"names": ("tiny_cycles",), "batch": 2, "window": 128, "repeats": 2} | values)
    )
    return *steps.report(plan, said.append, said.append, silent), said


class Peer:
    """A PyTorch whose loss is a fair guess's in one mode, and nonsense in the other."""

    MODES = ("fair", "foul")

    def __init__(self, nats):
        self.nats = nats

    def TorchTraining(self, weights, mode):
        assert weights.n_codes == 256
        step = lambda codes: self.nats if mode == "fair" else 1.0
        return type("Training", (), {"step": staticmethod(step)})()


def test_every_record_is_whole_and_the_table_has_a_row_for_each(monkeypatch, tmp_path):
    out = tmp_path / "new" / "records.jsonl"
    found, code, said = measured(monkeypatch, dtypes=("float32", "bfloat16"), out=out)
    assert code == 0
    assert not found["failures"]
    ways = [(entry["compute_dtype"], entry["remat"]) for entry in found["records"]]
    assert ways == [(d, r) for d in ("float32", "bfloat16") for r in (True, False)]
    for entry in found["records"]:
        seconds = entry["step_seconds_median"]  # of which four digits after the point are told
        assert 256 / entry["samples_per_second"] == pytest.approx(seconds, abs=1e-4)
        assert entry["step_seconds_min"] <= entry["step_seconds_median"]
        assert entry["temporaries_mib"] >= 0
        assert 0 < entry["share_of_limit"] < 1
        assert all(math.isfinite(x) for x in entry.values() if isinstance(x, float))
        assert steps.row(entry) in said
    kept, written = found["records"][1], out.read_text().splitlines()
    assert [json.loads(line) for line in written] == found["records"]
    assert kept["loss_error"] <= steps.TOLERANCES["float32"]


def test_a_peer_is_compared_with_and_one_that_is_wrong_is_not_timed(monkeypatch):
    alone, _, _ = measured(monkeypatch)
    assert [entry["ratio_to_torch"] for entry in alone["records"]] == [None, None]
    nats = steps._ours(
        steps.cases.CASES["tiny_cycles"],
        np.random.default_rng(0).integers(0, 256, (2, 128)),
        "float32",
        True,
    ).first_nats
    found, code, said = measured(monkeypatch, Peer(nats))
    assert code == 1
    assert [entry["contender"] for entry in found["records"]] == [
        "wavegen",
        "wavegen",
        "torch_fair",
    ]
    assert found["records"][-1]["ratio_to_torch"] == 1.0
    assert all(entry["ratio_to_torch"] > 0 for entry in found["records"])
    (failure,) = found["failures"]
    assert failure in said
    assert "torch_foul in float32 is wrong" in failure


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
