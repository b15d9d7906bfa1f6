"""Takes: the files that a call makes, the request that makes them, and their writing."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wavegen.cli.console import Console, key_values
from wavegen.errors import WavegenError

if TYPE_CHECKING:
    import numpy as np

    from wavegen.config import Config
    from wavegen.model.network import Trained
    from wavegen.music.score import Score
    from wavegen.sampling.health import Level
    from wavegen.sampling.sampler import Draws, Request


@dataclass(frozen=True)
class Take:
    """One file to be made."""

    path: Path
    stream: int  # number of its random stream; the take's number, whatever the pitch
    pitch: int | None
    velocity: int | None
    hold_seconds: float | None


def choose_labels(
    trained: Trained, words: list[str], console: Console
) -> tuple[tuple[int, ...], dict[str, str]]:
    """Ids of the labels that the model hears, and their names; says which it had to choose."""
    known = {name: trained.vocabulary.labels[name] for name in trained.config.conditioner.labels}
    pairs = key_values(words, "--label")
    asked = dict(pairs)
    if len(asked) < len(pairs):
        raise WavegenError("--label " + ",".join(words), "each label once")
    for name, value in asked.items():
        if name not in known:
            raise WavegenError(
                f"--label {name}={value}: the model knows no label '{name}'",
                "one of: " + ", ".join(known) if known else "no --label, this model has none",
            )
        if value not in known[name]:
            raise WavegenError(
                f"--label {name}={value}: the model knows no such {name}",
                "one of: " + ", ".join(known[name]),
            )
    for name, values in known.items():
        if name not in asked:
            asked[name] = values[0]
            if len(values) > 1:
                console.note(f"{name} not given: taking {values[0]} (of {', '.join(values)})")
    ids = tuple(values.index(asked[name]) for name, values in known.items())
    return ids, {name: asked[name] for name in known}


def no_labels(trained: Trained) -> tuple[tuple[int, ...], dict[str, str]]:
    """Ids of unknown labels, and no names: what a window without conditioning was trained with."""
    return (-1,) * len(trained.config.conditioner.labels), {}


def make_request(
    trained: Trained,
    takes: list[Take],
    label_ids: tuple[int, ...],
    primer: np.ndarray,  # [T] float32
    seconds: float,
    followed: np.ndarray | None = None,  # [T] float32: a recording that all takes follow
) -> Request:
    """Notes, labels and primer of all takes, as the sampler wants them.

    Notes and the recording that is followed come after the primer. A model that follows one, and
    is given none, hears zeros as in a window without conditioning.
    """
    import numpy as np

    from wavegen.audio import mulaw
    from wavegen.config import ACOUSTIC
    from wavegen.sampling.sampler import Request

    config, B = trained.config, len(takes)
    length = len(primer) + round(seconds * config.audio.sample_rate)
    onset = len(primer) / config.audio.sample_rate
    num_frames = -(-length // config.model.hop_length)
    forced = mulaw.encode(primer, config.audio.n_codes)
    if followed is None:
        width = sum(ACOUSTIC[name] for name in config.conditioner.acoustic)
        heard = np.zeros((num_frames, width), np.float32)
    else:
        heard = _acoustics(config, np.concatenate([primer, followed]), num_frames)
    return Request(
        num_frames=num_frames,
        scores=tuple(_score(take, onset) for take in takes),
        labels=np.tile(np.asarray(label_ids, np.int32), (B, 1)),
        streams=np.asarray([take.stream for take in takes]),
        forced=np.tile(forced, (B, 1)) if len(primer) else None,
        acoustics=np.broadcast_to(heard, (B, *heard.shape)),
    )


def write(
    trained: Trained,
    request: Request,
    draws: Draws,
    takes: list[Take],
    settings: dict[str, Any],  # goes into each file; backend and precision are those that run
    kind: str,
    span: tuple[int, int],  # samples of each stream that the files hold: from, to
    console: Console,
) -> list[dict[str, Any]]:
    """Makes the takes of a request and writes each as it grows; says what came of them.

    Ctrl-C leaves readable files of what was made so far.
    """
    from wavegen.audio import files, mulaw
    from wavegen.sampling import sampler
    from wavegen.sampling.health import Level

    rate, n_codes = trained.config.audio.sample_rate, trained.config.audio.n_codes
    levels, done = [Level() for _ in takes], 0
    stories = [settings | _story(take) for take in takes]
    # FLAC cannot be read before it is finished, so a WAV grows beside it until then.
    flac = kind == "flac"
    paths = [t.path.with_name(t.path.name + ".partial.wav") if flac else t.path for t in takes]
    begin = time.monotonic()
    # Asked for first: a backend that cannot run must not cost the file that was there before.
    blocks = sampler.stream(trained, request, draws, settings["backend"], settings["precision"])
    with ExitStack() as stack:
        streams = [
            stack.enter_context(files.WavStream(path, rate, "wav16" if flac else kind, story))
            for path, story in zip(paths, stories, strict=True)
        ]
        update = stack.enter_context(console.progress("generating", "s of sound", span[1] / rate))
        update(0)
        for block in blocks:
            kept = block[:, max(0, span[0] - done) : max(0, span[1] - done)]
            sound = mulaw.decode(kept, n_codes)
            for index, stream in enumerate(streams):
                stream.write(sound[index])
                levels[index] = levels[index].add(sound[index])
            done += block.shape[1]
            update(min(done, span[1]) / rate)
    spent = time.monotonic() - begin
    if flac:
        for path, take in zip(paths, takes, strict=True):
            files.convert_flac(path, take.path)
            path.unlink()
    made = min(done, span[1])
    console.note(
        f"{len(takes)} x {made / rate:.2f} s in {spent:.1f} s, compiling included: "
        f"{made * len(takes) / spent / 1000:.1f}k samples/s in all, "
        f"{made / rate / spent:.2f}x real time each"
    )
    return [_verdict(take, level, console) for take, level in zip(takes, levels, strict=True)]


def _acoustics(config: Config, samples: np.ndarray, num_frames: int) -> np.ndarray:  # [F, D]
    """What is heard of a recording, with silence after its end."""
    import numpy as np

    from wavegen.audio import signals

    rate, hop = config.audio.sample_rate, config.model.hop_length
    samples = samples[: num_frames * hop]
    before, after = signals.margins(rate, hop)
    padded = np.pad(samples, (before, num_frames * hop - len(samples) + after))
    return signals.frames(config.conditioner.acoustic, padded[None], rate, hop)[0]


def _score(take: Take, onset_seconds: float) -> Score:
    """The one note of a take; none where the model hears no notes."""
    from wavegen.music.score import Note, Score

    if take.pitch is None or take.velocity is None or take.hold_seconds is None:
        return Score()
    return Score((Note(onset_seconds, take.hold_seconds, take.pitch, take.velocity),))


def _story(take: Take) -> dict[str, Any]:
    """What a file says of itself beyond what all files of the call share."""
    return {
        "stream": take.stream,
        "pitch": take.pitch,
        "velocity": take.velocity,
        "hold_seconds": take.hold_seconds,
    }


def _verdict(take: Take, level: Level, console: Console) -> dict[str, Any]:
    from wavegen.sampling import health

    trouble = health.verdict(level)
    console.say(f"{take.path}  peak {level.peak_dbfs:.1f} dBFS  RMS {level.rms_dbfs:.1f} dBFS")
    if trouble:
        console.warn(
            f"{take.path}: {trouble}; try another --seed or --temperature, or train longer"
        )
    return {
        "path": str(take.path),
        "peak_dbfs": level.peak_dbfs,
        "rms_dbfs": level.rms_dbfs,
        "warning": trouble,
        **_story(take),
    }
