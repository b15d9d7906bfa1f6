"""How fast a song is played, how soon a stream is heard, and what an hour of it takes.

    taskset -c 0 python benchmarks/bench_playing.py
    taskset -c 0 python benchmarks/bench_playing.py --stream-minutes 60

A network of case `small` (R32 S128 H256, 20 layers) at 16 kHz that hears notes, with random
weights: what it plays is noise, at the cost of music. `--midi FILE` plays that instead of the
script's own song of two minutes. Repeats are interleaved; the median is told, and the range.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from wavegen import Generator
from wavegen.audio import files, mastering
from wavegen.audio.mastering import Mastering
from wavegen.config import Audio, Conditioner, Config, Model, Training, Vocabulary
from wavegen.model import network
from wavegen.model.network import Trained
from wavegen.music import midi
from wavegen.music.score import Note
from wavegen.music.song import Song
from wavegen.sampling import arrangement, casting, render
from wavegen.sampling.request import Draws
from wavegen_kernels import backends

RATE = 16_000
SECONDS = 120
NUM_NOTES = 480
PRIMER_SECONDS = 30.0
VELOCITIES = (25, 50, 75, 100, 127)  # those of NSynth


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--precision", default="bfloat16", choices=backends.PRECISIONS)
    parser.add_argument("--midi", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--stream-minutes", type=float, help="stream so much, and nothing else")
    options = parser.parse_args()
    generator = Generator(_trained(), "numba_cpu", options.precision)
    if options.stream_minutes:  # by itself, for the memory is that of the process
        _stream(generator, options.stream_minutes)
        return
    song = midi.song(options.midi) if options.midi else _song()
    playing, hearing = [], []
    for _ in range(options.repeats):
        playing.append(_play(generator, song))
        hearing.append(_first_block(generator))
    lasts = playing[0][1]
    print(f"song        {_spread([lasts / spent for spent, _ in playing])} x real time")
    print(f"first block {_spread([1000 * seconds for seconds in hearing])} ms")
    for name, speeds in _primers(generator, options.repeats).items():
        print(f"{name:11} {_spread(speeds)} x real time")


def _trained() -> Trained:
    config = Config(
        audio=Audio(RATE),
        model=Model(32, 128, 256, 10, 2, 2, hop_length=128),
        conditioner=Conditioner(("notes",), (), "lstm", 64, 64),
        training=Training(crop_samples=8192),
    )
    vocabulary = Vocabulary({}, tuple(range(21, 109)), VELOCITIES)
    return Trained(config, vocabulary, *network.create(config, vocabulary, 0), 0)


def _song() -> Song:
    """Notes of a pianist who does not repeat a length: each is held for 0.1 to 2.5 seconds."""
    random = np.random.default_rng(0)
    onsets = np.sort(random.uniform(0, SECONDS - 3, NUM_NOTES)).tolist()
    holds = np.exp(random.uniform(np.log(0.1), np.log(2.5), NUM_NOTES)).tolist()
    pitches = random.normal(62, 10, NUM_NOTES).round().clip(30, 96).astype(int).tolist()
    velocities = random.integers(30, 110, NUM_NOTES).tolist()
    return Song.of(map(Note, onsets, holds, pitches, velocities))


def _play(generator: Generator, song: Song) -> tuple[float, float]:
    """Seconds that a song takes from its notes to a mastered WAV, and seconds that it lasts."""
    begin = time.perf_counter()
    trained = generator.trained
    cast = casting.cast(trained, song, {})
    arranged = arrangement.arrange(song, cast.voices, trained.config, trained.vocabulary)
    mixes = render.render(trained, arranged, Draws(), generator.backend, generator.precision)
    blocks = [mix.sum(axis=1) for mix in mixes]
    asked = Mastering(remove_dc=True, loudness_lufs=-18.0, dither=True)
    finished, _ = mastering.master(lambda: iter(blocks), RATE, arranged.num_samples, 1, asked)
    with tempfile.TemporaryDirectory() as folder:
        files.write(Path(folder) / "song.wav", np.concatenate(list(finished))[:, 0], RATE)
    spent, lasts = time.perf_counter() - begin, arranged.num_samples / RATE
    made = sum(kind.hold_frames * 128 + arranged.release_samples for kind in arranged.kinds) / RATE
    print(
        f"{len(arranged.placed)} notes, {len(arranged.kinds)} distinct, {made:.0f} s of sound: "
        f"{lasts:.1f} s in {spent:.1f} s"
    )
    return spent, lasts


def _first_block(generator: Generator) -> float:
    """Seconds from asking for a stream to its first block."""
    begin = time.perf_counter()
    next(generator.stream(pitch=60))
    return time.perf_counter() - begin


def _primers(generator: Generator, repeats: int) -> dict[str, list[float]]:
    """How fast a recording is heard: in parallel, and by the loop over samples."""
    primer = np.sin(np.arange(round(PRIMER_SECONDS * RATE)) / 20).astype(np.float32) / 2
    whole = len(primer) // 8192 * 8192  # what is beyond is heard by the loop in either case
    spent: dict[str, list[float]] = {"in parallel": [], "by the loop": []}
    for _ in range(repeats + 1):
        for name, samples in (("in parallel", primer[:whole]), ("by the loop", None)):
            begin = time.perf_counter()
            if samples is None:
                for _ in generator.stream(PRIMER_SECONDS, pitch=60):
                    pass
            else:
                next(generator.stream(1.0, pitch=60, primer=samples))
            spent[name].append(PRIMER_SECONDS / (time.perf_counter() - begin))
    return {name: speeds[1:] for name, speeds in spent.items()}  # the first compiles


def _stream(generator: Generator, minutes: float) -> None:
    begin, done = time.perf_counter(), 0
    for block in generator.stream(60 * minutes, pitch=60, hold=1e9):
        done += len(block)
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    speed = done / RATE / (time.perf_counter() - begin)
    print(f"{minutes:g} minutes streamed: {speed:.2f} x real time, {memory_mb:.0f} MB at most")


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.3g} ({min(values):.3g} ... {max(values):.3g})"


if __name__ == "__main__":
    main()
