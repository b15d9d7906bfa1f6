"""Instruments: a network in three small files comes back, and damaged ones are refused."""

import json
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from wavegen import checkpoint, instrument
from wavegen.config import Conditioner, Config, Vocabulary
from wavegen.errors import WavegenError
from wavegen.heard import Heard
from wavegen.instrument import Papers
from wavegen.model import network
from wavegen.model.network import Trained

CONFIG = Config(conditioner=Conditioner(signals=("notes",), labels=("instrument",)))
VOCABULARY = Vocabulary({"instrument": ("bell", "organ")}, pitches=(60, 64), velocities=(100,))
HEARD = Heard((-40.0, -10.0), (0.0, 0.1), 0.0, 0.1, 0.2, pitches={"instrument": {"bell": (60, 64)}})
PAPERS = Papers("bells", "CC0-1.0", "# Bells\n\nOf glass.", 1.25)


def made(seed=0):
    graphdef, params = network.create(CONFIG, VOCABULARY, seed)
    return Trained(CONFIG, VOCABULARY, graphdef, params, 700, HEARD, 0.8)


@pytest.fixture
def folder(tmp_path):
    instrument.write(made(), PAPERS, tmp_path / "bells")
    return tmp_path / "bells"


def test_what_was_written_comes_back_rounded_to_eleven_bits(folder):
    found, before = instrument.read(folder), made()
    assert (found.config, found.vocabulary, found.step) == (CONFIG, VOCABULARY, 700)
    assert (found.heard, found.temperature) == (HEARD, 0.8)
    assert found.graphdef == before.graphdef

    def is_near(a, b):
        # Half a unit of float16's eleventh bit; below 2^-14 its numbers lie 2^-24 apart.
        np.testing.assert_allclose(a, b, rtol=2**-11, atol=2**-25)

    jax.tree.map(is_near, found.params, before.params)


def test_an_instrument_is_taken_wherever_a_run_is(folder):
    found = checkpoint.load(folder)
    jax.tree.map(np.testing.assert_array_equal, found.params, instrument.read(folder).params)
    assert checkpoint.load(folder, 700).step == 700
    with pytest.raises(WavegenError, match="an instrument of step 700"):
        checkpoint.load(folder, 3)


def test_the_files_are_few_small_and_written_the_same_again(folder, tmp_path):
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        (instrument.ABOUT, instrument.WEIGHTS, instrument.CARD)
    )
    weights = (folder / instrument.WEIGHTS).read_bytes()
    count = network.count(made().params)
    assert 2 * count < len(weights) < 2 * count + 5000  # two bytes each, and their names
    assert (folder / instrument.CARD).read_text() == "# Bells\n\nOf glass.\n"
    written = instrument.write(made(), PAPERS, folder)  # over what is there
    assert (folder / instrument.WEIGHTS).read_bytes() == weights
    assert written == sum(path.stat().st_size for path in folder.iterdir())
    assert [path.name for path in tmp_path.iterdir()] == ["bells"]  # nothing is left beside it


def test_what_else_lies_in_its_folder_stays_when_it_is_written_again(folder):
    (folder / "evaluation").mkdir()
    (folder / "my_takes.txt").write_text("mine")
    instrument.write(made(seed=1), PAPERS, folder)
    assert (folder / "my_takes.txt").read_text() == "mine"
    assert (folder / "evaluation").is_dir()
    assert len(list(folder.iterdir())) == 5


def test_it_tells_no_path_of_the_machine_that_it_was_made_on(tmp_path):
    trained = made()
    training = replace(CONFIG.training, init_from="/home/somebody/run")
    instrument.write(
        replace(trained, config=replace(CONFIG, training=training)), PAPERS, tmp_path / "bells"
    )
    assert "somebody" not in (tmp_path / "bells" / instrument.ABOUT).read_text()


def test_the_one_in_the_box_has_a_name_unless_there_is_such_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert instrument.find(None) == instrument.find("shipped") == instrument.SHIPPED
    assert instrument.called(instrument.SHIPPED) == "shipped"
    (tmp_path / "shipped").mkdir()
    assert instrument.find("shipped") == Path("shipped")
    assert instrument.called(Path("runs/a")) == str(Path("runs/a"))


def spoil_about(folder, **changes):
    told = json.loads((folder / instrument.ABOUT).read_text())
    (folder / instrument.ABOUT).write_text(json.dumps(told | changes))


def forget(folder, name):
    told = json.loads((folder / instrument.ABOUT).read_text())
    del told[name]
    (folder / instrument.ABOUT).write_text(json.dumps(told))


def flipped(folder):
    path = folder / instrument.WEIGHTS
    held = bytearray(path.read_bytes())
    held[len(held) // 2] ^= 4
    path.write_bytes(held)


DAMAGES = {
    "a flipped bit": (flipped, "its checksum differs"),
    "no weights": (lambda folder: (folder / instrument.WEIGHTS).unlink(), "damaged: .*No such"),
    "half of about": (
        lambda folder: (folder / instrument.ABOUT).write_text('{"format_version": 1, '),
        "instrument.json is damaged",
    ),
    "another config": (
        lambda folder: spoil_about(folder, vocabulary=Vocabulary({"instrument": ("a",)}).to_dict()),
        "its weights are not those of its config",
    ),
    "a config that is none": (lambda folder: spoil_about(folder, config=[]), "is damaged"),
    "a list": (
        lambda folder: (folder / instrument.ABOUT).write_text("[]"),
        "instrument.json is damaged",
    ),
    "no licence": (lambda folder: forget(folder, "licence"), "does not tell licence"),
    "a later format": (lambda folder: spoil_about(folder, format_version=2), "a newer wavegen"),
}


@pytest.mark.parametrize(("spoil", "words"), DAMAGES.values(), ids=DAMAGES)
def test_what_is_damaged_or_too_new_is_refused_in_words(folder, spoil, words):
    spoil(folder)
    with pytest.raises(WavegenError, match=words):
        checkpoint.load(folder)


def test_weights_that_have_come_apart_are_not_written(tmp_path):
    trained = made()
    trained.params["wavenet"]["skip_bias"] = trained.params["wavenet"]["skip_bias"].at[0].set(1e9)
    with pytest.raises(WavegenError, match=r"wavenet.skip_bias holds weights that float16 cannot"):
        instrument.write(trained, PAPERS, tmp_path / "bells")
    assert not list(tmp_path.iterdir())
