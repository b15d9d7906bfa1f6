"""What is clocked: of the time that passes, only that in which the device could not go on."""

from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from wavegen import config as configs
from wavegen.data.batches import Batch
from wavegen.training import meter
from wavegen.training.health import Tally
from wavegen.training.meter import Meter
from wavegen.training.step import Metrics

CONFIG = configs.Config()


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass where a test lets them pass."""
    now = SimpleNamespace(seconds=100.0)
    monkeypatch.setattr(meter.time, "monotonic", lambda: now.seconds)
    return now


class Slow:
    """Batches of which each is waited for a second where it is behind."""

    def __init__(self, clock, behind):
        self.clock, self.behind = clock, list(behind)

    @property
    def is_behind(self):
        return self.behind[0] if self.behind else False

    def __next__(self):
        if not self.behind:
            raise StopIteration
        self.clock.seconds += self.behind.pop(0)
        return batch()


def batch(silent=0, size=8):
    codes = np.full((1, size), 7)
    codes[0, :silent] = 128
    empty = np.zeros((1, 1, 0), np.float32)
    flat = np.zeros((1, 1), np.float32)
    return Batch(codes, np.ones((1, size), np.float32), flat, empty, flat, flat, flat, empty)


def metrics(nats=2.0):
    accuracy, gradient_norm, weight = 0.5, 1.0, 8.0
    return Metrics(*map(jnp.float32, (nats, accuracy, gradient_norm, weight)))


def test_waiting_is_what_a_batch_takes_after_the_device_was_done(clock, monkeypatch):
    def finish(_):  # three seconds, in which the loader works as well
        clock.seconds += 3

    monkeypatch.setattr(meter.jax, "block_until_ready", finish)
    counted = Meter(CONFIG, Tally(), 0)
    ready: Any = Slow(clock, [False, True, False, True])
    for step, _ in enumerate(counted.batches(ready), 1):
        counted.add(step, metrics())
    line = counted.line(4, batch(), metrics())
    assert line.wait_share == 2 / 8  # two seconds of waiting, six that the device needed
    assert line.steps_per_second == 4 / 8
    assert line.samples_per_second == 4 * 8 / 8


def test_what_was_before_a_restart_counts_in_no_rate(clock):
    counted = Meter(CONFIG, Tally(heard_samples=1000), 10)
    counted.add(11, metrics())
    clock.seconds += 50
    counted.restart(11)
    counted.add(12, metrics())
    clock.seconds += 2
    line = counted.line(12, batch(silent=2), metrics())
    assert line.steps_per_second == 0.5
    assert line.samples_per_second == 4
    assert line.audio_hours == (1000 + 16) / 16_000 / 3600
    assert line.silence_share == 0.25
    assert line.seconds_left == (CONFIG.training.steps - 12) / 0.5


def test_a_line_counts_the_steps_that_were_still_running(clock):
    counted = Meter(CONFIG, Tally(), 0)
    for step, nats in enumerate((2.0, np.nan, 2.0, np.nan), 1):
        counted.add(step, metrics(nats))
    assert counted.tally.skipped_steps == 1  # the newest two were not looked at yet
    clock.seconds += 1
    assert counted.line(4, batch(), metrics()).skipped_steps == 2
    assert counted.tally.astray_in_a_row == 1


def test_the_memory_of_this_machine_is_told():
    assert meter.memory_bytes() > 10 * 2**20  # Python and jax alone take more
