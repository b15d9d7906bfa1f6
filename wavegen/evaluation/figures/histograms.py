"""What a corpus holds, as a picture: how its pitches, levels and lengths are spread."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from wavegen.audio import files
from wavegen.data import report
from wavegen.data.corpus import Corpus
from wavegen.errors import WavegenError
from wavegen.evaluation.figures import plots

BINS = 31  # odd, so that recordings which are all alike stand in the middle of a bin
PITCHES = 128  # of MIDI
MARGIN = 2  # semitones beyond the lowest and the highest note

# Okabe and Ito's: a colour-blind eye tells them apart, and so does one that sees grey alone.
COLOURS = {"train": "#0072b2", "valid": "#e69f00", "test": "#000000"}
OTHER = "#999999"

Values = dict[str, np.ndarray]  # of each split, one of each recording or note


def draw(path: Path, corpus: Corpus) -> None:
    """Writes a figure: notes by pitch, recordings by loudness and by length, a row a split.

    Every split has counts of its own, so that a small one is seen as well as a large one; the
    horizontal axes are common. Raises WavegenError where there is nothing to draw, or report.json
    does not tell how loud it is.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    splits = {name: corpus.splits[name] for name in _order(corpus)}
    if not any(split.num_items for split in splits.values()):
        raise WavegenError(f"the corpus {corpus.path} has no recordings", "at least one to draw")
    levels = _levels(corpus)
    files.make_room(path)  # what cannot be written is not drawn
    figure = Figure(figsize=(9.0, 1.2 + 1.4 * len(splits)), layout="constrained", dpi=160)
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(splits), 3, sharex="col", squeeze=False)
    _pitches(axes[:, 0], {name: split.pitch for name, split in splits.items()})
    _loudness(axes[:, 1], levels)
    _lengths(axes[:, 2], {name: s.lengths / corpus.sample_rate for name, s in splits.items()})
    for row, name in zip(axes, splits, strict=True):
        row[0].set_ylabel(f"{name}\n{row[0].get_ylabel()}")
    figure.align_ylabels()
    figure.suptitle(_title(corpus), parse_math=False)
    plots.write(path, figure)


def _order(corpus: Corpus) -> list[str]:
    """The splits, what is trained on first."""
    known = list(COLOURS)
    return sorted(corpus.splits, key=lambda name: ([*known, name].index(name), name))


def _levels(corpus: Corpus) -> Values:
    """RMS in dBFS of the recordings, from the corpus's report."""
    path = corpus.path / report.FILE
    try:
        lines = json.loads(path.read_text(encoding="utf-8"))["files"]
        told = [(line["split"], float(line["rms_dbfs"])) for line in lines if line["kept"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WavegenError(
            f"{path} does not tell how loud the recordings are: {type(error).__name__}: {error}",
            "the report that `wavegen prepare` left",
            "prepare the corpus again",
        ) from None
    return {name: np.array([db for split, db in told if split == name]) for name in _order(corpus)}


def _pitches(column: np.ndarray, values: Values) -> None:
    every = np.concatenate(list(values.values()))
    _histograms(column, values, np.arange(PITCHES + 1) - 0.5, "note")
    column[0].set_title("pitch")
    if not len(every):
        column[-1].set_xticks([])
        return
    low, high = int(every.min()) - MARGIN, int(every.max()) + MARGIN
    octaves = range(-(-low // 12) * 12, high + 1, 12)
    column[-1].set(xlabel="MIDI pitch (60: middle C)", xlim=(low, high), xticks=octaves)


def _loudness(column: np.ndarray, values: Values) -> None:
    edges = np.histogram_bin_edges(np.concatenate(list(values.values())), BINS)
    _histograms(column, values, edges, "recording")
    column[0].set_title("loudness")
    column[-1].set_xlabel("RMS, dBFS")


def _lengths(column: np.ndarray, values: Values) -> None:
    every = np.concatenate(list(values.values()))
    edges = np.linspace(0.9 * every.min(), 1.1 * every.max(), BINS + 1)
    if every.max() > 10 * every.min():
        edges = np.geomspace(every.min(), every.max(), BINS + 1)
        column[-1].set_xscale("log")
        column[-1].xaxis.get_major_locator().set_params(subs=(1, 3))
        column[-1].xaxis.set_major_formatter(lambda seconds, _: f"{seconds:g}")
    _histograms(column, values, edges, "recording")
    column[0].set_title("length")
    column[-1].set_xlabel("seconds")


def _histograms(column: np.ndarray, values: Values, edges: np.ndarray, what: str) -> None:
    """The values of each split in its own axes; a word where it has none."""
    for axes, (name, found) in zip(column, values.items(), strict=True):
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_axisbelow(True)
        axes.grid(axis="y", color="0.9", linewidth=0.6)
        if len(found):
            axes.hist(found, edges, color=COLOURS.get(name, OTHER))
            axes.set_ylabel(_count(len(found), what))
            axes.yaxis.get_major_locator().set_params(integer=True, nbins=4)
        else:
            axes.text(0.5, 0.5, f"no {what}s", transform=axes.transAxes, ha="center")
            axes.set_yticks([])
            axes.spines["left"].set_visible(False)


def _title(corpus: Corpus) -> str:
    recordings = sum(split.num_items for split in corpus.splits.values())
    hours = corpus.seconds / 3600
    told = f"{hours:,.0f}" if hours >= 100 else f"{hours:.2g}"
    return (
        f"{corpus.path.resolve().name}: {_count(recordings, 'recording')}, "
        f"{told} hours at {corpus.sample_rate} Hz"
    )


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" + "s" * (number != 1)
