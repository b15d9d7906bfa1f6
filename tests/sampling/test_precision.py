"""What "auto" takes: the fast precision where the checkpoint was shown to agree with it."""

import dataclasses

import numpy as np
import pytest

from wavegen.errors import BackendError
from wavegen.sampling import precision, sampler
from wavegen.sampling.request import Draws
from wavegen_kernels.cpu import machine


def test_auto_is_bfloat16_on_a_checkpoint_that_agrees_with_it(trained):
    assert precision.choose(trained) == ("numba_cpu", "bfloat16", "")
    assert 0 < precision.disagreement(trained, "numba_cpu", "bfloat16") < precision.AGREES_NATS


def test_auto_is_float32_where_bfloat16_disagrees_and_says_by_how_much(trained, monkeypatch):
    nats = precision.disagreement(trained, "numba_cpu", "bfloat16")
    monkeypatch.setattr(precision, "AGREES_NATS", nats / 2)
    backend, name, note = precision.choose(trained)
    assert (backend, name) == ("numba_cpu", "float32")
    assert f"{nats:.1e} nats" in note
    monkeypatch.setattr(precision, "AGREES_NATS", nats)  # the same figure again, to the last bit
    assert precision.choose(trained).precision == "bfloat16"


def test_float32_agrees_with_itself(trained):
    assert precision.disagreement(trained, "numba_cpu", "float32") == 0


def test_a_backend_that_has_only_float32_takes_it_without_a_word(trained):
    assert precision.choose(trained, "xla_scan") == ("xla_scan", "float32", "")


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_a_precision_that_was_named_is_taken_unasked(trained, monkeypatch, name):
    monkeypatch.setattr(precision, "AGREES_NATS", -1.0)
    assert precision.choose(trained, "auto", name) == ("numba_cpu", name, "")


@pytest.mark.parametrize(("allowed", "name"), [(1.0, "bfloat16"), (0.0, "float32")])
def test_auto_draws_what_the_precision_draws_that_it_takes(trained, monkeypatch, allowed, name):
    monkeypatch.setattr(precision, "AGREES_NATS", allowed)
    request = precision._request(trained)
    codes = sampler.generate(trained, request, Draws(3))
    named = sampler.generate(trained, request, Draws(3), precision=name)
    np.testing.assert_array_equal(codes, named)


def test_the_precisions_are_compared_on_one_note_of_the_checkpoints_own(trained):
    request = precision._request(trained)
    (note,) = request.scores[0].notes
    assert note.pitch in trained.vocabulary.pitches
    assert note.velocity in trained.vocabulary.velocities
    assert request.num_frames * trained.config.model.hop_length >= precision.CHECK_SAMPLES
    # Without notes and labels there is nothing to choose, and a request all the same.
    bare = dataclasses.replace(
        trained,
        config=dataclasses.replace(
            trained.config, conditioner=dataclasses.replace(trained.config.conditioner, labels=())
        ),
        vocabulary=type(trained.vocabulary)(),
    )
    assert precision._request(bare).labels.shape == (1, 0)


def test_int8_is_refused_with_the_reason_where_the_processor_lacks_it(trained, monkeypatch):
    monkeypatch.setattr(machine, "dot_product", lambda: None)
    with pytest.raises(BackendError, match="int8 needs the integer dot product"):
        precision.choose(trained, "auto", "int8")
    assert precision.usable() == ["float32", "bfloat16"]
