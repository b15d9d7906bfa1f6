import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from wavegen.audio import files
from wavegen.data import corpus, report, selection, shards
from wavegen.errors import WavegenError

DATA = Path(__file__).parents[2].parent / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"no recordings at {DATA}")


@pytest.fixture
def tones(tmp_path, write_tone):
    """Twelve tones in two folders, a text and a file that is no sound."""
    for number in range(12):
        write_tone(
            tmp_path / "in" / "ab"[number % 2] / f"{number}.wav", 1000 + number, 200 + number
        )
    (tmp_path / "in" / "notes.txt").write_text("nothing")
    (tmp_path / "in" / "broken.wav").write_text("nothing")
    return tmp_path / "in"


def stop_after(count):
    def progress(done, total):
        if done == count:
            raise KeyboardInterrupt

    return progress


def test_samples_come_back_as_they_were_read(tones, tmp_path):
    corpus.prepare([tones], tmp_path / "c", sample_rate=8000)
    opened = corpus.open(tmp_path / "c")
    seen = 0
    for split in opened.splits.values():
        for i, name in enumerate(split.names):
            samples, _ = files.read(tones / name)
            np.testing.assert_array_equal(split.read(i), np.round(samples * 32767))
            value = opened.vocabulary.labels["folder"][split.label_ids[i, 0]]
            assert value == Path(name).parent.name
            seen += 1
    assert seen == 12
    assert opened.seconds == pytest.approx(sum(range(1000, 1012)) / 8000)


def test_recordings_are_split_by_their_names_alone(tones, tmp_path):
    corpus.prepare([tones], tmp_path / "c", sample_rate=8000)
    shutil.copytree(tones / "a", tmp_path / "more" / "a")
    corpus.prepare([tmp_path / "more"], tmp_path / "d", sample_rate=8000)
    first, second = corpus.open(tmp_path / "c"), corpus.open(tmp_path / "d")
    assert set(first.splits) == set(second.splits) == {"train", "valid"}
    names = [f"note {number}" for number in range(5000)]
    chosen = selection.splits([(name, None) for name in names])
    assert 400 < chosen.count("valid") < 600
    fewer = selection.splits([(name, None) for name in names[:1000]])
    assert fewer == chosen[:1000]


@pytest.mark.parametrize("count", [2, 3, 5])
def test_two_recordings_are_enough_for_both_splits(count):
    for start in range(50):
        chosen = selection.splits([(f"{start} {i}", "train") for i in range(count)])
        assert set(chosen) == {"train", "valid"}


@pytest.mark.parametrize("stopped_at", [1, 5, 12])
def test_stopped_prepare_resumes_to_the_same_bytes(tones, tmp_path, tree_bytes, stopped_at):
    corpus.prepare([tones], tmp_path / "whole", sample_rate=8000)
    with pytest.raises(KeyboardInterrupt):
        corpus.prepare([tones], tmp_path / "c", sample_rate=8000, progress=stop_after(stopped_at))
    assert not (tmp_path / "c").exists()
    # A kill may also tear what came after the last line of the journal.
    partial = tmp_path / "c.partial"
    for path in [*partial.glob("*/samples-*.npy"), partial / shards.JOURNAL]:
        with path.open("ab") as file:
            file.write(b'{"name": "torn')
    calls = []
    corpus.prepare(
        [tones], tmp_path / "c", sample_rate=8000, progress=lambda done, _: calls.append(done)
    )
    assert calls == list(range(stopped_at + 1, 14))
    assert tree_bytes(tmp_path / "c") == tree_bytes(tmp_path / "whole")
    assert not partial.exists()


def test_killed_prepare_resumes_to_the_same_bytes(tones, tmp_path, tree_bytes):
    code = (
        "import os, signal, sys\n"
        "from wavegen.data import corpus\n"
        "def progress(done, total):\n"
        "    if done == 6: os.kill(os.getpid(), signal.SIGKILL)\n"
        "corpus.prepare([sys.argv[1]], sys.argv[2], sample_rate=8000, progress=progress)\n"
    )
    root = str(Path(__file__).parents[2])
    killed = subprocess.run(
        [sys.executable, "-c", code, str(tones), str(tmp_path / "c")],
        env=os.environ | {"PYTHONPATH": root},
    )
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "c.partial").is_dir()
    corpus.prepare([tones], tmp_path / "c", sample_rate=8000)
    corpus.prepare([tones], tmp_path / "whole", sample_rate=8000)
    assert tree_bytes(tmp_path / "c") == tree_bytes(tmp_path / "whole")


def test_other_options_start_over(tones, tmp_path, tree_bytes):
    with pytest.raises(KeyboardInterrupt):
        corpus.prepare([tones], tmp_path / "c", sample_rate=8000, progress=stop_after(5))
    corpus.prepare([tones], tmp_path / "c", sample_rate=4000)
    corpus.prepare([tones], tmp_path / "whole", sample_rate=4000)
    assert tree_bytes(tmp_path / "c") == tree_bytes(tmp_path / "whole")


def test_any_number_of_workers_gives_the_same_bytes(tones, tmp_path, tree_bytes):
    corpus.prepare([tones], tmp_path / "one", sample_rate=8000)
    corpus.prepare([tones], tmp_path / "two", sample_rate=8000, workers=2)
    assert tree_bytes(tmp_path / "one") == tree_bytes(tmp_path / "two")


def test_a_corpus_inside_its_source_does_not_eat_itself(tones, tmp_path, tree_bytes):
    corpus.prepare([tones], tmp_path / "c", sample_rate=8000)
    with pytest.raises(KeyboardInterrupt):
        corpus.prepare([tones], tones / "c", sample_rate=8000, progress=stop_after(5))
    corpus.prepare([tones], tones / "c", sample_rate=8000)
    assert tree_bytes(tones / "c") == tree_bytes(tmp_path / "c")


def test_many_shards_read_like_one(tones, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "MAX_SAMPLES", 2500)
    with pytest.raises(KeyboardInterrupt):
        corpus.prepare([tones], tmp_path / "c", sample_rate=8000, progress=stop_after(8))
    corpus.prepare([tones], tmp_path / "c", sample_rate=8000)
    split = corpus.open(tmp_path / "c").splits["train"]
    assert len(split.samples) > 3
    for i, name in enumerate(split.names):
        samples, _ = files.read(tones / name)
        np.testing.assert_array_equal(split.read(i), np.round(samples * 32767))


def test_a_corpus_is_never_overwritten(tones, tmp_path, tree_bytes):
    corpus.prepare([tones], tmp_path / "c", sample_rate=8000)
    before = tree_bytes(tmp_path / "c")
    with pytest.raises(WavegenError, match="holds a corpus"):
        corpus.prepare([tones], tmp_path / "c", sample_rate=8000)
    assert tree_bytes(tmp_path / "c") == before


def test_nothing_to_keep_is_an_error_with_reasons_and_leaves_nothing(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.wav").write_text("no sound")
    with pytest.raises(WavegenError, match=r"a\.wav: the file cannot be read as sound"):
        corpus.prepare([tmp_path / "in"], tmp_path / "c")
    (tmp_path / "in" / "a.wav").unlink()
    with pytest.raises(WavegenError, match="no recording"):
        corpus.prepare([tmp_path / "in"], tmp_path / "c")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"layout": "nsymth"}, "no layout"),
        ({"sample_rate": 10}, "10 Hz"),
        ({"pitches": (70, 60)}, "70-60"),
        ({"limit": 0}, "limit"),
        ({"labels": {"speaker": ("a",)}}, "one of: folder"),
        ({"labels": {"folder": ("c",)}}, "one of: a, b"),
    ],
)
def test_a_wrong_option_is_refused_in_words(tones, tmp_path, options, words):
    with pytest.raises(WavegenError, match=words):
        corpus.prepare([tones], tmp_path / "c", **options)
    assert not (tmp_path / "c.partial").exists()


def test_a_source_that_is_not_there_is_refused(tones, tmp_path):
    for sources in ([], [tmp_path / "nowhere"], [tones, tones]):
        with pytest.raises(WavegenError):
            corpus.prepare(sources, tmp_path / "c")


def test_labels_and_limit_choose_and_are_counted(tones, tmp_path):
    made = corpus.prepare(
        [tones], tmp_path / "c", sample_rate=8000, labels={"folder": ("a",)}, limit=4
    )
    assert len(made.kept) == 4
    assert {file["labels"]["folder"] for file in made.kept} == {"a"}
    assert dict(made.left_out) == {"label folder": 7, "limit": 2}  # broken.wav lies in neither


def test_one_file_can_be_a_source_and_several_sources_are_told_apart(tones, tmp_path):
    corpus.prepare([tones / "a" / "0.wav", tones / "b"], tmp_path / "c", sample_rate=8000)
    opened = corpus.open(tmp_path / "c")
    names = [name for split in opened.splits.values() for name in split.names]
    assert sorted(names) == ["0.wav/0.wav", *(f"b/{n}.wav" for n in (1, 11, 3, 5, 7, 9))]


def test_links_in_circles_are_walked_once(tones, tmp_path):
    (tones / "a" / "up").symlink_to(tones, target_is_directory=True)
    made = corpus.prepare([tones], tmp_path / "c", sample_rate=8000)
    assert len(made.kept) == 12


def test_the_report_names_every_file_and_its_totals_agree(tones, tmp_path):
    made = corpus.prepare([tones], tmp_path / "c", sample_rate=8000)
    stored = json.loads((tmp_path / "c" / "report.json").read_text())
    assert stored["files"] == [*json.loads(json.dumps(made.files))]
    assert (stored["kept"], stored["dropped"], stored["ignored"]) == (12, 1, 1)
    assert stored["dropped"] + stored["kept"] == len(stored["files"])
    assert stored["seconds"] == pytest.approx(
        sum(s["seconds"] for s in stored["splits"].values()), abs=1e-3
    )
    rows = dict(report.summary(made))
    assert rows["kept"].startswith("12 recordings")
    assert any(row.startswith("broken.wav: ") for _, row in report.summary(made))


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda path: shutil.rmtree(path), "there is no corpus"),
        (lambda path: (path / "manifest.json").unlink(), "no corpus"),
        (lambda path: (path / "manifest.json").write_text("{"), "not whole JSON"),
        (lambda path: (path / "manifest.json").write_text("[]"), "manifest"),
        (lambda path: (path / "manifest.json").write_text('{"format_version": 99}'), "newer"),
        (lambda path: (path / "manifest.json").write_text('{"format_version": 1}'), "damaged"),
        (lambda path: (path / "train" / "items.npz").write_bytes(b"PK"), "damaged"),
        (lambda path: (path / "train" / "samples-00000.npy").unlink(), "damaged"),
        (lambda path: os.truncate(path / "train" / "samples-00000.npy", 900), "damaged"),
        (lambda path: os.truncate(path / "train" / "items.npz", 900), "damaged"),
    ],
)
def test_a_corpus_that_is_not_whole_is_refused_when_opened(tones, tmp_path, harm, words):
    corpus.prepare([tones], tmp_path / "c", sample_rate=8000)
    harm(tmp_path / "c")
    with pytest.raises(WavegenError, match=words):
        corpus.open(tmp_path / "c")


@needs_data
def test_every_odd_file_is_used_or_named_with_a_reason(tmp_path):
    odd = DATA / "odd"
    made = corpus.prepare([odd], tmp_path / "c")
    named = {file["name"] for file in made.files}
    sounds = {
        path.relative_to(odd).as_posix()
        for path in odd.rglob("*")
        if path.is_file() and path.suffix not in (".mid", ".json", ".txt")
    }
    assert named == sounds
    assert all(file["reason"] for file in made.dropped)
    dropped = {file["name"] for file in made.dropped}
    assert {
        "zero_bytes.wav",
        "float_nan.wav",
        "silent_4s.wav",
        "stereo_opposite_phase.wav",
    } <= dropped
    for split in corpus.open(tmp_path / "c").splits.values():
        assert all(np.any(split.read(i)) for i in range(split.num_items))


def test_what_is_found_is_counted_before_anything_is_read(tmp_path, write_tone):
    for name in "abc":
        write_tone(tmp_path / "in" / f"{name}.wav")
    (tmp_path / "in" / "notes.txt").touch()
    told = []
    corpus.prepare(
        [tmp_path / "in"],
        tmp_path / "c",
        looking=told.append,
        progress=lambda done, total: told.append((done, total)),
    )
    assert told == [1, 2, 3, 4, (1, 3), (2, 3), (3, 3)]
