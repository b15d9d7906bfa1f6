"""Saving while the training goes on: what stays, what fails, and what the arrays were."""

import os
import random
import resource
import shutil
import threading
from contextlib import closing

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wavegen import checkpoint
from wavegen.checkpoint import About
from wavegen.config import Config, Training, Vocabulary
from wavegen.errors import WavegenError
from wavegen.training import saving

ABOUT = About(Config(), Vocabulary())


def trees_of(value, size=64):
    return {name: {"a": np.full(size, value, np.float32)} for name in checkpoint.ARRAYS}


def save(run, bits, **plan):
    """Checkpoints of these steps, with what their validations found."""
    with closing(saving.Writer(run, Training(**plan))) as writer:
        for step, found in bits.items():
            writer.save(step, trees_of(step), ABOUT._replace(bits_per_sample=found))


def drawn(random, count):
    """Steps that grow, some of them validated."""
    steps = sorted(random.sample(range(1, 200), count))
    return {step: random.choice([None, random.uniform(1, 8)]) for step in steps}


@pytest.mark.parametrize("seed", range(200))
def test_the_newest_the_best_and_the_regular_ones_stay_and_no_others(seed):
    drawing = random.Random(seed)
    bits = drawn(drawing, drawing.randint(1, 30))
    plan = Training(
        keep_checkpoints=drawing.randint(1, 5), keep_every=drawing.choice([0, 1, 7, 50])
    )
    there = {}
    for step, found in bits.items():  # each save removes what need not stay
        there[step] = found
        stays = saving.kept(there, plan)
        there = {step: found for step, found in there.items() if step in stays}
        seen = [old for old in bits if old <= step]
        newest = set(seen[-plan.keep_checkpoints :])
        regular = {old for old in seen if plan.keep_every and old % plan.keep_every == 0}
        measured = {old: found for old in seen if (found := bits[old]) is not None}
        best = {old for old, found in measured.items() if found == min(measured.values())}
        assert step in there
        assert set(there) == newest | regular | best


def test_the_folder_holds_what_should_stay_also_after_a_restart(tmp_path):
    bits = {5: 4.0, 6: None, 7: 3.0, 10: 5.0, 12: None, 13: 6.0}
    save(tmp_path, bits, keep_checkpoints=2, keep_every=5)
    assert checkpoint.steps(tmp_path) == [5, 7, 10, 12, 13]
    save(tmp_path, {14: 3.5, 15: None}, keep_checkpoints=2, keep_every=5)
    assert checkpoint.steps(tmp_path) == [5, 7, 10, 14, 15]
    save(tmp_path, {16: 2.0}, keep_checkpoints=1, keep_every=0)
    assert checkpoint.steps(tmp_path) == [16]


def test_what_killed_processes_left_is_cleared_and_never_taken_for_a_checkpoint(tmp_path):
    save(tmp_path, {1: None, 2: None})
    folder = checkpoint.folder(tmp_path)
    killed = ("3.orbax-checkpoint-tmp", "4.unfinished", "4.unfinished.orbax-checkpoint-tmp")
    for name in (*killed, "1.removed", "1.removed-2"):
        shutil.copytree(folder / "000000001", folder / f"00000000{name}")
    shutil.copytree(folder / "000000001", folder / "000000009.damaged")
    (folder / "mine").mkdir()
    assert checkpoint.steps(tmp_path) == [1, 2]
    save(tmp_path, {})  # at the beginning: a full disk may need the room
    left = {path.name for path in folder.iterdir()}
    assert left == {"000000001", "000000002", "000000009.damaged", "mine"}


def test_arrays_that_are_given_away_after_a_save_are_saved_as_they_were(tmp_path):
    count = jax.jit(lambda tree: jax.tree.map(lambda leaf: leaf + 1, tree), donate_argnums=0)
    tree = {name: jnp.full(1 << 18, i, jnp.float32) for i, name in enumerate(checkpoint.ARRAYS)}
    wanted = jax.tree.map(np.array, tree)
    with closing(saving.Writer(tmp_path, Training())) as writer:
        for step in range(1, 4):
            writer.save(step, tree, ABOUT)
            for _ in range(10):
                tree = count(tree)
    for step in range(1, 4):
        shutil.rmtree(tmp_path / "only", ignore_errors=True)
        name = f"checkpoints/{step:09d}"
        shutil.copytree(tmp_path / name, tmp_path / "only" / name)
        loaded = checkpoint.restore(tmp_path / "only", wanted)
        assert loaded is not None
        for name in checkpoint.ARRAYS:
            np.testing.assert_array_equal(getattr(loaded, name), wanted[name] + 10 * (step - 1))


def limit_files(num_bytes):
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes or hard, hard))


def refuse_large_files(run, patch):
    limit_files(1 << 16)  # as on a full disk, what is small can still be written


def refuse_all(run, patch):
    """As a folder that may not be written to; permissions are none to a test that runs as root."""

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    patch.setattr(saving.tempfile, "TemporaryFile", refuse)


@pytest.mark.parametrize(
    ("mishap", "words"),
    [
        (refuse_large_files, "File too large"),
        (refuse_all, "Permission denied"),
        (lambda run, _: shutil.rmtree(run), "the folder is gone"),
        (lambda run, _: shutil.rmtree(checkpoint.folder(run)), "the folder is gone"),
    ],
)
def test_a_save_that_fails_says_why_and_leaves_what_was_saved(tmp_path, monkeypatch, mishap, words):
    run = tmp_path / "run"
    writer = saving.Writer(run, Training())
    writer.save(1, trees_of(1), ABOUT)
    writer.wait()
    try:
        mishap(run, monkeypatch)
        writer.save(2, trees_of(2), ABOUT)
        with pytest.raises(WavegenError, match=words) as told:
            writer.wait()
    finally:
        limit_files(None)
    assert "step 2" in str(told.value)
    assert "goes on from the newest checkpoint" in str(told.value)
    writer.close()  # what was told once is not told again
    assert not any(thread.name.startswith("checkpoint") for thread in threading.enumerate())
    if checkpoint.folder(run).exists():
        assert os.listdir(checkpoint.folder(run)) == ["000000001"]
        loaded = checkpoint.restore(run, trees_of(0))
        assert loaded is not None
        assert loaded.step == 1
    else:
        assert checkpoint.steps(run) == []  # and nothing was made anew in its place


def test_a_full_disk_is_told_as_that_before_there_is_anything_to_save(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(saving.os, "posix_fallocate", full)
    with pytest.raises(WavegenError, match=r"cannot be saved .*: the disk is full") as told:
        saving.Writer(tmp_path, Training())
    assert "make room" in str(told.value)


def test_a_failed_save_is_told_as_soon_as_it_is_known(tmp_path):
    def ask_on():
        while True:
            writer.check()

    with closing(saving.Writer(tmp_path / "run", Training())) as writer:
        writer.check()
        shutil.rmtree(tmp_path / "run")
        writer.save(1, trees_of(1), ABOUT)
        with pytest.raises(WavegenError, match="the folder is gone"):
            ask_on()


def test_an_error_of_orbax_itself_is_told_in_one_line(tmp_path, monkeypatch):
    def fail(*_):
        raise ValueError("RESOURCE_EXHAUSTED: Failed to write: No space left on device [28]\nmore")

    monkeypatch.setattr(saving.checkpoint, "write", fail)
    with pytest.raises(WavegenError, match="the disk is full"):
        save(tmp_path, {1: None})
