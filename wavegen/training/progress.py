"""What a training tells of itself: the lines of its log and of metrics.jsonl."""

from __future__ import annotations

from typing import NamedTuple


class Progress(NamedTuple):
    """What a log line says; `metrics.jsonl` holds the same."""

    step: int
    steps: int
    nats: float  # of this step's batch; not finite where the step was skipped
    bits_per_sample: float
    accuracy: float
    learning_rate: float
    gradient_norm: float
    steps_per_second: float
    samples_per_second: float  # that carried loss
    audio_hours_per_hour: float
    seconds_left: float
    silence_share: float  # of the codes that this step had to foretell
    wait_share: float  # of the time since the last line: the device had nothing to do but wait
    audio_hours: float  # learnt from so far
    skipped_steps: int  # so far, for a gradient that was no number
    memory_bytes: int  # the most so far, of the device, else of the process; 0: unknown


class Validation(NamedTuple):
    """What a validation says; of the moving average of the parameters."""

    step: int
    validation_bits_per_sample: float
    validation_accuracy: float


class Saved(NamedTuple):
    """What had been counted when a checkpoint was written, so that a resume counts on."""

    step: int
    saved_heard_samples: int
    saved_skipped_steps: int


class Warned(NamedTuple):
    """What health had to say."""

    step: int
    warning: str  # the name of the condition
    words: str


class Outcome(NamedTuple):
    """How a training ended."""

    step: int
    interrupted: bool
    validation_bits_per_sample: float | None
    signal: int = 0  # the number of the one that interrupted it
