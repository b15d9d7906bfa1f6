"""From what a person asks for to what the sampler wants: labels by name, seconds, recordings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from wavegen.audio import mulaw, signals
from wavegen.config import ACOUSTIC, Config
from wavegen.errors import WavegenError
from wavegen.model.network import Trained
from wavegen.music.score import Score
from wavegen.sampling.request import Request

Shares = Mapping[str, float]  # how much of each value of a label


def known_labels(trained: Trained) -> dict[str, tuple[str, ...]]:
    """The labels that the model hears, with the values that it learned."""
    labels = trained.vocabulary.labels
    return {name: labels[name] for name in trained.config.conditioner.labels}


def label_shares(
    trained: Trained, asked: Mapping[str, str | Shares]
) -> np.ndarray:  # [number of values] float32
    """The shares of all values of all labels, as Request.labels holds them for one stream.

    Each label is asked for by a value, or by several with shares, such as {"piano": 0.6,
    "guitar": 0.4}, which are made to add up to 1. A label that is not asked for takes its first
    value. WavegenError for a label or a value that the model does not know.
    """
    known, rows = known_labels(trained), []
    for name in asked:
        if name not in known:
            raise WavegenError(
                f"the model knows no label '{name}'",
                "one of: " + ", ".join(known) if known else "no label, this model has none",
            )
    for name, values in known.items():
        given = asked.get(name, values[0])
        shares = {given: 1.0} if isinstance(given, str) else dict(given)
        for value, share in shares.items():
            if value not in values:
                raise WavegenError(
                    f"the model knows no {name} '{value}'", "one of: " + ", ".join(values)
                )
            if not (0 <= share < np.inf):
                raise WavegenError(f"the share of {name} {value} is {share}", "0 or more")
        whole = sum(shares.values())
        if not whole > 0:
            raise WavegenError(f"the shares of {name} add up to {whole}", "more than 0")
        rows.append([shares.get(value, 0.0) / whole for value in values])
    return np.array([share for row in rows for share in row], np.float32)


def unknown_labels(trained: Trained) -> np.ndarray:  # [number of values] float32
    """No labels at all: what a window without conditioning was trained with."""
    return np.zeros(sum(map(len, known_labels(trained).values())), np.float32)


def request(
    trained: Trained,
    scores: Sequence[Score],  # B, times from the begin of the new sound on
    labels: np.ndarray,  # [number of values], of all streams
    streams: Sequence[int],  # B
    seconds: float | None,  # of new sound; None: without end
    primer: np.ndarray | None = None,  # [T] float32: what the new sound goes on from
    followed: np.ndarray | None = None,  # [T] float32: a recording that all streams follow
) -> Request:
    """The request for B streams; notes and the recording that is followed come after the primer.

    A model that follows a recording, and is given none, hears zeros, as in a window without
    conditioning.
    """
    config, B = trained.config, len(scores)
    primer = np.zeros(0, np.float32) if primer is None else primer
    num_frames = None
    if seconds is not None:
        length = len(primer) + round(seconds * config.audio.sample_rate)
        num_frames = -(-length // config.model.hop_length)
    forced = mulaw.encode(primer, config.audio.n_codes)
    heard = None
    if config.conditioner.acoustic:
        known = num_frames
        if followed is not None and known is None:
            known = -(-(len(primer) + len(followed)) // config.model.hop_length)
        heard = _acoustics(config, primer, followed, known or 1)
        heard = np.broadcast_to(heard, (B, *heard.shape))
    return Request(
        num_frames=num_frames,
        scores=tuple(score.later(len(primer) / config.audio.sample_rate) for score in scores),
        labels=np.tile(labels, (B, 1)),
        streams=np.asarray(streams, np.int64),
        forced=np.tile(forced, (B, 1)) if len(primer) else None,
        acoustics=heard,
    )


def _acoustics(
    config: Config, primer: np.ndarray, followed: np.ndarray | None, num_frames: int
) -> np.ndarray:  # [F, D]
    """What is heard of a recording, with silence after its end."""
    if followed is None:
        return np.zeros((num_frames, sum(ACOUSTIC[n] for n in config.conditioner.acoustic)), "f")
    rate, hop = config.audio.sample_rate, config.model.hop_length
    samples = np.concatenate([primer, followed])[: num_frames * hop]
    before, after = signals.margins(rate, hop)
    padded = np.pad(samples, (before, num_frames * hop - len(samples) + after))
    return signals.frames(config.conditioner.acoustic, padded[None], rate, hop)[0]
