"""How probable a network finds recordings: in all, by label and by recording."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from wavegen.data.corpus import Split
from wavegen.evaluation.foretelling import Foretelling
from wavegen.evaluation.metrics.measures import Measure, NotApplicable
from wavegen.model import loss

FEWEST = 10  # recordings, or else seconds, that an interval is drawn from
RESAMPLES = 2000
DRAWN_AT_ONCE = 1 << 20  # parts, of all resamples that are in memory together
TAILS = (2.5, 97.5)  # percent: 95 % lie between


def likelihood(heard: Sequence[Foretelling], split: Split, sample_rate: int) -> dict[str, Any]:
    """The facts of that name: what all recordings come to, then each label, then each recording.

    Bits per sample with their interval (see `interval`); accuracies, confidences and errors are
    shares of 1. The bins of "calibration" are those that hold a sample, and the error is their
    mean distance, each weighed by its share (Guo et al. 2017, arXiv 1706.04599, section 2); the
    shares of "pit" add up to 1.
    """
    assert heard, "there is nothing to sum up"
    bins = np.sum([each.confidence for each in heard], axis=0)
    count, confidence, hits = bins[:, bins[0] > 0]
    confidence, accuracy, share = confidence / count, hits / count, count / count.sum()
    pit = np.sum([each.pit for each in heard], axis=0)
    return _summed(heard) | {
        "calibration_error": float((share * np.abs(confidence - accuracy)).sum()),
        "calibration": {
            "confidence": confidence.tolist(),
            "accuracy": accuracy.tolist(),
            "share": share.tolist(),
        },
        "pit": (pit / pit.sum()).tolist(),
        "by_label": _by_label(heard, split, sample_rate),
        "by_recording": [
            {
                "name": split.names[each.item],
                "seconds": _seconds([each], sample_rate),
                "bits_per_sample": _bits([each]),
                "top1_accuracy": _accuracy([each]),
                "snr_db": each.snr_db,
            }
            for each in heard
        ],
    }


def interval(
    nats: Sequence[np.ndarray],  # of each recording: [S], of each of its seconds
    samples: Sequence[np.ndarray],  # of each recording: [S]
) -> tuple[Measure, Measure]:
    """Within what bits per sample lie in 95 of 100 cases, were other recordings drawn alike.

    Whole recordings are drawn again with replacement, RESAMPLES times, and what all drawn cost
    is divided by their samples (percentile bootstrap: Efron and Tibshirani 1993, "An introduction
    to the bootstrap", section 13.3). Fewer than FEWEST recordings say too little of each other:
    then it is their seconds that are drawn (blocks of a series: Carlstein 1986, "The use of
    subseries values for estimating the variance of a general statistic"), and the interval is of
    more sound from these recordings only. With too few of these too it is not applicable.
    """
    if len(nats) >= FEWEST:
        parts = np.array([[n.sum(), s.sum()] for n, s in zip(nats, samples, strict=True)])
    else:
        parts = np.stack([np.concatenate(nats), np.concatenate(samples)], axis=1)
    if len(parts) < FEWEST:
        reason = f"it takes {FEWEST} recordings or {FEWEST} seconds to tell how sure this is"
        return NotApplicable(reason), NotApplicable(reason)
    random = np.random.default_rng(0)
    drawn, N = [], len(parts)
    for some in np.array_split(np.arange(RESAMPLES), -(-RESAMPLES * N // DRAWN_AT_ONCE)):
        drawn.append(parts[random.integers(0, N, (len(some), N))].sum(axis=1))
    total, count = np.concatenate(drawn).T
    low, high = np.percentile(total / count, TAILS).tolist()
    return loss.bits(low), loss.bits(high)


def _summed(heard: Sequence[Foretelling]) -> dict[str, Measure]:
    low, high = interval([each.nats for each in heard], [each.samples for each in heard])
    return {
        "bits_per_sample": _bits(heard),
        "bits_per_sample_low": low,
        "bits_per_sample_high": high,
        "top1_accuracy": _accuracy(heard),
    }


def _by_label(
    heard: Sequence[Foretelling], split: Split, sample_rate: int
) -> dict[str, dict[str, dict[str, Any]]]:
    """By label, by each of its values that was heard."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for column, (label, values) in enumerate(split.vocabulary.labels.items()):
        for number, value in enumerate(values):
            those = [each for each in heard if split.label_ids[each.item, column] == number]
            if those:
                about = {"recordings": len(those), "seconds": _seconds(those, sample_rate)}
                found.setdefault(label, {})[value] = about | _summed(those)
    return found


def _num_samples(heard: Sequence[Foretelling]) -> int:
    return int(sum(each.samples.sum() for each in heard))


def _seconds(heard: Sequence[Foretelling], sample_rate: int) -> float:
    return _num_samples(heard) / sample_rate


def _bits(heard: Sequence[Foretelling]) -> float:
    return loss.bits(float(sum(each.nats.sum() for each in heard)) / _num_samples(heard))


def _accuracy(heard: Sequence[Foretelling]) -> float:
    return float(sum(each.confidence[2].sum() for each in heard)) / _num_samples(heard)
