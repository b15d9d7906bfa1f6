"""Recordings made fit to learn from; each step only where it was asked for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from wavegen.audio import denoising, levels
from wavegen.errors import WavegenError

CUTOFF_HZ = 20.0  # of the high-pass: below what is heard, above any offset
MARGIN_SECONDS = 0.005  # kept around what is trimmed to
LONGEST_SILENCE_SECONDS = 1.0  # longer silences are cut
GAP_SECONDS = 0.3  # down to this
PEAK_DBFS = -1.0  # highest peak after any normalising
RMS_DBFS = -20.0
LOUDNESS_LUFS = -23.0  # the programme loudness of EBU R 128
SHORTEST_LOUDNESS_SECONDS = 0.4  # a gating block of BS.1770
LOWEST_LOUDNESS_RATE = 8000  # Hz; below, the weighting filter has no room
NORMALIZE = ("none", "peak", "rms", "loudness")
OFFSET_SECONDS = 0.1  # whose mean is the offset that the high-pass starts from

Span = tuple[int, int]  # first sample, and the one after the last


@dataclass(frozen=True)
class Cleaning:
    """What was asked to be done to every recording: nothing, unless told."""

    trim_silence: bool = False
    drop_silence: bool = False
    denoise: bool = False
    normalize: str = "none"
    highpass: bool = False
    silence_db: float = levels.SILENT_DBFS  # RMS below the loudest frame's; for trim and drop

    def __post_init__(self) -> None:
        if self.normalize not in NORMALIZE:
            raise WavegenError(
                f"there is no normalizing to '{self.normalize}'", "one of: " + ", ".join(NORMALIZE)
            )
        if not -120 <= self.silence_db <= -10:
            raise WavegenError(f"silence is {self.silence_db} dB", "-120 to -10 dB")

    @property
    def needs_whole(self) -> bool:
        """Whether a recording must be held whole; the high-pass alone takes blocks."""
        return self.trim_silence or self.drop_silence or self.denoise or self.normalize != "none"


NOTHING = Cleaning()


def clean(
    samples: np.ndarray,  # [T] float32
    sample_rate: int,
    cleaning: Cleaning,
) -> tuple[np.ndarray, dict[str, Any]]:  # [T'] float32 in [-1, 1]
    """What was asked, in the order: high-pass, noise, silence, level; and what that did.

    Facts stand only for what was asked. `kept_seconds`, where something was cut out, is the
    list of [start, end] on the old time line that the new one is made of.
    """
    facts: dict[str, Any] = {}
    if cleaning.highpass:
        facts["highpass_hz"] = CUTOFF_HZ
        samples = highpass(samples, sample_rate)
    if cleaning.denoise:
        samples, facts["noise_dbfs"] = denoising.denoise(samples, sample_rate)
        facts["denoised"] = facts["noise_dbfs"] is not None
    spans = [(0, len(samples))]
    if cleaning.trim_silence:
        spans = [trim_silence(samples, sample_rate, cleaning.silence_db)]
        facts["trimmed_start_seconds"] = round(spans[0][0] / sample_rate, 4)
        facts["trimmed_end_seconds"] = round((len(samples) - spans[0][1]) / sample_rate, 4)
    if cleaning.drop_silence:
        start, end = spans[0]
        inside = drop_silence(samples[start:end], sample_rate, cleaning.silence_db)
        spans = [(start + first, start + last) for first, last in inside]
        dropped = end - start - sum(last - first for first, last in inside)
        facts["dropped_seconds"] = round(dropped / sample_rate, 4)
    if spans != [(0, len(samples))]:
        facts["kept_seconds"] = [[a / sample_rate, b / sample_rate] for a, b in spans]
        samples = np.concatenate([samples[start:end] for start, end in spans])
    if cleaning.normalize != "none":
        samples, told = normalize(samples, sample_rate, cleaning.normalize)
        facts |= told
    return np.clip(samples, -1.0, 1.0), facts


def highpass(
    samples: np.ndarray,  # [T] float32
    sample_rate: int,
) -> np.ndarray:  # [T] float32
    """Samples without what lies below 20 Hz, an offset above all."""
    return np.concatenate(list(highpass_blocks([samples], sample_rate)))


def highpass_blocks(
    blocks: Iterable[np.ndarray],  # [n] float32 each
    sample_rate: int,
) -> Iterator[np.ndarray]:
    """`highpass` of a recording that comes in blocks; the first must not be shorter than 0.1 s."""
    for filtered in without_lows(blocks, sample_rate):
        yield np.clip(filtered, -1.0, 1.0).astype(np.float32)


def without_lows(
    blocks: Iterable[np.ndarray],  # [n] or [n, C] float32 each
    sample_rate: int,
) -> Iterator[np.ndarray]:  # the same shapes, float64
    """Blocks without what lies below 20 Hz; the first must not be shorter than 0.1 s.

    A causal Butterworth filter of second order. It starts as if the mean of that time had
    been there for ever, so that an offset does not become a thump. Nothing is clipped.
    """
    from scipy import signal

    sections = signal.butter(2, CUTOFF_HZ, "highpass", fs=sample_rate, output="sos")
    state = None
    for block in blocks:
        if not len(block):
            yield block
            continue
        if state is None:
            # Copied, so that a channel's mean is summed as that of a mono sound is.
            head = block[: math.ceil(OFFSET_SECONDS * sample_rate)].T.copy()
            offset = np.mean(head, axis=-1)
            state = np.multiply.outer(signal.sosfilt_zi(sections), offset)
        filtered, state = signal.sosfilt(sections, block, axis=0, zi=state)
        yield filtered


def trim_silence(
    samples: np.ndarray,  # [T] float32
    sample_rate: int,
    silence_db: float = levels.SILENT_DBFS,
) -> Span:
    """The span from the first to the last frame that is not silent, and 5 ms around it.

    Silent is a frame of 10 ms more than `silence_db` below the loudest; all of a recording
    that holds nothing but zeros is kept.
    """
    frame = levels.frame_samples(sample_rate)
    (sounding,) = np.nonzero(~_silent(samples, frame, silence_db))
    if not len(sounding):
        return 0, len(samples)
    margin = round(MARGIN_SECONDS * sample_rate)
    start = max(0, int(sounding[0]) * frame - margin)
    return start, min(len(samples), (int(sounding[-1]) + 1) * frame + margin)


def drop_silence(
    samples: np.ndarray,  # [T] float32
    sample_rate: int,
    silence_db: float = levels.SILENT_DBFS,
) -> list[Span]:
    """The spans that are left when every silence of over a second is cut to 0.3 s.

    What is cut is the middle of a silence, so that decays and breaths stay. Silent is what
    `trim_silence` says.
    """
    frame = levels.frame_samples(sample_rate)
    silent = np.concatenate([[False], _silent(samples, frame, silence_db), [False]])
    edges = np.flatnonzero(silent[1:] != silent[:-1]) * frame  # starts and ends in turn
    side = round(GAP_SECONDS / 2 * sample_rate)
    cuts = [
        (int(start) + side, min(int(end), len(samples)) - side)
        for start, end in zip(edges[::2], edges[1::2], strict=True)
        if min(int(end), len(samples)) - start > LONGEST_SILENCE_SECONDS * sample_rate
    ]
    bounds = [0, *(place for cut in cuts for place in cut), len(samples)]
    return list(zip(bounds[::2], bounds[1::2], strict=True))


def normalize(
    samples: np.ndarray,  # [T] float32
    sample_rate: int,
    kind: str,  # one of NORMALIZE
) -> tuple[np.ndarray, dict[str, Any]]:  # [T] float32
    """Samples times one gain, and `gain_db`; the peak ends at or below -1 dBFS.

    The aim is that peak, or -20 dBFS RMS, or -23 LUFS (ITU-R BS.1770-4); `limited_by_peak`
    is told where the peak does not let it be reached. Silence, below -80 dBFS RMS, stays.
    """
    peak = float(np.abs(samples).max(initial=0.0))
    power = float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0
    rms_dbfs = float(levels.dbfs(power))
    if kind == "none" or rms_dbfs < levels.QUIETEST_DBFS:
        return samples, {}
    most = PEAK_DBFS - 20 * math.log10(peak)
    gain_db = most
    if kind == "rms":
        gain_db = RMS_DBFS - rms_dbfs
    elif kind == "loudness":
        gain_db = LOUDNESS_LUFS - loudness(samples, sample_rate)
    facts: dict[str, Any] = {"gain_db": round(min(gain_db, most), 2)}
    if gain_db > most:
        facts["limited_by_peak"] = True
    return samples * np.float32(10 ** (min(gain_db, most) / 20)), facts


def loudness(
    samples: np.ndarray,  # [T] or [T, C] float32
    sample_rate: int,
) -> float:
    """Integrated loudness in LUFS by ITU-R BS.1770-4; -inf where all is below its gate.

    It is defined from 0.4 s on; anything shorter is heard in a loop.
    """
    import pyloudnorm

    check_loudness_rate(sample_rate)
    shortest = math.ceil(SHORTEST_LOUDNESS_SECONDS * sample_rate)
    if len(samples) < shortest:
        samples = np.resize(samples, (shortest, *samples.shape[1:]))
    with np.errstate(divide="ignore", invalid="ignore"):  # of blocks that hold only zeros
        measured = pyloudnorm.Meter(sample_rate).integrated_loudness(samples.astype(np.float64))
    return float(measured) if math.isfinite(measured) else -math.inf


def check_loudness_rate(sample_rate: int) -> None:
    """Refuses a rate at which there is no loudness."""
    if sample_rate < LOWEST_LOUDNESS_RATE:
        raise WavegenError(
            f"loudness is asked for at {sample_rate} Hz",
            f"{LOWEST_LOUDNESS_RATE} Hz or more: the weighting of BS.1770 has no room below",
            "normalize to rms or peak instead",
        )


def _silent(samples: np.ndarray, frame: int, silence_db: float) -> np.ndarray:  # [frames] bool
    powers = levels.frame_powers(samples, frame)
    loudest = float(powers.max(initial=0.0))
    if loudest == 0:
        return np.zeros(len(powers), bool)
    return powers < loudest * 10 ** (silence_db / 10)
