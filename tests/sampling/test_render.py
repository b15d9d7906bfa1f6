"""A score in a mix: every note where it belongs, and never too loud."""

from typing import Any, cast

import numpy as np
import pytest

from wavegen.audio import mulaw
from wavegen.config import Config, Vocabulary
from wavegen.model.network import Trained
from wavegen.music.score import Note, Score
from wavegen.sampling import render, sampler
from wavegen.sampling.sampler import Draws

# Its stream is a stub: no network is asked.
TRAINED = Trained(Config(), Vocabulary(), cast(Any, None), {}, 0)
RATE = TRAINED.config.audio.sample_rate
EPS = float(np.finfo(np.float32).eps)
HOP = TRAINED.config.model.hop_length


def stub(monkeypatch, sound_of):
    """The sampler hands out, in blocks of a frame, sound_of(stream, samples) of each stream."""

    def stream(trained, request, draws, backend="auto"):
        length = request.num_frames * HOP
        sound = np.stack([sound_of(n, length) for n in request.streams])
        yield from np.split(mulaw.encode(sound, 256), request.num_frames, axis=1)

    monkeypatch.setattr(sampler, "stream", stream)


def impulse(stream, num_samples):
    return np.float32(np.arange(num_samples) == 0)


def noise(stream, num_samples):
    return np.random.default_rng(stream).uniform(-0.2, 0.2, num_samples).astype(np.float32)


def mix(*notes, **settings):
    return render.render(TRAINED, Score(notes), (), Draws(), **settings)


def test_notes_start_at_the_sample_nearest_to_their_onset(monkeypatch):
    stub(monkeypatch, impulse)
    onsets = (0.0, 0.10003, 0.25, 0.25 + 1 / RATE, 1.5)
    sound = mix(*(Note(onset, 0.1 + i / 100, 60 + i, 100) for i, onset in enumerate(onsets)))
    found = np.flatnonzero(np.abs(sound) > 0.5)  # an impulse is 0.9 or 1.0, all else is silence
    np.testing.assert_array_equal(found, [round(onset * RATE) for onset in onsets])


def test_equal_notes_sound_equal_and_others_do_not(monkeypatch):
    stub(monkeypatch, noise)
    note, again = Note(0.0, 0.1, 60, 100), Note(1.0, 0.1, 60, 100)
    louder, higher = Note(2.0, 0.1, 60, 110), Note(3.0, 0.1, 61, 100)
    sound = mix(note, again, louder, higher)
    length = round((0.1 + render.RELEASE_SECONDS) * RATE)
    takes = [sound[second * RATE : second * RATE + length] for second in range(4)]
    np.testing.assert_array_equal(takes[0], takes[1])
    assert np.any(takes[0] != takes[2])
    assert np.any(takes[0] != takes[3])


def test_a_take_ends_in_nothing_after_its_release(monkeypatch):
    stub(monkeypatch, noise)
    sound = mix(Note(0.5, 0.1, 60, 100))
    assert len(sound) == round(0.5 * RATE) + round((0.1 + render.RELEASE_SECONDS) * RATE)
    assert sound[-1] == 0
    assert not sound[: RATE // 2].any()


@pytest.mark.parametrize("voices", [1, 2, 10])
def test_a_mix_is_never_louder_than_the_headroom(monkeypatch, voices):
    stub(monkeypatch, lambda stream, length: np.full(length, -0.99, np.float32))
    sound = mix(*(Note(0.0, 0.1, 60 + voice, 100) for voice in range(voices)))
    # A division and a multiplication in float32, each rounded by at most half an eps.
    np.testing.assert_allclose(np.abs(sound).max(), render.HEADROOM, rtol=EPS)


def test_a_quiet_mix_is_left_as_it_is(monkeypatch):
    stub(monkeypatch, noise)
    one = mix(Note(0.0, 0.1, 60, 100))
    together = mix(Note(0.0, 0.1, 60, 100), Note(2.0, 0.1, 60, 100))
    np.testing.assert_array_equal(together[: len(one)], one)


def test_an_empty_score_is_an_empty_sound():
    sound = mix()
    assert sound.shape == (0,)
    assert sound.dtype == np.float32


def test_progress_tells_the_seconds_made_so_far(monkeypatch):
    stub(monkeypatch, noise)
    told = []
    mix(Note(0.0, 0.1, 60, 100), Note(0.0, 0.2, 62, 100), progress=told.append)
    assert told == sorted(told)
    # The longest take, rounded up to a frame.
    assert 0.5 <= told[-1] < 0.5 + TRAINED.config.frame_seconds
