"""A corpus small enough to train on in seconds."""

import pytest

from wavegen import config as configs
from wavegen.data import corpus


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
