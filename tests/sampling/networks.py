"""Small networks of every kind, with random weights, and what may be asked of them."""

import dataclasses
from functools import cache

import numpy as np

from wavegen.config import (
    ACOUSTIC,
    Audio,
    Conditioner,
    Config,
    Model,
    Predictor,
    Training,
    Vocabulary,
)
from wavegen.model import network
from wavegen.model.network import Trained
from wavegen.music.score import Note, Score
from wavegen.sampling.request import Request

VOCABULARY = Vocabulary(labels={"instrument": ("bell", "organ"), "room": ("hall",)})
PREDICTOR = Predictor(order=5, window=40, refit=4, floor=0.5)
# Conditioner, taps of every convolution, predictor.
NETWORKS = {
    "none": (Conditioner(), 3, Predictor()),
    "notes and labels": (
        Conditioner(("notes",), ("instrument", "room"), "lstm", 6, 5),
        2,
        PREDICTOR,
    ),
    "past": (Conditioner(("past",), (), "lstm", 6, 5), 2, Predictor()),
    "periodic": (
        Conditioner(("notes",), ("instrument",), "lstm", 6, 5),
        2,
        Predictor(order=6, follows="notes", window=40, floor=0.5),
    ),
    "steered": (
        Conditioner(("notes",), ("instrument",), "lstm", 6, 5),
        2,
        Predictor(order=6, window=40, refit=4, floor=0.5, steered=True),
    ),
    "sound": (
        Conditioner(("mel", "f0_loudness"), (), "lstm", 6, 5),
        2,
        Predictor(order=6, follows="f0", window=40, floor=0.5),
    ),
    "all": (
        Conditioner(("notes", "past", "mfcc"), ("instrument", "room"), "gru", 6, 5),
        3,
        PREDICTOR,
    ),
}
FRAMES = 12


@cache
def make(name):
    """A network of random weights; at 1000 Hz and 8 samples a frame, a block is 31 frames."""
    conditioner, kernel_size, predictor = NETWORKS[name]
    config = Config(
        audio=Audio(sample_rate=1000),
        model=Model(8, 12, 10, 3, 2, kernel_size, hop_length=8, predictor=predictor),
        conditioner=conditioner,
        training=Training(crop_samples=16),
    )
    graphdef, params = network.create(config, VOCABULARY, seed=0)
    return Trained(config, VOCABULARY, graphdef, params, 0)


def request_of(trained, batch=3, frames=FRAMES, seed=0):
    rng = np.random.default_rng(seed)
    conditioner = trained.config.conditioner
    width = sum(ACOUSTIC[name] for name in conditioner.acoustic)
    acoustics = np.random.default_rng(seed).normal(0, 1, (batch, frames, width))
    if "f0_loudness" in conditioner.acoustic:  # the last of them; below 0 there is no pitch
        acoustics[..., -2] = np.random.default_rng(seed).uniform(-20, 80, (batch, frames))
    return Request(
        num_frames=frames,
        scores=tuple(melody(rng, frames * trained.config.frame_seconds) for _ in range(batch)),
        labels=rng.integers(-1, 1, (batch, len(conditioner.labels))).astype(np.int32),
        streams=np.arange(batch) + 3,
        acoustics=acoustics,
    )


def melody(rng, seconds):
    """Five notes of any pitch and loudness that begin within the time."""
    onsets, durations = rng.uniform(0.01, seconds, (2, 5))
    pitches, velocities = rng.integers(1, 128, (2, 5)).tolist()
    return Score(tuple(map(Note, onsets, durations, pitches, velocities)))


def row(request, index):
    """The request for one stream of it, alone."""
    at = slice(index, index + 1)
    return dataclasses.replace(
        request,
        scores=request.scores[at],
        labels=request.labels[at],
        streams=request.streams[at],
        acoustics=request.acoustics[at],
    )
