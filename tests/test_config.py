"""Configs: strict to read, whole to write, found by name."""

import dataclasses

import jax
import pytest

from wavegen import config as configs
from wavegen.config import Config, Model, Vocabulary
from wavegen.errors import WavegenError
from wavegen.model import network

EVERYTHING = Vocabulary(
    labels=dict.fromkeys(("instrument", "instrument_family", "folder", "word"), ("a", "b")),
    pitches=(60,),
    velocities=(100,),
)


@pytest.mark.parametrize("path", configs.shipped_configs(), ids=lambda path: path.stem)
def test_every_shipped_config_makes_a_network(path):
    config = configs.load(path)
    _, params = network.structure(config, EVERYTHING)
    assert network.count(params) > 0
    assert all(line.startswith("#") for line in path.read_text().splitlines()[:3])


def test_there_are_shipped_configs():
    names = {path.stem for path in configs.shipped_configs()}
    assert {"tiny", "demo", "notes_small"} <= names


def test_toml_gives_the_config_back(tmp_path):
    config = configs.from_dict(
        configs.apply_overrides(
            {},
            [
                "training.learning_rate=1e-5",
                'conditioner.signals=["notes", "past"]',
                "model.predictor.order=9",
            ],
        )
    )
    path = tmp_path / "c.toml"
    path.write_text(configs.to_toml(config))
    assert configs.load(path) == config


@pytest.mark.parametrize(
    ("cycles", "kernel_size", "expected"), [(3, 2, 3071), (3, 3, 6141), (1, 2, 1025)]
)
def test_receptive_field_is_the_sum_over_all_convolutions(cycles, kernel_size, expected):
    # 1 + (K-1) * (1023 a cycle, and 1 for the input layer), by hand.
    model = Model(layers_per_cycle=10, dilation_cycles=cycles, kernel_size=kernel_size)
    assert model.receptive_field == expected
    seconds = Config(model=model).receptive_field_seconds
    assert seconds == pytest.approx(expected / 16_000)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("model.residual_chanels=3", "did you mean 'model.residual_channels'"),
        ("modle.kernel_size=3", "did you mean 'model'"),
        ("model.kernel_size=1", "2 to 64"),
        ("model.predictor.odrer=3", "did you mean 'model.predictor.order'"),
        ("model.predictor.order=1024", "take model.predictor.window=8192"),
        ("model.predictor.order=-1", "0 to 1024"),
        ("model.predictor.follows=note", "did you mean 'notes'"),
        ("model.predictor.floor=nan", "0.001 to 100"),
        ("model.predictor=3", "a table: [model.predictor]"),
        ("model.predictor.x.y=3", "unknown key 'model.predictor.x'"),
        ("training.steps=many", "a whole number"),
        ("training.steps=1.5", "a whole number"),
        ("training.learning_rate=nan", "0 to 1"),
        ("conditioner.cell=lstn", "did you mean 'lstm'"),
        ('conditioner.signals=["note"]', "did you mean 'notes'"),
        ("conditioner.signals=notes", "a list of names"),
        ('conditioner.labels=["notes"]', "no signal's name"),
        ("training.crop_samples=100", "take 128"),
        ("steps=3", "section.key=value"),
        ("training=3", "section.key=value"),
    ],
)
def test_a_mistaken_value_is_refused_in_words(override, words):
    with pytest.raises(WavegenError) as error:
        configs.from_dict(configs.apply_overrides({}, [override]))
    assert words in str(error.value)


def test_a_name_without_a_file_is_refused_with_those_there_are():
    with pytest.raises(WavegenError, match="did you mean 'tiny'"):
        configs.load("tny")
    with pytest.raises(WavegenError, match="there is no config"):
        configs.load("configs/nothing.toml")


def test_text_that_is_not_toml_is_refused(tmp_path):
    path = tmp_path / "broken.toml"
    path.write_text("[model\nkernel_size = 2")
    with pytest.raises(WavegenError, match="is not TOML"):
        configs.load(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(WavegenError, match="is not TOML"):
        configs.load(path)


def test_a_shipped_config_is_found_by_name_and_by_path():
    by_name = configs.load("tiny", ["training.steps=7"])
    assert by_name == configs.load("configs/tiny.toml", ["training.steps=7"])
    assert by_name.training.steps == 7


def test_differences_name_each_key_once():
    new = dataclasses.replace(Config(), model=dataclasses.replace(Model(), kernel_size=3))
    assert configs.differences(Config(), new) == ["model.kernel_size: 2 -> 3"]
    new = configs.from_dict({"model": {"predictor": {"order": 4}}})
    assert configs.differences(Config(), new) == ["model.predictor.order: 0 -> 4"]


def test_a_refit_that_does_not_divide_a_frame_is_refused_with_one_that_does():
    overrides = ["model.hop_length=80", "training.crop_samples=160", "model.predictor.order=4"]
    with pytest.raises(WavegenError, match=r"take model\.predictor\.refit=16"):
        configs.from_dict(configs.apply_overrides({}, overrides))


def test_a_predictor_follows_only_notes_that_are_heard():
    overrides = ["model.predictor.order=16", "model.predictor.follows=notes"]
    with pytest.raises(WavegenError, match="the conditioner does not hear"):
        configs.from_dict(configs.apply_overrides({}, overrides))
    # Its coefficients change with the frames, so nothing has to divide them.
    overrides += ["conditioner.signals=['notes']", "model.predictor.refit=7"]
    found = configs.from_dict(configs.apply_overrides({}, overrides))
    assert found.model.predictor.periods_of == "notes"


def test_only_a_fitted_predictor_is_steered_and_only_by_notes_that_are_heard():
    overrides = ["model.predictor.steered=true", "conditioner.signals=['notes']"]
    with pytest.raises(WavegenError, match="nothing to steer"):
        configs.from_dict(configs.apply_overrides({}, overrides))
    overrides.append("model.predictor.order=16")
    found = configs.from_dict(configs.apply_overrides({}, overrides)).model.predictor
    assert (found.is_steered, found.is_periodic, found.periods_of) == (True, False, "notes")
    with pytest.raises(WavegenError, match="nothing to steer"):
        configs.from_dict(
            configs.apply_overrides({}, [*overrides, "model.predictor.follows=notes"])
        )
    with pytest.raises(WavegenError, match="hears no notes"):
        configs.from_dict(configs.apply_overrides({}, [*overrides, "conditioner.signals=[]"]))


def test_a_predictor_follows_only_a_fundamental_that_is_heard():
    overrides = ["model.predictor.order=16", "model.predictor.follows=f0"]
    with pytest.raises(WavegenError, match="with 'f0_loudness' among them"):
        configs.from_dict(configs.apply_overrides({}, [*overrides, "conditioner.signals=['mel']"]))
    heard = [*overrides, "conditioner.signals=['mel', 'f0_loudness']"]
    assert configs.from_dict(configs.apply_overrides({}, heard)).model.predictor.periods_of == "f0"
    off = configs.from_dict(configs.apply_overrides({}, overrides[1:]))
    assert off.model.predictor.periods_of == ""


def test_a_config_written_before_there_was_a_predictor_has_none():
    assert configs.from_dict({"model": {"kernel_size": 2}}).model.predictor.order == 0


def test_a_config_is_hashable_because_compiled_steps_are_kept_by_it():
    assert hash(Config()) == hash(Config())
    assert jax.tree.leaves(Config()) == [Config()]


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("training.microbatches=3", "take training.microbatches=2"),
        ("training.microbatches=9", "take training.microbatches=4"),
        ("training.remat=1", "true or false"),
        ("training.compute_dtype=float16", "did you mean 'bfloat16'"),
    ],
)
def test_a_training_that_cannot_be_is_refused_with_what_could(override, words):
    with pytest.raises(WavegenError, match=words):
        configs.from_dict(configs.apply_overrides({}, [override]))
