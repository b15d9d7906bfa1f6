"""What a model heard goes with it: through JSON, and through its checkpoints."""

import json

import numpy as np
import pytest

from wavegen import checkpoint
from wavegen.checkpoint import About
from wavegen.config import Conditioner, Config, Vocabulary
from wavegen.heard import Heard
from wavegen.model import network
from wavegen.training import loop

CONFIG = Config(conditioner=Conditioner(signals=("notes",)))
VOCABULARY = Vocabulary({}, pitches=(60, 64), velocities=(100,))
HEARD = Heard(
    (-40.25, -3.1),
    (1e-7, 0.3),
    clipped=0.01,
    repeating=0.002,
    silent_seconds=3.0,
    nats=(0.5, 2.0),
    pitches={"instrument": {"bell": (60, 72), "organ": (48, 48)}, "speaker": {}},
)
LITTLE = Heard((-200.0, -200.0), (0.0, 0.0), 0.0, 0.0, 0.0)


def save(run, heard):
    checkpoint.folder(run).mkdir(exist_ok=True)
    _, params = network.create(CONFIG, VOCABULARY, 0)
    state = loop.initial_state(CONFIG, params)
    trees = {"params": state.params, "ema": state.ema, "optimizer": state.optimizer}
    checkpoint.write(run, 1, trees, About(CONFIG, VOCABULARY, heard=heard))
    return trees


@pytest.mark.parametrize("heard", [HEARD, LITTLE])
def test_what_was_heard_comes_back_through_json(heard):
    assert Heard.from_dict(json.loads(json.dumps(heard.to_dict()))) == heard


def test_what_a_diverged_network_was_unsure_of_comes_back_as_well():
    nats = (float("nan"), float("nan"))
    tree = json.loads(json.dumps(Heard((-9, 0), (0, 1), 0, 0, 0, nats).to_dict()))
    assert np.isnan(np.array(Heard.from_dict(tree).nats)).all()


@pytest.mark.parametrize("heard", [HEARD, LITTLE, None])
def test_what_was_heard_comes_back_through_a_checkpoint(tmp_path, heard):
    save(tmp_path, heard)
    found = checkpoint.about(tmp_path, 1)
    assert found is not None
    assert found.heard == heard
    assert checkpoint.load(tmp_path).heard == heard


def test_an_older_checkpoint_that_says_nothing_of_it_is_read_all_the_same(tmp_path):
    trees = save(tmp_path, HEARD)
    told = next((checkpoint.folder(tmp_path) / "000000001" / "about").glob("metadata"))
    entries = json.loads(told.read_text())
    del entries["heard"]
    told.write_text(json.dumps(entries))
    sums = told.parents[1] / checkpoint.FILES
    wanted = json.loads(sums.read_text())
    wanted["about/metadata"] = checkpoint._checksum(told)
    sums.write_text(json.dumps(wanted))
    assert checkpoint.load(tmp_path).heard is None
    seen = []
    loaded = checkpoint.restore(tmp_path, trees, seen.append)
    assert loaded is not None
    assert loaded.step == 1
    assert [about.heard for about in seen] == [None]
