"""What the linear predictor does for bits per sample, and for what a network makes by itself.

    python benchmarks/bench_predictor.py recordings/*.flac --set model.predictor.order=128

An unconditional network learns from the first nine tenths of every recording, for as many
minutes of the processor's time as asked. It is scored on windows of the rest, four of 8,193 codes
a recording, each heard alone, the first 2,048 codes unscored. Then it plays, from silence and on
from the beginnings of some windows. The last line of the output is the record as JSON.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "kernels"), str(ROOT)]

from wavegen import config as configs  # noqa: E402
from wavegen.audio import files, mulaw  # noqa: E402
from wavegen.config import Config, Vocabulary  # noqa: E402
from wavegen.data.batches import Batch  # noqa: E402
from wavegen.model import loss, network  # noqa: E402
from wavegen.model.network import Inputs, Params, Trained  # noqa: E402
from wavegen.music.score import Score  # noqa: E402
from wavegen.sampling import sampler  # noqa: E402
from wavegen.sampling.request import Draws, Request  # noqa: E402
from wavegen.training import step as training  # noqa: E402
from wavegen_kernels import predictor  # noqa: E402
from wavegen_kernels.bench import record as records  # noqa: E402

WINDOW, UNSCORED, WINDOWS_A_FILE = 8192, 2048, 4
QUIET = 0.01  # what stays below it after the last louder sample is a recording's final silence
BATCH = 8  # windows scored at once, and streams played
FROM_SILENCE = 2  # of the streams
SCORINGS = 4  # after the one before anything is learnt
FFT = 1024


def main() -> None:
    options = _options()
    if options.only:
        _leave_out(options.only)
    usual = ["conditioner.signals=[]", "training.warmup_steps=50"]
    config = configs.load("music", [*usual, *options.set])
    recordings = [_codes(path, config) for path in options.recordings]
    held_back = np.concatenate([_held_back(codes, config) for codes in recordings])
    learnt_from = [codes[: len(codes) * 9 // 10] for codes in recordings]
    graphdef, params = network.create(config, Vocabulary(), config.training.seed)
    state, step, seconds, curve = training.initial_state(config, params), 0, 0.0, []
    while True:
        if seconds >= 60 * options.minutes * len(curve) / SCORINGS:
            heard = state.ema if step else state.params
            curve.append((step, round(seconds, 1), _bits(config, graphdef, heard, held_back)))
            print("step {}, {} s: {:.4f} bits per sample".format(*curve[-1]), flush=True)
            if len(curve) > SCORINGS or not options.minutes:
                break
        batch, start = _windows(learnt_from, config, step), time.process_time()
        state, _ = jax.block_until_ready(training.train_step(config, graphdef, state, batch))
        seconds += time.process_time() - start if step else 0.0  # the first one compiles
        step += 1
    trained = Trained(config, Vocabulary(), graphdef, state.ema if step else state.params, step)
    played = None
    if options.seconds and not options.only:  # the compiled sampler knows both uses alone
        played = _play(trained, held_back, options.seconds, options.temperature)
    records.show(
        {
            **records.origin(),
            "bench": "predictor",
            "overrides": options.set,
            "only": options.only,
            "recordings": len(recordings),
            "curve": curve,
            "played": [] if played is None else _measures(played, held_back, config),
        },
        options.out,
    )
    if options.figure and played is not None:
        _draw(played, config, options.figure)


def _leave_out(kept: str) -> None:
    """Takes one of the predictor's uses away from the network, in this process alone."""
    if kept == "input":
        predictor.base = lambda weights, n_codes, skip_sum, foretold, xp: 0 * skip_sum[..., :1]
    else:
        hint = predictor.hint
        predictor.hint = lambda *given: 0 * hint(*given)


def _codes(path: str, config: Config) -> np.ndarray:  # [T] int32
    samples, _ = files.read(path, config.audio.sample_rate)
    return mulaw.encode(np.clip(samples, -1, 1), config.audio.n_codes)


def _held_back(codes: np.ndarray, config: Config) -> np.ndarray:  # [WINDOWS_A_FILE, WINDOW]
    loud = np.flatnonzero(np.abs(mulaw.decode(codes, config.audio.n_codes)) > QUIET)
    starts = np.linspace(len(codes) * 9 // 10, loud[-1] + 1 - WINDOW, WINDOWS_A_FILE)
    return np.stack([codes[start : start + WINDOW] for start in starts.round().astype(int)])


def _windows(recordings: list[np.ndarray], config: Config, step: int) -> Batch:
    """Windows drawn in proportion to the recordings' lengths; all but their lead carries loss."""
    random = np.random.default_rng([config.training.seed, step])
    P, B = config.model.hop_length, config.training.batch_size
    frames = config.context_frames + config.window_frames
    lengths = np.array([len(codes) for codes in recordings])
    chosen = random.choice(len(recordings), B, p=lengths / lengths.sum())
    starts = [random.integers(0, lengths[each] - frames * P) for each in chosen]
    codes = [
        recordings[each][start : start + frames * P]
        for each, start in zip(chosen, starts, strict=True)
    ]
    weights = np.ones((B, config.window_frames * P), np.float32)
    weights[:, : config.model.receptive_field] = 0
    return Batch(
        codes=np.stack(codes).astype(np.int32),
        weights=weights,
        valid=np.ones((B, frames), np.float32),
        notes=np.zeros((B, frames, 0), np.float32),
        periods=np.zeros((B, frames), np.float32),
        ages=np.zeros((B, frames), np.float32),
        labels=np.zeros((B, 0), np.int32),
        acoustics=np.zeros((B, frames, 0), np.float32),
    )


def _bits(config: Config, graphdef, params: Params, windows: np.ndarray) -> float:
    frames = WINDOW // config.model.hop_length

    @jax.jit
    def score(params: Params, codes: jax.Array) -> loss.Score:
        net = network.assemble(graphdef, params)
        inputs = Inputs(
            codes=codes,
            notes=jnp.zeros((BATCH, frames, 0)),
            labels=jnp.zeros((BATCH, 0), jnp.int32),
            valid=jnp.ones((BATCH, frames)),
            periods=jnp.zeros((BATCH, frames)),
            ages=jnp.zeros((BATCH, frames)),
            acoustics=jnp.zeros((BATCH, frames, 0)),
        )
        hidden, _ = net.hidden(inputs, net.initial_state(BATCH))
        weights = jnp.ones((BATCH, WINDOW)).at[:, :UNSCORED].set(0)
        return loss.score(net.wavenet, hidden, codes, weights)

    found = [
        score(params, jnp.asarray(windows[first : first + BATCH]))
        for first in range(0, len(windows) - BATCH + 1, BATCH)
    ]
    nats, weight = (
        sum(float(part) for part in parts)
        for parts in zip(*((s.nats, s.weight) for s in found), strict=True)
    )
    return round(loss.bits(nats / weight), 4)


def _play(trained: Trained, windows: np.ndarray, seconds: float, temperature: float) -> np.ndarray:
    """[BATCH, T] samples: some from silence, the others after windows, these left out."""
    config, primed = trained.config, BATCH - FROM_SILENCE
    forced = np.full((BATCH, WINDOW), -1, np.int32)
    forced[FROM_SILENCE:] = windows[:: len(windows) // primed][:primed]
    request = Request(
        num_frames=round((seconds * config.audio.sample_rate + WINDOW) / config.model.hop_length),
        scores=(Score(()),) * BATCH,
        labels=np.zeros((BATCH, 0), np.int32),
        streams=np.arange(BATCH),
        forced=forced,
    )
    codes = sampler.generate(trained, request, Draws(seed=1, temperature=temperature))
    return mulaw.decode(codes, config.audio.n_codes)[:, WINDOW:]


def _measures(played: np.ndarray, windows: np.ndarray, config: Config) -> list[dict[str, float]]:
    """Of each stream: its level, how far its spectrum is from the recordings', how noisy it is."""
    heard = [_power(each) for each in mulaw.decode(windows, config.audio.n_codes)]
    real = np.concatenate(heard)
    apart = [_measure(each, real) for each in heard]  # as far as recordings are from each other
    found = [{"stream": "a recording", **{key: _median(apart, key) for key in apart[0]}}]
    for name, samples in zip(_names(), played, strict=True):
        found.append({"stream": name, **_measure(_power(samples), real)})
    return found


def _median(found: list[dict[str, float]], key: str) -> float:
    return round(float(np.median([each[key] for each in found])), 1)


def _names() -> list[str]:
    return ["after silence"] * FROM_SILENCE + ["after a recording"] * (BATCH - FROM_SILENCE)


def _measure(power: np.ndarray, real: np.ndarray) -> dict[str, float]:
    decibels = lambda x: 10 * np.log10(x + 1e-12)
    shape = lambda x: decibels(x.mean(axis=0) / (x.mean() + 1e-12))
    loud = power[power.mean(axis=1) > 1e-9]
    flatness = np.log(loud + 1e-12).mean(axis=1) - np.log(loud.mean(axis=1) + 1e-12)
    return {
        "level_db": round(float(decibels(power.mean())), 1),
        "spectrum_off_db": round(float(np.sqrt(np.mean((shape(power) - shape(real)) ** 2))), 1),
        "flatness_db": round(float(10 / np.log(10) * flatness.mean()), 1) if len(loud) else 0.0,
    }


def _power(samples: np.ndarray) -> np.ndarray:  # [T] -> [frames, FFT // 2 + 1]
    pieces = np.lib.stride_tricks.sliding_window_view(samples, FFT)[:: FFT // 2]
    window = np.hanning(FFT)
    return np.abs(np.fft.rfft(pieces * window)) ** 2 / np.sum(window**2)


def _draw(played: np.ndarray, config: Config, path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = list(zip(played, _names(), strict=True))[FROM_SILENCE - 1 :][:4]
    figure, axes = pyplot.subplots(4, 1, figsize=(10, 9), sharex=True, layout="constrained")
    for axis, (samples, name) in zip(axes, shown, strict=True):
        axis.specgram(samples + 1e-9, NFFT=FFT, Fs=config.audio.sample_rate, vmin=-140, vmax=-30)
        axis.set(ylabel="Hz", title=name)
    axes[-1].set(xlabel="seconds")
    figure.savefig(path, dpi=80)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("recordings", nargs="+")
    parser.add_argument("--minutes", type=float, default=6.0, help="of training; 0: none")
    parser.add_argument("--only", choices=("input", "base"), help="of the predictor's two uses")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--seconds", type=float, default=10.0, help="of sound played; 0: none")
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--figure", type=Path, help="PNG of what was played")
    parser.add_argument("--out", type=Path, help="JSON lines that the record is added to")
    return parser.parse_args()


if __name__ == "__main__":
    main()
