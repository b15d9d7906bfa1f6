"""A manifest that was edited by hand is refused in words, not believed and not a crash."""

import json
import shutil

import pytest

from wavegen.data import corpus
from wavegen.errors import WavegenError


@pytest.fixture(scope="module")
def whole(small_corpus):
    return json.loads((small_corpus.path / "manifest.json").read_text())


@pytest.fixture
def edited(small_corpus, tmp_path):
    """A function: the corpus with another manifest."""

    def edit(tree):
        folder = tmp_path / "edited"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(small_corpus.path, folder)
        (folder / "manifest.json").write_text(json.dumps(tree))
        return folder

    return edit


SENSELESS = (None, "x", -1, 1.5, [], {}, float("inf"), True, ["../.."], {"../..": {}}, {"train": 3})
NEEDED = {  # what is read, and the senseless values that are of the right kind
    "sample_rate": [],
    "layout": ["x"],
    "seconds": [1.5],
    "splits": [{}],  # a corpus of which no split is left has nothing to train on, and says so
    "vocabulary": [],
}


@pytest.mark.parametrize("key", NEEDED)
def test_a_field_that_is_gone_or_makes_no_sense_is_refused_in_words(whole, edited, key):
    without = {name: value for name, value in whole.items() if name != key}
    with pytest.raises(WavegenError, match=rf"manifest.json is damaged: it has no '{key}'"):
        corpus.open(edited(without))
    for value in SENSELESS:
        if value not in NEEDED[key]:
            with pytest.raises(WavegenError, match="is damaged: "):
                corpus.open(edited(whole | {key: value}))


@pytest.mark.parametrize("key", ["labels", "pitches", "velocities"])
def test_a_vocabulary_that_makes_no_sense_is_refused_in_words(whole, edited, key):
    values = [
        *SENSELESS,
        [1.5],
        [300],
        [72, 60],
        [60, 60],
        {"instrument": "x"},
        {"instrument": [1]},
    ]
    for value in values:
        words = whole["vocabulary"] | {key: value}
        with pytest.raises(WavegenError, match="is damaged: "):
            corpus.open(edited(whole | {"vocabulary": words}))


def test_labels_that_recordings_have_must_be_named(whole, edited):
    fewer = whole["vocabulary"] | {"labels": {"instrument": ["organ"]}}
    with pytest.raises(WavegenError, match="labels that the manifest does not name"):
        corpus.open(edited(whole | {"vocabulary": fewer}))


def test_the_announced_number_of_recordings_must_be_there(whole, edited):
    more = whole["splits"] | {"train": {"recordings": 9999, "seconds": 1.0}}
    with pytest.raises(WavegenError, match="9999 were announced"):
        corpus.open(edited(whole | {"splits": more}))


@pytest.mark.parametrize("name", ["../train", "/etc", "..", "", "a\\b", "C:"])
def test_a_split_lies_in_the_corpus(whole, edited, name):
    with pytest.raises(WavegenError, match="it names a split"):
        corpus.open(edited(whole | {"splits": {name: {"recordings": 1, "seconds": 1.0}}}))


@pytest.mark.parametrize("version", [None, "1", 0, -1, True, 1.0])
def test_a_version_that_is_none_is_no_manifest(whole, edited, version):
    with pytest.raises(WavegenError, match="is not a corpus's manifest"):
        corpus.open(edited(whole | {"format_version": version}))


def test_a_newer_version_asks_for_a_newer_wavegen(whole, edited):
    with pytest.raises(WavegenError, match="has format 2") as error:
        corpus.open(edited(whole | {"format_version": 2}))
    assert "install a newer wavegen" in error.value.do


def test_what_is_only_for_people_may_say_anything(whole, edited, small_corpus):
    found = corpus.open(edited(whole | {"wavegen": None, "cleaning": 3, "more": []}))
    assert found.vocabulary == small_corpus.vocabulary
