"""What can be measured in sound: the only door to librosa's analysis."""

from __future__ import annotations

import math

import numpy as np

from wavegen.audio import periods

# Where an onset may be: silence put before a sound, so that one that begins at once begins.
_LEAD_SECONDS = 0.1

_ONSET_WINDOW_SECONDS = 0.064
_ONSET_HOP_SECONDS = 0.01
_ONSET_MELS = 40

# How far the rise must stand above its surroundings, in dB averaged over the bands. At 1 dB as
# many are missed as are found without cause, in sequences of real notes.
_ONSET_RISE_DB = 1.0
_FLOOR_POWER = 1e-6


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
    """Fundamental in Hz of one note: the median over what sounds; nan if nothing repeats.

    Moments count whose level is within 20 dB of the loudest. `low_hz` and `high_hz` bound the
    search; a `high_hz` beyond what the rate can carry is lowered.
    """
    samples = np.asarray(samples)
    if not samples.size or not np.isfinite(samples).all() or np.abs(samples).max() < 1e-5:
        return math.nan
    heard = periods.measured(samples, sample_rate, low_hz, high_hz)
    counts = heard.hz[(heard.hz > 0) & (heard.level_db >= heard.level_db.max() - 20)]
    return float(np.median(counts)) if len(counts) else math.nan


def onsets(
    samples: np.ndarray,  # [T] float
    sample_rate: int,
) -> np.ndarray:  # [N] seconds
    """About when something begins, ascending: peaks of the spectral flux, 10 to 20 ms late.

    The flux is librosa's, of levels in mel bands (Boeck and Widmer 2013, "Maximum filter
    vibrato suppression for onset detection", without the filter). A sound that starts loud
    begins with an onset. Samples must be finite.
    """
    import librosa

    lead = round(_LEAD_SECONDS * sample_rate)
    hop = max(1, round(_ONSET_HOP_SECONDS * sample_rate))
    window = 2 ** round(math.log2(_ONSET_WINDOW_SECONDS * sample_rate))
    bands = librosa.feature.melspectrogram(
        y=np.pad(np.asarray(samples, np.float32), (lead, 0)),
        sr=sample_rate,
        n_fft=window,
        hop_length=hop,
        n_mels=_ONSET_MELS,
    )
    levels = librosa.power_to_db(bands, ref=1.0, amin=_FLOOR_POWER, top_db=None)
    rise = librosa.onset.onset_strength(S=levels, sr=sample_rate, hop_length=hop, n_fft=window)
    found = librosa.onset.onset_detect(
        onset_envelope=rise,
        sr=sample_rate,
        hop_length=hop,
        units="time",
        normalize=False,
        delta=_ONSET_RISE_DB,
    )
    return np.maximum(found - lead / sample_rate, 0.0)
