import dataclasses

import numpy as np
import pytest

from wavegen_kernels import backends, cases, weights
from wavegen_kernels.generate import api

CASE = cases.CASES["tiny_odd"]
STACK = cases.weights(CASE)
GOOD = {"cond": cases.conditioning(CASE, 2, 3), "hop_length": 4, "seed": 0, "streams": [0, 1]}


def call(stack=STACK, state=None, **changed):
    state = weights.initial_state(stack, 2) if state is None else state
    given = {**GOOD, **changed}
    return api.generate(stack, state, given.pop("cond"), **given)


NAN = np.where(np.arange(GOOD["cond"].size).reshape(GOOD["cond"].shape) == 7, np.nan, 0)


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"cond": GOOD["cond"][0]}, r"cond must be \[B, F, 3, 10\], got \[3, 3, 10\]"),
        ({"cond": GOOD["cond"][..., :5]}, r"cond must be .* got \[2, 3, 3, 5\]"),
        ({"cond": NAN.astype(np.float32)}, "cond holds values that are not finite"),
        ({"cond": GOOD["cond"][:1]}, r"the state has codes \[2, 2\]"),
        ({"hop_length": 0}, "hop_length must be at least 1, got 0"),
        ({"streams": [0]}, r"streams must be integers of shape \[2\], got int64 of shape \[1\]"),
        ({"streams": [0.0, 1.0]}, "streams must be integers .* got float64"),
        ({"streams": [0, -1]}, r"streams must lie in \[0, 2\^32\), got -1"),
        ({"seed": 2**32}, r"seed must lie in \[0, 2\^32\), got 4294967296"),
        ({"temperature": -0.5}, "temperature must be finite and at least 0, got -0.5"),
        ({"temperature": [1.0, 1.0]}, r"temperature must be a number or \[2, 3\], got \[2\]"),
        ({"top_k": -1}, "top_k must be at least 0"),
        ({"top_k": 1.5}, "top_k must be an integer, got float64"),
        ({"top_p": 0.0}, r"top_p must lie in \(0, 1\], got 0.0"),
        ({"top_p": 1.5}, r"top_p must lie in \(0, 1\], got 1.5"),
        ({"forced": np.zeros((2, 3), int)}, r"forced must be integers of shape \[2, 12\]"),
        ({"forced": np.full((2, 12), 64)}, r"forced must lie in -1 ... 63, got 64"),
        ({"backend": "xla_scn"}, "no backend 'xla_scn'; did you mean 'xla_scan'?"),
        ({"precision": "bfloat"}, "no precision 'bfloat'; did you mean 'bfloat16'?"),
    ],
)
def test_what_is_wrong_is_said_with_its_value(changed, text):
    with pytest.raises(ValueError, match=text.replace("?", r"\?")):
        call(**changed)


PERIODIC = cases.weights(cases.CASES["tiny_periodic"])


@pytest.mark.parametrize(
    ("stack", "periods", "text"),
    [
        (PERIODIC, None, "periods are wanted for a periodic predictor"),
        (STACK, np.ones((2, 3)), "periods are only for a periodic predictor"),
        (PERIODIC, np.ones((3, 2)), r"periods must be \[2, 3\], got \[3, 2\]"),
        (PERIODIC, np.full((2, 3), -1.0), "periods must be finite and at least 0, got -1.0"),
        (PERIODIC, np.full((2, 3), np.nan), "periods must be finite and at least 0, got nan"),
    ],
)
def test_periods_are_given_where_they_are_read(stack, periods, text):
    cond = np.zeros((2, 3, len(stack.dilations), 2 * stack.residual_channels), np.float32)
    with pytest.raises(ValueError, match=text):
        call(stack, cond=cond, periods=periods)


STEERED = cases.weights(cases.CASES["tiny_steered"])
AIM = cases.asked(cases.CASES["tiny_steered"], 2, 3)["aim"]


@pytest.mark.parametrize(
    ("stack", "aim", "text"),
    [
        (STEERED, None, "an aim is wanted for a steered predictor"),
        (STACK, AIM, "an aim is only for a steered predictor"),
        (STEERED, AIM._replace(levels=np.ones((3, 2))), r"aim.levels must be \[B, F\] of \[2, 3\]"),
        (STEERED, AIM._replace(anchors=np.ones((2, 3))), r"aim.anchors must be \[B, F, A\] of"),
        (STEERED, AIM._replace(anchors=np.ones((2, 3, 5))), "more samples than the order 5, got 5"),
        (STEERED, AIM._replace(noises=np.full((2, 3), np.inf)), "aim.noises holds values that are"),
    ],
)
def test_an_aim_is_given_where_it_is_read(stack, aim, text):
    cond = np.zeros((2, 3, len(stack.dilations), 2 * stack.residual_channels), np.float32)
    with pytest.raises(ValueError, match=text):
        call(stack, cond=cond, aim=aim)


def test_weights_that_are_not_finite_are_refused():
    spoilt = dataclasses.replace(STACK, head1_bias=np.full_like(STACK.head1_bias, np.inf))
    with pytest.raises(ValueError, match="weights hold values that are not finite"):
        call(stack=spoilt)


def test_logits_refuse_codes_to_be_drawn():
    state, codes = weights.initial_state(STACK, 2), np.full((2, 12), -1)
    with pytest.raises(ValueError, match=r"codes must lie in 0 ... 63, got -1"):
        api.logits(STACK, state, GOOD["cond"], codes, hop_length=4)


def test_auto_chooses_a_backend_that_runs_here():
    assert backends.unavailable_reason(backends.choose("auto")) is None
    assert backends.choose("auto") != "reference"


def test_only_auto_looks_for_another_backend(monkeypatch):
    missing = lambda name, precision: None if name == "xla_scan" else "needs a machine of gold"
    monkeypatch.setattr(backends, "unavailable_reason", missing)
    with pytest.raises(backends.BackendUnavailable, match=r"'reference' .* a machine of gold"):
        backends.choose("reference")
    assert backends.choose("auto") == "xla_scan"


def test_a_backend_that_cannot_round_weights_says_so():
    with pytest.raises(backends.BackendUnavailable, match=r"xla_scan.* computes in float32 only"):
        call(backend="xla_scan", precision="bfloat16")


def test_int8_without_a_dot_product_says_what_would_run(monkeypatch):
    from wavegen_kernels.cpu import machine

    monkeypatch.setattr(machine, "dot_product", lambda: None)
    with pytest.raises(backends.BackendUnavailable, match=r"VNNI.* bfloat16 runs on every CPU"):
        call(backend="auto", precision="int8")
