"""Windows of a corpus as codes, weights, notes and labels: pure functions of (seed, step).

A recording's own frame grid starts at its first sample; every window starts on it.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from wavegen.audio import mulaw, signals
from wavegen.config import Config, Vocabulary
from wavegen.data import augmentation
from wavegen.data.augmentation import Changes
from wavegen.data.corpus import Corpus, Split
from wavegen.errors import WavegenError
from wavegen.music import frames


class Batch(NamedTuple):
    """B windows of F frames, after X frames of context; a frame has P samples."""

    codes: np.ndarray  # [B, (X + F) * P] int32: the context, then the window
    weights: np.ndarray  # [B, F * P] float32: 1 where the window carries loss
    valid: np.ndarray  # [B, X + F] float32: 0 for frames before the recording's start, else 1
    notes: np.ndarray  # [B, X + F, 256] float32; [B, X + F, 0] where no signal wants them
    periods: np.ndarray  # [B, X + F] float32 samples, see frames.periods; 0 where unheard
    ages: np.ndarray  # [B, X + F] float32 samples, see frames.ages; 0 where unheard
    labels: np.ndarray  # [B, number of the config's labels] int32: ids, -1 unknown
    acoustics: np.ndarray  # [B, X + F, D] float32, see audio.signals; D = 0 where unheard


def check(corpus: Corpus, config: Config) -> None:
    """Refuses a corpus that a run of this config cannot be trained on."""
    if corpus.sample_rate != config.audio.sample_rate:
        raise WavegenError(
            f"the corpus {corpus.path} is at {corpus.sample_rate} Hz, "
            f"the config at {config.audio.sample_rate} Hz",
            "one rate for both",
            f"prepare with --sample-rate {config.audio.sample_rate}, "
            f"or train with --set audio.sample_rate={corpus.sample_rate}",
        )
    if "train" not in corpus.splits or not corpus.splits["train"].num_items:
        raise WavegenError(
            f"the corpus {corpus.path} has no recordings to train on: "
            f"its splits are {', '.join(corpus.splits) or 'none'}",
            "a split named train",
        )
    missing = [name for name in config.conditioner.labels if name not in corpus.vocabulary.labels]
    if missing:
        raise WavegenError(
            f"the config wants the label {', '.join(missing)}, which {corpus.path} lacks",
            "one of: " + (", ".join(corpus.vocabulary.labels) or "none: it has no labels"),
            "change conditioner.labels, or prepare a corpus that has them",
        )
    if "notes" in config.conditioner.signals and not corpus.vocabulary.pitches:
        raise WavegenError(
            f"the config wants notes, but no recording of {corpus.path} has any",
            "a corpus with notes, such as NSynth",
            "leave notes out of conditioner.signals, or prepare another corpus",
        )


def windows(
    split: Split,
    config: Config,
    vocabulary: Vocabulary,
    seed: int,
    step: int,
    rows: slice = slice(None),
) -> Batch:
    """The training batch of a step, or these rows of it; labels are ids in the run's `vocabulary`.

    The first `start_fraction` of the windows begin where their recordings do, these drawn
    alike; for the others recordings are drawn in proportion to their length, and any frame
    from which a window fits. The recordings are changed as the config's augmentation says, and
    windows are as long as its curriculum has them at this step.
    """
    config = config.at(step)
    items, starts, changes = _draw(split, config, seed, step)
    items, starts, changes = items[rows], starts[rows], Changes(*(each[rows] for each in changes))
    batch = _gather(split, config, vocabulary, items, starts, config.window_frames, changes)
    deaf = starts > 0  # what the stack hears of these begins with the window, not before
    batch.weights[deaf, : config.model.receptive_field] = 0
    return batch


def stretch(
    split: Split,
    indices: Sequence[int] | np.ndarray,
    config: Config,
    vocabulary: Vocabulary,
    first_frame: int,
    num_frames: int,
) -> Batch:
    """The same frames of some recordings, all with weight, without context (X = 0).

    After a recording's end there is silence without weight.
    """
    items = np.asarray(indices, np.int64)
    starts = np.full(len(items), first_frame, np.int64)
    unchanged = augmentation.none(len(items))
    return _gather(split, config, vocabulary, items, starts, num_frames, unchanged, context=0)


def _draw(
    split: Split, config: Config, seed: int, step: int
) -> tuple[np.ndarray, np.ndarray, Changes]:  # [B] recordings, [B] first frames, what is changed
    size = config.training.batch_size
    random = np.random.Generator(np.random.Philox(key=[seed, step]))
    alike = random.integers(0, split.num_items, size)
    places, within = random.random(size), random.random(size)
    ends = _ends(split)
    by_length = np.searchsorted(ends, (places * ends[-1]).astype(np.int64), side="right")
    at_start = np.arange(size) < round(config.training.start_fraction * size)
    items = np.where(at_start, alike, by_length)
    rate = config.audio.sample_rate
    changes = augmentation.draw(split, items, config.augmentation, rate, seed, step)
    num_frames = -(-augmentation.lengths(split, items, changes) // config.model.hop_length)
    positions = np.maximum(1, num_frames - config.window_frames + 1)
    return items, np.where(at_start, 0, (within * positions).astype(np.int64)), changes


def _gather(
    split: Split,
    config: Config,
    vocabulary: Vocabulary,
    items: np.ndarray,  # [B]
    starts: np.ndarray,  # [B] frames
    num_frames: int,
    changes: Changes,
    context: int | None = None,  # frames; the config's unless told
) -> Batch:
    """Windows of `num_frames` from `starts`, with all their samples carrying loss."""
    hop, rate = config.model.hop_length, config.audio.sample_rate
    context = config.context_frames if context is None else context
    first = starts - context  # [B] frames; negative before the recording
    total = context + num_frames

    measured = config.conditioner.acoustic
    before, after = signals.margins(rate, hop) if measured else (0, 0)
    count = before + total * hop + after
    samples = augmentation.read(split, items, first * hop - before, count, changes, rate)
    heard = samples[:, before : before + total * hop]
    codes = _unsigned_codes(config.audio.n_codes).take(heard.view(np.uint16))
    acoustics = np.zeros((len(items), total, 0), np.float32)
    if measured:
        sounds = samples.astype(np.float32) / mulaw.INT16_FULL_SCALE
        acoustics = signals.frames(measured, sounds, rate, hop)

    here = np.arange(num_frames * hop)
    left = augmentation.lengths(split, items, changes) - starts * hop  # [B] samples to the end
    weights = (here < left[:, None]).astype(np.float32)
    valid = (first[:, None] + np.arange(total) >= 0).astype(np.float32)
    notes, periods, ages = _notes(split, config, items, first, total, changes)
    if config.model.predictor.periods_of == "f0":
        periods = signals.periods(measured, acoustics, rate)
    labels = _labels(split, config, vocabulary, items)
    return Batch(codes, weights, valid, notes, periods, ages, labels, acoustics)


def _notes(
    split: Split,
    config: Config,
    items: np.ndarray,  # [B]
    first: np.ndarray,  # [B] frames
    num_frames: int,
    changes: Changes,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # [B, X + F, 256], [B, X + F], [B, X + F]
    """What sounds and starts in every frame, its periods and ages, as the config wants them."""
    has_notes = "notes" in config.conditioner.signals
    notes = np.zeros((len(items), num_frames, 2 * frames.KEYS if has_notes else 0), np.float32)
    periods = ages = np.zeros((len(items), num_frames), np.float32)
    if not has_notes:
        return notes, periods, ages
    rows, events = _events(split, items)
    rate = config.audio.sample_rate
    onsets, seconds, pitches, velocities = augmentation.notes(split, events, rows, changes, rate)
    onsets, durations = onsets / config.frame_seconds, seconds / config.frame_seconds
    frames.fill(notes, rows, onsets, durations, pitches, velocities, first)
    if config.model.predictor.periods_of == "notes":
        order = np.lexsort((onsets, rows))
        begun = (rows[order], onsets[order])
        periods = frames.last_periods(*begun, pitches[order], first, num_frames) * np.float32(rate)
        ages = frames.last_ages(*begun, first, num_frames) * np.float32(config.model.hop_length)
    return notes, periods, ages


def _events(split: Split, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # [N], [N]
    """Every note of the recordings: its row among `items`, and its place in the split."""
    counts = split.note_start[items + 1] - split.note_start[items]
    rows = np.repeat(np.arange(len(items)), counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return rows, split.note_start[items][rows] + within


def _labels(
    split: Split, config: Config, vocabulary: Vocabulary, items: np.ndarray
) -> np.ndarray:  # [B, number of labels] int32
    names = config.conditioner.labels
    wanted = tuple(vocabulary.labels.get(name, ()) for name in names)
    return _label_table(split, names, wanted)[items]


@functools.lru_cache(maxsize=8)
def _label_table(
    split: Split,
    names: tuple[str, ...],
    wanted: tuple[tuple[str, ...], ...],  # the values of each label, in the order of their ids
) -> np.ndarray:  # [N, number of labels] int32
    """Every recording's label ids in a run's vocabulary instead of the corpus's."""
    known = split.vocabulary.labels
    table = np.full((split.num_items, len(names)), -1, np.int32)
    for column, (name, values) in enumerate(zip(names, wanted, strict=True)):
        if name not in known:
            continue
        place = {value: i for i, value in enumerate(values)}
        ids = np.array([place.get(value, -1) for value in known[name]] + [-1], np.int32)
        table[:, column] = ids[split.label_ids[:, list(known).index(name)]]  # -1 finds the last
    return table


@functools.lru_cache(maxsize=8)
def _ends(split: Split) -> np.ndarray:  # [N] int64
    """Where each recording would end if all lay one after the other, in samples."""
    return np.cumsum(split.lengths)


@functools.cache
def _unsigned_codes(n_codes: int) -> np.ndarray:  # [65536] int32
    """The code of each int16 sample whose bits are read as uint16; so no sum is needed."""
    return np.roll(mulaw.int16_codes(n_codes), 1 << 15).astype(np.int32)
