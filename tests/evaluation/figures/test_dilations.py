"""The diagram of what a sample hears is that of the network itself."""

import numpy as np
import pytest
from matplotlib.collections import LineCollection, PolyCollection

from wavegen import config as configs
from wavegen.evaluation.figures import dilations


def config(**model):
    return configs.from_dict({"model": model})


@pytest.mark.parametrize("kernel_size", [2, 3])
@pytest.mark.parametrize("cycles", [1, 2])
def test_the_codes_that_are_heard_are_the_receptive_field(kernel_size, cycles):
    model = config(layers_per_cycle=4, dilation_cycles=cycles, kernel_size=kernel_size).model
    codes, *_, top = dilations.taps((1, *model.dilations), kernel_size)
    assert codes is not None
    assert top is not None
    # From the code before it to the oldest, none left out; the sample itself is not heard.
    np.testing.assert_array_equal(codes, np.arange(1, model.receptive_field + 1))
    np.testing.assert_array_equal(top, [0])


def test_a_small_tree_by_hand():
    found = dilations.taps((1, 1, 2, 4), 2)  # input, then dilations 1, 2, 4
    layers = [None if each is None else each.tolist() for each in found]
    assert layers[::-1] == [
        [0],
        [0, 4],
        [0, 2, 4, 6],
        list(range(8)),
        list(range(1, 10)),
    ]


def test_what_is_too_much_to_draw_is_a_band_as_wide_as_it_reaches():
    found = config(layers_per_cycle=10, dilation_cycles=3, kernel_size=3)
    made = dilations.figure(found, "big")
    axes = made.axes[0]
    lines = [each for each in axes.collections if isinstance(each, LineCollection)]
    assert all(len(each.get_segments()) <= dilations.LINES for each in lines)
    (band,) = [each for each in axes.collections if isinstance(each, PolyCollection)]
    corners = np.concatenate([path.vertices for path in band.get_paths()])
    assert corners[:, 0].min() == -found.model.receptive_field
    assert corners[:, 0].max() == 0


@pytest.mark.parametrize("name", [path.stem for path in configs.shipped_configs()])
def test_shipped_configs_are_captioned_in_samples_and_ms(name):
    found = configs.load(name)
    made = dilations.figure(found, name)
    caption = made.axes[0].get_title()
    assert f"receptive field {found.model.receptive_field:,} samples" in caption
    assert f"{1000 * found.receptive_field_seconds:.3g} ms" in caption
    assert f"{found.model.dilation_cycles} cycle" in caption
    assert f"{max(found.model.dilations):,}; {found.model.kernel_size} taps" in caption
    assert ("linear predictor" in caption) == bool(
        found.model.predictor.order and not found.model.predictor.is_periodic
    )


def test_one_cycle_of_one_layer_and_a_field_of_minutes_are_drawn():
    least = dilations.figure(config(layers_per_cycle=1), "least")
    assert "1 cycle of dilations 1; 2 taps" in least.axes[0].get_title()
    most = dilations.figure(config(layers_per_cycle=20, kernel_size=3), "most")
    assert " 131 s at 16,000 Hz" in most.axes[0].get_title()  # 2,097,153 samples
