"""Ten minutes of sound without a break: what the predictor makes of its own draws stays bounded."""

import numpy as np
import pytest

from wavegen.audio import mulaw
from wavegen.config import Config, Model, Predictor, Training, Vocabulary
from wavegen.model import network
from wavegen.model.network import Trained
from wavegen.music.score import Score
from wavegen.sampling import sampler
from wavegen.sampling.blocks import Draws, Request

RATE, MINUTES = 16_000, 10


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
