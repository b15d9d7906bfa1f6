"""What is asked of the sampler, and how it is cut into the stretches that it is made in."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from wavegen import curves
from wavegen.audio import signals
from wavegen.config import Config
from wavegen.curves import Curve
from wavegen.errors import WavegenError
from wavegen.music import frames
from wavegen.music.score import Score

BLOCK_SECONDS = 0.25  # of sound that the conditioner hears at once, where nothing is fed back


@dataclass(frozen=True)
class Draws:
    """How codes are drawn from their distribution."""

    seed: int = 0
    temperature: float | Curve = 1.0  # 0 takes the likeliest code
    top_k: int = 0  # 0: off
    top_p: float | Curve = 1.0  # 1: off

    def __post_init__(self) -> None:
        for name, value, low, high, words in (
            ("seed", self.seed, 0, 2**32 - 1, "a whole number from 0 to 4294967295"),
            ("temperature", self.temperature, 0, 100, "0 (always the likeliest) to 100"),
            ("top-k", self.top_k, 0, 65_536, "0 (off) or a number of codes"),
            ("top-p", self.top_p, 1e-6, 1, "above 0, up to 1 (off)"),
        ):
            least, most = curves.extremes(value)
            if not (low <= least and most <= high):  # also refuses what is not a number
                raise WavegenError(f"{name} is {value}", words)

    def later(self, seconds: float) -> Draws:
        """The same draws, whose curves begin so much later."""
        moved = {
            name: value.later(seconds)
            for name, value in (("temperature", self.temperature), ("top_p", self.top_p))
            if isinstance(value, Curve)
        }
        return replace(self, **moved)

    def story(self) -> dict[str, Any]:
        """The settings as JSON holds them; a curve in the words that it is asked for with."""
        return {
            "seed": self.seed,
            "temperature": _told(self.temperature),
            "top_k": self.top_k,
            "top_p": _told(self.top_p),
        }


def _told(value: float | Curve) -> float | str:
    return str(value) if isinstance(value, Curve) else value


@dataclass(frozen=True)
class Request:
    """What is asked for, for a batch of B streams."""

    num_frames: int | None  # F, of each stream; None: until nobody asks for more
    scores: tuple[Score, ...]  # B: what each plays; not heard without the signal "notes"
    # [B, number of labels] int32, -1 unknown; or [B, number of values] float32: their shares
    labels: np.ndarray
    streams: np.ndarray  # [B] int: the number of each stream; names its random draws
    forced: np.ndarray | None = None  # [B, up to F*P] int32 codes to begin with; -1: draw
    acoustics: np.ndarray | None = None  # [B, F, D] float32: what is heard of a recording


class Stretch(NamedTuple):
    """Some frames of B streams, as conditioner and kernel hear them."""

    notes: np.ndarray  # [B, F, 256] float32; [B, F, 0] where no signal wants them
    periods: np.ndarray  # [B, F] float32 samples; read by a periodic or steered predictor
    ages: np.ndarray  # [B, F] float32 samples since those notes began; read by a steered one
    acoustics: np.ndarray  # [B, F, D] float32; D = 0 where no signal wants them
    codes: np.ndarray | None  # [B, N*P] int32; -1 where one shall be drawn; None: everywhere
    num_frames: int  # N <= F: the frames that the kernel makes
    first: int = 0  # number of its first frame


def block_frames(config: Config) -> int:
    """Frames of a block: those that the conditioner hears at once where nothing is fed back."""
    return max(1, round(BLOCK_SECONDS / config.frame_seconds))


def stretches(
    config: Config, request: Request, cuts: bool, start: int = 0, block: int | None = None
) -> Iterator[Stretch]:
    """The request from frame `start` on, in blocks of one size, for the compiler's sake.

    The last one reaches beyond the end; `cuts` says whether the kernel stops there instead. The
    codes that are forced are those from `start` on.
    """
    hop, F, B = config.model.hop_length, request.num_frames, len(request.scores)
    whole = block or block_frames(config)
    single = 1 if "past" in config.conditioner.signals and block is None else whole
    played = [frames.played(score) for score in request.scores]
    for first in itertools.count(start, whole) if F is None else range(start, F, whole):
        notes = _notes(config, played, first, whole)
        acoustics = _acoustics(config, request, first, whole)
        periods = _periods(config, played, first, acoustics)
        ages = _ages(config, played, first, whole)
        end = first + whole if F is None else min(first + whole, F)
        for at in range(first, end, single):
            count = min(single, end - at) if cuts else single
            forced = _forced(request.forced, (at - start) * hop, count * hop, B)
            here = slice(at - first, at - first + single)
            heard = notes[:, here], periods[:, here], ages[:, here], acoustics[:, here]
            yield Stretch(*heard, forced, count, at)


def _notes(config: Config, played: list[frames.Played], first: int, count: int) -> np.ndarray:
    """What sounds and starts in `count` frames: [B, count, 256], or [B, count, 0] if unheard."""
    if "notes" not in config.conditioner.signals:
        return np.zeros((len(played), count, 0), np.float32)
    return np.stack([frames.notes(each, count, config.frame_seconds, first) for each in played])


def _periods(
    config: Config, played: list[frames.Played], first: int, acoustics: np.ndarray
) -> np.ndarray:  # [B, F]
    """Periods, in samples, of the frames that the acoustic signals are of; zeros if unheard."""
    whose, count = config.model.predictor.periods_of, acoustics.shape[1]
    seconds, rate = config.frame_seconds, config.audio.sample_rate
    if not whose:
        return np.zeros((len(played), count), np.float32)
    if whose == "f0":
        return signals.periods(config.conditioner.acoustic, acoustics, rate)
    rows = [frames.periods(each, count, seconds, first) for each in played]
    return np.stack(rows) * np.float32(rate)


def _ages(config: Config, played: list[frames.Played], first: int, count: int) -> np.ndarray:
    """Samples since the note of the period began, [B, count]; zeros if nobody asks."""
    if not config.model.predictor.is_steered:
        return np.zeros((len(played), count), np.float32)
    rows = [frames.ages(each, count, config.frame_seconds, first) for each in played]
    return np.stack(rows) * np.float32(config.audio.sample_rate)


def _acoustics(config: Config, request: Request, first: int, count: int) -> np.ndarray:
    """Acoustic signals of `count` frames, [B, count, D]; D = 0 if unheard, zeros after the end."""
    if not config.conditioner.acoustic:
        return np.zeros((len(request.scores), count, 0), np.float32)
    if request.acoustics is None:
        raise WavegenError(
            "this network follows a recording, and none was given",
            "what is heard of one: " + ", ".join(config.conditioner.acoustic),
        )
    part = request.acoustics[:, first : first + count]
    return np.pad(part, ((0, 0), (0, count - part.shape[1]), (0, 0)))


def _forced(forced: np.ndarray | None, first: int, count: int, batch: int) -> np.ndarray | None:
    """The stretch of `forced` for one block, free (-1) beyond its end; None if all is free."""
    if forced is None or first >= forced.shape[1]:
        return None
    part = forced[:, first : first + count]
    rest = np.full((batch, count - part.shape[1]), -1, np.int32)
    return np.concatenate([part.astype(np.int32), rest], axis=1)
