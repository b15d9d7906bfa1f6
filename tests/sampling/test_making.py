"""How the notes of a song are made: each kind once, in batches, and again where it collapses."""

import itertools
import tracemalloc
from collections import Counter
from typing import Any, cast

import numpy as np
import pytest

from tests.sampling.players import (
    HOP,
    NOTES,
    RATE,
    RELEASE,
    TRAINED,
    arranged,
    mix,
    mixes,
    noise,
    part,
    sine,
    stub,
)
from wavegen.config import Config, Vocabulary
from wavegen.model.network import Trained
from wavegen.music.score import Note
from wavegen.sampling import health, render, sampler
from wavegen.sampling.arrangement import Kind, Voice
from wavegen.sampling.blocks import Made
from wavegen.sampling.request import Draws


def test_a_note_is_made_for_its_voice_its_pitch_and_its_length(monkeypatch):
    requests = []

    def keep(trained, request, draws, backend, precision, *, measures):
        requests.append(request)
        codes = np.zeros((len(request.scores), request.num_frames * HOP), np.int32)
        yield Made(codes, np.zeros((*codes.shape, 2)), None)

    monkeypatch.setattr(sampler, "stream", keep)
    voices = {0: Voice("a", (1.0, 0.0), 0, 127), 1: Voice("b", (0.25, 0.75), 0, 127)}
    song = arranged(part(Note(2.0, 0.4, 60, 90)), part(Note(1.0, 0.8, 70, 90)), voices=voices)
    mixes(song)
    (request,) = requests
    assert [kind.pitch for kind in song.kinds] == [70, 60]
    told = [
        (row.tolist(), score.notes[0])
        for row, score in zip(request.labels, request.scores, strict=True)
    ]
    seconds = {kind.pitch: kind.hold_frames * HOP / RATE for kind in song.kinds}
    assert told == [
        ([1.0, 0.0], Note(0.0, seconds[60], 60, 100)),
        ([0.25, 0.75], Note(0.0, seconds[70], 70, 100)),
    ]
    longest = max(kind.hold_frames for kind in song.kinds)
    assert request.num_frames == longest + -(-round(RELEASE * RATE) // HOP)


@pytest.mark.parametrize("batch", [1, 5, 32])
@pytest.mark.parametrize("hurried", [False, True])
def test_each_kind_is_made_once(monkeypatch, batch, hurried):
    asked = stub(monkeypatch, noise)
    monkeypatch.setattr(render, "HURRIED_BATCH" if hurried else "BATCH", batch)
    song = arranged(part(*NOTES, *NOTES))
    mixes(song, hurried=hurried)
    made = Counter(stream for streams, *_ in asked for stream in streams)
    assert len(made) == len(song.kinds) < len(NOTES)
    assert set(made.values()) == {1}
    assert max(len(streams) for streams, *_ in asked) <= batch


def test_first_notes_in_a_hurry_wait_for_no_others(monkeypatch):
    asked = stub(monkeypatch, noise)
    notes = [Note(float(n), 0.1, 61 + n, 100) for n in range(10)]
    song = render.render(TRAINED, arranged(part(*notes)), Draws(), "numba_cpu", hurried=True)
    next(song)
    assert [len(streams) for streams, *_ in asked] == [render.HURRIED_BATCH]
    list(song)
    assert [len(streams) for streams, *_ in asked] == [8, 2]


def test_notes_are_made_beside_others_of_their_length(monkeypatch):
    asked = stub(monkeypatch, noise)
    monkeypatch.setattr(render, "BATCH", 4)
    mix(*(Note(float(n), (0.1, 0.3)[n % 2], 60 + n, 100) for n in range(8)))
    lengths = [round((seconds + RELEASE) * RATE) for seconds in (0.1, 0.3)]
    assert [len(streams) for streams, *_ in asked] == [4, 4]
    # What a length is rounded to: 3 % of what is held, and two frames.
    for (_, _, made), length in zip(asked, lengths, strict=True):
        assert abs(made - length) < 0.03 * length + 2 * HOP


def test_one_note_without_an_end_takes_no_others_along(monkeypatch):
    asked = stub(monkeypatch, noise)
    short = [Note(n / 10, 0.1, 50 + n, 100) for n in range(40)]
    mix(Note(0.0, 500.0, 40, 100), *short)
    sizes = [(len(streams), length / RATE > 400) for streams, _, length in asked]
    assert sizes == [(32, False), (8, False), (1, True)]


def test_takes_are_forgotten_after_their_last_use(monkeypatch):
    stub(monkeypatch, noise)
    monkeypatch.setattr(render, "BATCH", 4)
    notes = [Note(0.1 * n, 0.1, n % 100 + 10, 100 - n // 100) for n in range(200)]
    trained = Trained(Config(), Vocabulary(velocities=(99, 100)), cast(Any, None), {}, 0)
    again = [Note(21.0, 0.1, note.pitch, note.velocity) for note in notes[::4]]
    song = arranged(part(*notes, *again), trained=trained)
    assert len(song.kinds) == 200
    take = 4 * round((0.1 + RELEASE) * RATE)  # bytes
    list(itertools.islice(render.render(trained, song, Draws(), "numba_cpu"), 1))  # imports
    tracemalloc.start()
    for _ in render.render(trained, song, Draws(), "numba_cpu"):
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # Fifty that come again, each once waiting and once sounding; sixteen are ahead, six sound,
    # and four are being made with room to work in.
    assert peak < 150 * take


def failing(first_good_seed, trouble):
    """Pitch 61 collapses until the seed is high enough, pitch 62 always does."""

    def sound_of(note, stream, seed, num_samples):
        good = note.pitch == 60 or (note.pitch == 61 and seed >= first_good_seed)
        return sine(note, stream, seed, num_samples) if good else trouble(num_samples)

    return sound_of


TROUBLES = {
    health.SILENCE: lambda count: np.zeros(count, np.float32),
    health.NOISE: lambda count: np.random.default_rng(0).uniform(-0.3, 0.3, count).astype("f"),
    health.STUCK: lambda count: np.full(count, 0.4, np.float32),
    health.CLIPPING: lambda count: np.sign(np.sin(np.arange(count) / 9)).astype("f"),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_what_collapses_is_made_again_with_the_next_seeds_and_nothing_else_is(monkeypatch, trouble):
    asked = stub(monkeypatch, failing(12, TROUBLES[trouble]))
    song = arranged(part(*(Note(n - 60.0, 1.2, n, 100) for n in (60, 61, 62))))
    failed = []
    mixes(song, draws=Draws(10), retry=3, on_failed=failed.append)
    a, b, c = asked[0][0]
    assert [(streams, seed) for streams, seed, _ in asked] == [
        ([a, b, c], 10),
        ([b, c], 11),
        ([b, c], 12),
        ([c], 13),
    ]
    assert [(each.kind.pitch, each.trouble.kind) for each in failed] == [(62, trouble)]


def test_what_was_made_again_is_what_is_heard(monkeypatch):
    stub(monkeypatch, failing(1, TROUBLES[health.SILENCE]))
    once = mix(Note(0.0, 0.5, 61, 100))
    again = mix(Note(0.0, 0.5, 61, 100), retry=1)
    assert np.abs(once).max() < 0.01
    assert np.abs(again).max() == pytest.approx(0.5, abs=0.02)  # as mu-law holds it


def test_the_seed_after_the_last_is_the_first(monkeypatch):
    asked = stub(monkeypatch, failing(0, TROUBLES[health.SILENCE]))
    mix(Note(0.0, 0.5, 62, 100), draws=Draws(2**32 - 1), retry=1)
    assert [seed for _, seed, _ in asked] == [2**32 - 1, 0]


@pytest.mark.parametrize("held", [0.001, 0.05, 0.4, 0.9, 5.0])
@pytest.mark.parametrize("release", [0.0, 0.5])
def test_a_silent_note_is_noticed_however_short_and_a_sounding_one_passes(
    monkeypatch, held, release
):
    failed = []
    song = arranged(part(Note(0.0, held, 60, 100)), release_seconds=release)
    stub(monkeypatch, sine)
    mixes(song, on_failed=failed.append)
    assert failed == []
    stub(monkeypatch, lambda *_, **__: np.zeros(_[3], np.float32))
    mixes(song, on_failed=failed.append)
    assert [(each.kind, each.trouble.kind) for each in failed] == [(song.kinds[0], "silence")]


def test_a_short_note_may_take_its_time_to_speak(monkeypatch):
    stub(monkeypatch, lambda *of: sine(*of) * (np.arange(of[3]) > 0.03 * RATE))
    failed = []
    mix(Note(0.0, 0.01, 60, 100), on_failed=failed.append)
    assert failed == []


def test_speed_is_measured_on_what_the_song_needs(monkeypatch):
    asked = []
    monkeypatch.setattr(sampler, "rehearse", lambda t, request, *_: asked.append(request) or 5)
    song = arranged(part(*NOTES))
    assert render.speed(TRAINED, song, Draws(), "numba_cpu", "float32") > 0
    assert render.speed(TRAINED, song, Draws(), "numba_cpu", "float32", hurried=True) > 0
    counts = [min(most, len(song.kinds)) for most in (render.BATCH, render.HURRIED_BATCH)]
    assert [len(request.scores) for request in asked] == [counts[0]] * 2 + [counts[1]] * 2


def test_kinds_that_differ_draw_differently():
    """But for the voice, which has a place of its own in every song, and hours of length."""
    ways = itertools.product((0, 60, 61, 127), (1, 2, 127), (1, 2, 500, 4095))
    kinds = [Kind(0, pitch, velocity, frames) for pitch, velocity, frames in ways]
    streams = [render._stream(kind) for kind in kinds]
    assert len(set(streams)) == len(kinds)
    assert max(streams) < 2**32
    assert [render._stream(kind._replace(voice=3)) for kind in kinds] == streams
