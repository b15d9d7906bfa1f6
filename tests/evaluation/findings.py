"""What an evaluation finds, made up: facts of the shape that report.write takes, with sounds."""

import numpy as np

from wavegen.audio import files
from wavegen.evaluation.metrics.measures import NotApplicable

RATE = 8000
SECONDS = 0.5
FAMILIES = ("bass", "brass", "flute", "guitar", "keyboard", "mallet", "vocal")


def of_run(folder, num=3):
    """Every section that the evaluation of a run may have, and `num` clips with their sounds."""
    rng = np.random.default_rng(0)
    confidence = (np.arange(15) + 0.5) / 15
    hits = rng.random(15)
    return {
        "format_version": 1,
        "version": "0.1.0",
        "made": "2026-11-21T10:00:00Z",
        "subject": {
            "kind": "run", "run": "runs/notes", "step": 4000, "data": "corpora/notes",
            "split": "valid", "sample_rate": RATE, "recordings": 48, "seconds": 192.0,
            "parameters": 123456, "receptive_field_seconds": 0.256,
        },
        "remarks": ["The corpus is small: intervals are wide.", "Weights: the moving average."],
        "likelihood": {
            "bits_per_sample": 1.94, "bits_per_sample_low": 1.9, "bits_per_sample_high": 1.99,
            "top1_accuracy": 0.41, "calibration_error": 0.012,
            "calibration": {
                "confidence": list(confidence),
                "accuracy": list(np.clip(confidence + rng.normal(0, 0.03, 15), 0, 1)),
                "share": list(hits / hits.sum()),
            },
            "pit": list(np.linspace(1, 1.3, 20) / np.linspace(1, 1.3, 20).sum()),
            "by_label": {"instrument_family": {name: _by_label(rng) for name in FAMILIES}},
            "by_recording": [_recording(rng, i) for i in range(16)],
        },
        "baselines": {
            "markov_0_bits": 5.61, "markov_1_bits": 3.9, "markov_2_bits": 3.42,
            "linear_predictor_bits": 2.25,
        },
        "precisions": {
            name: {
                "bits_per_sample": 1.94 + cost, "cost_bits": cost, "nats_from_float32": cost / 2,
                "same_likeliest": 1 - cost,
            }
            for name, cost in (("float32", 0.0), ("bfloat16", 0.002), ("int8", 0.011))
        },
        "reconstruction": {
            "model": {
                "mse": 1.23e-5, "psnr_db": 49.1, "snr_db": 24.2, "log_spectral_distance_db": 9.3,
                "multi_resolution_stft": 0.72, "mfcc_distance": 41.0,
            },
            "mu_law": {
                "mse": 2.1e-6, "psnr_db": 56.7, "snr_db": 37.9, "log_spectral_distance_db": 5.2,
                "multi_resolution_stft": 0.31, "mfcc_distance": 18.0,
            },
        },
        "generated": {
            "model": {
                "pitch_within_50_cents": 0.87, "pitch_error_cents": 6.1, "octave_errors": 0.03,
                "voiced_share": 0.91, "onset_error_ms": 11.0, "onset_f_measure": 0.96,
                "loudness_distance_db": NotApplicable("every clip is silent"),
            },
            "real": {
                "pitch_within_50_cents": 0.957, "pitch_error_cents": 3.3, "octave_errors": 0.02,
                "voiced_share": 0.97, "onset_error_ms": 6.0, "onset_f_measure": 1.0,
                "loudness_distance_db": 0.0,
            },
            "settings": {"num": num, "seed": 0, "temperature": 1.0, "top_k": None},
            "clips": [_clip(folder, i) for i in range(num)],
        },
        "sets": {
            "generated": {
                "frechet_mfcc": 31.0, "frechet_log_mel": 12.4, "ndb_share": 0.28,
                "jensen_shannon": 0.071, "nearest_within": 17.2, "nearest_known": 14.9,
                "copies": 0.0,
            },
            "real": {
                "frechet_mfcc": 8.0, "frechet_log_mel": 3.9, "ndb_share": 0.06,
                "jensen_shannon": 0.022, "nearest_within": 18.8, "nearest_known": 15.3,
                "copies": NotApplicable("they were not trained on"),
            },
        },
    }  # fmt: skip


def of_sounds(folder, num=2):
    """What is found of two folders of sounds."""
    names = [f"take {i}" for i in range(num)]
    measured = {"snr_db": 17.3, "si_sdr_db": 17.1, "log_spectral_distance_db": 6.0}
    return {
        "format_version": 1,
        "version": "0.1.0",
        "made": "2026-11-21T10:00:00Z",
        "subject": {
            "kind": "sounds", "reference": "real", "estimate": "made", "sample_rate": RATE,
            "pairs": num, "seconds": num * SECONDS,
        },
        "remarks": [],
        "pair": {**measured, "raw_pitch_accuracy": NotApplicable("no frame is voiced")},
        "pairs": [
            {
                "name": name, **measured, "raw_pitch_accuracy": NotApplicable("no frame is voiced"),
                "reference": _sound(folder, f"{i:03}_reference", 300),
                "estimate": _sound(folder, f"{i:03}_estimate", 310),
            }
            for i, name in enumerate(names)
        ],
    }  # fmt: skip


def _by_label(rng):
    bits = rng.uniform(1.2, 2.6)
    wide = rng.uniform(0.05, 0.3)
    return {
        "recordings": int(rng.integers(3, 12)), "seconds": 12.0, "bits_per_sample": bits,
        "bits_per_sample_low": bits - wide, "bits_per_sample_high": bits + 1.3 * wide,
        "top1_accuracy": rng.uniform(0.3, 0.6),
    }  # fmt: skip


def _recording(rng, number):
    return {
        "name": f"{FAMILIES[number % 7]}_{number:03}-060-100", "seconds": 4.0,
        "bits_per_sample": rng.uniform(1, 3), "top1_accuracy": rng.uniform(0.2, 0.7),
        "snr_db": NotApplicable("it is silent") if number == 3 else rng.uniform(10, 30),
    }  # fmt: skip


def _clip(folder, number):
    pitch = 57 + 3 * number
    return {
        "name": f"guitar-{pitch:03}",
        "asked": f"pitch {pitch}, velocity 100, instrument guitar",
        "generated": _sound(folder, f"{number:03}_generated", 440 * 2 ** ((pitch - 68.9) / 12)),
        "real": _sound(folder, f"{number:03}_real", 440 * 2 ** ((pitch - 69) / 12)),
        "seconds": SECONDS, "pitch_cents": -3.2, "voiced_share": 0.93, "onset_ms": 8.0,
        "loudness_distance_db": NotApplicable("the clip is silent") if number else 2.1,
        "nearest_known": "guitar-059", "nearest_distance": 11.2,
        "trouble": ["silence from 0.0 to 0.3 s: nothing sounds"] if number == 1 else [],
    }  # fmt: skip


def _sound(folder, name, hz):
    time = np.arange(round(SECONDS * RATE)) / RATE
    partials = sum(np.sin(2 * np.pi * k * hz * time) / k**1.5 for k in range(1, 8))
    sound = 0.3 * np.exp(-3 * time) * partials + 1e-4
    files.write(folder / "sounds" / f"{name}.wav", sound.astype(np.float32), RATE)
    return f"sounds/{name}.wav"
