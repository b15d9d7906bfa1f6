"""Health as functions of numbers: what is wrong is told, what is well is not, and told once."""

import math

import numpy as np
import pytest

from wavegen import config as configs
from wavegen.errors import WavegenError
from wavegen.training import health
from wavegen.training.health import Tally

PLAN = configs.Training()
CONFIG = configs.Config()
GUESS_NATS = math.log(256)


def look(found, curve=(), validations=(), order0_bits=5.0):
    return health.look(found, curve, validations, order0_bits, PLAN)


def test_a_training_that_goes_well_is_left_alone(due_lines):
    validations = [(500 * k, 4.0 - 0.1 * k) for k in range(1, 6)]
    curve = [(20 * k, 4.0 - 0.001 * k) for k in range(1, 126)]
    assert look(due_lines(), curve, validations) == {}
    assert look([]) == {}


def test_a_loss_at_the_entropy_of_the_codes_is_told_once_there_was_time_to_learn(due_lines):
    assert set(look(due_lines(bits=5.1))) == {"learnt_nothing"}
    assert "5.100 bits per sample" in look(due_lines(bits=5.1))["learnt_nothing"]
    assert look(due_lines(bits=4.9)) == {}
    early = [entry._replace(step=entry.step - 20 * health.RECENT) for entry in due_lines(bits=5.1)]
    assert look(early) == {}
    assert look(due_lines(bits=5.1)[1:]) == {}  # too few lines to tell it from chance


def test_a_loss_that_is_no_number_has_learnt_nothing(due_lines):
    assert set(look(due_lines(bits=math.nan))) == {"learnt_nothing"}


def test_being_right_exactly_where_it_is_silent_is_foretelling_silence_alone(due_lines, line):
    assert set(look(due_lines(accuracy=0.3, silence=0.3))) == {"only_silence"}
    assert look(due_lines(accuracy=0.31, silence=0.3)) == {}
    assert set(look(due_lines(accuracy=1.0, silence=1.0))) == {"only_silence"}
    # By chance on one line, as in any training.
    assert look([*due_lines(accuracy=0.5)[:-1], line(accuracy=0.1, silence=0.1)]) == {}


def test_validation_that_rises_while_training_falls_is_told_with_the_best_step(due_lines):
    curve = [(20 * k, 4.0 - 0.005 * k) for k in range(1, 151)]
    rising = [(500, 4.0), (1000, 3.6), (1500, 3.7), (2000, 3.75), (2500, 3.8)]
    assert set(look(due_lines(), curve, rising)) == {"overfitting"}
    words = look(due_lines(), curve, rising)["overfitting"]
    assert "best at step 1000 (3.600 bits per sample)" in words
    assert "is 3.800 now" in words
    assert look(due_lines(), curve, rising[:-1]) == {}  # two after the best may be chance
    flat = [*rising[:2], *((step, 3.605) for step in (1500, 2000, 2500))]
    assert look(due_lines(), curve, flat) == {}
    worse = [(step, 8.0 - bits) for step, bits in curve]  # the training rises as well
    assert look(due_lines(), worse, rising) == {}
    # A validation that was no number is none.
    assert look(due_lines(), curve, [(250, math.nan), *rising]) == look(due_lines(), curve, rising)


def test_a_loader_that_starves_the_device_is_told_after_two_due_lines(line):
    assert set(look([line(), line(waiting=0.5), line(waiting=0.4)])) == {"starved"}
    assert "40%" in look([line(waiting=0.5), line(waiting=0.4)])["starved"]
    assert look([line(), line(waiting=0.5)]) == {}
    assert look([line(waiting=0.1)] * 3) == {}


def test_skipped_steps_are_told_with_how_many_there_were(line):
    words = look([line(skipped=2), line(skipped=5)])["skipped_steps"]
    assert words.startswith("3 of the last steps")
    assert "(5 so far)" in words
    assert look([line(skipped=5), line(skipped=5)]) == {}
    assert set(look([line(skipped=1)])) == {"skipped_steps"}


def test_what_was_told_is_told_again_only_after_it_was_over():
    told = health.remember({}, {"starved"})
    for _ in range(health.RECENT - 1):
        told = health.remember(told, set())
        assert "starved" in told
    assert "starved" in health.remember(told, {"starved"})
    assert health.remember(told, set()) == {}
    assert health.remember(health.remember(told, {"starved"}), set()) == {"starved": 1}


def count(tally, nats=2.0, norm=0.5, weight=100.0):
    return health.count(tally, nats, norm, weight, CONFIG)


def test_steps_are_counted_and_what_was_skipped_was_not_heard():
    tally = count(count(Tally()))
    assert tally == Tally(200, 0, 0)
    for nats, norm in ((math.nan, 0.5), (2.0, math.inf), (2.0, math.nan), (math.inf, math.nan)):
        assert count(tally, nats, norm, math.nan) == Tally(200, 1, 1)
    assert count(count(tally, math.nan)) == Tally(300, 1, 0)


def test_a_loss_beyond_all_measure_is_heard_and_astray():
    beyond = 1.01 * health.ASTRAY_GUESSES * GUESS_NATS
    assert count(Tally(), nats=beyond) == Tally(100, 0, 1)
    assert count(Tally(), nats=2 * GUESS_NATS) == Tally(100, 0, 0)


@pytest.mark.parametrize(
    ("nats", "norm", "words"),
    [
        (math.nan, math.nan, "the loss is nan bits per sample at step 40"),
        (2.0, math.inf, "the gradient is inf at step 40"),
        (1000.0, 1.0, "the loss is 1443 bits per sample at step 40"),
    ],
)
def test_several_steps_astray_in_a_row_end_a_training_in_words(nats, norm, words):
    enough = Tally(astray_in_a_row=health.ASTRAY_IN_A_ROW)
    with pytest.raises(WavegenError, match=words) as refused:
        health.refuse_astray(enough, 40, nats, norm)
    assert "training.learning_rate" in refused.value.do
    health.refuse_astray(one_less(enough), 40, nats, norm)


def one_less(tally):
    return tally._replace(astray_in_a_row=tally.astray_in_a_row - 1)


def test_the_mean_before_a_step_is_of_the_steps_up_to_it():
    curve = [(step, float(step)) for step in range(10, 101, 10)]
    assert health._mean_before(curve, 50, 30) == np.mean([30, 40, 50])
    assert math.isnan(health._mean_before(curve, 5, 3))
