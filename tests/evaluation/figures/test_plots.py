"""Pictures: they are written, and what sounds is where it should be."""

import errno

import numpy as np
import pytest
from matplotlib import image
from matplotlib.figure import Figure

from wavegen.errors import WavegenError
from wavegen.evaluation.figures import outlines, plots
from wavegen.evaluation.figures.rolls import Voice
from wavegen.music.score import Note

RATE = 8000


def test_a_figure_is_written_whole(tmp_path):
    path = tmp_path / "deep" / "figure.png"
    named = [("tone", 0.5 * tone(440, 0, 1)), ("silence", np.zeros(RATE))]
    plots.sounds(path, named, RATE, "two sounds")
    picture = image.imread(path)
    assert picture.shape[0] > 300
    assert picture.std() > 0.1
    assert [p.name for p in path.parent.iterdir()] == ["figure.png"]


def test_a_figure_that_fails_half_way_leaves_the_older_one_alone(tmp_path, monkeypatch):
    def torn(_, beside, **how):
        beside.write_bytes(b"torn")
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "figure.png"
    path.write_bytes(b"older")
    monkeypatch.setattr(Figure, "savefig", torn)
    with pytest.raises(WavegenError, match="No space left"):
        plots.write(path, Figure())
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("figure.png", b"older")]


def tone(hz, onset, seconds, rate=RATE):
    """A tone from its onset to a second after it, in silence."""
    time = np.arange(round(seconds * rate)) / rate
    return np.where((time >= onset) & (time < onset + 1), np.sin(2 * np.pi * hz * time), 0.0)


def shown(name, samples, rate=RATE, **more):
    return plots.Shown(name, outlines.trace([samples], rate, len(samples), **more))


def spectrum(axes):
    """Level in dB [bins, F] of a panel, and the borders in s and kHz."""
    (mesh,) = axes.collections
    corners = mesh.get_coordinates()
    level = np.asarray(mesh.get_array()).reshape(len(corners) - 1, -1)
    return level, corners[0, :, 0], corners[:, 0, 1]


@pytest.mark.parametrize("sample_rate", [8000, 16_000, 44_100])
def test_the_loudest_row_of_a_spectrogram_is_the_tones_frequency(sample_rate):
    made = plots.figure([shown("tone", tone(1000, 0, 1, sample_rate), sample_rate)])
    level, _, edges_khz = spectrum(made.axes[1])
    row = int(level[:, level.shape[1] // 4].argmax())
    assert edges_khz[row] <= 1.0 <= edges_khz[row + 1]
    assert level.max() == pytest.approx(0.0, abs=1e-3)  # dB below the loudest point


@pytest.mark.parametrize("seconds", [4, 400])
@pytest.mark.parametrize("pitch", [57, 69, 81])
def test_a_note_and_its_sound_begin_in_the_same_column_at_the_same_pitch(seconds, pitch):
    hz, onset = 440 * 2 ** ((pitch - 69) / 12), 0.6 * seconds
    sound = shown("", tone(hz, onset, seconds), window_seconds=outlines.LONG_WINDOW_SECONDS)
    notes = [Note(onset, 1.0, pitch, 100), Note(0.2 * seconds, 0.5, pitch - 12, 100)]
    made = plots.figure([sound], "", [Voice("piano", notes)])
    roll, wave, below = made.axes[:3]
    assert roll.get_xlim() == wave.get_xlim() == below.get_xlim() == (0, seconds)
    level, edges_s, edges_khz = spectrum(below)
    row = np.searchsorted(edges_khz, hz / 1000) - 1
    first = int(np.argmax(level[row] > -20))
    bar = roll.collections[0].get_paths()[0].get_extents()
    # A window hears the tone up to its length before the onset; it is not 20 dB down at once.
    assert edges_s[first] <= bar.x0 <= edges_s[first + 1] + outlines.LONG_WINDOW_SECONDS
    assert below.get_yscale() == "log"
    assert below.get_ylim()[0] < hz / 2000  # the octave below is the lowest note
    assert below.get_ylim()[1] == RATE / 2000


def test_a_sound_of_lower_rate_than_its_notes_keeps_an_axis():
    sound = shown("", tone(200, 0, 2, 1000), 1000)
    made = plots.figure([sound], "", [Voice("", [Note(0.0, 1.0, 127, 90)])])
    low, high = made.axes[2].get_ylim()
    assert 0 < low < high == 0.5


def test_short_sounds_stand_side_by_side_and_long_ones_below_each_other():
    def places(seconds, count):
        made = plots.figure([shown(str(k), tone(300, 0, seconds)) for k in range(count)])
        made.draw_without_rendering()
        return [a.get_position() for a in made.axes if a.lines]  # of the waveforms

    left, right = places(2, 2)
    assert left.y0 == pytest.approx(right.y0)
    assert left.x1 < right.x0
    above, below = places(11, 2)
    assert above.x0 == pytest.approx(below.x0)
    assert above.y0 > below.y1
    rows = {round(place.y0, 3) for place in places(1, plots.PER_ROW + 2)}
    assert len(rows) == 2


def test_sounds_of_two_rates_share_their_axis_of_frequency():
    made = plots.figure([shown("a", tone(300, 0, 1)), shown("b", tone(300, 0, 1, 4000), 4000)])
    assert [a.get_ylim() for a in made.axes if a.collections] == [(0, RATE / 2000)] * 2


@pytest.mark.parametrize(
    ("start", "seconds", "unit"), [(0, 300, "seconds"), (0, 301, "minutes"), (5000, 9, "seconds")]
)
def test_a_long_axis_counts_minutes(start, seconds, unit):
    made = plots.figure([shown("", np.zeros(seconds * 1000), 1000, start_seconds=start)])
    axes = made.axes[1]
    made.draw_without_rendering()
    assert axes.get_xlabel() == unit
    labels = [float(tick.get_text()) for tick in axes.get_xticklabels()]
    size = 60 if unit == "minutes" else 1
    np.testing.assert_allclose(np.multiply(labels, size), axes.get_xticks())
    inside = [tick for tick in axes.get_xticks() if start <= tick <= start + seconds]
    assert 2 <= len(inside) <= 12


def test_names_that_are_no_words_are_drawn_all_the_same(tmp_path):
    odd = ["$\\nothing$", "b\udcffytes", "x" * 300, "漢字", ""]
    path = tmp_path / "figure.png"
    plots.sounds(path, [(name, tone(300, 0, 1)) for name in odd], RATE, "$\\title$ \udcff漢")
    assert image.imread(path).std() > 0.1


def test_a_figure_as_bytes_is_the_same_each_time_and_an_svg_begins_as_an_element():
    def made():
        return plots.figure([shown("tone", tone(300, 0, 1))])

    assert plots.png(made())[:4] == b"\x89PNG"
    assert plots.svg(made()).startswith("<svg")
    assert plots.svg(made()).rstrip().endswith("</svg>")
    assert plots.svg(made()) == plots.svg(made())
    assert plots.png(made()) == plots.png(made())


def test_the_spectrogram_is_a_picture_in_an_svg_too(tmp_path):
    path = tmp_path / "figure.svg"
    plots.sounds(path, [("noise", np.random.default_rng(0).uniform(-1, 1, 20 * RATE))], RATE)
    assert path.stat().st_size < 3e6  # a million rectangles would be 100 MB
