"""Pictures of sound."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wavegen.audio import files
from wavegen.errors import WavegenError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DYNAMIC_RANGE_DB = 80.0


def sounds(
    path: Path,
    named: Sequence[tuple[str, np.ndarray]],  # title and samples [T] in [-1, 1]
    sample_rate: int,
    title: str = "",
) -> None:
    """Writes a figure with the waveform and, below it, the spectrogram of each sound."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = len(named)
    figure = Figure(figsize=(3.2 * columns, 5.0), layout="constrained", dpi=110)
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, columns, squeeze=False, height_ratios=(1, 2))
    for column, (name, samples) in enumerate(named):
        seconds = np.arange(len(samples)) / sample_rate
        top, below = axes[0, column], axes[1, column]
        top.plot(seconds, samples, linewidth=0.4, color="0.15")
        top.set(title=name, ylim=(-1, 1), xlim=(0, max(seconds[-1], 1e-3)))
        level, edges_s, edges_khz = _spectrogram(samples, sample_rate)
        below.pcolormesh(edges_s, edges_khz, level, cmap="magma", vmin=-DYNAMIC_RANGE_DB, vmax=0)
        below.set(xlabel="seconds", xlim=(0, max(seconds[-1], 1e-3)))
        if column:
            top.set_yticklabels([])
            below.set_yticklabels([])
    axes[0, 0].set_ylabel("amplitude")
    axes[1, 0].set_ylabel("kHz")
    if title:
        figure.suptitle(title)
    write(path, figure)


def write(path: Path, figure: Figure) -> None:
    """A figure as the file that the path's ending asks for; whole, or not there at all."""
    files.make_room(path)
    beside = path.with_name(path.name + ".partial")
    try:
        figure.savefig(beside, format=path.suffix.lstrip(".").lower() or "png")
        beside.replace(path)
    except OSError as error:
        raise WavegenError(
            f"cannot write {path}: {error.strerror or error}", "a place that can be written to"
        ) from None
    finally:
        beside.unlink(missing_ok=True)


def _spectrogram(
    samples: np.ndarray, sample_rate: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Level in dB below the loudest point [bins, frames], and the borders in s and kHz."""
    import librosa

    n_fft = 1024 if sample_rate > 12_000 else 512  # 64 ms: partials apart, onsets still sharp
    hop = n_fft // 4
    power = np.abs(librosa.stft(np.pad(samples, (0, n_fft)), n_fft=n_fft, hop_length=hop)) ** 2
    level = librosa.power_to_db(power, ref=max(float(power.max()), 1e-10), top_db=DYNAMIC_RANGE_DB)
    bins, num_frames = level.shape
    edges_s = (np.arange(num_frames + 1) - 0.5) * hop / sample_rate
    edges_khz = (np.arange(bins + 1) - 0.5) * sample_rate / n_fft / 1000
    return level, edges_s, edges_khz
