"""A digest stands for what a corpus holds: it moves with every change, and with nothing else."""

import json
import shutil

import numpy as np
import pytest

from wavegen.data import corpus, digest


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    path = tmp_path_factory.mktemp("digest") / "notes"
    prepare(path)
    return path


def prepare(path, **changed):
    asked = {"sample_rate": 4000, "pitches": (60, 62), "limit": 12} | changed
    corpus.prepare([], path, layout="synthetic", **asked)


@pytest.fixture
def copy(original, tmp_path):
    return shutil.copytree(original, tmp_path / "copy")


def test_a_copy_and_a_corpus_prepared_again_have_the_same(original, copy, tmp_path):
    prepare(tmp_path / "again")
    (tmp_path / "again" / "notes.txt").write_text("mine")
    found = digest.of(original)
    assert found == digest.of(copy) == digest.of(tmp_path / "again")
    assert found == corpus.open(original).digest
    assert len(found) == 16
    assert int(found, 16)


@pytest.mark.parametrize("changed", [{"limit": 11}, {"sample_rate": 4001}, {"pitches": (60, 63)}])
def test_other_recordings_have_another(original, tmp_path, changed):
    prepare(tmp_path / "other", **changed)
    assert digest.of(tmp_path / "other") != digest.of(original)


def test_the_version_that_prepared_it_does_not_count(original, copy):
    manifest = copy / "manifest.json"
    told = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(told | {"wavegen": "99.0"}))
    assert digest.of(copy) == digest.of(original)
    manifest.write_text(json.dumps(told | {"sample_rate": 4001}))
    assert digest.of(copy) != digest.of(original)


def test_changed_items_and_sizes_are_noticed(original, copy):
    items = copy / "train" / "items.npz"
    kept = items.read_bytes()
    items.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    assert digest.of(copy) != digest.of(original)
    items.write_bytes(kept)
    with (copy / "train" / "samples-00000.npy").open("ab") as shard:
        shard.write(b"\0\0")
    assert digest.of(copy) != digest.of(original)


def test_other_sound_of_the_same_size_is_noticed_though_only_blocks_are_read(tmp_path, original):
    rng = np.random.default_rng(0)
    path = shutil.copytree(original, tmp_path / "large") / "train" / "samples-00000.npy"
    found = set()
    for _ in range(3):
        sound = rng.integers(-9, 9, 1 << 20, np.int16)  # 2 MB: blocks are an eighth of it
        np.save(path, sound)
        found.add(digest.of(tmp_path / "large"))
        sound[-1] += 1  # the last block is read to its end
        np.save(path, sound)
        found.add(digest.of(tmp_path / "large"))
    assert len(found) == 6
