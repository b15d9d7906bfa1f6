"""Who plays what: programs find their labels, and a label its pitches."""

import dataclasses
from typing import Any, cast

import pytest

from wavegen.config import Conditioner, Config, Vocabulary
from wavegen.errors import WavegenError
from wavegen.heard import Heard
from wavegen.model.network import Trained
from wavegen.music.score import Note
from wavegen.music.song import Song
from wavegen.sampling import casting

PIANO, VIOLIN, GUNSHOT = 0, 40, 127
BAND = ("organ", "piano", "violin")
ROOMS = ("hall", "studio")


def knowing(pitches=(36, 48, 96), ranges=None, **labels):
    """A model that knows some labels; no network is asked, so it has none."""
    config = Config(conditioner=Conditioner(("notes",), tuple(labels)))
    heard = Heard((-60, 0), (0, 1), 0, 0, 1, pitches=ranges) if ranges is not None else None
    vocabulary = Vocabulary(labels, pitches)
    return Trained(config, vocabulary, cast(Any, None), {}, 0, heard)


def song(*programs):
    """A part of each program, on channels 0, 1, 2 ..."""
    parts = [Song.of([Note(0.0, 1.0, 60, 100)], program).parts[0] for program in programs]
    return Song(tuple(dataclasses.replace(part, channel=n) for n, part in enumerate(parts)))


def names(found):
    return {place: voice.name for place, voice in found.voices.items()}


def test_a_program_is_played_by_the_label_that_fits_it():
    found = casting.cast(knowing(instrument=BAND), song(VIOLIN, PIANO), {})
    assert names(found) == {0: "violin", 1: "piano"}
    assert found.voices[0].labels == (0, 0, 1)
    assert found.silent == ()


def test_a_program_that_no_label_fits_has_no_voice():
    found = casting.cast(knowing(instrument=BAND), song(GUNSHOT, PIANO), {})
    assert names(found) == {1: "piano"}
    assert found.silent == (0,)


@pytest.mark.parametrize("values", [("zither", "kazoo"), ("brass", "flute")])
def test_where_no_label_fits_any_part_all_play_the_first(values):
    found = casting.cast(knowing(instrument=values), song(GUNSHOT, PIANO), {})
    assert (names(found), found.silent) == ({0: values[0], 1: values[0]}, ())


@pytest.mark.parametrize("labels", [{}, {"instrument": ("organ",)}])
def test_a_model_of_one_sound_plays_everything(labels):
    found = casting.cast(knowing(**labels), song(GUNSHOT, PIANO), {})
    assert set(names(found).values()) == {"organ" if labels else "the model"}
    assert found.silent == ()


def test_a_label_that_is_asked_for_plays_all_parts():
    found = casting.cast(knowing(instrument=BAND), song(GUNSHOT, PIANO), {"instrument": "organ"})
    assert names(found) == {0: "organ", 1: "organ"}


def test_what_is_mapped_beats_what_is_asked_and_a_channel_beats_its_program():
    trained, piano_twice = knowing(instrument=BAND), song(PIANO, PIANO, VIOLIN)
    found = casting.cast(
        trained,
        piano_twice,
        {"instrument": "organ"},
        {PIANO: {"instrument": "violin"}},
        {1: {"instrument": "piano"}},
    )
    assert names(found) == {0: "violin", 1: "piano", 2: "organ"}


def test_what_is_mapped_has_a_voice_though_nothing_fits_it():
    found = casting.cast(
        knowing(instrument=BAND), song(GUNSHOT, VIOLIN), {}, {GUNSHOT: {"instrument": "organ"}}
    )
    assert names(found) == {0: "organ", 1: "violin"}


def test_one_channel_that_is_mapped_leaves_the_others_what_was_asked_for():
    """Beside a label that says nothing of programs, such as the room."""
    trained = knowing(instrument=BAND, room=ROOMS)
    mapped = {0: {"instrument": "piano"}}
    found = casting.cast(trained, song(PIANO, GUNSHOT), {"instrument": "organ"}, {}, mapped)
    assert names(found) == {0: "piano, hall", 1: "organ, hall"}


def test_a_room_that_is_asked_for_still_leaves_out_what_nothing_fits():
    trained = knowing(instrument=BAND, room=ROOMS)
    found = casting.cast(trained, song(PIANO, GUNSHOT), {"room": "studio"})
    assert (names(found), found.silent) == ({0: "piano, studio"}, (1,))


def test_each_label_of_instruments_is_the_one_that_fits():
    trained = knowing(instrument=BAND, instrument_family=("reed", "string", "keyboard"))
    found = casting.cast(trained, song(PIANO, VIOLIN), {})
    assert names(found) == {0: "piano, keyboard", 1: "violin, string"}


def test_a_mixture_is_named_after_all_its_parts_and_adds_up_to_one():
    found = casting.voice(knowing(instrument=BAND), {"instrument": {"piano": 3, "violin": 1}})
    assert (found.name, found.labels) == ("piano+violin", (0, 0.75, 0.25))


@pytest.mark.parametrize(
    ("asked", "pitches"),
    [
        ({"instrument": "organ"}, (48, 72)),
        ({"instrument": "violin"}, (36, 96)),  # of which nothing is known: all there are
        ({"instrument": {"organ": 1, "piano": 1}}, (48, 90)),  # of either
        ({"instrument": "organ", "room": "studio"}, (60, 72)),  # of both
        ({"instrument": "piano", "room": "studio"}, (85, 90)),
        ({"instrument": "bell", "room": "studio"}, (36, 96)),  # never heard together
    ],
)
def test_a_voice_plays_the_pitches_that_were_learned_of_its_labels(asked, pitches):
    ranges = {
        "instrument": {"organ": (48, 72), "piano": (85, 90), "bell": (40, 50)},
        "room": {"studio": (60, 94)},
    }
    found = casting.voice(knowing((36, 96), ranges, instrument=(*BAND, "bell"), room=ROOMS), asked)
    assert (found.lowest, found.highest) == pitches


def test_a_model_that_knows_no_pitches_plays_all():
    found = casting.voice(knowing(pitches=(), instrument=BAND), {})
    assert (found.lowest, found.highest) == (0, 127)


def test_a_song_of_nothing_has_no_voices():
    assert casting.cast(knowing(instrument=BAND), Song(()), {}) == casting.Cast({}, ())


def test_a_model_without_notes_plays_nothing():
    trained = dataclasses.replace(knowing(), config=Config())
    with pytest.raises(WavegenError, match="does not hear notes"):
        casting.cast(trained, song(PIANO), {})


@pytest.mark.parametrize("asked", [{"instrument": "kazoo"}, {"colour": "red"}])
def test_labels_that_the_model_does_not_know_are_refused(asked):
    with pytest.raises(WavegenError, match="one of: "):
        casting.cast(knowing(instrument=BAND), song(PIANO), asked)
