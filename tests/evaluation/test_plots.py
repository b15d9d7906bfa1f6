"""Pictures: they are written, and what sounds is where it should be."""

import errno

import numpy as np
import pytest
from matplotlib import image
from matplotlib.figure import Figure

from wavegen.errors import WavegenError
from wavegen.evaluation import plots

RATE = 8000


def test_a_figure_is_written_whole(tmp_path):
    time = np.arange(RATE) / RATE
    tone = 0.5 * np.sin(2 * np.pi * 440 * time)
    path = tmp_path / "deep" / "figure.png"
    plots.sounds(path, [("tone", tone), ("silence", np.zeros(RATE))], RATE, "two sounds")
    picture = image.imread(path)
    assert picture.shape[0] > 300
    assert picture.std() > 0.1
    assert [p.name for p in path.parent.iterdir()] == ["figure.png"]


def test_a_figure_that_fails_half_way_leaves_the_older_one_alone(tmp_path, monkeypatch):
    def torn(_, beside, format):
        beside.write_bytes(b"torn")
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "figure.png"
    path.write_bytes(b"older")
    monkeypatch.setattr(Figure, "savefig", torn)
    with pytest.raises(WavegenError, match="No space left"):
        plots.write(path, Figure())
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("figure.png", b"older")]


@pytest.mark.parametrize("sample_rate", [8000, 16_000])
def test_the_loudest_row_of_a_spectrogram_is_the_tones_frequency(sample_rate):
    time = np.arange(sample_rate) / sample_rate
    level, _, edges_khz = plots._spectrogram(np.sin(2 * np.pi * 1000 * time), sample_rate)
    row = int(level[:, level.shape[1] // 4].argmax())
    assert edges_khz[row] <= 1.0 <= edges_khz[row + 1]
    assert level.max() == pytest.approx(0.0, abs=1e-3)  # dB below the loudest point
