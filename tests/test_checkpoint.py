"""Checkpoints: what is saved comes back, and what is damaged does not."""

import dataclasses
import gc
from contextlib import closing
from pathlib import Path

import jax
import numpy as np
import pytest

from wavegen import checkpoint
from wavegen.config import Conditioner, Config, Training, Vocabulary
from wavegen.errors import WavegenError
from wavegen.model import network
from wavegen.training import loop

# What Orbax leaves behind after a failed read ends with a warning when it is collected.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

CONFIG = Config(conditioner=Conditioner(signals=("notes",), labels=("instrument",)))
VOCABULARY = Vocabulary({"instrument": ("bell", "organ")}, pitches=(60, 64), velocities=(100,))


@pytest.fixture(autouse=True)
def collected():
    yield
    gc.collect()  # here, not in the middle of another test


def trees_of(seed):
    _, params = network.create(CONFIG, VOCABULARY, seed)
    state = loop.initial_state(CONFIG, params)
    return {"params": state.params, "ema": state.ema, "optimizer": state.optimizer}


def save(run, *steps, keep=9, bits=None):
    with closing(checkpoint.manager(run, keep)) as writer:
        for step in steps:
            found = None if bits is None else bits[step]
            checkpoint.save(writer, step, trees_of(step), CONFIG, VOCABULARY, found)


def assert_equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def largest_data_file(run: Path, step: int, item: str) -> Path:
    folder = run / "checkpoints" / f"{step:09d}" / item
    return max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


def test_what_was_saved_comes_back(tmp_path):
    save(tmp_path, 1, 2)
    found = checkpoint.load(tmp_path)
    assert (found.config, found.vocabulary, found.step) == (CONFIG, VOCABULARY, 2)
    assert_equal(found.params, trees_of(2)["ema"])
    loaded = checkpoint.restore(tmp_path, CONFIG, VOCABULARY, trees_of(0))
    assert loaded is not None
    assert_equal(loaded.optimizer, trees_of(2)["optimizer"])
    assert checkpoint.load(tmp_path, step=1).step == 1


def test_a_flipped_bit_is_noticed_and_the_checkpoint_before_is_taken(tmp_path):
    save(tmp_path, 1, 2)
    path = largest_data_file(tmp_path, 2, "ema")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    notes = []
    assert checkpoint.load(tmp_path, on_damage=notes.append).step == 1
    assert len(notes) == 1
    assert "step 2" in notes[0]
    with pytest.raises(WavegenError, match=r"no checkpoint of .* can be read"):
        checkpoint.load(tmp_path, step=2)
    loaded = checkpoint.restore(tmp_path, CONFIG, VOCABULARY, trees_of(0))
    assert loaded is not None
    assert loaded.step == 1
    assert len(loaded.skipped) == 1


def test_a_training_goes_on_past_a_damaged_step(tmp_path):
    save(tmp_path, 1, 2)
    largest_data_file(tmp_path, 2, "params").unlink()
    loaded = checkpoint.restore(tmp_path, CONFIG, VOCABULARY, trees_of(0))
    assert loaded is not None
    assert (loaded.step, checkpoint.steps(tmp_path)) == (1, [1])
    save(tmp_path, 2, 3)
    assert checkpoint.load(tmp_path, step=2).step == 2
    names = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert "000000002.damaged" in names  # kept aside, for whoever wants to look


def test_a_missing_piece_is_noticed_too(tmp_path):
    save(tmp_path, 1, 2)
    largest_data_file(tmp_path, 2, "ema").unlink()
    assert checkpoint.load(tmp_path).step == 1


def test_the_newest_and_the_best_are_kept(tmp_path):
    bits = {1: 5.0, 2: 3.0, 3: 4.0, 4: 4.5}
    save(tmp_path, 1, 2, 3, 4, keep=2, bits=bits)
    assert checkpoint.steps(tmp_path) == [2, 3, 4]


def test_a_resume_under_another_config_is_refused_with_the_difference(tmp_path):
    save(tmp_path, 1)
    other = dataclasses.replace(CONFIG, training=Training(learning_rate=0.5))
    with pytest.raises(WavegenError, match=r"training.learning_rate: 0.002 -> 0.5"):
        checkpoint.restore(tmp_path, other, VOCABULARY, trees_of(0))
    longer = dataclasses.replace(CONFIG, training=Training(steps=5000))
    assert checkpoint.restore(tmp_path, longer, VOCABULARY, trees_of(0)) is not None


def test_a_resume_on_a_corpus_of_other_labels_is_refused_as_that(tmp_path):
    save(tmp_path, 1)
    other = dataclasses.replace(VOCABULARY, labels={"instrument": ("bell", "organ", "tuba")})
    with pytest.raises(WavegenError, match="other labels or notes"):
        checkpoint.restore(tmp_path, CONFIG, other, trees_of(0))


def test_a_run_without_checkpoints_says_so(tmp_path):
    with pytest.raises(WavegenError, match="there is no run"):
        checkpoint.load(tmp_path / "nowhere")
    with pytest.raises(WavegenError, match="holds no checkpoint"):
        checkpoint.load(tmp_path)
    save(tmp_path, 3)
    with pytest.raises(WavegenError, match="no checkpoint of step 4"):
        checkpoint.load(tmp_path, step=4)


def test_a_newer_format_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "FORMAT_VERSION", checkpoint.FORMAT_VERSION + 1)
    save(tmp_path, 1)
    monkeypatch.undo()
    with pytest.raises(WavegenError, match="use a newer wavegen"):
        checkpoint.load(tmp_path)
