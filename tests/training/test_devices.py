"""Several devices, several processes: the same training, and nobody left waiting."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import cast

import jax
import numpy as np
import pytest
from jax.sharding import Mesh

from wavegen import checkpoint
from wavegen import config as configs
from wavegen.data import batches, corpus
from wavegen.errors import WavegenError
from wavegen.training import devices, peers

ROOT = Path(__file__).parents[2]
CACHE = tempfile.TemporaryDirectory(prefix="wavegen-test-")


@pytest.fixture(scope="module")
def notes(tmp_path_factory):
    """Thirty synthetic notes."""
    path = tmp_path_factory.mktemp("notes") / "notes"
    corpus.prepare([], path, layout="synthetic", sample_rate=8000, limit=30)
    return path


def command(notes, run, steps, *more):
    words = ("train", "tiny", "--data", notes, "--run", run, "--steps", steps, *more)
    settings = ("audio.sample_rate=8000", "training.crop_samples=512", "training.log_every=2")
    settings += ("training.save_every=3", "training.validation_seconds=1")
    words += tuple(word for setting in settings for word in ("--set", setting))
    return [sys.executable, "-m", "wavegen", *map(str, words)]


def start(line, num_devices=1):
    environment = {**os.environ, "JAX_NUM_CPU_DEVICES": str(num_devices)}
    environment["JAX_COMPILATION_CACHE_DIR"] = str(CACHE.name)  # each compiles the same
    environment["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    places = (str(ROOT), str(ROOT / "kernels"), environment.get("PYTHONPATH", ""))
    environment["PYTHONPATH"] = os.pathsep.join(places)
    return subprocess.Popen(line, env=environment, stderr=subprocess.PIPE, text=True)


def finish(process):
    _, said = process.communicate(timeout=300)
    return process.returncode, said


def alone(notes, run, num_devices):
    code, said = finish(start(command(notes, run, 6), num_devices))
    assert code == 0, said


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def pair(notes, run, steps):
    """Two processes of one training, started."""
    meeting = ("--coordinator", f"127.0.0.1:{free_port()}", "--num-processes", 2)
    return [
        start(command(notes, run, steps, *meeting, "--process-id", number)) for number in range(2)
    ]


def wait_for_a_checkpoint(run, process, after=0):
    while max(checkpoint.steps(run), default=0) <= after and process.poll() is None:
        time.sleep(0.05)


def parameters(run):
    return jax.tree.map(np.asarray, checkpoint.load(run).params)


def metrics(run):
    """All that is written but for what depends on the clock or on one process alone."""
    lines = (run / "metrics.jsonl").read_text().splitlines()
    timed = ("second", "hour", "memory", "wait", "silence")  # and what a process sees of its rows
    entries = [entry for entry in map(json.loads, lines) if "warning" not in entry]
    return [
        {key: value for key, value in entry.items() if not any(t in key for t in timed)}
        for entry in entries
    ]


def differences(a, b):
    """The largest difference of any parameter, relative to the largest of its array."""
    return max(
        jax.tree.leaves(jax.tree.map(lambda x, y: np.abs(x - y).max() / np.abs(x).max(), a, b))
    )


@pytest.mark.slow
def test_two_processes_are_one_with_two_devices_and_nearly_one_with_one(notes, tmp_path):
    alone(notes, tmp_path / "two", num_devices=2)
    ended = [finish(process) for process in pair(notes, tmp_path / "pair", 6)]
    assert [code for code, _ in ended] == [0, 0], ended
    assert "step 6/6" in ended[0][1]
    assert "step" not in ended[1][1]  # only the first one speaks
    jax.tree.map(
        np.testing.assert_array_equal, parameters(tmp_path / "pair"), parameters(tmp_path / "two")
    )
    assert metrics(tmp_path / "pair") == metrics(tmp_path / "two")
    # Three lines of the log, a validation and two checkpoints: each once.
    assert len(metrics(tmp_path / "pair")) == 6

    # What two saved at step 3, one goes on with.
    shutil.copytree(tmp_path / "pair", tmp_path / "later")
    shutil.rmtree(tmp_path / "later" / "checkpoints" / "000000006")
    for name in ("one", "later"):
        alone(notes, tmp_path / name, num_devices=1)
        # Sums of float32 in another order, up to 3e-7 each, six steps long.
        assert differences(parameters(tmp_path / name), parameters(tmp_path / "two")) < 2e-6


@pytest.mark.slow
def test_killing_one_process_ends_the_other_in_words_and_all_go_on_until_a_signal(notes, tmp_path):
    together = pair(notes, tmp_path / "run", 10_000)
    wait_for_a_checkpoint(tmp_path / "run", together[0])
    together[1].send_signal(signal.SIGKILL)
    code, said = finish(together[0])
    assert code == 1, said
    assert "Traceback" not in said
    assert said.count("error: ") + said.count("warning: ") == 1
    assert "start all of them again" in said or "not been heard of" in said
    finish(together[1])

    # And a signal to one of them stops both, with their work saved.
    step = checkpoint.steps(tmp_path / "run")[-1]
    together = pair(notes, tmp_path / "run", 10_000)
    wait_for_a_checkpoint(tmp_path / "run", together[0], after=step)
    together[1].send_signal(signal.SIGINT)
    ended = [finish(process) for process in together]
    assert [code for code, _ in ended] == [130, 130], ended
    assert f"going on from step {step}" in ended[0][1]
    assert f"stopped at step {checkpoint.steps(tmp_path / 'run')[-1]}" in ended[0][1]


def test_the_rows_of_all_processes_are_the_batch(notes):
    config = configs.load("tiny", ["audio.sample_rate=8000", "training.batch_size=6"])
    found = corpus.open(notes)
    split, given = found.splits["train"], (found.vocabulary, 3, 5)
    whole = batches.windows(split, config, *given)
    parts = [
        batches.windows(split, config, *given, rows)
        for rows in (slice(0, 2), slice(2, 5), slice(5, 6))
    ]
    for name in whole._fields:
        joined = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_array_equal(joined, getattr(whole, name))


def test_the_rows_of_a_process_lie_together_however_a_pod_is_wired(monkeypatch):
    class Chip:
        def __init__(self, number, process):
            self.id, self.process_index, self.device_kind = number, process, "chip"

    wired = [Chip(number, process) for process in (0, 1) for number in (9 * process, 3, 6)]
    monkeypatch.setattr(jax, "devices", lambda: [wired[i] for i in (0, 3, 1, 4, 5, 2)])
    monkeypatch.setattr(devices, "Mesh", lambda chips, *_, **__: chips)
    found = [(chip.process_index, chip.id) for chip in cast(np.ndarray, devices.mesh())]
    assert found == [(0, 0), (0, 3), (0, 6), (1, 3), (1, 6), (1, 9)]


def test_a_batch_is_spread_evenly_or_refused():
    mesh = devices.mesh()
    devices.check(4 * mesh.size, mesh)
    assert devices.rows(4 * mesh.size, mesh) == slice(0, 4 * mesh.size)
    wide = cast(Mesh, jax.sharding.AbstractMesh((8,), (devices.AXIS,)))
    with pytest.raises(WavegenError, match="batch_size is 12, and there are 8 devices") as error:
        devices.check(12, wide)
    assert "training.batch_size=16" in error.value.do
    with pytest.raises(WavegenError, match=r"and training\.microbatches is 3") as error:
        devices.check(16, wide, 3)
    assert "training.batch_size=24" in error.value.do


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("127.0.0.1:80", 2, None), "--coordinator and --num-processes without --process-id"),
        ((None, None, 0), "--process-id without --coordinator and --num-processes"),
        (("127.0.0.1:80", 2, 2), "--process-id 2 with --num-processes 2"),
        (("127.0.0.1", 2, 0), "--coordinator 127.0.0.1"),
        (("host:port", 2, 0), "--coordinator host:port"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(given, words):
    with pytest.raises(WavegenError, match=words):
        devices.start(*given)


def test_what_starts_several_processes_is_known_by_its_variables():
    assert devices.environment({}) == ""
    assert devices.environment({"SLURM_JOB_ID": "1", "SLURM_STEP_NUM_TASKS": "1"}) == ""
    assert devices.environment({"SLURM_STEP_NUM_TASKS": "16"}) == "SLURM"
    assert devices.environment({"OMPI_COMM_WORLD_SIZE": "2"}) == "Open MPI"
    kubernetes = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": "0"}
    assert devices.environment(kubernetes) == "Kubernetes"
    assert devices.environment({"TPU_WORKER_HOSTNAMES": "localhost"}) == ""
    assert devices.environment({"TPU_WORKER_HOSTNAMES": "a,b"}) == "Cloud TPU"


class Left(BaseException):
    """Instead of the end of the process."""


def watch(others, beats, monkeypatch):
    """What is said of the others' files after so many beats, each of them a second."""
    said = []

    class Ended:
        def __init__(self):
            self.beats = 0

        def wait(self, _):
            self.beats += 1
            beats(self.beats)
            return self.beats > 100

    def leave(_):
        raise Left

    monkeypatch.setattr(peers.os, "_exit", leave)
    own = others[0].with_name("own.json")
    with contextlib.suppress(Left):
        peers._watch(own, dict(enumerate(others)), cast(threading.Event, Ended()), said.append)
    return said


def test_a_process_that_falls_silent_is_named(tmp_path, monkeypatch):
    files = [tmp_path / "0.json", tmp_path / "1.json"]

    def beats(number):
        peers._tell(files[0], "alive", str(number))
        if number < 40:
            peers._tell(files[1], "alive", str(number))

    assert watch(files, beats, monkeypatch) == ["process 1 has not been heard of for 30 s"]


def test_a_process_that_ended_early_is_named_with_its_reason(tmp_path, monkeypatch):
    files = [tmp_path / "0.json"]

    def beats(number):
        kind, words = ("alive", str(number)) if number < 5 else ("ended", "the disk is full")
        peers._tell(files[0], kind, words)

    assert watch(files, beats, monkeypatch) == ["process 0 ended: the disk is full"]


def test_a_process_that_is_done_may_be_silent_and_an_old_file_says_nothing(tmp_path, monkeypatch):
    files = [tmp_path / "0.json"]
    peers._tell(files[0], "ended", "a training of yesterday")

    def beats(number):
        if number > 3:
            peers._tell(files[0], *(("alive", str(number)) if number < 20 else ("done", "")))

    assert watch(files, beats, monkeypatch) == []
