"""A corpus small enough to train on in seconds."""

import math

import pytest

from wavegen import config as configs
from wavegen.data import corpus
from wavegen.training import health
from wavegen.training.progress import Progress


@pytest.fixture(scope="session")
def notes_corpus(tmp_path_factory):
    """Thirty synthetic notes at 8 kHz."""
    path = tmp_path_factory.mktemp("corpora") / "notes"
    corpus.prepare([], path, layout="synthetic", sample_rate=8000, pitches=(60, 64), limit=30)
    return corpus.open(path)


@pytest.fixture
def tiny():
    """A config that learns something in tens of steps."""
    return configs.load(
        "tiny",
        [
            "audio.sample_rate=8000",
            "training.crop_samples=512",
            "training.context_seconds=0.1",
            "training.steps=8",
            "training.log_every=4",
            "training.validate_every=4",
            "training.save_every=4",
            "training.validation_seconds=2",
            "training.input_jitter=1",
            "training.warmup_steps=4",
            "training.learning_rate=5e-3",
        ],
    )


@pytest.fixture(scope="session")
def line():
    """A function: a log line of a training that goes well, but for what it is given."""

    def make(step=1000, bits=3.0, accuracy=0.4, silence=0.1, waiting=0.0, skipped=0):
        return Progress(
            step=step, steps=10_000, nats=bits * math.log(2), bits_per_sample=bits,
            accuracy=accuracy, learning_rate=1e-3, gradient_norm=0.5, steps_per_second=5.0,
            samples_per_second=8e4, audio_hours_per_hour=1.4, seconds_left=60.0,
            silence_share=silence, wait_share=waiting, audio_hours=0.1, skipped_steps=skipped,
            memory_bytes=2**30,
        )  # fmt: skip

    return make


@pytest.fixture(scope="session")
def due_lines(line):
    """A function: as many such lines as a look takes in, from when something should be known."""
    due = configs.Training().warmup_steps + health.PATIENCE_STEPS

    def make(**values):
        return [line(step=due + 20 * k, **values) for k in range(health.RECENT)]

    return make
