"""A training that is killed, again and again, comes to what one comes to that never was."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from wavegen import checkpoint
from wavegen import config as configs
from wavegen.data import corpus as corpora
from wavegen.model import network
from wavegen.training import loop
from wavegen.training.step import train_step

ROOT = Path(__file__).parents[2]
START = f"""
import sys
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "kernels")!r}]
from wavegen.cli.app import main
main()
"""
STEPS, SAVE_EVERY = 45, 3
PATIENCE_SECONDS = 300  # for a machine that is busy with something else
BY_THE_CLOCK = (
    *("steps_per_second", "samples_per_second", "audio_hours_per_hour", "seconds_left"),
    *("wait_share", "memory_bytes"),
)

pytestmark = pytest.mark.slow


@pytest.fixture
def train(corpus, small, tmp_path):
    """A function: starts `wavegen train` into a run, in a process of its own."""
    environment = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    often = ("log_every=1", "validate_every=5", f"save_every={SAVE_EVERY}", "input_jitter=1")
    settings = [word for key in often for word in ("--set", f"training.{key}")]

    def start(run):
        words = ("train", "tiny", "--data", corpus, "--run", run, "--steps", STEPS)
        command = [sys.executable, "-c", START, *map(str, (*words, *small, *settings))]
        return subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )

    return start


def finish(process):
    _, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, err
    assert "Traceback" not in err
    return err


def kill(process, is_time, delay):
    """Kills a process `delay` seconds after is_time(); whether it was alive until then."""
    while process.poll() is None and not is_time():
        time.sleep(0.001)
    time.sleep(delay)
    alive = process.poll() is None
    process.kill()
    _, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert "error:" not in err, err
    return alive


def unfinished(run):
    """What a save is at work on, or a killed one has left."""
    folder = checkpoint.folder(run)
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    return {name for name in names if not name.isdigit()}


def last_step(run):
    path = run / "metrics.jsonl"
    lines = path.read_text().splitlines()[:-1] if path.is_file() else []  # the last may be torn
    return max((json.loads(line)["step"] for line in lines), default=0)


def state_of(run, corpus):
    """Everything that a run has learnt, bit for bit, and where it stands."""
    config = configs.load(run / "config.toml")
    _, params = network.create(config, corpora.open(corpus).vocabulary, config.training.seed)
    state = loop.initial_state(config, params)
    trees = {"params": state.params, "ema": state.ema, "optimizer": state.optimizer}
    return checkpoint.restore(run, trees)


def metrics(run):
    lines = (run / "metrics.jsonl").read_text().splitlines()
    entries = [json.loads(line) for line in lines]
    # Whether a device waits for data is the clock's as well.
    entries = [entry for entry in entries if entry.get("warning") != "starved"]
    return [{k: v for k, v in entry.items() if k not in BY_THE_CLOCK} for entry in entries]


def batches_heard(run, corpus, steps):
    """The batches that a run is given when it goes on for some more steps."""
    heard = []
    config = configs.load(run / "config.toml", [f"training.steps={steps}"])

    def hear(config, graphdef, state, batch):
        heard.append(jax.tree.map(np.array, batch))
        return train_step(config, graphdef, state, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "compiled", lambda mesh: hear)
        loop.train(
            config,
            corpora.open(corpus),
            run,
            on_log=lambda _: None,
            on_validation=lambda _: None,
            on_note=lambda _: None,
        )
    return heard


def test_a_training_killed_at_any_moment_goes_on_to_the_same_bits(train, corpus, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    finish(train(whole))
    moments, in_a_save = random.Random(6), 0
    assert kill(train(killed), lambda: True, moments.uniform(0, 2))  # while it starts
    for goal in (8, 15, 22, 30):  # a step that it gets to before it is killed
        left = unfinished(killed)
        wait_for_save = goal % 2 == 0

        def is_time(goal=goal, left=left, wait_for_save=wait_for_save):
            now = unfinished(killed)
            return last_step(killed) >= goal and (not wait_for_save or bool(now - left))

        if not kill(train(killed), is_time, moments.uniform(0, 0.03)):
            break
        in_a_save += bool(unfinished(killed) - left)
        print("killed near step", last_step(killed), checkpoint.steps(killed), unfinished(killed))
    print(f"{in_a_save} times in the middle of a save")
    assert in_a_save >= 2
    stood = checkpoint.steps(killed)
    assert stood[-1] < STEPS  # else the last start would prove nothing
    assert f"going on from step {stood[-1]}" in finish(train(killed))

    assert unfinished(killed) == set()
    assert checkpoint.steps(killed) == checkpoint.steps(whole)
    assert metrics(killed) == metrics(whole)
    first, second = state_of(whole, corpus), state_of(killed, corpus)
    assert first is not None
    assert second is not None
    assert (first.step, first.skipped) == (second.step, second.skipped) == (STEPS, [])
    jax.tree.map(np.testing.assert_array_equal, first, second)
    more = (batches_heard(run, corpus, STEPS + 3) for run in (whole, killed))
    for one, other in zip(*more, strict=True):
        jax.tree.map(np.testing.assert_array_equal, one, other)
