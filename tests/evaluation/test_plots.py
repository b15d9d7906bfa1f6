"""Pictures: they are written, and what sounds is where it should be."""

import numpy as np
import pytest
from matplotlib import image

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


@pytest.mark.parametrize("sample_rate", [8000, 16_000])
def test_the_loudest_row_of_a_spectrogram_is_the_tones_frequency(sample_rate):
    time = np.arange(sample_rate) / sample_rate
    level, _, edges_khz = plots._spectrogram(np.sin(2 * np.pi * 1000 * time), sample_rate)
    row = int(level[:, level.shape[1] // 4].argmax())
    assert edges_khz[row] <= 1.0 <= edges_khz[row + 1]
    assert level.max() == pytest.approx(0.0, abs=1e-3)  # dB below the loudest point
