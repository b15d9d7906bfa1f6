"""A network that was trained, saved and loaded: what generation really meets."""

import pytest

from wavegen import checkpoint
from wavegen import config as configs
from wavegen.data import corpus
from wavegen.training import loop


def silent(_):
    pass


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """The moving average after thirty steps on synthetic notes, through a checkpoint."""
    folder = tmp_path_factory.mktemp("sampling")
    corpus.prepare(
        [], folder / "notes", layout="synthetic", sample_rate=8000, pitches=(60, 64), limit=30
    )
    config = configs.load(
        "tiny",
        [
            "audio.sample_rate=8000",
            'conditioner.signals=["notes", "past"]',
            "training.crop_samples=512",
            "training.context_seconds=0.1",
            "training.steps=30",
            "training.warmup_steps=4",
            "training.learning_rate=2e-2",
            "training.ema_decay=0.5",
            "training.validation_seconds=0.5",
        ],
    )
    loop.train(
        config,
        corpus.open(folder / "notes"),
        folder / "run",
        on_log=silent,
        on_validation=silent,
        on_note=silent,
    )
    return checkpoint.load(folder / "run")
