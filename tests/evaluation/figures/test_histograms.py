"""A corpus's figure: every note and every recording stands in it, in its own split and place."""

import json
import shutil

import numpy as np
import pytest
from matplotlib import image

from wavegen.audio import files
from wavegen.data import corpus
from wavegen.errors import WavegenError
from wavegen.evaluation.figures import histograms, plots

RATE = 8000


@pytest.fixture(scope="module")
def notes(tmp_path_factory):
    """Synthetic notes, all of one length, in two splits."""
    path = tmp_path_factory.mktemp("corpora") / "notes"
    corpus.prepare([], path, layout="synthetic", sample_rate=RATE, pitches=(58, 64), limit=60)
    return corpus.open(path)


@pytest.fixture(scope="module")
def tones(tmp_path_factory):
    """Three tones without notes, 0.1 to 4 seconds long, each 10 dB below the one before."""
    folder = tmp_path_factory.mktemp("tones")
    for number, seconds in enumerate((0.1, 1.0, 4.0)):
        time = np.arange(round(seconds * RATE)) / RATE
        tone = 0.5 * 10 ** (-number / 2) * np.sin(2 * np.pi * 200 * time)
        files.write(folder / "in" / f"{number}.wav", tone, RATE)
    corpus.prepare([folder / "in"], folder / "tones", sample_rate=RATE)
    return corpus.open(folder / "tones")


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """A function: the axes of a corpus's figure, a row a split."""

    def draw(found):
        figures = []
        monkeypatch.setattr(plots, "write", lambda path, figure: figures.append(figure))
        histograms.draw(tmp_path / "figure.png", found)
        (figure,) = figures
        return figure, np.array(figure.axes).reshape(-1, 3)

    return draw


def bars(axes):
    """The middle and the height of every bar."""
    return [(p.get_x() + p.get_width() / 2, p.get_height()) for p in axes.patches]


def test_each_note_stands_once_at_its_pitch_in_its_split(notes, drawn):
    _, axes = drawn(notes)
    for row, name in zip(axes, ("train", "valid"), strict=True):
        heights = {round(pitch): count for pitch, count in bars(row[0])}
        counts = np.bincount(notes.splits[name].pitch, minlength=128)
        assert heights == dict(enumerate(counts))
        assert row[0].get_ylabel() == f"{name}\n{counts.sum()} notes"


def test_each_recording_stands_once_at_its_loudness_and_at_its_length(tones, drawn):
    _, axes = drawn(tones)
    report = json.loads((tones.path / "report.json").read_text())
    low, high = axes[0, 1].get_xlim()
    for row, name in zip(axes, ("train", "valid"), strict=True):
        levels = [file["rms_dbfs"] for file in report["files"] if file["split"] == name]
        assert all(low <= level <= high for level in levels)
        for panel in row[1:]:
            assert sum(height for _, height in bars(panel)) == tones.splits[name].num_items
    heights = np.sum([[height for _, height in bars(row[1])] for row in axes], axis=0)
    assert heights[[0, len(heights) // 2, -1]].tolist() == [1, 1, 1]  # 10 dB apart


def test_lengths_over_a_decade_stand_on_a_logarithmic_axis(notes, tones, drawn):
    assert drawn(tones)[1][-1, 2].get_xscale() == "log"
    assert drawn(notes)[1][-1, 2].get_xscale() == "linear"


def test_a_corpus_without_notes_says_so_in_place_of_their_pitches(tones, drawn):
    _, axes = drawn(tones)
    for row in axes:
        assert [text.get_text() for text in row[0].texts] == ["no notes"]
        assert not row[0].patches


def test_the_title_tells_name_number_hours_and_rate(tones, drawn):
    figure, _ = drawn(tones)
    assert figure.get_suptitle() == "tones: 3 recordings, 0.0014 hours at 8000 Hz"


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_a_figure_is_written_whole_where_there_was_no_folder(notes, tmp_path, ending):
    path = tmp_path / "deep" / f"notes.{ending}"
    histograms.draw(path, notes)
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    if ending == "png":
        assert image.imread(path).std() > 0.1
    else:
        assert path.read_text().rstrip().endswith("</svg>")


def test_a_corpus_whose_report_is_gone_or_mute_is_refused_before_anything_is_written(
    tones, tmp_path
):
    for text in (None, "{}", '{"files": [{"kept": true, "split": "train"}]}'):
        torn = tmp_path / "torn"
        shutil.copytree(tones.path, torn)
        (torn / "report.json").unlink()
        if text is not None:
            (torn / "report.json").write_text(text)
        with pytest.raises(WavegenError, match="how loud the recordings are"):
            histograms.draw(tmp_path / "new" / "figure.png", corpus.open(torn))
        assert not (tmp_path / "new").exists()
        shutil.rmtree(torn)


def test_what_cannot_be_written_leaves_nothing_and_is_told(tones, tmp_path):
    (tmp_path / "figure.png").mkdir()
    with pytest.raises(WavegenError, match=r"figure\.png is a folder"):
        histograms.draw(tmp_path / "figure.png", tones)
    assert [path.name for path in tmp_path.iterdir()] == ["figure.png"]
