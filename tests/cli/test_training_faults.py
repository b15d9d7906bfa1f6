"""Trainings that go wrong, or begin from others: one clear message, and nothing lost."""

import json
import shutil

import pytest

from wavegen import checkpoint
from wavegen.data import lock
from wavegen.training import loop, saving
from wavegen.training.step import train_step


@pytest.fixture
def train(wavegen, corpus, small):
    """A function: trains into a run."""

    def call(run, steps, *more, data=corpus):
        words = ("--data", data, "--run", run, "--steps", steps, *small, *more)
        return wavegen("train", "tiny", *words)

    return call


@pytest.fixture
def begun(run, tmp_path):
    """A copy of a run of twelve steps."""
    return shutil.copytree(run, tmp_path / "begun")


def said(ended):
    """The one message of a command that was refused."""
    assert ended.code == 1
    assert ended.err.count("error: ") == 1
    assert "Traceback" not in ended.err
    return ended.err[ended.err.index("error: ") :]


def metrics(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_a_full_disk_ends_the_training_and_it_goes_on_when_there_is_room(train, begun):
    def full(_, start, num_bytes):
        if num_bytes > saving._SPARE_BYTES:  # there is room for a beginning
            raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(saving.os, "posix_fallocate", full)
        message = said(train(begun, 20))
    assert "the checkpoint of step 16 cannot be saved" in message
    assert "the disk is full" in message
    assert checkpoint.steps(begun) == [4, 8, 12]
    ended = train(begun, 20)
    assert ended.code == 0
    assert "going on from step 12" in ended.err
    assert sorted({entry["step"] for entry in metrics(begun)}) == [4, 8, 12, 16, 20]


def test_a_run_that_vanishes_ends_the_training_and_is_not_made_again(train, begun):
    def vanish(config, graphdef, state, batch):
        if int(state.step) == 13:
            shutil.rmtree(begun)
        return train_step(config, graphdef, state, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "compiled", lambda mesh: vanish)
        assert f"{begun} is gone" in said(train(begun, 20))
    assert not begun.exists()


def test_a_second_trainer_is_refused_and_changes_nothing(train, begun):
    def seen():
        return {path: path.stat().st_mtime_ns for path in begun.rglob("*") if path.is_file()}

    with lock.Lock(begun):
        before = seen()
        assert f"is at work in {begun}" in said(train(begun, 20))
        assert seen() == before


def test_a_changed_corpus_is_refused(train, begun, corpus, tmp_path):
    other = shutil.copytree(corpus, tmp_path / "other")
    ended = train(begun, 13, data=other)
    assert ended.code == 0, ended.err  # the same recordings in another place
    shard = other / "train" / "samples-00000.npy"
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    message = said(train(begun, 20, data=other))
    assert f"{other} has changed since {begun} was trained on it" in message
    assert f"--init-from {begun}" in message
    assert checkpoint.steps(begun)[-1] == 13


def test_a_new_run_begins_from_another_and_the_same_command_goes_on(train, run, begun, tmp_path):
    fine, rate = tmp_path / "fine", ("--set", "training.learning_rate=1e-4")
    ended = train(fine, 4, *rate, "--init-from", begun)
    assert ended.code == 0
    assert f"begins with what {begun} had learnt by step 12" in ended.err
    assert checkpoint.steps(fine) == [4]
    shutil.rmtree(begun)  # no more needed
    ended = train(fine, 8, *rate, "--init-from", begun)
    assert ended.code == 0
    assert "going on from step 4" in ended.err
    assert f"began from {begun}" in said(train(fine, 8, *rate, "--init-from", run))
    assert metrics(fine)[0]["nats"] < metrics(run)[0]["nats"]


def test_what_does_not_fit_is_refused_and_leaves_no_folder(train, run, tmp_path):
    new = tmp_path / "new"
    message = said(train(new, 4, "--set", "model.kernel_size=3", "--init-from", run))
    assert "model.kernel_size: 2 -> 3" in message
    assert "wavenet.embed: (2, 256, 8) -> (3, 256, 8)" in message
    assert "there is no run" in said(train(new, 4, "--init-from", tmp_path / "nowhere"))
    assert not new.exists()


def test_crops_and_batches_larger_than_the_data_are_trained_on_and_said(
    wavegen, sines, plain, tmp_path
):
    sizes = ("--set", "training.crop_samples=16000", "--set", "training.batch_size=3")
    words = ("--data", sines, "--run", tmp_path / "run", "--steps", 2, *plain, *sizes)
    ended = wavegen("train", "tiny", *words)
    assert ended.code == 0
    assert "no recording is as long as a crop: the longest has 1 s of 2 s" in ended.err
    assert "a batch is larger than the data: 3 crops of 2 s, 1 s of recordings" in ended.err
    assert checkpoint.steps(tmp_path / "run") == [2]
