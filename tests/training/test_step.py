"""One step: what may change its rounding, and what may not change its gradient at all."""

import jax
import numpy as np
import pytest

from wavegen import config as configs
from wavegen.data import batches
from wavegen.model import network
from wavegen.training import evaluate, step


def changed(config, *overrides):
    return configs.from_dict(configs.apply_overrides(configs.to_dict(config), overrides))


def batch_of(config, corpus, at=0):
    return batches.windows(corpus.splits["train"], config, corpus.vocabulary, 0, at)


def differentiated(config, corpus, at=0):
    """Scores, as numbers, and gradients of a fresh network."""
    graphdef, params = network.create(config, corpus.vocabulary, 0)
    function = jax.jit(step._differentiated, static_argnums=(0, 1))
    found, gradient = function(
        config, graphdef, params, batch_of(config, corpus, at), jax.random.key(1)
    )
    return jax.tree.map(float, found), jax.tree.map(np.asarray, gradient)


def lowered(config, corpus):
    graphdef, params = network.create(config, corpus.vocabulary, 0)
    state = step.initial_state(config, params)
    return step.train_step.lower(config, graphdef, state, batch_of(config, corpus))


def assert_near(found, expected, tolerance):
    """Each array as a whole: the length of what is off, beside the array's own."""
    for (path, one), other in zip(
        jax.tree_util.tree_leaves_with_path(found), jax.tree.leaves(expected), strict=True
    ):
        off = np.linalg.norm(np.asarray(one, np.float64) - other)
        assert off <= tolerance * np.linalg.norm(other), jax.tree_util.keystr(path)


PREDICTOR = ("model.predictor.order=4", "model.predictor.window=64", "model.predictor.refit=8")
SHAPES = {"plain": (), "predictor": PREDICTOR, "past": ('conditioner.signals=["past"]',)}


@pytest.mark.parametrize(
    ("shape", "parts"), [("plain", 2), ("plain", 4), ("predictor", 2), ("past", 4)]
)
def test_a_batch_in_parts_has_the_gradient_of_the_whole(tiny, notes_corpus, shape, parts):
    more = ("training.condition_dropout=0.5", "training.label_smoothing=0.1", *SHAPES[shape])
    config = changed(tiny, *more)
    whole, expected = differentiated(config, notes_corpus)
    found, gradient = differentiated(
        changed(config, f"training.microbatches={parts}"), notes_corpus
    )
    weights = batch_of(config, notes_corpus).weights.reshape(parts, -1)
    shares = weights.sum(axis=1)
    assert len(set(shares)) > 1  # the parts carry loss in unequal numbers of samples
    assert found.weight == whole.weight
    assert found.hits == whole.hits
    # Sums of some thousand float32 in another order: eight roundings of 6e-8, and for gradients
    # four times that, since what they sum up nearly cancels.
    assert found.nats == pytest.approx(whole.nats, rel=8 * 6e-8)
    assert_near(gradient, expected, 4 * 8 * 6e-8)


def test_kept_activations_give_the_gradient_of_recomputed_ones(tiny, notes_corpus):
    _, expected = differentiated(tiny, notes_corpus)
    _, gradient = differentiated(changed(tiny, "training.remat=false"), notes_corpus)
    assert_near(gradient, expected, 2e-6)  # the same operations, in other fusions


def test_remat_and_microbatches_save_memory(tiny, notes_corpus):
    def temporaries(*overrides):
        config = changed(tiny, "training.crop_samples=2048", *overrides)
        analysis = lowered(config, notes_corpus).compile().memory_analysis()
        assert analysis is not None
        return analysis.temp_size_in_bytes

    usual = temporaries()
    assert temporaries("training.remat=false") > 1.5 * usual
    assert temporaries("training.microbatches=4") < 0.6 * usual


@pytest.mark.parametrize("shape", ["plain", "predictor"])
def test_bfloat16_gradients_are_those_of_float32_but_for_its_rounding(tiny, notes_corpus, shape):
    config = changed(tiny, *SHAPES[shape])
    whole, expected = differentiated(config, notes_corpus)
    found, gradient = differentiated(
        changed(config, "training.compute_dtype=bfloat16"), notes_corpus
    )
    # The loss itself is float32: logits or a loss in bfloat16 would be off by 2^-9 of it, or more.
    assert found.nats == pytest.approx(whole.nats, rel=2**-11)
    # A sample's gradient goes through some ten roundings, each off by up to 2^-9 of it; in the
    # sum over samples the gradients nearly cancel, the roundings do not: ten times as much.
    assert_near(gradient, expected, 10 * 10**0.5 * 2**-9 * 2)


def test_bfloat16_multiplies_in_bfloat16_and_keeps_all_that_lasts_in_float32(tiny, notes_corpus):
    config = changed(tiny, "training.compute_dtype=bfloat16")
    assert "bf16" not in lowered(tiny, notes_corpus).as_text()
    text = lowered(config, notes_corpus).as_text()
    products = [line for line in text.splitlines() if "dot_general" in line]
    # Forward, the gate's again in the backward pass, and two gradients each: of three products a
    # layer and of head1, whose own is computed again as well.
    assert sum("bf16" in line for line in products) == 3 + 1 + 6 + 4
    graphdef, params = network.create(config, notes_corpus.vocabulary, 0)
    state, metrics = step.train_step(
        config, graphdef, step.initial_state(config, params), batch_of(config, notes_corpus)
    )
    kept = jax.tree.leaves((state.params, state.ema, state.optimizer, metrics))
    assert {leaf.dtype.name for leaf in kept} <= {"float32", "int32"}
    assert np.isfinite(float(metrics.nats))


def test_validation_stays_float32_whatever_training_computes_in(tiny, notes_corpus):
    config, vocabulary = changed(tiny, "training.compute_dtype=bfloat16"), notes_corpus.vocabulary
    found = [
        evaluate.split(
            *network.create(each, vocabulary, 0), notes_corpus.splits["valid"], each, vocabulary
        )
        for each in (tiny, config)
    ]
    assert found[0] == found[1]


def test_windows_without_conditioning_hear_what_sampling_without_it_hears(tiny, notes_corpus):
    config = changed(
        tiny,
        "training.condition_dropout=0.5",
        "training.batch_size=64",
        "training.input_jitter=0",
        'conditioner.signals=["notes", "f0_loudness"]',
        *("model.predictor.order=4", "model.predictor.window=64", "model.predictor.follows=notes"),
    )
    batch = batch_of(config, notes_corpus)
    heard = step._heard(config, batch, jax.random.key(3))
    dropped = np.asarray(heard.labels[:, 0]) == -1
    assert 16 < dropped.sum() < 48  # of 64, by half: four standard deviations
    for name in ("notes", "periods", "acoustics"):
        one = np.asarray(getattr(heard, name))
        assert not one[dropped].any()
        np.testing.assert_array_equal(one[~dropped], getattr(batch, name)[~dropped])
    assert batch.notes[dropped].any()
    for name in ("codes", "weights", "valid"):
        np.testing.assert_array_equal(getattr(heard, name), getattr(batch, name))
    again = step._heard(config, batch, jax.random.key(4))
    assert not np.array_equal(again.labels, heard.labels)


@pytest.mark.parametrize(("share", "conditioned"), [(0, True), (1, False)])
def test_dropped_conditioning_is_not_learnt_from(tiny, notes_corpus, share, conditioned):
    config = changed(tiny, f"training.condition_dropout={share}")
    _, gradient = differentiated(config, notes_corpus)
    assert bool(np.any(gradient["conditioner"]["notes"]["velocity"])) == conditioned
    assert bool(np.any(gradient["conditioner"]["labels"][0]["embed"])) == conditioned


def test_label_smoothing_moves_the_gradient_and_not_the_bits_that_are_told(tiny, notes_corpus):
    share = 0.2
    smooth = changed(tiny, f"training.label_smoothing={share}")
    plain, expected = differentiated(tiny, notes_corpus)
    found, gradient = differentiated(smooth, notes_corpus)
    assert found.nats == plain.nats == plain.objective
    assert found.hits == plain.hits
    # By hand: the gradient of a logit is p - target, and that of head2's bias its mean. The
    # smoothed target has share / V everywhere, and the true code's 1 that much less.
    codes = batch_of(tiny, notes_corpus).codes[:, tiny.context_frames * tiny.model.hop_length :]
    weights = batch_of(tiny, notes_corpus).weights
    counts = np.bincount(codes.ravel(), weights.ravel(), 256) / weights.sum()
    moved = np.asarray(gradient["wavenet"]["head2_bias"] - expected["wavenet"]["head2_bias"])
    np.testing.assert_allclose(moved, share * (counts - 1 / 256), atol=1e-6)  # sums of 2,000
