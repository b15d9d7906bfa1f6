"""A light room: what it answers to an impulse, and sound heard in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from wavegen.audio import blocks as blocks_of

SECONDS = 1.2  # until the room has fallen silent: a small hall
_SEED = 1  # one room for all, whoever plays in it
_ECHO_SECONDS = (0.0071, 0.0113, 0.0179, 0.0237, 0.0313)  # of walls; no two share a divisor
_ECHO_STRETCH = 1.07  # the same walls, as far as they are from the second channel
_ECHO_SHARE = 0.3  # of the energy
_LATE_SECONDS = 0.012  # the echoes are a blur from here on
_LOW_HZ, _HIGH_HZ = 150.0, 5000.0  # rumble would be mud, and walls swallow what is high
_FALL_DB = 60.0  # what "silent" is, as in the reverberation time of acoustics


def room_impulse(sample_rate: int, seconds: float, channels: int) -> np.ndarray:  # [n, C] float64
    """What a room answers to one impulse, 60 dB down after `seconds`; energy 1 on each channel.

    A few early echoes, then noise that decays exponentially (Moorer 1979, "About This
    Reverberation Business"), without the lowest and with less of the highest tones. Each
    channel has its own noise, so that two of them sound wide. The same every time.
    """
    from scipy import signal

    n = impulse_samples(sample_rate, seconds)
    time = np.arange(n) / sample_rate
    falling = 10 ** (-_FALL_DB / 20 * time / seconds)
    random = np.random.Generator(np.random.Philox(_SEED))
    # Drawn a channel at a time, so that the first one is the same in mono and stereo.
    late = np.stack([random.uniform(-1, 1, n) for _ in range(channels)], axis=1)
    late[: min(round(_LATE_SECONDS * sample_rate), n // 4)] = 0
    early = np.zeros((n, channels))
    for channel in range(channels):
        for number, delay in enumerate(_ECHO_SECONDS):
            place = round(delay * _ECHO_STRETCH**channel * sample_rate)
            if place < n:
                early[place, channel] = (-1) ** number
    late, early = late * falling[:, None], early * falling[:, None]
    joined = _unit(late) * (1 - _ECHO_SHARE) ** 0.5 + _unit(early) * _ECHO_SHARE**0.5
    high_hz = min(_HIGH_HZ, 0.4 * sample_rate)
    band = signal.butter(1, (_LOW_HZ, high_hz), "bandpass", fs=sample_rate, output="sos")
    return _unit(np.asarray(signal.sosfilt(band, joined, axis=0)))


def impulse_samples(sample_rate: int, seconds: float) -> int:
    """How many samples the impulse response of a room is long."""
    return max(1, round(seconds * sample_rate))


def reverb(
    blocks: Iterable[np.ndarray],  # [n, C] float32 each
    sample_rate: int,
    wet_db: float,
    seconds: float = SECONDS,
) -> Iterator[np.ndarray]:  # [m, C] float32
    """The sound and, `wet_db` above or below it, the room that it fills.

    The room rings on at the end: in all there are `impulse_samples` - 1 more samples.
    """
    from scipy.fft import next_fast_len

    n = impulse_samples(sample_rate, seconds)
    size = next_fast_len(2 * n, real=True)
    spectrum, tail = np.zeros(0), np.zeros(0)
    for block in blocks_of.recut(blocks, n):  # overlap-add, of blocks as long as the impulse
        if not len(spectrum):
            impulse = room_impulse(sample_rate, seconds, block.shape[1]) * 10 ** (wet_db / 20)
            spectrum, tail = np.fft.rfft(impulse, size, axis=0), np.zeros((n - 1, block.shape[1]))
        heard = np.fft.rfft(block.astype(np.float64), size, axis=0)
        wet = np.fft.irfft(heard * spectrum, size, axis=0)[: len(block) + n - 1]
        wet[: n - 1] += tail
        yield (block + wet[: len(block)]).astype(np.float32)
        tail = wet[len(block) :]
    if len(tail):
        yield tail.astype(np.float32)


def _unit(sound: np.ndarray) -> np.ndarray:
    """Every channel at energy 1; silence stays silence."""
    energy = np.square(sound).sum(axis=0)
    return sound / np.sqrt(np.where(energy > 0, energy, 1.0))
