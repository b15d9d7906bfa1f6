"""A run that begins with what another has learnt, and only where that fits."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from wavegen import checkpoint
from wavegen import config as configs
from wavegen.checkpoint import About
from wavegen.config import Conditioner, Config, Model, Training, Vocabulary
from wavegen.errors import WavegenError
from wavegen.model import network
from wavegen.training import inheritance, loop

LABELS = ("instrument", "room")
CONFIG = Config(conditioner=Conditioner(signals=("notes",), labels=LABELS))
OLD = Vocabulary({"instrument": ("bell", "flute", "organ"), "room": ("hall", "studio")})
NEW = Vocabulary({"instrument": ("flute", "organ", "tuba", "viola"), "room": ("hall",)})


@pytest.fixture
def parent(tmp_path):
    """A run whose average differs from its parameters."""
    run = tmp_path / "parent"
    checkpoint.folder(run).mkdir(parents=True)
    state = loop.initial_state(CONFIG, drawn(CONFIG, OLD, 1))
    trees = {
        "params": state.params,
        "ema": jax.tree.map(lambda leaf: leaf + 1, state.ema),
        "optimizer": state.optimizer,
    }
    checkpoint.write(run, 40, trees, About(CONFIG, OLD))
    return run


def drawn(config, vocabulary, seed):
    return network.create(config, vocabulary, seed)[1]


def test_a_new_run_begins_with_the_average_of_the_other(tmp_path, parent):
    begun = inheritance.begin(tmp_path / "new", parent, CONFIG, OLD, drawn(CONFIG, OLD, 2))
    jax.tree.map(
        lambda one, other: np.testing.assert_array_equal(one, other + 1),
        begun.params,
        drawn(CONFIG, OLD, 1),
    )
    assert begun.parent == {"run": str(parent.resolve()), "step": 40}
    assert "had learnt by step 40" in begun.notes[0]


def test_killed_before_its_first_save_it_begins_with_the_same_step_again(tmp_path, parent):
    new, own = tmp_path / "new", drawn(CONFIG, OLD, 2)
    begun = inheritance.begin(new, parent, CONFIG, OLD, own)
    new.mkdir()
    (new / "environment.json").write_text(json.dumps({"begun_from": begun.parent}))
    state = loop.initial_state(CONFIG, own)  # the parent is trained on meanwhile
    trees = {"params": state.params, "ema": state.ema, "optimizer": state.optimizer}
    checkpoint.write(parent, 60, trees, About(CONFIG, OLD))
    again = inheritance.begin(new, parent, CONFIG, OLD, own)
    assert again.parent == begun.parent
    jax.tree.map(np.testing.assert_array_equal, again.params, begun.params)
    assert inheritance.begin(tmp_path / "other", parent, CONFIG, OLD, own).parent == {
        "run": str(parent.resolve()),
        "step": 60,
    }


def test_embeddings_of_labels_go_by_name_and_new_ones_begin_at_the_mean_of_those_known(
    tmp_path, parent
):
    own = drawn(CONFIG, NEW, 2)
    begun = inheritance.begin(tmp_path / "new", parent, CONFIG, NEW, own)
    found, learnt = begun.params, drawn(CONFIG, OLD, 1)
    instruments, rooms = (label["embed"] for label in found["conditioner"]["labels"].values())
    old_instruments, old_rooms = (
        label["embed"] + 1 for label in learnt["conditioner"]["labels"].values()
    )
    np.testing.assert_array_equal(instruments[:2], old_instruments[1:])  # flute, organ
    for row in instruments[2:]:
        np.testing.assert_allclose(row, np.mean(old_instruments, axis=0), rtol=1e-6)
    np.testing.assert_array_equal(rooms, old_rooms[:1])
    np.testing.assert_array_equal(found["wavenet"]["gate"], learnt["wavenet"]["gate"] + 1)
    assert begun.notes[1:] == (
        "instrument: 2 of 4 values begin at the mean of those known: tuba, viola",
    )


def test_a_label_of_another_name_begins_at_random_as_a_whole(tmp_path, parent):
    conditioner = dataclasses.replace(CONFIG.conditioner, labels=("folder", "room"))
    config = dataclasses.replace(CONFIG, conditioner=conditioner)
    vocabulary = Vocabulary({"folder": ("bell", "x"), "room": ("hall", "studio")})
    own = drawn(config, vocabulary, 2)
    begun = inheritance.begin(tmp_path / "new", parent, config, vocabulary, own)
    embed = begun.params["conditioner"]["labels"][0]["embed"]
    np.testing.assert_array_equal(embed, own["conditioner"]["labels"][0]["embed"])
    assert begun.notes[1:] == ("folder: 2 of 2 values begin at random: bell, x",)


def refused(parent, config, vocabulary=OLD, run="nowhere"):
    with pytest.raises(WavegenError) as told:
        inheritance.begin(parent.parent / run, parent, config, vocabulary, {})
    return told.value.came


def test_other_shapes_are_refused_with_the_keys_that_make_them(parent):
    model = Model(kernel_size=3, skip_channels=40, layers_per_cycle=3, dilation_cycles=2)
    config = dataclasses.replace(CONFIG, model=model, training=Training(learning_rate=0.1))
    told = refused(parent, config)
    assert "model.kernel_size: 2 -> 3" in told
    assert "model.skip_channels: 32 -> 40" in told
    assert "wavenet.embed: (2, 256, 16) -> (3, 256, 16)" in told
    assert "training.learning_rate" not in told


@pytest.mark.parametrize(
    ("override", "parameter"),
    [
        ("audio.n_codes=128", "wavenet.embed: (2, 256, 16) -> (2, 128, 16)"),
        ('conditioner.cell="gru"', "conditioner.cell"),
        ("conditioner.signals=[]", "conditioner.notes.sounding: (256, 32) -> none"),
        ('conditioner.signals=["past"]', "conditioner.past.embed: none -> "),
        ('conditioner.labels=["instrument"]', "conditioner.labels.1.embed: (32,) -> none"),
        ("model.predictor.order=8", "wavenet.predictor"),
    ],
)
def test_each_key_that_makes_other_shapes_is_named(parent, override, parameter):
    tree = configs.apply_overrides(configs.to_dict(CONFIG), [override])
    told = refused(parent, configs.from_dict(tree))
    assert override.partition("=")[0] + ": " in told
    assert parameter in told


def test_keys_that_make_no_other_shapes_may_differ(tmp_path, parent):
    overrides = ["training.batch_size=9", "augmentation.gain_db=3", "audio.sample_rate=8000"]
    overrides += ["model.layers_per_cycle=3", "model.dilation_cycles=2", "model.hop_length=32"]
    config = configs.from_dict(configs.apply_overrides(configs.to_dict(CONFIG), overrides))
    assert inheritance.begin(tmp_path / "new", parent, config, OLD, drawn(config, OLD, 0)).parent


def test_labels_in_another_order_are_refused_though_the_shapes_are_the_same(parent):
    conditioner = dataclasses.replace(CONFIG.conditioner, labels=LABELS[::-1])
    told = refused(parent, dataclasses.replace(CONFIG, conditioner=conditioner))
    assert "conditioner.labels: ['instrument', 'room'] -> ['room', 'instrument']" in told


def begin_again(run, parent):
    return inheritance.begin(run, parent, CONFIG, OLD, {})


def test_a_run_that_holds_a_training_begins_only_where_it_once_did(tmp_path, parent):
    run = tmp_path / "run"
    (checkpoint.folder(run) / "000000004").mkdir(parents=True)
    with pytest.raises(WavegenError, match="did not begin from another run"):
        begin_again(run, parent)
    (run / "environment.json").write_text(json.dumps({"begun_from": {"run": "/tmp/other"}}))
    with pytest.raises(WavegenError, match="began from /tmp/other"):
        begin_again(run, parent)
    (run / "environment.json").write_text(json.dumps({"begun_from": {"run": str(parent)}}))
    (checkpoint.folder(parent) / "000000040").rename(tmp_path / "away")  # it is needed no more
    assert begin_again(run, parent) == inheritance.Beginning({})


def test_a_run_without_checkpoints_cannot_be_begun_from(tmp_path):
    (tmp_path / "young").mkdir()
    with pytest.raises(WavegenError, match="holds no checkpoint"):
        begin_again(tmp_path / "run", tmp_path / "young")
