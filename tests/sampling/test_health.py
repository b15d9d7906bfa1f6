"""The level of a sound, and whether it is one."""

import math

import numpy as np
import pytest

from wavegen.sampling import health
from wavegen.sampling.health import Level


def level_of(samples):
    return Level().add(np.asarray(samples, np.float32))


def test_a_level_gathered_in_blocks_is_the_level_of_the_whole():
    samples = np.random.default_rng(0).uniform(-1, 1, 1000).astype(np.float32)
    gathered = Level()
    for block in np.split(samples, [0, 1, 10, 10, 700]):
        gathered = gathered.add(block)
    whole = level_of(samples)
    assert gathered._replace(energy=0) == whole._replace(energy=0)
    # The same thousand squares in another order, in float64.
    assert gathered.energy == pytest.approx(whole.energy, rel=1000 * np.finfo(np.float64).eps)


def test_the_level_of_a_full_sine_is_known():
    level = level_of(np.sin(2 * np.pi * np.arange(1000) / 100))
    assert level.peak_dbfs == pytest.approx(0, abs=1e-6)  # a float32 rounding of 1.0, in dB
    assert level.rms_dbfs == pytest.approx(10 * math.log10(0.5), abs=1e-6)  # likewise


def test_nothing_and_silence_have_no_level():
    for level in (Level(), level_of(np.zeros(10))):
        assert level.rms_dbfs == level.peak_dbfs == -math.inf


@pytest.mark.parametrize("value", [0.0, 0.5, -1.0])
def test_a_constant_is_silence_at_any_height(value):
    assert "same value" in (health.verdict(level_of(np.full(100, value))) or "")


def test_noise_is_a_sound_unless_it_can_hardly_be_heard():
    noise = np.random.default_rng(0).uniform(-1, 1, 1000)
    assert health.verdict(level_of(0.1 * noise)) is None
    assert "almost silent (-65 dBFS RMS)" in (health.verdict(level_of(0.001 * noise)) or "")
