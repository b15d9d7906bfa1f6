"""How a call is cut into stretches, each of a launch or of those from fit to fit.

They are short, so that no launch takes long and the host can be interrupted, and small enough for
the device's memory.

Letters as in padding.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import jax

from wavegen_kernels.accelerator.padding import Unit
from wavegen_kernels.accelerator.sample import Plan
from wavegen_kernels.backends import BackendUnavailable
from wavegen_kernels.weights import StackWeights

# A stretch takes some seconds at most: so many samples at 5000 a second, which is slow for a
# kernel, and so many of all streams at 10 million a second.
LONGEST, MOST = 2**14, 2**25
LEAST = 64  # samples, of a longer frame: with fewer, most of the time would go into launches

# What a call takes of a device's memory, in copies of what there is, each filled up: as it comes,
# as a kernel wants it and as it goes, and what XLA keeps in between. As compiled for an H100 and a
# TPU v5e: of queues 3 and 3.5, of conditioning 2.1, of a sample's numbers 7 and 10, of logits 1
# and 3.
QUEUES, CONDITIONINGS, NUMBERS, LOGITS = 4, 2.5, 10, 2


class Stack(NamedTuple):
    """What of the weights is known before anything is compiled."""

    queue_lengths: tuple[int, ...]
    n_codes: int
    channels: int  # R
    window: int
    refit: int  # samples from fit to fit; 0: nothing is fitted
    order: int
    damping: float


class Bytes(NamedTuple):
    """What one stream of a call takes of a device's memory."""

    always: int  # queues, and what the whole call is given and gives
    frame: int  # conditioning, of each frame of a stretch
    sample: int  # numbers and logits, of each sample of a stretch

    def of(self, frames: int, samples: int) -> int:
        """Those of a call whose stretches have so many frames and samples."""
        return self.always + frames * self.frame + samples * self.sample


def shape(weights: StackWeights) -> Stack:
    """What of the weights is known before anything is compiled."""
    linear, refit, order, damping = weights.predictor, 0, 0, 0.0
    if linear is not None and not linear.periodic:
        refit, order, damping = linear.refit, linear.order, linear.damping
    lengths, channels = weights.queue_lengths, weights.residual_channels
    return Stack(lengths, weights.n_codes, channels, weights.window, refit, order, damping)


def cut(
    frames: int, hop: int, most: int, refit: int
) -> Iterator[tuple[slice, slice]]:  # of the frames, of the samples
    """Stretches of whole frames; where a frame alone has more than `most` samples, of its parts.

    A part is whole fits, and so longer than `most` where a fit is.
    """
    if hop <= most:
        for first in range(0, frames, most // hop):
            last = min(first + most // hop, frames)
            yield slice(first, last), slice(first * hop, last * hop)
        return
    fits = max(refit, 1)
    part = max(most // fits, 1) * fits
    for frame in range(frames):
        for first in range(0, hop, part):
            last = min(first + part, hop)
            yield slice(frame, frame + 1), slice(frame * hop + first, frame * hop + last)


def longest(
    name: str,  # of the backend
    of_stream: Bytes,
    batch: int,
    hop: int,
    refit: int,
) -> int:
    """Samples that a stretch may have, or a fit. Raises BackendUnavailable for too many streams."""
    most, there = min(LONGEST, MOST // batch), memory()
    if there is None:
        return most
    least = refit or min(hop, LEAST)
    needed = of_stream.of(1, least)
    if needed * batch > there:
        raise BackendUnavailable(
            name,
            f"{batch} streams of this call want {needed * batch / 2**30:.1f} GiB, this device has "
            f"{there / 2**30:.1f}; it holds {there // needed} streams at once",
        )
    free = there / batch - of_stream.of(1, 0)
    return max(least, min(most, int(free / (of_stream.frame / hop + of_stream.sample))))


def of_stream(
    stack: Stack,
    plan: Plan,
    unit: Unit,
    frames: int,  # of the call
    hop: int,
    given: int,  # bytes of the call's conditioning that lie on the device already
    anchor: int = 0,  # samples, see wavegen_kernels.steering
) -> Bytes:
    """What a stream takes of a device's memory, at most: see QUEUES."""
    layers, channels = len(stack.queue_lengths), unit.filled(stack.channels)
    numbers = stack.n_codes if plan.teacher else 1 + 2 * plan.measured  # that come of a sample
    logits = unit.filled(stack.n_codes) if plan.teacher else 0
    return Bytes(
        # What comes of all stretches is put together at the end, and lies there twice.
        always=4 * QUEUES * (sum(stack.queue_lengths) + layers) * channels
        + given
        + 4 * 2 * frames * hop * numbers,
        frame=int(4 * CONDITIONINGS * (2 * layers * channels + anchor)),
        sample=4 * (NUMBERS + LOGITS * logits),
    )


def memory() -> int | None:
    """Bytes that jax may use of the device; None where it does not say."""
    return (jax.devices()[0].memory_stats() or {}).get("bytes_limit")
