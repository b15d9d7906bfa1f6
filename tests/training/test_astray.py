"""Steps that compute no numbers: skipped, counted, told; and in a row they end the training."""

import json
import math
from dataclasses import replace

import jax
import numpy as np
import pytest

from wavegen import checkpoint
from wavegen import config as configs
from wavegen.data import batches, entropy
from wavegen.errors import WavegenError
from wavegen.model import network
from wavegen.training import health, loop
from wavegen.training.step import initial_state, train_step


def changed(config, *overrides):
    return configs.from_dict(configs.apply_overrides(configs.to_dict(config), overrides))


@pytest.fixture
def poisoned(monkeypatch):
    """A function: from now on the batches of these steps make a loss that is no number."""
    real = batches.windows

    def poison(steps):
        def windows(split, config, vocabulary, seed, step, rows=slice(None)):
            batch = real(split, config, vocabulary, seed, step, rows)
            wrong = np.float32(np.nan if step in steps else 1.0)
            return batch._replace(weights=batch.weights * wrong)

        monkeypatch.setattr(batches, "windows", windows)

    return poison


def train(config, corpus, run):
    """Trains; gives the log lines and the warnings."""
    lines, warnings = [], []
    loop.train(
        config, corpus, run, on_log=lines.append, on_validation=lambda found: None,
        on_note=lambda words: None, on_warning=warnings.append,
    )  # fmt: skip
    return lines, warnings


def states(config, corpus, steps):
    """The state before the first step and after each."""
    graphdef, params = network.create(config, corpus.vocabulary, 0)
    state = initial_state(config, params)
    yield jax.tree.map(np.array, state)
    for step in steps:
        batch = batches.windows(corpus.splits["train"], config, corpus.vocabulary, 0, step)
        state, _ = train_step(config, graphdef, state, batch)
        yield jax.tree.map(np.array, state)


def test_a_step_without_a_gradient_changes_nothing_but_its_number(tiny, notes_corpus, poisoned):
    poisoned({1})
    fresh, before, after, further = states(tiny, notes_corpus, range(3))
    assert [state.step for state in (fresh, before, after, further)] == [0, 1, 2, 3]
    jax.tree.map(np.testing.assert_array_equal, before._replace(step=2), after._replace(step=2))
    jax.tree.map(np.testing.assert_array_equal, fresh.params, before.params)  # warm-up: rate 0
    moved = further.params["wavenet"]["head2"] - after.params["wavenet"]["head2"]
    assert np.isfinite(moved).all()
    assert moved.any()


def test_an_infinite_gradient_of_a_finite_loss_is_skipped(tiny, notes_corpus):
    # The squares of such gradients are beyond float32, whose largest number is 3e38.
    graphdef, params = network.create(tiny, notes_corpus.vocabulary, 0)
    params["wavenet"]["head1"] = params["wavenet"]["head1"] * 1e15
    params["wavenet"]["head2"] = params["wavenet"]["head2"] * 1e15
    split, vocabulary = notes_corpus.splits["train"], notes_corpus.vocabulary
    batch = batches.windows(split, tiny, vocabulary, 0, 0)
    state = initial_state(tiny, params)
    before = jax.tree.map(np.array, state)
    after, metrics = train_step(tiny, graphdef, state, batch)
    assert math.isfinite(float(metrics.nats))
    assert math.isinf(float(metrics.gradient_norm))
    jax.tree.map(np.testing.assert_array_equal, before._replace(step=1), after)


def test_a_skipped_step_is_told_and_the_training_goes_on(tmp_path, tiny, notes_corpus, poisoned):
    poisoned({2, 5})
    lines, warnings = train(changed(tiny, "training.log_every=2"), notes_corpus, tmp_path)
    assert [line.skipped_steps for line in lines] == [0, 1, 2, 2]
    (words,) = (words for words in warnings if "skipped" in words)
    assert words.startswith("1 of the last steps")
    assert lines[-1].bits_per_sample < lines[0].bits_per_sample
    told = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in told if line.get("warning") == "skipped_steps"] == [4]
    assert checkpoint.steps(tmp_path) == [4, 8]


def test_a_training_that_skipped_is_resumed_to_the_same_parameters(
    tmp_path, tiny, notes_corpus, poisoned
):
    poisoned({2, 3, 5})
    whole, _ = train(tiny, notes_corpus, tmp_path / "whole")
    cut = tmp_path / "cut"
    train(changed(tiny, "training.save_every=1", "training.keep_checkpoints=9"), notes_corpus, cut)
    # Step 4 was itself skipped and is no checkpoint; of the others all but one are taken away.
    assert checkpoint.steps(cut) == [1, 2, 5, 7, 8]
    for step in (7, 8):
        (checkpoint.folder(cut) / f"{step:09d}").rename(tmp_path / f"{step}")
    resumed, _ = train(tiny, notes_corpus, cut)
    assert resumed[-1].skipped_steps == whole[-1].skipped_steps == 3
    assert resumed[-1].nats == whole[-1].nats
    saved = [checkpoint.load(tmp_path / name).params for name in ("whole", "cut")]
    jax.tree.map(np.testing.assert_array_equal, *saved)


def test_steps_that_teach_nothing_end_the_training_and_are_not_saved(
    tmp_path, tiny, notes_corpus, poisoned, monkeypatch
):
    monkeypatch.setattr(health, "ASTRAY_IN_A_ROW", 3)
    poisoned(range(5, 8))
    with pytest.raises(WavegenError, match="at step 8, the last of 3 steps in a row"):
        train(changed(tiny, "training.save_every=2"), notes_corpus, tmp_path)
    assert checkpoint.steps(tmp_path) == [2, 4]
    assert checkpoint.load(tmp_path).step == 4


def test_a_learning_rate_that_explodes_ends_the_training(tmp_path, tiny, notes_corpus):
    # So wide a network is thrown out of reach by its first step at this rate.
    config = changed(
        tiny, "training.learning_rate=1", "training.warmup_steps=0", "training.steps=100",
        "training.save_every=1", "model.skip_channels=128", "model.head_channels=256",
    )  # fmt: skip
    with pytest.raises(WavegenError, match="bits per sample at step 9") as refused:
        train(config, notes_corpus, tmp_path)
    assert "training.learning_rate" in refused.value.do
    assert checkpoint.steps(tmp_path) == [1]


def test_a_network_that_foretells_silence_alone_is_told_so(
    tmp_path, tiny, notes_corpus, monkeypatch
):
    monkeypatch.setattr(health, "PATIENCE_STEPS", 10)
    config = changed(tiny, "training.steps=40", "training.log_every=5")
    split = notes_corpus.splits["train"]
    rare = split.samples[0].copy()  # clicks that nothing foretells, in silence
    rare[np.random.default_rng(0).random(len(rare)) > 0.02] = 0
    silent = replace(notes_corpus, splits={"train": replace(split, samples=(rare,))})
    _, warnings = train(config, silent, tmp_path)
    assert any("the likeliest code is always silence" in words for words in warnings)


def test_a_network_that_knows_less_than_the_frequencies_of_codes_is_told_so(
    tmp_path, tiny, notes_corpus, monkeypatch
):
    monkeypatch.setattr(health, "PATIENCE_STEPS", 0)
    _, warnings = train(changed(tiny, "training.log_every=1"), notes_corpus, tmp_path)
    split, vocabulary = notes_corpus.splits["train"], notes_corpus.vocabulary
    bits = entropy.order0_bits(split, tiny, vocabulary, loop.ENTROPY_BATCHES)
    (words,) = warnings
    assert f"how frequent each code is costs {bits:.3f}" in words
