"""What a network is asked for while it learns: notes, labels, a recording, or nothing."""

import dataclasses

import numpy as np
import pytest

from wavegen import config as configs
from wavegen.audio import mulaw
from wavegen.data import corpus
from wavegen.evaluation import samples
from wavegen.model import network
from wavegen.model.network import Trained

RATE = 8000


@pytest.fixture(scope="module")
def notes(tmp_path_factory):
    """Synthetic notes at 8 kHz, of five pitches and more than one timbre."""
    path = tmp_path_factory.mktemp("samples") / "notes"
    corpus.prepare([], path, layout="synthetic", sample_rate=RATE, pitches=(60, 64), limit=60)
    found = corpus.open(path)
    splits = found.splits | {"train": shuffled(found.splits["train"])}
    return dataclasses.replace(found, splits=splits)


def shuffled(split):
    """The recordings, of one note each, in another order than that of their pitches."""
    order = np.random.default_rng(0).permutation(split.num_items)
    arrays = ("shard", "offset", "lengths", "label_ids", "onset_seconds", "note_seconds")
    moved = {name: getattr(split, name)[order] for name in (*arrays, "pitch", "velocity")}
    return dataclasses.replace(split, names=tuple(split.names[i] for i in order), **moved)


def untrained(found, *overrides):
    config = configs.load("tiny", [f"audio.sample_rate={RATE}", *overrides])
    graphdef, params = network.create(config, found.vocabulary, 0)
    return Trained(config, found.vocabulary, graphdef, params, 0)


def test_notes_are_spread_over_the_pitches_with_labels_that_belong_to_them(notes):
    trained = untrained(notes)
    sound = samples.make(trained, notes, 0.4)
    assert len(sound.parts) == samples.PARTS
    split = notes.splits["train"]
    values = notes.vocabulary.labels["instrument"]
    column = list(notes.vocabulary.labels).index("instrument")
    known = {
        f"pitch {split.score(i).notes[0].pitch}, velocity {split.score(i).notes[0].velocity}, "
        f"{values[split.label_ids[i, column]]}"
        for i in range(split.num_items)
    }
    titles = [part.title for part in sound.parts]
    assert set(titles) <= known
    assert titles[0].startswith(f"pitch {split.pitch.min()}")
    assert titles[-1].startswith(f"pitch {split.pitch.max()}")
    # Whole frames of 64 samples, each part.
    assert len(sound.samples) == pytest.approx(0.4 * RATE, abs=samples.PARTS * 64)
    assert np.abs(sound.samples).max() <= 1
    assert sound.followed is None
    assert sound.story["parts"] == titles


def test_the_same_network_makes_the_same_sound_again(notes):
    trained = untrained(notes)
    one, other = (samples.make(trained, notes, 0.1).samples for _ in range(2))
    np.testing.assert_array_equal(one, other)


def test_a_network_that_hears_nothing_plays_freely(notes):
    trained = untrained(notes, 'conditioner.signals=["past"]', "conditioner.labels=[]")
    sound = samples.make(trained, notes, 0.1)
    assert [part.title for part in sound.parts] == ["free"]


def test_a_network_that_hears_labels_alone_goes_through_them(notes):
    trained = untrained(notes, 'conditioner.signals=["past"]')
    titles = [part.title for part in samples.make(trained, notes, 0.4).parts]
    values = notes.vocabulary.labels["instrument"]
    assert (titles[0], titles[-1]) == (values[0], values[-1])
    assert set(titles) <= set(values)


def test_a_network_that_follows_a_recording_is_given_a_held_back_one(notes):
    trained = untrained(notes, 'conditioner.signals=["mel"]', "conditioner.labels=[]")
    sound = samples.make(trained, notes, 0.2)
    split = notes.splits["valid"]
    assert sound.followed is not None
    item = split.names.index(sound.followed.title)
    count = round(0.2 * RATE / 64) * 64
    heard = mulaw.decode(mulaw.encode(split.read(item)[:count] / 32767, 256), 256)
    np.testing.assert_array_equal(sound.followed.samples, heard)
    assert len(sound.samples) == count
    alone = dataclasses.replace(notes, splits={"train": notes.splits["train"]})
    followed = samples.make(trained, alone, 0.2).followed
    assert followed is not None
    assert followed.title in alone.splits["train"].names


def test_silence_is_called_by_its_name(notes):
    sound = samples.Sound([samples.Part("free", np.zeros(100, np.float32))], None, "numba_cpu")
    assert "silence" in (sound.trouble or "")
