"""Crops that grow: few lengths, each a function of the step alone."""

import itertools
from dataclasses import replace

import pytest

from wavegen.config import Config, Model, Training
from wavegen.data import batches
from wavegen.errors import WavegenError

CONFIG = Config(
    model=Model(hop_length=64, layers_per_cycle=4),
    training=Training(
        crop_samples=64 * 24, first_crop_samples=128, curriculum_steps=40, batch_size=2
    ),
)


def test_crops_double_until_they_are_whole_and_every_stage_lasts_as_long():
    assert CONFIG.crop_stages == (128, 256, 512, 1024, 1536)
    crops = [CONFIG.at(step).training.crop_samples for step in range(60)]
    lasted = [(crop, len(list(group))) for crop, group in itertools.groupby(crops)]
    assert lasted == [(128, 10), (256, 10), (512, 10), (1024, 10), (1536, 20)]


def test_without_a_curriculum_every_step_has_the_config_itself():
    plain = Config()
    assert plain.crop_stages == (plain.training.crop_samples,)
    assert plain.at(0) is plain
    assert CONFIG.at(40) is CONFIG


def test_windows_are_as_long_as_the_curriculum_says(small_corpus):
    train = small_corpus.splits["train"]
    rate = replace(CONFIG.audio, sample_rate=small_corpus.sample_rate)
    config = replace(CONFIG, audio=rate)
    for step in (0, 39, 40):
        batch = batches.windows(train, config, train.vocabulary, 7, step)
        lead, crop = config.lead_frames * 64, config.at(step).training.crop_samples
        assert batch.weights.shape == (2, lead + crop)
        assert batch.codes.shape == (2, lead + crop + config.context_frames * 64)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"first_crop_samples": 100, "curriculum_steps": 5}, "take 128"),
        ({"first_crop_samples": 128}, "both or neither"),
        ({"curriculum_steps": 5}, "both or neither"),
        ({"first_crop_samples": 8192, "curriculum_steps": 5}, "take up to 4096"),
    ],
)
def test_a_curriculum_that_makes_no_sense_is_refused(values, words):
    with pytest.raises(WavegenError, match=words):
        Config(training=Training(**values))
