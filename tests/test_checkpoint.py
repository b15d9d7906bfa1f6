"""Checkpoints: what is saved comes back, and what is damaged does not."""

import gc
import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

from wavegen import checkpoint
from wavegen.checkpoint import About
from wavegen.config import Conditioner, Config, Vocabulary
from wavegen.errors import WavegenError
from wavegen.model import network
from wavegen.training import loop

# What Orbax leaves behind after a failed read ends with a warning when it is collected.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

CONFIG = Config(conditioner=Conditioner(signals=("notes",), labels=("instrument",)))
VOCABULARY = Vocabulary({"instrument": ("bell", "organ")}, pitches=(60, 64), velocities=(100,))
ABOUT = About(CONFIG, VOCABULARY)


@pytest.fixture(autouse=True)
def collected():
    yield
    gc.collect()  # here, not in the middle of another test


def trees_of(seed):
    _, params = network.create(CONFIG, VOCABULARY, seed)
    state = loop.initial_state(CONFIG, params)
    return {"params": state.params, "ema": state.ema, "optimizer": state.optimizer}


def save(run, *steps):
    checkpoint.folder(run).mkdir(exist_ok=True)
    for step in steps:
        checkpoint.write(run, step, trees_of(step), ABOUT)


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
    loaded = checkpoint.restore(tmp_path, trees_of(0))
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
    loaded = checkpoint.restore(tmp_path, trees_of(0))
    assert loaded is not None
    assert loaded.step == 1
    assert len(loaded.skipped) == 1


def test_a_training_goes_on_past_a_damaged_step(tmp_path):
    save(tmp_path, 1, 2)
    largest_data_file(tmp_path, 2, "params").unlink()
    loaded = checkpoint.restore(tmp_path, trees_of(0))
    assert loaded is not None
    assert (loaded.step, checkpoint.steps(tmp_path)) == (1, [1])
    save(tmp_path, 2, 3)
    assert checkpoint.load(tmp_path, step=2).step == 2
    names = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert "000000002.damaged" in names  # kept aside, for whoever wants to look


def small_trees(value):
    return {
        name: {"a": np.full(300, value, np.float32), "b": [np.int32(value)]}
        for name in checkpoint.ARRAYS
    }


def flipped(part):
    def flip(path):
        data = bytearray(path.read_bytes())
        data[int(part * (len(data) - 1))] ^= 0x15
        path.write_bytes(data)

    return flip


DAMAGES = {
    "removed": Path.unlink,
    "emptied": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "halved": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "flipped at its start": flipped(0.0),
    "flipped in its middle": flipped(0.5),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_no_damage_to_any_file_is_taken_for_the_truth(tmp_path, damage, capfd):
    whole, hurt = tmp_path / "whole", tmp_path / "hurt"
    checkpoint.folder(whole).mkdir(parents=True)
    for step in (1, 2):
        checkpoint.write(whole, step, small_trees(step), ABOUT)
    newest = checkpoint.folder(whole) / "000000002"
    files = [path.relative_to(whole) for path in newest.rglob("*") if path.is_file()]
    noticed = set()
    for file in files:
        shutil.copytree(whole, hurt)
        DAMAGES[damage](hurt / file)
        loaded = checkpoint.restore(hurt, small_trees(0))
        assert loaded is not None
        for name in checkpoint.ARRAYS:
            assert_equal(getattr(loaded, name), small_trees(loaded.step)[name])
        if loaded.step == 1:
            assert loaded.skipped[0].startswith("step 2: ")
            noticed.add(file)
        shutil.rmtree(hurt)
    # Two files at the top are Orbax's own and are not read.
    unread = {"_CHECKPOINT_METADATA", "commit_success.txt"}
    assert {file for file in files if file.parent.parent.name != "checkpoints"} <= noticed
    assert {file.name for file in set(files) - noticed} <= unread
    assert capfd.readouterr() == ("", "")  # Orbax would tell it in tracebacks


def test_no_byte_of_what_a_checkpoint_says_can_change_unnoticed(tmp_path):
    checkpoint.folder(tmp_path).mkdir()
    checkpoint.write(tmp_path, 1, small_trees(1), ABOUT)
    path = checkpoint.folder(tmp_path) / "000000001" / "about" / "metadata"
    assert checkpoint.about(tmp_path, 1) == ABOUT
    told = path.read_bytes()
    for place in range(0, len(told), 7):
        path.write_bytes(told[:place] + bytes([told[place] ^ 1]) + told[place + 1 :])
        assert checkpoint.about(tmp_path, 1) is None, place


def test_an_array_that_is_not_what_was_saved_is_noticed(tmp_path, monkeypatch):
    def other(tree):
        return {path: sum ^ 1 if path == "['a']" else sum for path, sum in real(tree).items()}

    real = checkpoint.checksums
    checkpoint.folder(tmp_path).mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "checksums", other)
        checkpoint.write(tmp_path, 1, small_trees(1), ABOUT)
    with pytest.raises(WavegenError, match=r"step 1: ema\['a'\] is damaged"):
        checkpoint.restore(tmp_path, small_trees(0))


def test_a_checkpoint_of_the_first_format_is_read(tmp_path):
    checkpoint.folder(tmp_path).mkdir()
    checkpoint.write(tmp_path, 1, small_trees(1), ABOUT)
    path = checkpoint.folder(tmp_path) / "000000001"
    (path / "files.json").unlink()
    told = json.loads((path / "about" / "metadata").read_text()) | {"format_version": 1}
    told = {key: value for key, value in told.items() if key not in ("corpus", "bits_per_sample")}
    (path / "about" / "metadata").write_text(json.dumps(told))
    assert checkpoint.about(tmp_path, 1) == ABOUT
    (path / "metrics").mkdir()
    for written, bits in (("3.5", 3.5), ("Infinity", None)):  # what it said where there was none
        (path / "metrics" / "metrics").write_text(f'{{"bits_per_sample": {written}}}')
        assert checkpoint.about(tmp_path, 1) == ABOUT._replace(bits_per_sample=bits)
    loaded = checkpoint.restore(tmp_path, small_trees(0))
    assert loaded is not None
    assert_equal(loaded.params, small_trees(1)["params"])


def test_what_is_no_checkpoint_is_not_taken_for_one(tmp_path):
    checkpoint.folder(tmp_path).mkdir()
    checkpoint.write(tmp_path, 1, small_trees(1), ABOUT)
    for name in ("5", "²", "000000002.damaged", "notes", "-00000003"):
        (checkpoint.folder(tmp_path) / name).mkdir()
    assert checkpoint.steps(tmp_path) == [1]
    (checkpoint.folder(tmp_path) / "000000007").mkdir()
    loaded = checkpoint.restore(tmp_path, small_trees(0))
    assert loaded is not None
    assert (loaded.step, len(loaded.skipped)) == (1, 1)


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
