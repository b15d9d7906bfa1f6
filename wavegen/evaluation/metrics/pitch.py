"""Pitch: whether a note is the one asked for, and how the pitch of a sound follows another's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from wavegen.audio import features, periods
from wavegen.evaluation.metrics import measures
from wavegen.evaluation.metrics.measures import Measure, NotApplicable

# A piano's keys, A0 to C8, and a semitone more on either side, which a key may be out of tune.
LOWEST_PITCH, HIGHEST_PITCH = 21, 108
_LOW_HZ, _HIGH_HZ = features.midi_hz(LOWEST_PITCH - 1), features.midi_hz(HIGHEST_PITCH + 1)

WITHIN_CENTS = 50.0

# Voiced is what repeats with more than half of its energy: noise of any colour stays below
# this, real notes lie above, down to the low strings of a piano, whose partials are stretched.
_VOICED_CLARITY = 0.5
_AUDIBLE_DB = -60.0

# The sustained part of a note, against its release and against what rings in other notes' place.
_SUSTAINED_DB = 20.0

# What `summary` and `beside` measure, by the names of words.METRICS.
SUMMARY = ("pitch_within_50_cents", "pitch_error_cents", "octave_errors", "voiced_share")
BESIDE = ("raw_pitch_accuracy", "voicing_recall", "voicing_false_alarm", "pitch_error_cents")

_NOT_FINITE = NotApplicable("the sound holds values that are no finite numbers")
_UNVOICED = NotApplicable("no pitch is heard")


@dataclass(frozen=True)
class PitchTrack:
    """The pitch of a sound; frame f is heard around the moment f * hop_seconds."""

    hz: np.ndarray  # [F] float64, a guess where it is not voiced; 0 where there is none
    is_voiced: np.ndarray  # [F] bool
    hop_seconds: float


def track(
    samples: np.ndarray,  # [T] float, finite
    sample_rate: int,
) -> PitchTrack:
    """The pitch of a sound of one voice, every 10 ms, within a piano's range."""
    heard = periods.measured(samples, sample_rate, _LOW_HZ, _HIGH_HZ)
    return PitchTrack(heard.hz, _is_voiced(heard), heard.hop_seconds)


def of_note(
    samples: np.ndarray,  # [T] float
    sample_rate: int,
    midi_pitch: float,
    start_seconds: float,
    end_seconds: float,
) -> dict[str, Measure]:
    """How one note was played: `pitch_cents` above what was asked for, and `voiced_share`.

    The cents are the median over what is voiced and within 20 dB of the loudest, the share is
    that of the asked time, as far as the sound goes. The search is a piano's range whatever
    was asked for, so that a note an octave off is heard an octave off.
    """
    if not _LOW_HZ <= features.midi_hz(midi_pitch) < min(_HIGH_HZ, sample_rate / 2):
        beyond = NotApplicable(
            f"pitch {midi_pitch:g} is beyond what is measured at {sample_rate} Hz"
        )
        return {"pitch_cents": beyond, "voiced_share": beyond}
    start, end = (max(0, round(at * sample_rate)) for at in (start_seconds, end_seconds))
    held = np.asarray(samples)[start:end]
    if not len(held):
        missing = NotApplicable("the sound ends before the note begins")
        return {"pitch_cents": missing, "voiced_share": missing}
    if not np.isfinite(held).all():
        return {"pitch_cents": _NOT_FINITE, "voiced_share": _NOT_FINITE}
    heard = periods.measured(held, sample_rate, _LOW_HZ, _HIGH_HZ)
    voiced = _is_voiced(heard)
    sustained = voiced & (heard.level_db >= heard.level_db.max() - _SUSTAINED_DB)
    return {
        "pitch_cents": features.cents(float(np.median(heard.hz[sustained])), midi_pitch)
        if sustained.any()
        else _UNVOICED,
        "voiced_share": float(voiced.mean()),
    }


def summary(notes: Sequence[Mapping[str, Measure]]) -> dict[str, Measure]:
    """What `of_note` said of many notes, in all; one in which no pitch is heard is out of tune."""
    judged = [note for note in notes if not isinstance(note["voiced_share"], NotApplicable)]
    voiced_share = measures.mean(note["voiced_share"] for note in notes)
    if isinstance(voiced_share, NotApplicable):
        return dict.fromkeys(SUMMARY, voiced_share)
    cents = [note["pitch_cents"] for note in judged]
    heard = [abs(off) for off in cents if not isinstance(off, NotApplicable)]
    octaves_off = [round(off / 1200) for off in heard]
    slips = [
        octaves > 0 and _is_near(off - 1200 * octaves)
        for off, octaves in zip(heard, octaves_off, strict=True)
    ]
    return {
        "pitch_within_50_cents": sum(map(_is_near, heard)) / len(judged),
        "pitch_error_cents": float(np.median(heard)) if heard else _UNVOICED,
        "octave_errors": sum(slips) / len(judged),
        "voiced_share": voiced_share,
    }


def beside(
    reference: np.ndarray,  # [T] float
    estimate: np.ndarray,  # [T'] float
    sample_rate: int,
) -> dict[str, Measure]:
    """How the pitch of one sound follows that of another: `against` of their tracks."""
    if not (np.isfinite(reference).all() and np.isfinite(estimate).all()):
        return dict.fromkeys(BESIDE, _NOT_FINITE)
    return against(track(reference, sample_rate), track(estimate, sample_rate))


def against(reference: PitchTrack, estimate: PitchTrack) -> dict[str, Measure]:
    """One track beside another of the same hop, as far as the reference goes.

    Poliner et al. 2007, "Melody transcription from music audio: approaches and evaluation",
    section IV, as mir_eval.melody reads it: a guess where the estimate is not voiced counts for
    `raw_pitch_accuracy`. `pitch_error_cents` is the median over frames in which both are voiced.
    """
    if reference.hop_seconds != estimate.hop_seconds:
        raise ValueError(f"hops differ: {reference.hop_seconds} and {estimate.hop_seconds} s")
    num = len(reference.hz)
    hz = np.pad(estimate.hz, (0, max(0, num - len(estimate.hz))))[:num]
    voiced = np.pad(estimate.is_voiced, (0, max(0, num - len(estimate.hz))))[:num]
    pitched = (hz > 0) & (reference.hz > 0)
    cents = np.full(num, np.inf)
    cents[pitched] = 1200 * np.abs(np.log2(hz[pitched] / reference.hz[pitched]))
    heard, both = reference.is_voiced, reference.is_voiced & voiced & pitched
    silent = NotApplicable("no pitch is heard in the reference")
    return {
        "raw_pitch_accuracy": _share(cents[heard] < WITHIN_CENTS, silent.reason),
        "voicing_recall": _share(voiced[heard], silent.reason),
        "voicing_false_alarm": _share(voiced[~heard], "the reference is voiced throughout"),
        "pitch_error_cents": float(np.median(cents[both]))
        if both.any()
        else NotApplicable("no pitch is heard in both at once"),
    }


def _is_voiced(heard: periods.Periods) -> np.ndarray:  # [F] bool
    return (heard.clarity > _VOICED_CLARITY) & (heard.level_db > _AUDIBLE_DB)


def _is_near(cents: float) -> bool:
    return abs(cents) <= WITHIN_CENTS


def _share(flags: np.ndarray, reason: str) -> Measure:
    return float(np.mean(flags)) if len(flags) else NotApplicable(reason)
