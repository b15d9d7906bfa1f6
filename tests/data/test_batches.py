import dataclasses
import mmap
from typing import Any

import numpy as np
import pytest

from wavegen.audio import mulaw
from wavegen.config import (
    Audio,
    Augmentation,
    Conditioner,
    Config,
    Model,
    Predictor,
    Training,
    Vocabulary,
)
from wavegen.data import batches, corpus
from wavegen.errors import WavegenError
from wavegen.music import frames

HOP = 64
CONFIG = Config(
    audio=Audio(sample_rate=8000),
    model=Model(hop_length=HOP, layers_per_cycle=7),
    conditioner=Conditioner(signals=("notes",), labels=("instrument",)),
    training=Training(batch_size=12, crop_samples=1024, start_fraction=0.25, context_seconds=0.5),
)
ROWS, STEPS = range(12), range(20)


@pytest.fixture(scope="module")
def train(small_corpus):
    return small_corpus.splits["train"]


def draw(split, step, config=CONFIG):
    return batches.windows(split, config, split.vocabulary, 7, step)


def drawn(split, step, config=CONFIG):
    """Which recordings and first frames a batch holds."""
    return batches._draw(split, config, 7, step)[:2]


def test_batch_is_a_function_of_seed_and_step(train):
    for step in STEPS:
        for first, again in zip(draw(train, step), draw(train, step), strict=True):
            np.testing.assert_array_equal(first, again)
    assert (draw(train, 0).codes != draw(train, 1).codes).any()
    other = batches.windows(train, CONFIG, train.vocabulary, 8, 0)
    assert (draw(train, 0).codes != other.codes).any()


def test_shapes_and_types_are_those_of_the_config(train):
    batch = draw(train, 0)
    total = CONFIG.context_frames + CONFIG.window_frames
    assert batch.codes.shape == (12, total * HOP)
    assert batch.weights.shape == (12, CONFIG.window_frames * HOP)
    assert batch.valid.shape == (12, total)
    assert batch.notes.shape == (12, total, 256)
    assert batch.labels.shape == (12, 1)
    assert batch.periods.shape == batch.ages.shape == (12, total)
    assert batch.acoustics.shape == (12, total, 0)
    assert [a.dtype for a in batch] == [np.int32, *[np.float32] * 5, np.int32, np.float32]


def test_windows_and_context_are_the_recording_and_silence_around_it(train):
    context = CONFIG.context_frames * HOP
    for step in STEPS:
        batch = draw(train, step)
        for row, (item, start) in enumerate(zip(*drawn(train, step), strict=True)):
            codes = mulaw.encode(train.read(item) / 32767, 256)
            padded = np.pad(codes, (context, 20_000), constant_values=mulaw.silence(256))
            begin = start * HOP  # in `padded`, where the context begins
            np.testing.assert_array_equal(
                batch.codes[row], padded[begin : begin + batch.codes.shape[1]]
            )


def test_context_is_the_audio_before_the_window(train):
    context = CONFIG.context_frames
    for row, (item, start) in enumerate(zip(*drawn(train, 3), strict=True)):
        batch = draw(train, 3)
        before = min(context, start)
        audio = train.read(item)[(start - before) * HOP : start * HOP]
        heard = batch.codes[row, (context - before) * HOP : context * HOP]
        np.testing.assert_array_equal(heard, mulaw.encode(audio / 32767, 256))
        assert batch.valid[row].sum() == CONFIG.window_frames + before
        assert not batch.notes[row, : context - before].any()


def test_window_not_at_a_start_carries_no_loss_in_its_receptive_field(train):
    field = CONFIG.model.receptive_field
    seen = {True: 0, False: 0}
    for step in STEPS:
        batch = draw(train, step)
        for row, (item, start) in enumerate(zip(*drawn(train, step), strict=True)):
            left = train.lengths[item] - start * HOP
            expected = np.arange(CONFIG.window_frames * HOP) < left
            if start > 0:
                expected[:field] = False
            np.testing.assert_array_equal(batch.weights[row], expected)
            seen[bool(start > 0)] += 1
    assert min(seen.values()) > 20


def test_samples_after_the_end_are_silence_without_weight(train):
    config = dataclasses.replace(
        CONFIG, training=dataclasses.replace(CONFIG.training, crop_samples=16_384)
    )
    batch = draw(train, 0, config)  # longer than every recording
    items, starts = drawn(train, 0, config)
    assert not starts.any()
    lengths = train.lengths[items]
    np.testing.assert_array_equal(batch.weights.sum(axis=1), lengths)
    window = batch.codes[:, config.context_frames * HOP :]
    assert (window[batch.weights == 0] == mulaw.silence(256)).all()


def test_the_asked_share_of_windows_begins_where_recordings_do(train):
    for share, least in ((0.0, 0), (0.5, 6), (1.0, 12)):
        training = dataclasses.replace(CONFIG.training, start_fraction=share)
        config = dataclasses.replace(CONFIG, training=training)
        for step in STEPS:
            assert not drawn(train, step, config)[1][:least].any()


def test_every_window_fits_and_every_position_is_reached(train):
    training = dataclasses.replace(CONFIG.training, start_fraction=0.0, batch_size=2000)
    config = dataclasses.replace(CONFIG, training=training)
    items, starts = drawn(train, 0, config)
    last = -(-train.lengths[items] // HOP) - config.window_frames
    assert (starts >= 0).all()
    assert (starts <= last).all()
    assert (starts == last).any()
    assert (starts == 0).any()


def test_longer_recordings_are_drawn_more_often(tmp_path, write_tone):
    for name, length in (("a", 8000), ("b", 16_000), ("c", 32_000), ("d", 8000)):
        write_tone(tmp_path / "in" / f"{name}.wav", length)
    corpus.prepare([tmp_path / "in"], tmp_path / "c", sample_rate=8000)
    split = corpus.open(tmp_path / "c").splits["train"]
    training = dataclasses.replace(CONFIG.training, start_fraction=0.0, batch_size=20_000)
    items, _ = drawn(split, 0, dataclasses.replace(CONFIG, training=training))
    share = np.bincount(items, minlength=split.num_items) / len(items)
    # Four standard deviations of a share of one half.
    np.testing.assert_allclose(share, split.lengths / split.lengths.sum(), atol=4 * 0.5 / 141)


def test_notes_are_the_frames_of_the_score(train):
    for step in range(3):
        batch = draw(train, step)
        total = batch.valid.shape[1]
        for row, (item, start) in enumerate(zip(*drawn(train, step), strict=True)):
            first = int(start) - CONFIG.context_frames
            expected = frames.notes(train.score(item), total, CONFIG.frame_seconds, first)
            np.testing.assert_array_equal(batch.notes[row], expected)


def test_periods_are_those_of_the_score_where_a_predictor_follows_the_notes(train):
    model = dataclasses.replace(CONFIG.model, predictor=Predictor(order=4, follows="notes"))
    config = dataclasses.replace(CONFIG, model=model)
    for step in range(3):
        batch, unheard = draw(train, step, config), draw(train, step)
        assert not unheard.periods.any()
        for row, (item, start) in enumerate(zip(*drawn(train, step, config), strict=True)):
            first = int(start) - config.context_frames
            periods = frames.periods(
                train.score(item), batch.valid.shape[1], config.frame_seconds, first
            )
            expected = periods * config.audio.sample_rate
            np.testing.assert_allclose(batch.periods[row], expected, rtol=1e-6)
        assert batch.periods.any()


def test_labels_are_mapped_by_name_to_the_run_s_vocabulary(train):
    known = train.vocabulary.labels["instrument"]
    wanted = ("something else", *reversed(known[1:]))  # known[0] is unknown to the run
    batch = batches.windows(train, CONFIG, Vocabulary({"instrument": wanted}), 7, 0)
    for row, item in enumerate(drawn(train, 0)[0]):
        value = known[train.label_ids[item, 0]]
        assert batch.labels[row, 0] == (wanted.index(value) if value in wanted else -1)


def test_signals_that_nobody_wants_take_no_room(train):
    batch = draw(train, 0, dataclasses.replace(CONFIG, conditioner=Conditioner()))
    assert batch.notes.shape == (12, CONFIG.window_frames, 0)
    assert batch.labels.shape == (12, 0)


def test_whole_recordings_carry_loss_everywhere_and_nowhere_after(train):
    longest = int(train.lengths[[3, 0, 9]].max())
    frames = -(-longest // CONFIG.model.hop_length)
    batch = batches.stretch(train, [3, 0, 9], CONFIG, train.vocabulary, 0, frames)
    assert batch.valid.all()
    assert batch.codes.shape == batch.weights.shape
    for row, item in enumerate((3, 0, 9)):
        length = train.lengths[item]
        assert batch.weights[row].sum() == batch.weights[row, :length].sum() == length
        np.testing.assert_array_equal(
            batch.codes[row, :length], mulaw.encode(train.read(item) / 32767, 256)
        )


def test_stretches_one_after_the_other_are_the_whole(train):
    whole = batches.stretch(train, [3, 0, 9], CONFIG, train.vocabulary, 0, 60)
    parts = [
        batches.stretch(train, [3, 0, 9], CONFIG, train.vocabulary, first, count)
        for first, count in ((0, 7), (7, 20), (27, 33))
    ]
    for name in ("codes", "weights", "valid", "notes"):
        joined = np.concatenate([getattr(part, name) for part in parts], axis=1)
        np.testing.assert_array_equal(joined, getattr(whole, name))


def test_a_corpus_that_does_not_suit_the_config_is_refused_in_words(small_corpus):
    batches.check(small_corpus, CONFIG)
    wrong_rate = dataclasses.replace(CONFIG, audio=Audio(sample_rate=16_000))
    with pytest.raises(WavegenError, match="at 8000 Hz"):
        batches.check(small_corpus, wrong_rate)
    wrong_label = dataclasses.replace(CONFIG, conditioner=Conditioner(labels=("speaker",)))
    with pytest.raises(WavegenError, match="one of: instrument"):
        batches.check(small_corpus, wrong_label)
    with pytest.raises(WavegenError, match="named train"):
        batches.check(dataclasses.replace(small_corpus, splits={}), CONFIG)


@pytest.fixture
def advised(train):
    """The split, and what the system is told of its shards: (first byte, bytes)."""
    told = []

    class Heard:
        def madvise(self, option, start, length):
            assert option == mmap.MADV_WILLNEED
            told.append((start, length))

    class Shard(np.memmap):
        @property
        def base(self) -> Any:
            return Heard()

    shards = tuple(shard.view(Shard) for shard in train.samples)
    return dataclasses.replace(train, samples=shards), told


needs_advice = pytest.mark.skipif(
    not hasattr(mmap, "MADV_WILLNEED"), reason="this system takes no advice"
)


@needs_advice
def test_the_system_is_told_of_exactly_the_pages_that_are_asked_for(train, advised):
    split, told = advised
    i = train.num_items // 2
    length, header = int(train.lengths[i]), train.samples[0].offset
    for start, stop in [(-500, 100), (100, 5000), (length - 10, length + 10)]:
        told.clear()
        split.expect(i, start, stop)
        train.expect(i, start, stop)  # and the system does not mind
        ((first, num_bytes),) = told
        assert first % mmap.PAGESIZE == 0
        begin = header + 2 * (int(train.offset[i]) + max(0, start))
        assert 0 <= begin - first < mmap.PAGESIZE
        assert first + num_bytes == header + 2 * (int(train.offset[i]) + min(stop, length))
    told.clear()
    split.expect(i, length, length + 10)
    split.expect(i, -10, 0)
    assert told == []


@needs_advice
@pytest.mark.parametrize("semitones", [0, 5])
def test_the_system_is_told_of_a_batch_before_any_of_it_is_read(advised, semitones, monkeypatch):
    split, told = advised
    read, seen = type(split).read, []

    def reading(self, i):
        seen.append(len(told))
        return read(self, i)

    monkeypatch.setattr(type(split), "read", reading)
    config = dataclasses.replace(CONFIG, augmentation=Augmentation(transpose_semitones=semitones))
    batches.windows(split, config, split.vocabulary, 0, 0)
    assert seen == [len(ROWS)] * len(ROWS)
