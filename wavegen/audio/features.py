"""What can be measured in sound: the only door to librosa's analysis."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

# Yin interpolates between lags with a parabola; with fewer samples in a period than
# this the parabola is off by tens of cents.
_SAMPLES_PER_SHORTEST_PERIOD = 24


def midi_hz(pitch: float) -> float:
    """Frequency in Hz of a MIDI pitch; 69 is 440 Hz."""
    return 440.0 * 2.0 ** ((pitch - 69) / 12)


def cents(measured_hz: float, midi_pitch: float) -> float:
    """How far a frequency lies above (or, negative, below) a MIDI pitch, in cents."""
    return 1200 * math.log2(measured_hz / midi_hz(midi_pitch))


def fundamental(
    samples: np.ndarray,  # [T] float
    sample_rate: int,
    low_hz: float,
    high_hz: float,
) -> float:
    """Fundamental in Hz of one note: the median of yin over what sounds; nan if nothing does.

    Frames count whose RMS is within 20 dB of the loudest. `low_hz` and `high_hz` bound the
    search; a `high_hz` beyond what the rate can carry is lowered.
    """
    import librosa

    samples = np.asarray(samples, np.float32)
    if not samples.size or not np.isfinite(samples).all() or np.abs(samples).max() < 1e-5:
        return math.nan
    times = math.ceil(_SAMPLES_PER_SHORTEST_PERIOD * high_hz / sample_rate)
    if times > 1:
        samples = librosa.resample(
            samples, orig_sr=sample_rate, target_sr=sample_rate * times, res_type="soxr_hq"
        )
        sample_rate *= times
    # Eight of the longest periods keep yin's bias below 5 cents; a short sound has to do
    # with fewer.
    longest = sample_rate / low_hz
    frame_length = 2 * math.ceil(max(1.25 * longest, min(4 * longest, len(samples) / 4)))
    if len(samples) < frame_length:
        samples = np.pad(samples, (0, frame_length - len(samples)))
    framing: dict[str, Any] = {
        "frame_length": frame_length,
        "hop_length": frame_length // 4,
        "center": False,
    }
    high_hz = min(high_hz, sample_rate / 2)
    pitches = librosa.yin(samples, fmin=low_hz, fmax=high_hz, sr=sample_rate, **framing)
    rms = librosa.feature.rms(y=samples, **framing)[0]
    return float(np.median(pitches[rms >= 0.1 * rms.max()]))
