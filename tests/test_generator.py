"""The Python interface: arrays in, arrays out, and the sound of the command line."""

import dataclasses
import itertools

import numpy as np
import pytest

import wavegen
from tests.sampling.networks import make
from wavegen import Generator, WavegenError
from wavegen.curves import Curve
from wavegen.music.score import Note, Score

RATE = 1000
FREE = "none", "past"


@pytest.fixture(scope="module")
def plays():
    """A function: the generator of a network of networks.py."""
    found = {}
    return lambda name: found.setdefault(name, Generator(make(name), "numba_cpu", "float32"))


def test_a_generator_tells_what_it_is(plays):
    generator = plays("notes and labels")
    assert (generator.sample_rate, generator.n_codes, generator.hop_length) == (RATE, 256, 8)
    assert (generator.backend, generator.precision) == ("numba_cpu", "float32")
    assert generator.labels == {"instrument": ("bell", "organ"), "room": ("hall",)}
    assert plays("none").labels == {}
    assert plays("none").pitches == ()


def test_samples_become_codes_and_codes_samples(plays):
    generator = plays("none")
    codes = np.arange(256)
    np.testing.assert_array_equal(generator.encode(generator.decode(codes)), codes)


def test_a_stream_is_the_sound_of_generate_in_blocks(plays):
    asked = {"pitch": 60, "hold": 0.3, "labels": {"instrument": "organ"}, "seed": 4}
    whole = plays("notes and labels").generate(0.7, **asked)
    assert whole.shape == (700,)
    assert whole.dtype == np.float32
    assert np.abs(whole).max() <= 1
    blocks = list(plays("notes and labels").stream(0.7, **asked))
    assert len(blocks) > 5
    np.testing.assert_array_equal(np.concatenate(blocks), whole)


def test_takes_differ_and_the_first_is_the_only_one(plays):
    two = plays("none").generate(0.2, num=2)
    assert two.shape == (2, 200)
    assert np.any(two[0] != two[1])
    np.testing.assert_array_equal(two[0], plays("none").generate(0.2))
    assert np.any(plays("none").generate(0.2, seed=1) != two[0])


def test_a_stream_without_an_end_goes_on(plays):
    stream = plays("past").stream()
    blocks = list(itertools.islice(stream, 50))
    assert sum(map(len, blocks)) == stream.state.num_samples
    assert stream.bits_per_sample is not None
    assert 0 < stream.bits_per_sample < 12


@pytest.mark.parametrize("name", ["none", "past", "notes and labels"])
def test_a_stream_goes_on_from_the_state_of_another(plays, name):
    asked = {"pitch": 60} if "notes" in name else {}
    whole = np.concatenate(list(plays(name).stream(0.9, hold=0.5, **asked)))
    first = plays(name).stream(0.333, hold=0.5, **asked)
    begun = np.concatenate(list(first))
    more = list(plays(name).stream(0.9, hold=0.5, state=first.state, **asked))
    np.testing.assert_array_equal(np.concatenate([begun, *more]), whole)


def test_a_primer_is_gone_on_from_and_not_in_the_sound(plays):
    primer = np.sin(np.arange(300) / 5).astype(np.float32)
    free = plays("none").generate(0.2)
    primed = plays("none").generate(0.2, primer=primer)
    assert primed.shape == (200,)
    assert np.any(primed != free)
    np.testing.assert_array_equal(
        np.concatenate(list(plays("none").stream(0.2, primer=primer))), primed
    )


def test_a_curve_begins_with_the_new_sound_not_with_the_primer(plays):
    primer = np.zeros(300, np.float32)
    cooling = Curve((0.0, 0.1), (1.0, 0.0))
    ends = [
        plays("none").generate(0.4, primer=primer, seed=seed, temperature=cooling)
        for seed in (0, 1)
    ]
    assert np.any(ends[0][:50] != ends[1][:50])  # warm: the seed decides


def test_a_score_and_a_recording_say_how_long_the_sound_is(plays):
    score = Score((Note(0.0, 0.5, 60, 100), Note(0.5, 0.75, 64, 100)))
    assert len(plays("notes and labels").generate(score=score)) == 2250
    assert len(plays("notes and labels").generate(pitch=60, hold=0.3)) == 400
    assert len(plays("sound").generate(like=np.zeros(500, np.float32), seconds=0.1)) == 100


def test_shares_of_labels_lie_between_them(plays):
    def unlikely(instrument):
        stream = plays("notes and labels").stream(0.3, pitch=60, labels={"instrument": instrument})
        return len(np.concatenate(list(stream))), stream.bits_per_sample

    assert unlikely("organ") == unlikely({"organ": 2.0})
    assert len({unlikely("organ"), unlikely("bell"), unlikely({"organ": 0.5, "bell": 0.5})}) == 3


@pytest.mark.parametrize("stereo", [False, True])
def test_a_song_is_played_note_by_note(plays, stereo):
    score = Score((Note(0.0, 0.1, 60, 100), Note(0.25, 0.1, 62, 100)))
    sound = plays("notes and labels").play(score, release=0.05, stereo=stereo)
    assert sound.shape == ((400, 2) if stereo else (400,))
    assert np.abs(sound).max() <= 0.9 + 1e-6
    assert not sound[150:250].any()  # between the notes, and their releases
    assert sound[:100].any()
    assert sound[250:350].any()
    again = plays("notes and labels").play(score, release=0.05, stereo=stereo)
    np.testing.assert_array_equal(sound, again)


@pytest.mark.parametrize(
    ("name", "asked", "words"),
    [
        ("none", {"pitch": 60}, "does not hear notes"),
        ("notes and labels", {}, "none was asked for"),
        ("notes and labels", {"pitch": 60, "score": Score()}, "a pitch and a score"),
        ("notes and labels", {"pitch": 60, "labels": {"colour": "red"}}, "no label 'colour'"),
        ("notes and labels", {"pitch": 60, "labels": {"room": "bell"}}, "no room 'bell'"),
        (
            "notes and labels",
            {"pitch": 60, "labels": {"instrument": {"bell": 0.0}}},
            "add up to 0",
        ),
        (
            "notes and labels",
            {"pitch": 60, "labels": {"instrument": {"bell": -1.0}}},
            "the share of instrument bell is -1",
        ),
        ("sound", {}, "follows a recording"),
        ("none", {"seconds": 0}, "0 seconds of sound"),
        ("none", {"seconds": float("inf")}, "inf seconds of sound"),
        ("none", {"primer": np.zeros((2, 9))}, r"primer is an array of shape \[2, 9\]"),
        ("none", {"primer": np.full(9, np.nan)}, "primer holds NaN"),
        ("none", {"temperature": -1.0}, "temperature is -1"),
    ],
)
def test_what_cannot_be_is_refused_in_words(plays, name, asked, words):
    with pytest.raises(WavegenError, match=words):
        plays(name).generate(**asked)


def test_a_song_for_a_model_without_notes_is_refused(plays):
    with pytest.raises(WavegenError, match="does not hear notes"):
        plays("none").play(Score((Note(0.0, 0.1, 60, 100),)))


def test_load_finds_a_run(trained_run):
    generator = wavegen.load(trained_run)
    assert generator.sample_rate == 8000
    assert generator.pitches[0] == 60
    with pytest.raises(WavegenError, match="there is no run"):
        wavegen.load(trained_run / "nowhere")
    with pytest.raises(WavegenError, match="no backend"):
        wavegen.load(trained_run, backend="abacus")


@pytest.fixture(scope="module")
def trained_run(tmp_path_factory):
    """A run of two steps on synthetic notes."""
    from wavegen import config as configs
    from wavegen.data import corpus
    from wavegen.training import loop

    folder = tmp_path_factory.mktemp("generator")
    corpus.prepare(
        [], folder / "notes", layout="synthetic", sample_rate=8000, pitches=(60, 62), limit=12
    )
    config = configs.load(
        "tiny",
        ["audio.sample_rate=8000", "training.crop_samples=256", "training.steps=2",
         "training.batch_size=2", "training.validation_seconds=0.1"],
    )  # fmt: skip
    silent = lambda _: None
    loop.train(
        config, corpus.open(folder / "notes"), folder / "run",
        on_log=silent, on_validation=silent, on_note=silent,
    )  # fmt: skip
    return folder / "run"


def test_what_was_heard_in_training_comes_with_the_run(trained_run):
    heard = wavegen.load(trained_run).trained.heard
    assert heard is not None
    assert heard.pitches["instrument"]
    assert set(heard.pitches["instrument"].values()) <= {
        (low, high) for low in (60, 61, 62) for high in (60, 61, 62)
    }
    assert heard.nats is not None
    assert heard.rms_dbfs[0] < heard.rms_dbfs[1] < 0


def test_troubles_of_a_stream_are_told_as_they_come(plays):
    # All weights of the last layer at zero but one bias: nothing but one code is ever drawn.
    trained = make("none")
    wavenet = dict(trained.params["wavenet"])
    wavenet["head2"] = np.zeros_like(wavenet["head2"])
    bias = np.zeros_like(wavenet["head2_bias"])
    bias[128] = 200.0
    wavenet["head2_bias"] = bias
    stuck = dataclasses.replace(trained, params=trained.params | {"wavenet": wavenet})
    generator = Generator(stuck, "numba_cpu", "float32")
    stream = generator.stream(6.0)
    told = [bool(stream.troubles) for _ in stream]
    assert [trouble.kind for trouble in stream.troubles] == ["silence"]
    assert any(told)  # before the end
    assert stream.bits_per_sample == pytest.approx(0, abs=1e-6)
    short = generator.stream(0.6)
    list(short)
    assert short.troubles == []  # no longer than silences are
