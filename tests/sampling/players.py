"""Players of songs that are no networks: what they sound like is known, and what they are asked."""

import random
from typing import Any, cast

import numpy as np

from wavegen.audio import features, mulaw
from wavegen.config import Config, Vocabulary
from wavegen.model.network import Trained
from wavegen.music.score import Note
from wavegen.music.song import Part, Song, Steps
from wavegen.sampling import arrangement, render, sampler
from wavegen.sampling.arrangement import Voice
from wavegen.sampling.blocks import Made
from wavegen.sampling.request import Draws

TRAINED = Trained(Config(), Vocabulary(), cast(Any, None), {}, 0)
RATE = TRAINED.config.audio.sample_rate
EPS = float(np.finfo(np.float32).eps)
HOP = TRAINED.config.model.hop_length
VOICE = Voice("bell", (), 0, 127)
RELEASE = arrangement.RELEASE_SECONDS
RNG = random.Random(0)
NOTES = [
    Note(RNG.uniform(0, 6), RNG.uniform(0.01, 0.8), RNG.randint(50, 60), 100) for _ in range(70)
]


def stub(monkeypatch, sound_of):
    """The sampler hands out sound_of(note, stream, seed, samples) of each stream, in pieces.

    What it is asked for is told: the numbers of the streams, the seed and the samples of each.
    """
    asked = []

    def stream(trained, request, draws, backend, precision, *, measures=False):
        length = request.num_frames * trained.config.model.hop_length
        asked.append((request.streams.tolist(), draws.seed, length))
        rows = zip(request.scores, request.streams, strict=True)
        sound = [sound_of(score.notes[0], int(n), draws.seed, length) for score, n in rows]
        codes = mulaw.encode(np.stack(sound), 256)
        for piece in np.array_split(codes, 3, axis=1):
            yield Made(piece, np.zeros((*piece.shape, 2 if measures else 0), np.float32), None)

    monkeypatch.setattr(sampler, "stream", stream)
    return asked


def impulse(note, stream, seed, num_samples):
    return np.float32(np.arange(num_samples) == 0)


def noise(note, stream, seed, num_samples):
    return np.random.default_rng([stream, seed]).uniform(-0.2, 0.2, num_samples).astype("f")


def sine(note, stream, seed, num_samples):
    hz = features.midi_hz(note.pitch)
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(num_samples) / RATE)).astype("f")


def loud(note, stream, seed, num_samples):
    return np.full(num_samples, -0.9, np.float32)


def part(*notes, track=0, bend=(), pan=0.0):
    times, values = zip(*bend, strict=True) if bend else ((), ())
    wheel = Steps(np.array(times, float), np.array(values, float), 0.0)
    still = [Steps(np.zeros(0), np.zeros(0), value) for value in (1.0, pan)]
    return Part(track, 0, 0, "", notes, wheel, *still)


def arranged(*parts, trained=TRAINED, voices=None, **settings):
    cast = voices or dict.fromkeys(range(len(parts)), VOICE)
    return arrangement.arrange(Song(parts), cast, trained.config, trained.vocabulary, **settings)


def mixes(song, trained=TRAINED, draws=None, **settings):
    return list(render.render(trained, song, draws or Draws(), "numba_cpu", **settings))


def mix(*notes, **settings):
    """The mono mix [T] of some notes by one voice."""
    return joined(mixes(arranged(part(*notes)), **settings))[:, 0, 0]


def joined(mixes):
    return np.concatenate(mixes)
