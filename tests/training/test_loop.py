"""The loop: it learns, it goes on exactly, and it stops in words."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from wavegen import checkpoint
from wavegen import config as configs
from wavegen.data import batches
from wavegen.errors import WavegenError
from wavegen.model import network
from wavegen.training import loop, step

ROOT = Path(__file__).parents[2]


def silent(_):
    pass


def train(config, corpus, run, on_log=silent, on_validation=silent, on_note=silent):
    return loop.train(
        config, corpus, run, on_log=on_log, on_validation=on_validation, on_note=on_note
    )


def changed(config, *overrides):
    return configs.from_dict(configs.apply_overrides(configs.to_dict(config), overrides))


def final_state(run, config, corpus):
    _, params = network.create(config, corpus.vocabulary, config.training.seed)
    state = loop.initial_state(config, params)
    trees = {"params": state.params, "ema": state.ema, "optimizer": state.optimizer}
    return checkpoint.restore(run, trees)


def metrics(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_training_lowers_the_loss_and_writes_a_run(tmp_path, tiny, notes_corpus):
    config = changed(tiny, "training.steps=40")
    seen, validated = [], []
    outcome = train(config, notes_corpus, tmp_path, seen.append, validated.append)
    assert outcome.step == 40
    assert not outcome.interrupted
    assert seen[0].bits_per_sample < 9  # near 8.0, what a fair guess among 256 codes costs
    assert seen[-1].bits_per_sample < seen[0].bits_per_sample - 0.5
    assert validated[-1].validation_bits_per_sample == outcome.validation_bits_per_sample
    assert configs.load(tmp_path / "config.toml") == config
    assert json.loads((tmp_path / "environment.json").read_text())["jax"] == jax.__version__
    assert metrics(tmp_path)[0] == seen[0]._asdict()
    assert seen[-1].audio_hours > seen[0].audio_hours > 0
    assert seen[-1].memory_bytes > 0
    assert 0 < seen[-1].silence_share < 1
    assert 0 <= seen[-1].wait_share <= 1


EVERYTHING = (
    "training.first_crop_samples=128",
    "training.curriculum_steps=7",  # cut within a stage of it
    "training.condition_dropout=0.5",
    "training.label_smoothing=0.1",
    "training.microbatches=2",
    "training.compute_dtype=bfloat16",
    "training.schedule=inverse_sqrt",
    "training.optimizer=muon",
    "training.patience=5",
    "augmentation.gain_db=3",
)


@pytest.mark.parametrize("options", [(), EVERYTHING])
def test_a_resumed_training_is_bit_for_bit_the_unbroken_one(tmp_path, tiny, notes_corpus, options):
    config = changed(tiny, *options)
    train(config, notes_corpus, tmp_path / "whole")
    cut = tmp_path / "cut"
    stop_at(config, notes_corpus, cut, last=4)
    assert checkpoint.steps(cut) == [4]
    train(config, notes_corpus, cut)
    whole = final_state(tmp_path / "whole", config, notes_corpus)
    resumed = final_state(cut, config, notes_corpus)
    assert whole is not None
    assert resumed is not None
    jax.tree.map(np.testing.assert_array_equal, whole, resumed)


def stop_at(config, corpus, run, last):
    """Asks for an end, as Ctrl-C does, while step `last` is logged."""

    def press(progress):
        if progress.step == last:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.05)  # Python handles the signal between two of its own steps

    outcome = train(config, corpus, run, on_log=press)
    assert outcome.interrupted
    assert outcome.step == last


def test_an_interrupted_training_has_saved_where_it_stopped(tmp_path, tiny, notes_corpus):
    config = changed(tiny, "training.log_every=3", "training.save_every=1000")
    stop_at(config, notes_corpus, tmp_path, last=3)
    assert checkpoint.steps(tmp_path) == [3]


@pytest.mark.slow
def test_a_killed_training_goes_on_to_the_same_parameters(tmp_path, tiny, notes_corpus):
    train(tiny, notes_corpus, tmp_path / "whole")
    code = f"""
import os, signal, sys
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "kernels")!r}]
from pathlib import Path
from wavegen import config as configs
from wavegen.data import corpus
from wavegen.training import loop
def die(found):
    if found.step == 8: os.kill(os.getpid(), signal.SIGKILL)
loop.train(configs.load({str(tmp_path / "whole" / "config.toml")!r}),
           corpus.open({str(notes_corpus.path)!r}), Path({str(tmp_path / "killed")!r}),
           on_log=die, on_validation=lambda _: None, on_note=lambda _: None)
"""
    died = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    assert checkpoint.steps(tmp_path / "killed") in ([], [4])
    train(tiny, notes_corpus, tmp_path / "killed")
    whole = final_state(tmp_path / "whole", tiny, notes_corpus)
    killed = final_state(tmp_path / "killed", tiny, notes_corpus)
    jax.tree.map(np.testing.assert_array_equal, whole, killed)


def test_a_save_that_failed_ends_the_training_before_the_next_save(tmp_path, tiny, notes_corpus):
    often = {"steps": 8, "save_every": 5, "log_every": 1, "validate_every": 100}
    plan = dataclasses.replace(tiny.training, **often)
    config, failed, seen = dataclasses.replace(tiny, training=plan), threading.Event(), []

    def fail(*_):
        failed.set()
        raise OSError(28, "No space left on device")

    def log(progress):
        seen.append(progress.step)
        if progress.step == 6:
            assert failed.wait(60)
            time.sleep(0.2)  # until what failed is told

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "write", fail)
        with pytest.raises(WavegenError, match="the disk is full"):
            train(config, notes_corpus, tmp_path, on_log=log)
    assert seen[-1] == 6


@pytest.mark.parametrize("full", [True, False])
def test_a_device_whose_memory_is_full_says_what_to_do(
    tmp_path, tiny, notes_corpus, monkeypatch, full
):
    words = "RESOURCE_EXHAUSTED: Out of memory" if full else "INTERNAL: a mistake"

    def fail(*_):
        raise jax.errors.JaxRuntimeError(words + " while allocating 99 bytes.\nstack")

    monkeypatch.setattr(loop, "compiled", lambda mesh: fail)
    kind = WavegenError if full else jax.errors.JaxRuntimeError
    with pytest.raises(kind, match="99 bytes") as error:
        train(tiny, notes_corpus, tmp_path)
    if isinstance(error.value, WavegenError):
        assert "training.microbatches" in error.value.do


def test_a_mistake_in_the_data_thread_reaches_the_caller(tmp_path, tiny, notes_corpus):
    def fail(*given):
        if threading.current_thread() is not threading.main_thread():
            raise OSError("the disk went away")
        return real(*given)

    real = batches.windows
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "windows", fail)
        with pytest.raises(OSError, match="the disk went away"):
            train(tiny, notes_corpus, tmp_path)


def test_what_has_been_heard_is_counted_on_by_a_resume(tmp_path, tiny, notes_corpus):
    seen, config = [], changed(tiny, "training.log_every=3", "training.save_every=1000")
    train(config, notes_corpus, tmp_path / "whole", seen.append)
    stop_at(config, notes_corpus, tmp_path / "cut", last=3)
    again = []
    train(config, notes_corpus, tmp_path / "cut", again.append)
    assert [line.audio_hours for line in again] == [line.audio_hours for line in seen[1:]]
    weights = [
        batches.windows(notes_corpus.splits["train"], config, notes_corpus.vocabulary, 0, step)
        .weights.sum()
        for step in range(8)
    ]  # fmt: skip
    assert seen[-1].audio_hours == sum(weights) / 8000 / 3600


def test_listening_to_the_network_changes_nothing_in_the_training(tmp_path, tiny, notes_corpus):
    train(tiny, notes_corpus, tmp_path / "deaf")
    heard, copies, config = [], [], changed(tiny, "training.sample_every=3")

    def listen(trained):
        heard.append(trained)
        copies.append(jax.tree.map(np.array, trained.params))

    loop.train(
        config, notes_corpus, tmp_path / "heard", on_log=silent, on_validation=silent,
        on_note=silent, on_sample=listen,
    )  # fmt: skip
    assert [trained.step for trained in heard] == [3, 6]
    for tree in ("deaf", "heard"):
        assert checkpoint.steps(tmp_path / tree) == [4, 8]
    states = [final_state(tmp_path / name, tiny, notes_corpus) for name in ("deaf", "heard")]
    jax.tree.map(np.testing.assert_array_equal, *states)
    # What was handed out stays as it was, though the steps after it gave their memory away.
    for trained, copy in zip(heard, copies, strict=True):
        jax.tree.map(np.testing.assert_array_equal, trained.params, copy)


def test_a_loader_that_is_too_slow_is_noticed(tmp_path, tiny, notes_corpus, monkeypatch):
    def slow(*given):
        time.sleep(0.4)  # many times what a step of this network takes
        return real(*given)

    real, said = batches.windows, []
    monkeypatch.setattr(batches, "windows", slow)
    config = changed(tiny, "training.log_every=2", "training.validate_every=1000")
    loop.train(
        config, notes_corpus, tmp_path, on_log=silent, on_validation=silent, on_note=silent,
        on_warning=said.append,
    )  # fmt: skip
    (words,) = said
    assert "waiting for data" in words
    assert [line["warning"] for line in metrics(tmp_path) if "warning" in line] == ["starved"]


def test_jitter_leaves_the_silence_before_a_recording_alone(tiny, notes_corpus):
    split, vocabulary = notes_corpus.splits["train"], notes_corpus.vocabulary
    batch = batches.windows(split, tiny, vocabulary, 0, 0)
    heard = np.asarray(step._jittered(tiny, batch, jax.random.key(0)))
    before = np.repeat(batch.valid, tiny.model.hop_length, axis=1) == 0
    assert before.any()
    np.testing.assert_array_equal(heard[before], batch.codes[before])
    moved = np.abs(heard - batch.codes)[~before]
    assert moved.max() == tiny.training.input_jitter
    assert 0.5 < (moved > 0).mean() < 0.8  # of -1, 0, 1 two are moves


def test_metrics_of_steps_that_come_again_are_not_kept_twice(tmp_path, tiny, notes_corpus):
    path = tmp_path / "metrics.jsonl"
    stop_at(tiny, notes_corpus, tmp_path, last=4)
    path.write_text(path.read_text() + json.dumps({"step": 6, "nats": 1.0}) + '\n{"step": 7, "na')
    train(tiny, notes_corpus, tmp_path)
    steps = [line["step"] for line in metrics(tmp_path) if "nats" in line]
    assert steps == [4, 8]


def test_jitter_moves_what_is_heard_and_not_what_is_asked_for(tiny, notes_corpus):
    split, vocabulary = notes_corpus.splits["train"], notes_corpus.vocabulary
    batch = batches.windows(split, tiny, vocabulary, 0, 0)
    graphdef, params = network.create(tiny, vocabulary, 0)
    plain = changed(tiny, "training.input_jitter=0")
    still, moved, again = (
        step._differentiated(config, graphdef, params, batch, jax.random.key(0))[0]
        for config in (plain, tiny, tiny)
    )
    assert still.nats != moved.nats
    assert moved.nats == again.nats
    assert still.weight == moved.weight == batch.weights.sum()


def test_the_predictor_hears_no_jitter(monkeypatch, tiny, notes_corpus):
    vocabulary, heard = notes_corpus.vocabulary, {}
    monkeypatch.setattr(step.loss, "score", lambda wavenet, hidden, *_: hidden)
    for reach in (0, 9):
        overrides = ["model.predictor.order=4", "model.predictor.window=64"]
        overrides += [f"training.input_jitter={reach}", "model.predictor.refit=8"]
        config = changed(tiny, *overrides)
        batch = batches.windows(notes_corpus.splits["train"], config, vocabulary, 0, 0)
        net = network.assemble(*network.create(config, vocabulary, 0))
        moved = step._heard(config, batch, jax.random.key(0))
        heard[reach] = step._score(net, config, moved, jax.numpy.asarray(batch.codes))
    for clean, jittered in zip(heard[0].foretold, heard[9].foretold, strict=True):
        np.testing.assert_array_equal(clean, jittered)
    assert not np.allclose(heard[0].skip_sum, heard[9].skip_sum)
