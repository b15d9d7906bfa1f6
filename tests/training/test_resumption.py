"""A run goes on as what it is: of the same config, on the same corpus."""

import dataclasses
import shutil

import pytest

from wavegen import checkpoint
from wavegen.checkpoint import About, Source
from wavegen.config import Augmentation, Config, Model, Training, Vocabulary
from wavegen.errors import WavegenError
from wavegen.model import network
from wavegen.training import loop, resumption

VOCABULARY = Vocabulary({"instrument": ("bell", "organ")}, pitches=(60, 64), velocities=(100,))
ABOUT = About(Config(), VOCABULARY, Source("corpora/a", "0123"))


@pytest.fixture
def saved(tmp_path):
    """A function: a run with one checkpoint that says this of itself."""

    def save(about):
        shutil.rmtree(checkpoint.folder(tmp_path), ignore_errors=True)
        checkpoint.folder(tmp_path).mkdir()
        state = fresh()
        trees = {"params": state.params, "ema": state.ema, "optimizer": state.optimizer}
        checkpoint.write(tmp_path, 3, trees, about)
        return tmp_path

    return save


def fresh():
    return loop.initial_state(Config(), network.create(Config(), VOCABULARY, 0)[1])


def refused(run, about):
    with pytest.raises(WavegenError) as told:
        resumption.resume(run, about, fresh(), print)
    return told.value


def test_all_that_differs_in_the_config_stands_on_lines_of_its_own(saved):
    run = saved(ABOUT)
    other = Config(
        model=Model(kernel_size=3),
        augmentation=Augmentation(gain_db=6.0),
        training=Training(learning_rate=0.5, seed=1, steps=99, keep_every=7),
    )
    told = refused(run, ABOUT._replace(config=other))
    assert told.came.split("\n    ")[1:] == [
        "model.kernel_size: 2 -> 3",
        "augmentation.gain_db: 0.0 -> 6.0",
        "training.learning_rate: 0.002 -> 0.5",
        "training.seed: 0 -> 1",
    ]
    assert f"--init-from {run}" in told.do


@pytest.mark.parametrize("key", resumption.FREE)
def test_what_does_not_change_what_is_learnt_may_change(saved, key):
    value = {"microbatches": 2, "remat": False}.get(key, 17)
    training = dataclasses.replace(Training(), **{key: value})
    about = ABOUT._replace(config=Config(training=training))
    assert int(resumption.resume(saved(ABOUT), about, fresh(), print).step) == 3


def test_more_steps_under_a_cosine_are_told_with_the_rates(saved):
    said = []
    run = saved(ABOUT._replace(config=Config(training=Training(steps=4, warmup_steps=0))))
    longer = ABOUT._replace(config=Config(training=Training(steps=400, warmup_steps=0)))
    # The warm-up is part of what is learnt, so that both have none.
    resumption.resume(run, longer, fresh(), said.append)
    assert "training.steps was 4 and is 400" in said[-1]
    assert "goes on at 2.0e-03, where it was" in said[-1]
    said.clear()
    constant = Training(steps=4, schedule="constant")
    run = saved(ABOUT._replace(config=Config(training=constant)))
    longer = dataclasses.replace(constant, steps=400)
    resumption.resume(run, ABOUT._replace(config=Config(training=longer)), fresh(), said.append)
    assert said == ["going on from step 3"]


def test_another_corpus_is_refused_by_both_names(saved):
    told = refused(saved(ABOUT), ABOUT._replace(source=Source("corpora/b", "4567")))
    for word in ("corpora/a (digest 0123)", "corpora/b (digest 4567)"):
        assert word in told.came


def test_a_changed_corpus_is_refused_as_that(saved):
    told = refused(saved(ABOUT), ABOUT._replace(source=Source("corpora/a", "4567")))
    assert "corpora/a has changed" in told.came
    assert "was 0123 and is 4567" in told.came


def test_a_corpus_may_move(saved):
    about = ABOUT._replace(source=Source("elsewhere/a", "0123"))
    assert int(resumption.resume(saved(ABOUT), about, fresh(), print).step) == 3


def test_a_run_from_before_digests_goes_on(saved):
    run = saved(ABOUT._replace(source=None))
    assert int(resumption.resume(run, ABOUT, fresh(), print).step) == 3


def test_a_run_from_before_digests_is_not_taken_to_a_corpus_of_other_labels(saved):
    other = dataclasses.replace(VOCABULARY, labels={"instrument": ("bell", "organ", "tuba")})
    run = saved(ABOUT._replace(source=None))
    assert "other labels or notes" in refused(run, ABOUT._replace(vocabulary=other)).came
