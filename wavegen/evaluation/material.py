"""Recordings made to be measured with: their samples are known, so what becomes of them is proved.

They are written with the standard library, not through the door that is measured.
"""

from __future__ import annotations

import json
import wave
from pathlib import Path

import numpy as np

from wavegen.audio import features, files, mulaw
from wavegen.config import Config
from wavegen.data.batches import Batch
from wavegen.data.corpus import Corpus
from wavegen.data.items import Split
from wavegen.music import frames
from wavegen.music.score import Score

FULL_SCALE = 32767  # the int16 sample of 1.0
NOTE_RATE, NOTE_SECONDS = 16_000, 4
SONG_RATE, SONG_SECONDS = 44_100, 60
LOWEST, PITCHES, INSTRUMENTS = 36, 49, 10  # of the notes, in turn
NOISE = 0.01  # no two recordings are alike, nor does FLAC make too little of them
SONG_HZ = (440.0, 660.0)  # left and right
SONG_LEVEL = 0.4
CLOSE = 0.01  # of that; the noise moves it by 5e-5, a sample that is missing by 0.015 or more


class Wrong(Exception):
    """What was made of the recordings is not what they hold."""


def note(number: int) -> np.ndarray:  # [T] int16
    """A decaying tone of a pitch of its own."""
    time = np.arange(NOTE_SECONDS * NOTE_RATE) / NOTE_RATE
    tone = 0.5 * np.exp(-time) * np.sin(2 * np.pi * features.midi_hz(_pitch(number)) * time)
    return _with_noise(tone[:, None], number)[:, 0]


def write_notes(folder: Path, count: int) -> None:
    """So many notes as WAV, mono at 16 kHz in 16 bits, laid out as NSynth's are."""
    (folder / "audio").mkdir(parents=True)
    entries = {}
    for number in range(count):
        _write(folder / "audio" / f"{_name(number)}.wav", note(number)[:, None], NOTE_RATE)
        entries[_name(number)] = {
            "note": number, "note_str": _name(number), "pitch": _pitch(number), "velocity": 100,
            "instrument": number % INSTRUMENTS, "instrument_str": _instrument(number),
            "instrument_family": 0, "instrument_family_str": "tone", "instrument_source": 2,
            "instrument_source_str": "synthetic", "sample_rate": NOTE_RATE,
            "qualities": [0] * 10, "qualities_str": [],
        }  # fmt: skip
    (folder / "examples.json").write_text(json.dumps(entries), encoding="utf-8")


def check_notes(corpus: Corpus, count: int) -> None:
    """Raises Wrong unless the corpus holds each note, to within one step of its 16 bits."""
    numbers = {_name(number): number for number in range(count)}
    for split in corpus.splits.values():
        for i, name in enumerate(split.names):
            number = numbers.pop(name, None)
            if number is None:
                raise Wrong(f"nobody wrote {name}")
            written, prepared = note(number).astype(np.int64), split.read(i)
            if len(prepared) != len(written) or np.abs(prepared - written).max() > 1:
                raise Wrong(f"the samples of {name} are not those that were written")
            if [played.pitch for played in split.score(i).notes] != [_pitch(number)]:
                raise Wrong(f"the notes of {name} are not the one that was written")
    if numbers:
        raise Wrong(f"{len(numbers)} of {count} notes are not in the corpus")


def write_songs(folder: Path, count: int) -> None:
    """So many minutes of a tone on the left and one on the right, as FLAC in 16 bits."""
    folder.mkdir(parents=True)
    time = np.arange(SONG_SECONDS * SONG_RATE) / SONG_RATE
    tones = np.stack([SONG_LEVEL * np.sin(2 * np.pi * hz * time) for hz in SONG_HZ], axis=1)
    wav = folder.with_suffix(".wav")
    for number in range(count):
        _write(wav, _with_noise(tones, number), SONG_RATE)
        files.convert_flac(wav, folder / f"{number:04d}.flac")
    wav.unlink()


def check_songs(corpus: Corpus, count: int) -> None:
    """Raises Wrong unless the corpus holds each song whole: both tones, in phase, half as loud."""
    if sum(split.num_items for split in corpus.splits.values()) != count:
        raise Wrong(f"the corpus does not hold {count} songs")
    time = np.arange(SONG_SECONDS * corpus.sample_rate) / corpus.sample_rate
    for split in corpus.splits.values():
        for i, name in enumerate(split.names):
            samples = split.read(i) / FULL_SCALE
            if len(samples) != len(time):
                raise Wrong(f"{name} has {len(samples)} samples, not {len(time)}")
            for hz in SONG_HZ:
                heard = 2 * np.mean(samples * np.sin(2 * np.pi * hz * time))
                if abs(heard - SONG_LEVEL / 2) > CLOSE * SONG_LEVEL / 2:
                    raise Wrong(f"{name} has {heard:.4f} of {hz:g} Hz, not {SONG_LEVEL / 2:g}")


def check_windows(batch: Batch, split: Split, config: Config) -> None:
    """Raises Wrong unless each row is a recording's codes and notes from one of its frames on.

    Where a row lies is looked for, not asked of who made it.
    """
    missing = set(range(len(batch.codes)))
    for i in range(split.num_items):
        codes = mulaw.encode(split.read(i) / FULL_SCALE, config.audio.n_codes)
        missing -= {row for row in missing if _is_in(codes, split.score(i), batch, row, config)}
    if missing:
        raise Wrong(f"{len(missing)} rows of a batch are nowhere in the corpus")


def _is_in(
    codes: np.ndarray,  # [T] of a recording
    score: Score,
    batch: Batch,
    row: int,
    config: Config,
) -> bool:
    """Whether the row begins at a frame of the recording, or in the silence before it."""
    hop, silence = config.model.hop_length, mulaw.silence(config.audio.n_codes)
    before = int(batch.valid[row].argmax())  # frames
    heard = batch.codes[row, before * hop :]
    padded = np.pad(codes, (0, -len(codes) % hop), constant_values=silence).reshape(-1, hop)
    for start in [0] if before else np.flatnonzero((padded == heard[:hop]).all(axis=1)):
        found = padded[start:].ravel()[: len(heard)]
        whole = np.pad(found, (before * hop, len(heard) - len(found)), constant_values=silence)
        if not np.array_equal(whole, batch.codes[row]):
            continue
        if not batch.notes.shape[2]:
            return True
        num_frames, first = batch.notes.shape[1], int(start) - before
        played = frames.notes(score, num_frames, config.frame_seconds, first)
        if np.array_equal(played, batch.notes[row]):
            return True
    return False


def _name(number: int) -> str:
    return f"{_instrument(number)}-{_pitch(number):03d}-{number:05d}"


def _instrument(number: int) -> str:
    return f"tone_synthetic_{number % INSTRUMENTS:03d}"


def _pitch(number: int) -> int:
    return LOWEST + number % PITCHES


def _with_noise(tones: np.ndarray, seed: int) -> np.ndarray:  # [T, C] int16
    noise = np.random.default_rng(seed).standard_normal(tones.shape, np.float32)
    return np.rint(FULL_SCALE * (tones + NOISE * noise)).astype(np.int16)


def _write(path: Path, samples: np.ndarray, sample_rate: int) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(samples.astype("<i2").tobytes())
