"""A sound as a rainbowgram: pitch over time, how loud as lightness, how it swings as hue.

Engel et al. 2017, arXiv 1704.01279: the constant-Q transform, its logarithmic magnitude as
intensity, its instantaneous frequency (the derivative of the unwrapped phase) as colour. A steady
partial keeps its colour; one that trembles or slides runs through the rainbow; noise has all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wavegen.audio import constant_q
from wavegen.evaluation.figures import outlines

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BRIGHTEST = 75.0  # lightness L* of the loudest; here all hues can be as colourful as each other
CHROMA = 0.5  # for each unit of lightness; no screen shows much more in every hue
OCTAVE = 12
_PIECE = 1 << 18  # samples transformed in one go, for each time costs its windows anew
# What CIE XYZ of a white under daylight (D65) is, and what its parts give of linear sRGB.
_WHITE = np.array([0.95047, 1.0, 1.08883])
_FROM_XYZ = np.array(
    [[3.2404542, -1.5371385, -0.4985314], [-0.9692660, 1.8760108, 0.0415560],
     [0.0556434, -0.2040259, 1.0572252]]
)  # fmt: skip


@dataclass(frozen=True)
class Rainbow:
    """What a rainbowgram shows of a stretch of sound; its rows are those of constant_q."""

    frame_rate: float  # Hz; frequencies that differ by it look alike
    start_seconds: float  # where the stretch begins in its recording
    column_seconds: float
    power: np.ndarray  # [bins, F] mean over the column; a full-scale sine has 1
    hertz: np.ndarray  # [bins, F] instantaneous frequency modulo frame_rate

    @property
    def edges_seconds(self) -> np.ndarray:  # [F + 1]
        """The borders of the columns."""
        return self.start_seconds + np.arange(self.power.shape[1] + 1) * self.column_seconds

    @property
    def edges_pitch(self) -> np.ndarray:  # [bins + 1]
        """The borders of the rows, in MIDI pitch."""
        rows = np.arange(self.power.shape[0] + 1) - 0.5
        return constant_q.LOWEST_PITCH + rows * OCTAVE / constant_q.BINS_PER_OCTAVE


def read(
    path: Path,
    start_seconds: float = 0.0,
    seconds: float | None = None,  # None: to the end
    progress: Callable[[float, float], None] = lambda done, total: None,  # seconds
) -> Rainbow:
    """The rainbowgram of a sound file or of a stretch of it; raises as outlines.read."""
    return trace(*outlines.stretch(path, start_seconds, seconds, progress))


def trace(
    blocks: Iterable[np.ndarray],  # of [n] samples in [-1, 1], in order
    sample_rate: int,
    num_samples: int,
    start_seconds: float = 0.0,
) -> Rainbow:
    """The rainbowgram of a sound that comes in blocks; its memory does not grow with the sound.

    `num_samples` is how many are announced: columns are as wide as these ask for.
    """
    hop = constant_q.hop_length(sample_rate)
    column = hop * max(1, -(-num_samples // (hop * outlines.COLUMNS)))
    beside = hop * -(-constant_q.longest_window(sample_rate) // hop)
    powers, turns = [], []
    for samples, _ in outlines.columns(blocks, column, beside, _PIECE):
        found = constant_q.transform(samples, sample_rate)
        found = found[:, beside // hop : (len(samples) - beside) // hop + 1]
        here, shape = found[:, :-1], (len(found), -1, column // hop)
        powers.append((np.abs(here) ** 2).reshape(shape).mean(axis=2))
        # The angle from one to the next is the phase's derivative, whatever it was unwrapped to;
        # of a column of several it is their mean, by power.
        turns.append((found[:, 1:] * here.conj()).reshape(shape).sum(axis=2))
    frame_rate = sample_rate / hop
    cycles = np.angle(np.concatenate(turns, axis=1)) / (2 * np.pi)
    return Rainbow(
        frame_rate,
        start_seconds,
        column / sample_rate,
        np.concatenate(powers, axis=1),
        cycles % 1.0 * frame_rate,
    )


def draw(axes: Axes, rainbow: Rainbow, lowest_pitch: float = 0.0) -> None:
    """Draws it from the lowest row on, or from a pitch above that; C is named in each octave."""
    level = 1 + outlines.level_db(rainbow.power) / outlines.DYNAMIC_RANGE_DB
    pitch = rainbow.edges_pitch
    axes.pcolormesh(
        rainbow.edges_seconds, pitch, colours(level, rainbow.hertz / rainbow.frame_rate),
        rasterized=True,  # or an SVG would hold a rectangle for each
    )  # fmt: skip
    octaves = range(constant_q.LOWEST_PITCH, int(pitch[-1]) + 1, OCTAVE)
    axes.set_yticks(octaves, [f"C{each // OCTAVE - 1}" for each in octaves], fontsize="small")
    axes.set_ylim(max(pitch[0], min(lowest_pitch, pitch[-1] - OCTAVE)), pitch[-1])


def draw_key(axes: Axes, frame_rate: float | None) -> None:
    """What the colours mean; None where sounds of several frame rates are in the figure."""
    level, cycles = np.meshgrid(np.linspace(0, 1, 33), np.linspace(0, 1, 97))
    quiet = -outlines.DYNAMIC_RANGE_DB
    axes.imshow(colours(level, cycles), origin="lower", aspect="auto", extent=(quiet, 0, 0, 1))
    axes.yaxis.tick_right()
    axes.yaxis.set_label_position("right")
    axes.set_xticks([])
    axes.set_title(f"{-quiet:.0f} dB", fontsize="small")
    if frame_rate is None:
        axes.set_yticks([0, 0.5, 1], ["0", "½", "1"], fontsize="small")
        axes.set_ylabel("frequency modulo frame rate", fontsize="small")
    else:
        axes.set_yticks([0, 0.5, 1], [f"{frame_rate * share:.3g}" for share in (0, 0.5, 1)])
        axes.tick_params(axis="y", labelsize="small")
        axes.set_ylabel(f"Hz, modulo {frame_rate:.3g}", fontsize="small")


def colours(
    level: np.ndarray,  # [...] 0, black, to 1, the brightest
    cycles: np.ndarray,  # [...] hue; 1 is 0 again
) -> np.ndarray:  # [..., 3] sRGB in [0, 1]
    """Lightness tells the level alone, and so a grey print shows it; hue tells the cycles alone.

    Polar CIE L*a*b* (CIE 15:2004, 8.2.1) to sRGB (IEC 61966-2-1); L* is a function of the
    luminance, whatever the hue.
    """
    lightness = BRIGHTEST * level
    chroma = CHROMA * lightness
    y = (lightness + 16) / 116
    x = y + chroma * np.cos(2 * np.pi * cycles) / 500
    z = y - chroma * np.sin(2 * np.pi * cycles) / 200
    root = np.stack([x, y, z], axis=-1)
    knee = 6 / 29
    xyz = _WHITE * np.where(root > knee, root**3, 3 * knee**2 * (root - 4 / 29))
    linear = np.clip(xyz @ _FROM_XYZ.T, 0, 1)
    return np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)
