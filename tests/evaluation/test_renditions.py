"""What a network makes of what recordings ask for, and the recordings beside it."""

import dataclasses

import numpy as np
import pytest

from wavegen import config as configs
from wavegen.audio import mulaw
from wavegen.data import batches, corpus
from wavegen.evaluation import renditions
from wavegen.heard import Heard
from wavegen.model import network
from wavegen.model.network import Trained
from wavegen.sampling import sampler
from wavegen.sampling.blocks import Made
from wavegen.sampling.request import Draws

RATE = 8000
SECONDS = 0.1
SETTINGS = ("audio.sample_rate=8000", "model.residual_channels=8", "model.layers_per_cycle=3")


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    path = tmp_path_factory.mktemp("renditions") / "notes"
    corpus.prepare([], path, layout="synthetic", sample_rate=RATE, pitches=(60, 64), limit=20)
    return corpus.open(path).splits["train"]


def untrained(split, *settings):
    config = configs.load("tiny", [*SETTINGS, *settings])
    graphdef, params = network.create(config, split.vocabulary, 0)
    return Trained(config, split.vocabulary, graphdef, params, 0)


def make(trained, split, items, seconds=SECONDS, progress=lambda done, total: None, seed=5):
    asked = (trained, split, np.asarray(items), seconds, Draws(seed), "numba_cpu", "float32")
    return list(renditions.make(*asked, progress=progress))


def stub(monkeypatch, entropies: float | list[float] = 0.0):
    """Has the sampler make nothing but silence, of so many nats a row; the requests it is given."""
    requests = []

    def stream(trained, request, *_, **__):
        requests.append(request)
        num = request.num_frames * trained.config.model.hop_length
        codes = np.full((len(request.scores), num), mulaw.silence(256), np.int32)
        measured = np.zeros((*codes.shape, 2), np.float32)
        measured[..., 1] = np.reshape(entropies, (-1, 1))
        yield Made(codes, measured, None)

    monkeypatch.setattr(sampler, "stream", stream)
    return requests


def test_each_is_the_same_whoever_is_made_beside_it(split, monkeypatch):
    trained, items = untrained(split), np.arange(5)
    together = make(trained, split, items)
    monkeypatch.setattr(renditions, "BATCH", 2)
    in_twos = make(trained, split, items)
    for one, other in zip(together, in_twos, strict=True):
        np.testing.assert_array_equal(one.generated, other.generated)
    drawn = [each.generated.tobytes() for each in together]
    assert len(set(drawn)) == len(drawn)


def test_another_seed_draws_another(split):
    one, other = (make(untrained(split), split, [0], seed=seed)[0] for seed in (5, 6))
    assert np.any(one.generated != other.generated)


def test_it_is_as_long_as_the_recording_or_as_asked_and_stands_beside_it(split, monkeypatch):
    monkeypatch.setattr(renditions, "BATCH", 1)
    split, items, told = shortened(split), [2, 0], []
    made = make(untrained(split), split, items, 0.1, lambda *heard: told.append(heard))
    for item, each, expected in zip(items, made, (700, 800), strict=True):
        assert len(each.generated) == len(each.real) == expected
        assert each.name == split.names[item]
        coded = np.rint(each.real * mulaw.INT16_FULL_SCALE)
        np.testing.assert_array_equal(coded, split.read(item)[:expected])
    assert told[-1] == pytest.approx((1500 / RATE, 1500 / RATE))
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def shortened(split):
    """The third recording lasts 700 samples."""
    lengths = split.lengths.copy()
    lengths[2] = 700
    return dataclasses.replace(split, lengths=lengths)


def test_what_is_asked_for_is_what_the_recording_holds(split):
    (each,) = make(untrained(split), split, [4])
    (note,) = split.score(4).notes
    assert each.score.notes == (note,)
    column = list(split.vocabulary.labels).index("instrument")
    instrument = split.vocabulary.labels["instrument"][split.label_ids[4, column]]
    expected = f"pitch {note.pitch}, velocity {note.velocity}, instrument {instrument}"
    assert each.asked == expected


def test_a_note_that_begins_after_the_end_is_not_asked_for(split, monkeypatch):
    requests, late = stub(monkeypatch), split.only(np.arange(2))
    late = dataclasses.replace(late, onset_seconds=np.array([SECONDS / 2, 2 * SECONDS]))
    early, empty = make(untrained(split), late, [0, 1])
    assert [len(each.score.notes) for each in (early, empty)] == [1, 0]
    assert requests[0].scores == (early.score, empty.score)


def test_a_network_that_follows_recordings_follows_these_from_their_start(split, monkeypatch):
    requests, items = stub(monkeypatch), [3, 1]
    follows = untrained(split, 'conditioner.signals=["f0_loudness"]')
    make(follows, split, items)
    (request,) = requests
    asked = (follows.config, follows.vocabulary, 0, request.num_frames)
    heard = batches.stretch(split, items, *asked).acoustics
    assert heard.any()
    np.testing.assert_array_equal(request.acoustics, heard)


def test_whether_the_network_was_sure_is_told_of_each_sound_alone(split, monkeypatch):
    stub(monkeypatch, entropies=[0.5, 5.0])
    heard = Heard((-999.0, 0.0), (0.0, 1.0), 1.0, 1.0, silent_seconds=9.0, nats=(0.1, 1.0))
    deaf = untrained(split, "conditioner.signals=[]", "conditioner.labels=[]")
    sure, unsure = make(dataclasses.replace(deaf, heard=heard), split, [0, 1], 0.5)
    assert sure.troubles == []
    assert ["hardly knows" in trouble.words for trouble in unsure.troubles] == [True]


def test_a_network_that_hears_nothing_is_asked_for_anything(split):
    deaf = untrained(split, "conditioner.signals=[]", "conditioner.labels=[]")
    (each,) = make(deaf, split, [0])
    assert (each.asked, each.score.notes, each.labels) == ("anything", (), {})


def test_silence_where_a_note_is_asked_for_is_told(split):
    trained = untrained(split)
    trained.params["wavenet"]["head2"] *= 0
    bias = trained.params["wavenet"]["head2_bias"]
    trained.params["wavenet"]["head2_bias"] = bias.at[mulaw.silence(256)].set(50.0)
    (each,) = make(trained, split, [0], 0.5)
    assert [trouble.kind for trouble in each.troubles] == ["silence"]
