"""Minutes of sound without a break: what the predictor makes of its own draws stays bounded."""

import os
import subprocess
import sys

import numpy as np
import pytest

from wavegen import checkpoint
from wavegen.audio import features, mulaw
from wavegen.config import Config, Model, Predictor, Training, Vocabulary
from wavegen.data import corpus
from wavegen.model import network
from wavegen.model.network import Trained
from wavegen.music.score import Note, Score
from wavegen.sampling import sampler
from wavegen.sampling.request import Draws, Request

RATE, MINUTES = 16_000, 4


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [1.0, 1.2])
def test_an_untrained_network_neither_blows_up_nor_stops_drawing(temperature):
    config = Config(
        model=Model(8, 16, 16, 2, hop_length=256, predictor=Predictor(order=32, window=256)),
        training=Training(crop_samples=256),
    )
    graphdef, params = network.create(config, Vocabulary(), seed=0)
    t = np.arange(RATE)
    hertz = np.array([[220], [277], [330]])
    chord = 0.3 * np.sin(2 * np.pi * hertz * t / RATE).sum(axis=0)
    request = Request(
        num_frames=MINUTES * 60 * RATE // 256,
        scores=(Score(()),),
        labels=np.zeros((1, 0), np.int32),
        streams=np.zeros(1, np.int64),
        forced=mulaw.encode(chord, 256)[None],
    )
    trained = Trained(config, Vocabulary(), graphdef, params, 0)
    codes = sampler.generate(trained, request, Draws(seed=3, temperature=temperature))[0]
    for minute in np.split(codes, MINUTES):
        # A filter that grew would end at full scale, one draw after the other.
        assert np.isin(minute, [0, 255]).mean() < 0.01
        assert np.abs(mulaw.decode(minute, 256)).max() <= 1
    # What is left of the chord is not one tone that goes on for ever.
    last = mulaw.decode(codes[-RATE:], 256)
    spectrum = np.abs(np.fft.rfft((last - last.mean()) * np.hanning(RATE))) ** 2
    assert spectrum.max() < 0.5 * spectrum.sum() + 1e-9
    assert len(np.unique(codes[-60 * RATE :])) > 1


@pytest.mark.slow
def test_a_trained_network_is_as_loud_and_in_tune_after_minutes_as_at_first(tmp_path):
    """A note a second, by a predictor that repeats the period asked for."""
    rate, pitches = 8000, (60, 72)
    organ = {"instrument": ("organ",)}
    corpus.prepare(
        [],
        tmp_path / "notes",
        layout="synthetic",
        sample_rate=rate,
        pitches=pitches,
        labels=organ,
    )
    # Six layers hear 8 ms; what is older the predictor remembers.
    settings = ("residual_channels=16", "skip_channels=32", "head_channels=32")
    words = [f"model.{each}" for each in (*settings, "layers_per_cycle=6")]
    words += ["conditioner.labels=[]", "training.crop_samples=512", "training.validation_seconds=2"]
    # In a process of its own, optimised: what the tests make do with is slow in a training.
    subprocess.run(
        [
            *(sys.executable, "-m", "wavegen", "train", "demo", "--quiet", "--steps", "250"),
            *("--data", tmp_path / "notes", "--run", tmp_path / "run"),
            *(each for word in words for each in ("--set", word)),
        ],
        env=os.environ | {"XLA_FLAGS": "--xla_backend_optimization_level=1"},
        check=True,
    )
    trained = checkpoint.load(tmp_path / "run")
    config = trained.config
    seconds = MINUTES * 60
    asked = [pitches[0] + second % 13 for second in range(seconds)]
    score = Score(tuple(Note(at, 0.8, pitch, 100) for at, pitch in enumerate(asked)))
    request = Request(
        num_frames=seconds * rate // config.model.hop_length,
        scores=(score,),
        labels=np.zeros((1, 0), np.int32),
        streams=np.zeros(1, np.int64),
    )
    codes = sampler.generate(trained, request, Draws(seed=0))[0]
    notes = mulaw.decode(codes, 256).reshape(seconds, rate)[:, : rate * 8 // 10]
    decibels = [10 * np.log10(np.mean(minute**2)) for minute in np.split(notes, MINUTES)]
    # So little training lets some notes begin late; a drift of 1 dB a minute would show.
    assert np.ptp(decibels) < 9
    assert min(decibels) > -35  # recordings: -8
    off = [
        features.cents(features.fundamental(note, rate, 200, 700), pitch)
        for note, pitch in zip(notes[-60:], asked[-60:], strict=True)
    ]
    assert np.median(np.abs(off)) < 5
