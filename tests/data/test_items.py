"""Some recordings of a split are a split of their own."""

import dataclasses

import numpy as np
import pytest

from wavegen.data import corpus, items
from wavegen.music.score import Note


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    path = tmp_path_factory.mktemp("items") / "notes"
    corpus.prepare([], path, layout="synthetic", sample_rate=8000, pitches=(60, 62), limit=9)
    found = corpus.open(path).splits["train"]
    # The second recording has no note, the third two.
    notes = [[found.score(i).notes[0]] for i in range(found.num_items)]
    notes[1], notes[2] = [], [Note(0.0, 0.5, 40, 90), *notes[2]]
    played = [note for each in notes for note in each]
    return dataclasses.replace(
        found,
        note_start=np.cumsum([0, *map(len, notes)]),
        onset_seconds=np.array([note.onset_seconds for note in played]),
        note_seconds=np.array([note.duration_seconds for note in played]),
        pitch=np.array([note.pitch for note in played], np.uint8),
        velocity=np.array([note.velocity for note in played], np.uint8),
    )


@pytest.mark.parametrize("chosen", [[0], [3, 1, 2], [1], []])
def test_each_keeps_its_samples_labels_and_notes(split, chosen):
    some = split.only(np.array(chosen, np.int64))
    assert some.num_items == len(some.names) == len(chosen)
    for place, item in enumerate(chosen):
        assert some.names[place] == split.names[item]
        assert some.score(place) == split.score(item)
        np.testing.assert_array_equal(some.read(place), split.read(item))
        np.testing.assert_array_equal(some.label_ids[place], split.label_ids[item])
    items._check(some, len(chosen))
