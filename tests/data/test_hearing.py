"""What there is to be heard in a split is measured on windows spread over all of it."""

import numpy as np
import pytest

from wavegen.audio import windows
from wavegen.config import Vocabulary
from wavegen.data import hearing
from wavegen.data.items import Split

RATE = 1000
FULL = 32767


@pytest.fixture
def described(monkeypatch):
    """The windows that are looked at, in their order."""
    seen = []
    describe = windows.describe

    def spy(samples, sample_rate):
        seen.append(samples)
        return describe(samples, sample_rate)

    monkeypatch.setattr(windows, "describe", spy)
    return seen


def split_of(*recordings, labels=None, label_ids=None, notes=()):
    """A split of these recordings, floats; `notes` are (recording, pitch), in order."""
    vocabulary = Vocabulary({} if labels is None else labels)
    count, lengths = len(recordings), np.array([len(each) for each in recordings])
    ids = np.zeros((count, 0)) if label_ids is None else np.array(label_ids)
    starts = np.searchsorted([i for i, _ in notes], np.arange(count + 1))
    sound = np.concatenate(recordings)
    return Split(
        name="train",
        vocabulary=vocabulary,
        names=tuple(map(str, range(count))),
        shard=np.zeros(count, np.int32),
        offset=np.cumsum(lengths) - lengths,
        lengths=lengths,
        label_ids=ids.astype(np.int32),
        note_start=starts,
        onset_seconds=np.zeros(len(notes)),
        note_seconds=np.ones(len(notes)),
        pitch=np.array([pitch for _, pitch in notes], np.uint8),
        velocity=np.full(len(notes), 100, np.uint8),
        samples=(np.round(sound * FULL).astype(np.int16),),
    )


def noise(seconds, level=0.1, seed=0):
    drawn = np.random.default_rng(seed).normal(0, level, round(seconds * RATE))
    return np.clip(drawn, -1, 1)


def silence(seconds):
    return np.zeros(round(seconds * RATE))


def test_all_of_a_small_split_is_heard_but_for_rests_below_half_a_window(described):
    recordings = [noise(s, seed=i) for i, s in enumerate((0.2, 2.4, 2.6, 1, 0.001))]
    hearing.measure(split_of(*recordings), RATE)
    assert [len(each) for each in described] == [200, 1000, 1000, 1000, 1000, 600, 1000, 1]
    heard = [recordings[0], recordings[1][:2000], *recordings[2:]]
    # Half a step of 16 bits.
    np.testing.assert_allclose(np.concatenate(described), np.concatenate(heard), atol=0.51 / FULL)


def test_a_large_split_is_heard_in_runs_spread_from_its_start_to_its_end(described):
    recordings = [np.full(30 * RATE, i / 200) for i in range(200)]
    hearing.measure(split_of(*recordings), RATE)
    assert len(described) == hearing.RUNS * hearing.RUN_WINDOWS
    items = np.array([round(float(each[0]) * 200) for each in described])
    assert (items[0], items[-1]) == (0, 199)
    assert (np.diff(items) >= 0).all()
    assert np.diff(items).max() <= 200 / hearing.RUNS + 1


def test_levels_leave_silence_out_and_rare_extremes():
    sounds = [noise(1, 10 ** (-20 / 20), i) for i in range(300)]
    sounds[7] = noise(1, 10 ** (-45 / 20))
    sounds[10:60] = [silence(1)] * 50
    heard = hearing.measure(split_of(*sounds), RATE)
    # Over a thousand samples a power strays by sqrt(2 / 1000), 0.2 dB; by three times that at most.
    assert heard.rms_dbfs == pytest.approx((-20, -20), abs=0.6)
    assert heard.flatness[1] > 0.8
    assert heard.repeating == 0


def test_half_the_windows_going_round_are_half():
    loop = np.resize(noise(0.1), RATE)
    heard = hearing.measure(split_of(loop, noise(1, seed=1), loop, noise(1, seed=2)), RATE)
    assert heard.repeating == 0.5


def test_clipping_is_that_of_the_windows_that_have_most():
    clipped = noise(1)
    clipped[::4] = 1
    heard = hearing.measure(split_of(*[clipped] * 5, *[noise(1)] * 95), RATE)
    assert heard.clipped == 0.25
    assert hearing.measure(split_of(noise(9)), RATE).clipped == 0


def test_the_longest_silence_lies_in_one_recording():
    a = np.concatenate([noise(2), silence(3), noise(1), silence(2)])
    b = np.concatenate([silence(2), noise(2)])
    assert hearing.measure(split_of(a, b), RATE).silent_seconds == 3
    assert hearing.measure(split_of(b, a), RATE).silent_seconds == 3
    assert hearing.measure(split_of(noise(3)), RATE).silent_seconds == 0


def test_a_split_of_silence_is_measured_as_that():
    heard = hearing.measure(split_of(silence(3), silence(0.1)), RATE)
    assert heard.rms_dbfs == (-200, -200)
    assert heard.silent_seconds == 3


def test_pitches_are_those_of_each_value_that_has_notes():
    split = split_of(
        *[noise(0.1)] * 5,
        labels={"instrument": ("bell", "organ", "voice"), "hall": ("big",)},
        label_ids=[[0, 0], [1, -1], [0, -1], [2, 0], [-1, -1]],
        notes=[(0, 60), (0, 72), (1, 40), (2, 48), (4, 1)],
    )
    assert hearing.measure(split, RATE).pitches == {
        "instrument": {"bell": (48, 72), "organ": (40, 40)},
        "hall": {"big": (60, 72)},
    }


def test_a_corpus_is_heard_the_same_each_time(small_corpus):
    for split in small_corpus.splits.values():
        heard = hearing.measure(split, small_corpus.sample_rate)
        assert heard == hearing.measure(split, small_corpus.sample_rate)
        assert heard.nats is None  # that only a network knows
        assert -60 < heard.rms_dbfs[0] <= heard.rms_dbfs[1] < 0
        assert 0 <= heard.flatness[0] <= heard.flatness[1] < 0.1  # of tones
        low, high = zip(*heard.pitches["instrument"].values(), strict=True)
        assert (min(low), max(high)) == (48, 72)
