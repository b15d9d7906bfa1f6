"""What a network can hear of a given recording, frame by frame: mel, mfcc, f0 and loudness.

Frame f stands for the samples [f*P, (f+1)*P) and is measured in a window around their middle.
So it depends on the samples around it alone: frames of a part are those of the whole.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Sequence

import numpy as np

from wavegen.config import ACOUSTIC

_WINDOW_SECONDS = 0.064  # at least two periods of the lowest pitches
_LOWEST_POWER = 1e-10  # -100 dB below a sine at full scale
_VOICED = 0.5  # least likeness of a frame to itself one period later
_AUDIBLE_DB = -60.0  # A-weighted, below a sine at full scale
_HIGHEST_HZ = 2000.0  # beyond it lags of whole samples tell pitches badly apart


def margins(sample_rate: int, hop_length: int) -> tuple[int, int]:
    """Samples that must be known before the first frame and after the last one."""
    around = _window(sample_rate, hop_length) - hop_length
    return around // 2, around - around // 2


def frames(
    names: Sequence[str],  # of config.ACOUSTIC, in order
    samples: np.ndarray,  # [B, before + F*P + after] float32 in [-1, 1]; see `margins`
    sample_rate: int,
    hop_length: int,
) -> np.ndarray:  # [B, F, D] float32
    """The acoustic signals of F frames, one after the other along D.

    `mel`: power of 64 bands; `mfcc`: 20 coefficients of those; `f0_loudness`: the fundamental
    as a MIDI pitch with its fraction (0 where nothing is voiced) by yin (de Cheveigné and
    Kawahara 2002), and A-weighted loudness, the pair that steers DDSP (Engel et al. 2020,
    arXiv 2001.04643, section 3.1). Levels are in dB below a sine at full scale, moved and
    scaled to lie in about [-2, 2].
    """
    before, after = margins(sample_rate, hop_length)
    B, F = len(samples), (samples.shape[1] - before - after) // hop_length
    if not names:
        return np.zeros((B, F, 0), np.float32)
    power = _power(samples, sample_rate, hop_length)
    parts = []
    for name in names:
        if name == "f0_loudness":
            level = _loudness_db(power, sample_rate)
            pitch = _pitches(samples, sample_rate, hop_length)
            pitch = np.where(level > _AUDIBLE_DB, pitch, 0.0)
            parts.append(np.stack([pitch, _scaled(level)], axis=-1))
        else:
            mel = _mel(power, sample_rate)
            parts.append(mel if name == "mel" else _mfcc(mel))
    return np.concatenate(parts, axis=-1).astype(np.float32)


def periods(
    names: Sequence[str],
    acoustics: np.ndarray,  # [B, F, D], as `frames` made them of the same names
    sample_rate: int,
) -> np.ndarray:  # [B, F] float32
    """Samples in a period of the fundamental, which is among the signals; 0 where nothing is."""
    at = sum(ACOUSTIC[name] for name in names[: names.index("f0_loudness")])
    pitch = acoustics[..., at]
    length = sample_rate / (440 * 2 ** ((pitch - 69) / 12))
    return np.where(pitch > 0, length, 0).astype(np.float32)


def level_db(
    mel: np.ndarray,  # [...], `mel` as `frames` made it
) -> np.ndarray:  # [...]
    """Levels in dB below a sine at full scale, -100 at the least: the scaling undone."""
    return 25 * mel - 50


def _window(sample_rate: int, hop_length: int) -> int:
    """Samples that a frame is measured in: a power of two, no shorter than the frame."""
    return 2 ** math.ceil(math.log2(max(_WINDOW_SECONDS * sample_rate, hop_length, 64)))


def _power(samples: np.ndarray, sample_rate: int, hop_length: int) -> np.ndarray:
    """Spectrum [B, F, bins]; a sine at full scale has 1 in its bin."""
    import librosa

    n = _window(sample_rate, hop_length)
    spectrum = librosa.stft(samples, n_fft=n, hop_length=hop_length, center=False)
    return np.moveaxis(np.abs(spectrum) ** 2, 1, 2) / np.float32((n / 4) ** 2)  # of a Hann window


def _mel(power: np.ndarray, sample_rate: int) -> np.ndarray:
    """Levels of the mel bands [B, F, 64]."""
    filters = _mel_filters(sample_rate, 2 * (power.shape[-1] - 1))
    return _scaled(_db(power @ filters.T))


@functools.lru_cache(maxsize=4)
def _mel_filters(sample_rate: int, n_fft: int) -> np.ndarray:  # [64, bins]
    import librosa

    with warnings.catch_warnings():
        # At low rates a band may lie between two bins; it is at the floor then.
        warnings.filterwarnings("ignore", message="Empty filters")
        return librosa.filters.mel(sr=sample_rate, n_fft=n_fft, n_mels=ACOUSTIC["mel"], norm=None)


def _mfcc(mel: np.ndarray) -> np.ndarray:
    """Cepstral coefficients [B, F, 20] of mel levels."""
    import librosa

    found = librosa.feature.mfcc(S=np.moveaxis(mel, 1, 2), n_mfcc=ACOUSTIC["mfcc"])
    return np.moveaxis(found, 1, 2) / 4  # the first is eight times the mean level


def _loudness_db(power: np.ndarray, sample_rate: int) -> np.ndarray:
    """A-weighted level [B, F] in dB below a sine of 1 kHz at full scale."""
    import librosa

    hertz = librosa.fft_frequencies(sr=sample_rate, n_fft=2 * (power.shape[-1] - 1))
    audible = np.maximum(hertz, 1.0)  # the formula knows no 0 Hz
    weights = 10 ** (librosa.A_weighting(audible, min_db=None) / 10)
    # The Hann window spreads a sine over bins whose powers add up to 1.5.
    return _db(power @ weights / 1.5)


def _pitches(samples: np.ndarray, sample_rate: int, hop_length: int) -> np.ndarray:
    """MIDI pitch of each frame [B, F]; 0 where it does not repeat itself."""
    import librosa

    n = _window(sample_rate, hop_length)
    hertz = librosa.yin(
        samples,
        fmin=2.5 * sample_rate / n,
        fmax=min(_HIGHEST_HZ, sample_rate / 5),
        sr=sample_rate,
        frame_length=n,
        hop_length=hop_length,
        center=False,
    )
    pitch = np.clip(69 + 12 * np.log2(hertz / 440), 0, 127)
    return np.where(_likeness(samples, sample_rate / hertz, n, hop_length) >= _VOICED, pitch, 0.0)


def _likeness(
    samples: np.ndarray,
    periods: np.ndarray,  # [B, F] samples
    n: int,
    hop_length: int,
) -> np.ndarray:  # [B, F], up to 1
    """How like each frame is to itself one period later."""
    framed = np.lib.stride_tricks.sliding_window_view(samples, n, axis=1)[:, ::hop_length]
    lags = np.rint(periods).astype(np.int64)[..., None]
    here = framed[..., : n // 2]
    later = np.take_along_axis(framed, lags + np.arange(n // 2), axis=2)
    energy = (here**2).sum(axis=-1) + (later**2).sum(axis=-1)
    return 2 * (here * later).sum(axis=-1) / np.maximum(energy, 1e-12)


def _db(power: np.ndarray) -> np.ndarray:
    return 10 * np.log10(np.maximum(power, _LOWEST_POWER))


def _scaled(level_db: np.ndarray) -> np.ndarray:
    return (level_db + 50) / 25
