"""What people watch: the log, TensorBoard, sounds, figures, wandb; as a user meets them."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from wavegen import checkpoint
from wavegen.audio import files
from wavegen.cli import weights_and_biases
from wavegen.data import batches

RATE = 8000
OFTEN = ("--set", "training.sample_every=4", "--set", "training.sample_seconds=0.2")


def board(run):
    """What TensorBoard shows of a run."""
    return EventAccumulator(str(run), size_guidance={"scalars": 0}).Reload()


def steps_shown(run, name):
    return [event.step for event in board(run).Scalars(name)]


@pytest.fixture(scope="module")
def watched(wavegen, corpus, small, tmp_path_factory):
    """A run that was trained to step 4, then to step 8, and what was said of the second part."""
    run = tmp_path_factory.mktemp("watched") / "run"
    asked = ("tiny", "--data", corpus, "--run", run, *small, *OFTEN)
    for steps in (4, 8):
        ended = wavegen("train", *asked, "--steps", steps)
        assert ended.code == 0, ended.err
    return run, ended


def test_a_log_line_says_what_people_watch(watched):
    _, ended = watched
    (line,) = (text for text in ended.err.splitlines() if text.startswith("step 8/8"))
    for words in ("bits/sample", "gnorm", "samples/s", "heard", "GiB", "left"):
        assert words in line


def test_log_txt_holds_what_was_said(watched):
    run, ended = watched
    kept = (run / "log.txt").read_text().splitlines()
    said = ended.err.splitlines()
    assert kept[-len(said) :] == said
    assert len(kept) > len(said)  # the first part of the training is there as well


def test_tensorboard_reads_a_run_that_was_gone_on_with(watched):
    run, _ = watched
    assert steps_shown(run, "training/bits_per_sample") == [4, 8]
    assert steps_shown(run, "validation/bits_per_sample") == [4, 8]
    found = board(run)
    assert [event.step for event in found.Tensors("samples/sound")] == [4, 8]
    assert [event.step for event in found.Images("samples/spectrogram")] == [4, 8]
    (last,) = (e for e in found.Scalars("training/bits_per_sample") if e.step == 8)
    entries = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    (entry,) = (e for e in entries if e["step"] == 8 and "nats" in e)
    assert last.value == np.float32(entry["bits_per_sample"])


def test_steps_that_come_again_stand_once_in_tensorboard(wavegen, watched, tmp_path, corpus, small):
    run = tmp_path / "run"
    asked = ("tiny", "--data", corpus, "--run", run, *small, "--set", "training.log_every=2")
    assert wavegen("train", *asked, "--steps", 8).code == 0
    for step in (8,):  # as if the training had been killed before it could save them
        (checkpoint.folder(run) / f"{step:09d}").rename(tmp_path / f"{step}")
    assert wavegen("train", *asked, "--steps", 10).code == 0
    assert steps_shown(run, "training/bits_per_sample") == [2, 4, 6, 8, 10]
    assert steps_shown(run, "validation/bits_per_sample") == [10]


def test_sounds_and_figures_lie_in_the_run(watched):
    run, ended = watched
    name = "step_000000008_t0.95_seed0"
    found = files.info(run / "samples" / f"{name}.wav")
    assert (found.sample_rate, found.channels) == (RATE, 1)
    assert found.frames == pytest.approx(0.2 * RATE, abs=4 * 64)  # four parts of whole frames
    assert found.provenance is not None
    assert found.provenance["step"] == 8
    assert found.provenance["temperature"] == 0.95
    assert str(run / "samples" / f"{name}.wav") in ended.err
    for figure in (f"{name}.png", "loss.png"):
        assert (run / "plots" / figure).read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in (run / "samples").iterdir()) == [
        "step_000000004_t0.95_seed0.wav",
        f"{name}.wav",
    ]


def test_how_often_it_sounds_may_change_when_a_training_goes_on(watched, wavegen, corpus, small):
    run, _ = watched
    ended = wavegen("train", "tiny", "--data", corpus, "--run", run, *small, "--steps", 8)
    assert ended.code == 0
    assert "nothing to do" in ended.err


def test_a_recording_that_is_followed_lies_beside_what_came_of_it(wavegen, sines, small, tmp_path):
    heard = ("--set", 'conditioner.signals=["mel"]', "--set", "conditioner.labels=[]")
    run = tmp_path / "run"
    asked = ("tiny", "--data", sines, "--run", run, *small, *OFTEN, *heard, "--steps", 4)
    assert wavegen("train", *asked).code == 0
    made = files.read(run / "samples" / "step_000000004_t0.95_seed0.wav")[0]
    followed = files.read(run / "samples" / "followed.wav")[0]
    assert len(made) == len(followed) > 0
    assert np.abs(followed).max() > 0.4  # a sine of 0.5


def test_a_training_that_goes_astray_ends_in_words_and_keeps_what_was_saved(
    wavegen, corpus, small, tmp_path, monkeypatch
):
    def spoilt(split, config, vocabulary, seed, step, rows=slice(None)):
        batch = real(split, config, vocabulary, seed, step, rows)
        return batch._replace(weights=batch.weights * np.float32(np.nan if step else 1))

    real = batches.windows
    monkeypatch.setattr(batches, "windows", spoilt)
    run = tmp_path / "run"
    asked = ("tiny", "--data", corpus, "--run", run, *small, "--steps", 100)
    ended = wavegen("train", *asked, "--set", "training.save_every=1")
    assert ended.code == 1
    assert "gone astray" in ended.err
    assert "Traceback" not in ended.err
    assert checkpoint.steps(run) == [1]
    assert "error: the loss is" in (run / "log.txt").read_text()


@pytest.fixture
def fake_wandb(monkeypatch):
    """A module that stands in for wandb, and what it was given."""
    given = SimpleNamespace(inits=[], logged=[], finished=0)

    class Run:
        id = "abc123"

        def log(self, values, step):
            given.logged.append((step, values))

        def finish(self):
            given.finished += 1

    def init(**settings):
        given.inits.append(settings)
        if settings["project"] == "locked":
            raise module.Error("not logged in")
        return Run()

    module = SimpleNamespace(
        init=init,
        Error=type("Error", (Exception,), {}),
        Audio=lambda path: ("audio", path),
        Image=lambda path: ("image", path),
    )
    monkeypatch.setitem(sys.modules, "wandb", module)  # pyright: ignore[reportArgumentType]
    return given


def test_wandb_is_told_the_same_and_goes_on_with_its_run(
    wavegen, corpus, small, tmp_path, fake_wandb
):
    run = tmp_path / "run"
    asked = ("tiny", "--data", corpus, "--run", run, *small, *OFTEN, "--wandb", "sounds")
    for steps in (4, 8):
        ended = wavegen("train", *asked, "--steps", steps)
        assert ended.code == 0, ended.err
    first, second = fake_wandb.inits
    assert (first["project"], first["name"], first["id"]) == ("sounds", "run", None)
    assert second["id"] == "abc123"
    assert first["config"]["training"]["seed"] == 0
    assert fake_wandb.finished == 2
    logged = {name: step for step, values in fake_wandb.logged for name in values}
    assert logged["training/bits_per_sample"] == logged["validation/accuracy"] == 8
    sounds = [
        values["samples/sound"] for _, values in fake_wandb.logged if "samples/sound" in values
    ]
    assert [kind for kind, _ in sounds] == ["audio"] * 2
    assert all(str(run / "samples") in path for _, path in sounds)


def test_a_wandb_that_does_not_start_is_told_in_words(wavegen, corpus, small, tmp_path, fake_wandb):
    asked = ("tiny", "--data", corpus, "--run", tmp_path / "run", *small, "--wandb", "locked")
    ended = wavegen("train", *asked, "--steps", 4)
    assert ended.code == 1
    assert "not logged in" in ended.err
    assert "WANDB_MODE=offline" in ended.err


@pytest.mark.parametrize("found", [None, SimpleNamespace()])  # not there; a folder of its logs
def test_where_wandb_is_missing_nothing_is_begun(wavegen, corpus, tmp_path, monkeypatch, found):
    monkeypatch.setitem(sys.modules, "wandb", found)
    asked = ("tiny", "--data", corpus, "--run", tmp_path / "run", "--wandb", "sounds")
    ended = wavegen("train", *asked)
    assert ended.code == 1
    assert "pip install 'wavegen[wandb]'" in ended.err
    assert not (tmp_path / "run").exists()
    assert weights_and_biases.ID_FILE not in [path.name for path in tmp_path.iterdir()]
