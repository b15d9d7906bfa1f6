"""What is counted and clocked while the steps of a training run."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Iterator

import jax
import numpy as np

from wavegen.config import Config
from wavegen.data.batches import Batch
from wavegen.model import loss
from wavegen.training import devices, feed, health, optimizer
from wavegen.training.health import Tally
from wavegen.training.progress import Progress
from wavegen.training.step import Metrics

RUNNING = 2  # steps that the device may be behind before it is asked what came of them


class Meter:
    """Counts steps and samples, and clocks them from `restart` to the line that tells of them."""

    def __init__(self, config: Config, tally: Tally, step: int) -> None:
        self.tally = tally
        self._config = config
        self._running: deque[tuple[int, Metrics]] = deque()
        self.restart(step)

    def restart(self, step: int) -> None:
        """Forgets the time until now: what was done in it was no training."""
        self.settle()
        self._step, self._time, self._waited = step, time.monotonic(), 0.0
        self._heard = self.tally.heard_samples

    def batches(self, ready: feed.Ready) -> Iterator[Batch]:
        """The batches, clocked: the time in which the device has nothing to do but wait for one."""
        while True:
            if ready.is_behind:
                # What the device still has to do is done meanwhile: only what the batch takes
                # beyond that is lost.
                jax.block_until_ready(list(self._running))
            begin = time.monotonic()
            batch = next(ready, None)
            self._waited += time.monotonic() - begin
            if batch is None:
                return
            yield batch

    def add(self, step: int, metrics: Metrics) -> None:
        """Takes in a step that was sent to the device; looks at those that should be done."""
        self._running.append((step, metrics))
        self.settle(RUNNING)

    def settle(self, leave: int = 0) -> None:
        """Waits for all but the newest `leave` steps and counts them.

        Raises WavegenError where several in a row have gone astray.
        """
        while len(self._running) > leave:
            step, metrics = self._running.popleft()
            nats, norm, weight = map(
                float, jax.device_get((metrics.nats, metrics.gradient_norm, metrics.weight))
            )
            self.tally = health.count(self.tally, nats, norm, weight, self._config)
            health.refuse_astray(self.tally, step, nats, norm)

    def line(self, step: int, batch: Batch, metrics: Metrics) -> Progress:
        """What there is to say after a step; the next line is clocked from here."""
        self.settle()
        plan, rate = self._config.training, self._config.audio.sample_rate
        elapsed = max(1e-6, time.monotonic() - self._time)
        steps_per_second = (step - self._step) / elapsed
        samples_per_second = (self.tally.heard_samples - self._heard) / elapsed
        line = Progress(
            step=step,
            steps=plan.steps,
            nats=float(metrics.nats),
            bits_per_sample=loss.bits(float(metrics.nats)),
            accuracy=float(metrics.accuracy),
            # A skipped step takes the optimizer no further.
            learning_rate=float(
                np.asarray(optimizer.schedule(plan)(step - 1 - self.tally.skipped_steps))
            ),
            gradient_norm=float(metrics.gradient_norm),
            steps_per_second=steps_per_second,
            samples_per_second=samples_per_second,
            audio_hours_per_hour=samples_per_second / rate,
            seconds_left=(plan.steps - step) / steps_per_second,
            silence_share=_silence_share(batch, self._config),
            wait_share=min(1.0, self._waited / elapsed),
            audio_hours=self.tally.heard_samples / rate / 3600,
            skipped_steps=self.tally.skipped_steps,
            memory_bytes=memory_bytes(),
        )
        self.restart(step)
        return line


def memory_bytes() -> int:
    """The most memory held so far: of the fullest device, or of the process where none says.

    0 where the system does not tell it.
    """
    stats = [device.memory_stats() for device in jax.local_devices()]
    peaks = [found["peak_bytes_in_use"] for found in stats if found]
    if peaks:
        return max(peaks)
    if os.name == "nt":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak  # Linux counts in KiB


def _silence_share(batch: Batch, config: Config) -> float:
    """Share of SILENCE among the codes that carry loss; of several processes, in this one's."""
    weights = devices.here(batch.weights)
    targets = devices.here(batch.codes)[:, -weights.shape[1] :]
    silent = targets == config.audio.n_codes // 2
    return float((weights * silent).sum() / max(1.0, weights.sum()))
