"""The program as its user meets it: arguments in, an exit code and two streams of words out."""

import contextlib
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from wavegen.audio import files
from wavegen.cli import app

RATE = 8000


class Ended(NamedTuple):
    """What a command came to."""

    code: int
    out: str
    err: str


def call(*args) -> Ended:
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        app.main([str(arg) for arg in args])
    code = ended.value.code
    assert isinstance(code, int)
    return Ended(code, out.getvalue(), err.getvalue())


def succeed(*args) -> Ended:
    ended = call(*args)
    assert ended.code == 0, ended.err
    return ended


@pytest.fixture(scope="session")
def wavegen():
    """A function: runs `wavegen` with these arguments, in this process; gives code, out, err."""
    return call


def write_sine(path: Path, hz: float = 220.0, seconds: float = 1.0, rate: int = RATE) -> Path:
    time = np.arange(round(seconds * rate)) / rate
    files.write(path, 0.5 * np.sin(2 * np.pi * hz * time), rate)
    return path


@pytest.fixture(scope="session")
def sine():
    """A function: writes a sine of so many Hz, seconds and samples per second."""
    return write_sine


@pytest.fixture(scope="session")
def small():
    """Arguments of `train` that make steps of tens of milliseconds."""
    settings = (
        f"audio.sample_rate={RATE}",
        "model.residual_channels=8",
        "model.skip_channels=8",
        "model.head_channels=8",
        "model.layers_per_cycle=3",
        "conditioner.hidden_channels=6",
        "conditioner.signal_channels=5",
        "training.batch_size=2",
        "training.crop_samples=512",
        "training.context_seconds=0.1",
        "training.validation_seconds=0.5",
        "training.log_every=4",
        "training.save_every=4",
    )
    return tuple(word for setting in settings for word in ("--set", setting))


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """Forty synthetic notes of five pitches."""
    path = tmp_path_factory.mktemp("cli") / "notes"
    synthetic = ("--layout", "synthetic", "--sample-rate", RATE)
    succeed("prepare", *synthetic, "--pitch", "60-64", "--limit", "40", "--out", path)
    return path


@pytest.fixture(scope="session")
def run(corpus, small):
    """A run of twelve steps, with checkpoints at 4, 8 and 12; it hears notes and instruments."""
    path = corpus.parent / "run"
    succeed("train", "tiny", "--data", corpus, "--run", path, "--steps", 12, *small)
    return path


@pytest.fixture(scope="session")
def sines(tmp_path_factory):
    """A corpus of two seconds of sines, as WAVs of a folder."""
    folder = tmp_path_factory.mktemp("sines")
    for hz in (220, 330):
        write_sine(folder / "in" / f"{hz}.wav", hz)
    succeed("prepare", folder / "in", "--sample-rate", RATE, "--out", folder / "corpus")
    return folder / "corpus"


@pytest.fixture(scope="session")
def plain(small):
    """Arguments of `train` for a network that hears nothing but what it plays itself."""
    return (*small, "--set", 'conditioner.signals=["past"]', "--set", "conditioner.labels=[]")


@pytest.fixture(scope="session")
def plain_run(sines, plain):
    """A run of four steps without notes or labels."""
    path = sines.parent / "run"
    succeed("train", "tiny", "--data", sines, "--run", path, "--steps", 4, *plain)
    return path


@pytest.fixture(scope="session")
def following_run(sines, small):
    """A run of two steps that hears the pitch, loudness and spectrum of a recording."""
    path = sines.parent / "following"
    heard = (
        "--set",
        'conditioner.signals=["f0_loudness", "mel"]',
        "--set",
        "conditioner.labels=[]",
    )
    changed = ("--set", "augmentation.transpose_semitones=2", "--set", "augmentation.gain_db=6")
    words = (*small, *heard, *changed)
    succeed("train", "tiny", "--data", sines, "--run", path, "--steps", 2, *words)
    return path
