"""Parts that machines prepare each by itself, and the corpus that they make together."""

import errno
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
from wavegen.audio.cleaning import Cleaning
from wavegen.data import assembly, corpus, parts, selection, shards
from wavegen.data.parts import Part
from wavegen.errors import WavegenError

RATE = 8000
ROOT = Path(__file__).parents[2]


@pytest.fixture
def messy(tmp_path, write_tone):
    """Ten tones, one of them twice; a text, and what is dropped before and while it is heard."""
    source = tmp_path / "in"
    for number in range(10):
        write_tone(source / "ab"[number % 2] / f"{number}.wav", 1000 + number, 200 + number)
    shutil.copy(source / "a" / "0.wav", source / "b" / "z.wav")
    write_tone(source / "b" / "torn.wav")
    (source / "b" / "torn.json").write_text("{")
    write_tone(source / "b" / "10.wav", 20)
    (source / "a" / "broken.wav").write_text("nothing")
    (source / "a" / "notes.txt").write_text("nothing")
    return [source]


@pytest.fixture
def quiet_notes(tmp_path, make_nsynth):
    """Notes with silence around them, in a data set with splits of its own."""
    folders = [tmp_path / "in" / f"nsynth-{split}" for split in ("valid", "train", "test")]
    for folder, instrument in zip(folders, ("organ_a_1", "guitar_b_2", "flute_c_3"), strict=True):
        make_nsynth(folder, range(60, 64), instrument)
        for path in (folder / "audio").iterdir():
            samples, _ = files.read(path)
            silence = np.zeros(len(samples) // 2)
            files.write(path, np.concatenate([silence, samples, silence]), RATE)
    return folders


CASES = {
    "a folder": ("messy", {}),
    "a choice of it": ("messy", {"limit": 9}),
    "notes that cleaning moves": (
        "quiet_notes",
        {"cleaning": Cleaning(trim_silence=True, normalize="peak")},
    ),
}


def prepare(sources, out, **options):
    return corpus.prepare(sources, out, sample_rate=RATE, **options)


def prepare_parts(sources, folder, number, **options):
    """All the parts, in no order."""
    made = [folder / f"part{i}" for i in range(1, number + 1)]
    for i, out in enumerate(made, 1):
        prepare(sources, out, part=Part(i, number), **options)
    return made[::-1]


def contents(path):
    """All that a corpus holds, by recording."""
    opened = corpus.open(path)
    return {
        split.names[i]: (
            name,
            {
                label: opened.vocabulary.labels[label][split.label_ids[i, k]]
                for k, label in enumerate(opened.vocabulary.labels)
            },
            split.score(i),
            split.read(i).tobytes(),
        )
        for name, split in opened.splits.items()
        for i in range(split.num_items)
    }


@pytest.mark.parametrize("number", [1, 2, 3, 7])
@pytest.mark.parametrize("case", CASES)
def test_parts_joined_are_the_bytes_of_one_prepare(case, number, tmp_path, tree_bytes, request):
    source, options = CASES[case]
    sources = request.getfixturevalue(source)
    told = prepare(sources, tmp_path / "whole", **options)
    made = prepare_parts(sources, tmp_path, number, **options)
    before = [tree_bytes(folder) for folder in made]
    joined = assembly.join(made, tmp_path / "c")
    whole = tree_bytes(tmp_path / "whole")
    assert tree_bytes(tmp_path / "c") == whole
    assert joined == told
    assert len(whole) > 4
    assert [tree_bytes(folder) for folder in made] == before


def silence(path):
    files.write(path, np.zeros(2000), RATE)


def test_what_is_dropped_in_one_part_moves_recordings_in_another(tmp_path, messy, tree_bytes):
    (source,) = messy
    names = sorted(path.relative_to(source).as_posix() for path in source.rglob("*.wav"))
    names.remove("b/torn.wav")
    splits = selection.splits([(name, None) for name in names])
    valid = [name for name, split in zip(names, splits, strict=True) if split == "valid"]
    assert 0 < len(valid) < len(names) / 2
    for name in valid:
        silence(source / name)
    prepare(messy, tmp_path / "whole")
    made = prepare_parts(messy, tmp_path, 3)
    assert all(set(corpus.open(part).splits) == {"train"} for part in made)
    assembly.join(made, tmp_path / "c")
    assert "valid" in corpus.open(tmp_path / "c").splits
    assert contents(tmp_path / "c") == contents(tmp_path / "whole")
    assert tree_bytes(tmp_path / "c") == tree_bytes(tmp_path / "whole")


def test_a_split_of_the_data_sets_own_that_falls_silent_is_drawn_anew(
    tmp_path, quiet_notes, tree_bytes
):
    for folder in quiet_notes[::2]:
        for path in (folder / "audio").iterdir():
            silence(path)
    prepare(quiet_notes, tmp_path / "whole")
    assembly.join(prepare_parts(quiet_notes, tmp_path, 3), tmp_path / "c")
    opened = corpus.open(tmp_path / "c")
    assert {name: split.num_items for name, split in opened.splits.items()} == {
        "train": 2,
        "valid": 2,
    }
    assert tree_bytes(tmp_path / "c") == tree_bytes(tmp_path / "whole")


def test_a_part_is_a_corpus_whose_recordings_lie_in_the_splits_of_the_whole(tmp_path, messy):
    prepare(messy, tmp_path / "whole")
    whole = contents(tmp_path / "whole")
    found = {}
    for part in prepare_parts(messy, tmp_path, 3):
        held = contents(part)
        assert 0 < len(held) < len(whole)
        assert not found.keys() & held.keys()
        found |= held
    assert found == whole


def test_ignored_and_left_out_are_counted_in_the_first_part_alone(tmp_path, messy):
    options = {"labels": {"folder": ("a",)}}
    told = [prepare(messy, tmp_path / f"{i}", part=Part(i, 3), **options) for i in (1, 2, 3)]
    assert [report.ignored for report in told] == [2, 0, 0]
    assert [dict(report.left_out) for report in told] == [{"label folder": 7}, {}, {}]


def test_a_part_without_anything_to_keep_is_a_part(tmp_path, messy, tree_bytes):
    (source,) = messy
    for name in ("a/0.wav", "a/2.wav", "a/4.wav"):
        (source / name).write_text("nothing")
    made = prepare_parts(messy, tmp_path, 6)
    empty = made[-1]
    assert corpus.open(empty).splits == {}
    prepare(messy, tmp_path / "whole")
    assembly.join(made, tmp_path / "c")
    assert tree_bytes(tmp_path / "c") == tree_bytes(tmp_path / "whole")


def test_parts_of_nothing_but_silence_make_no_corpus(tmp_path):
    for name in "ab":
        silence(tmp_path / "in" / f"{name}.wav")
    made = prepare_parts([tmp_path / "in"], tmp_path, 2)
    with pytest.raises(WavegenError, match=r"a\.wav: silent"):
        assembly.join(made, tmp_path / "c")
    assert not list(tmp_path.glob("c*"))


def stop_after(count):
    def progress(done, total):
        if done == count:
            raise KeyboardInterrupt

    return progress


def test_a_stopped_part_resumes_to_the_same_bytes(tmp_path, messy, tree_bytes):
    prepare(messy, tmp_path / "whole", part=Part(2, 3))
    with pytest.raises(KeyboardInterrupt):
        prepare(messy, tmp_path / "c", part=Part(2, 3), progress=stop_after(2))
    told = []
    prepare(messy, tmp_path / "c", part=Part(2, 3), progress=lambda done, total: told.append(done))
    assert told == [3, 4, 5]
    # The journal's first line stands for the files, whose times are not those of another run.
    assert tree_bytes(tmp_path / "c") == tree_bytes(tmp_path / "whole")


@pytest.mark.parametrize("other", [Part(1, 3), Part(2, 4), Part(2, 2), None])
def test_another_part_starts_over(tmp_path, messy, tree_bytes, other):
    with pytest.raises(KeyboardInterrupt):
        prepare(messy, tmp_path / "c", part=Part(2, 3), progress=stop_after(2))
    prepare(messy, tmp_path / "c", part=other)
    prepare(messy, tmp_path / "whole", part=other)
    assert tree_bytes(tmp_path / "c") == tree_bytes(tmp_path / "whole")


def test_a_part_of_one_is_not_taken_for_the_whole(tmp_path, messy, tree_bytes, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("wavegen.data.items.write", full)
        with pytest.raises(WavegenError, match="the disk is full"):
            prepare(messy, tmp_path / "c", part=Part(1, 1))
    prepare(messy, tmp_path / "c")
    prepare(messy, tmp_path / "whole")
    assert tree_bytes(tmp_path / "c") == tree_bytes(tmp_path / "whole")


@pytest.mark.parametrize("stopped_at", [1, 6, 14])
def test_a_stopped_join_goes_on_where_it_was_to_the_same_bytes(
    tmp_path, messy, tree_bytes, monkeypatch, stopped_at
):
    monkeypatch.setattr(shards, "_BLOCK", 300)
    monkeypatch.setattr(shards, "MAX_SAMPLES", 2500)
    prepare(messy, tmp_path / "whole")
    made = prepare_parts(messy, tmp_path, 3)
    with pytest.raises(KeyboardInterrupt):
        assembly.join(made, tmp_path / "c", progress=stop_after(stopped_at))
    for path in (tmp_path / "c.partial").glob("*/samples-*.npy"):
        with path.open("ab") as file:
            file.write(b"torn")
    told = []
    assembly.join(made, tmp_path / "c", progress=lambda done, total: told.append((done, total)))
    assert told == [(done, 14) for done in range(stopped_at + 1, 15)]
    assert tree_bytes(tmp_path / "c") == tree_bytes(tmp_path / "whole")


def test_a_killed_join_goes_on_to_the_same_bytes(tmp_path, messy, tree_bytes):
    made = prepare_parts(messy, tmp_path, 2)
    code = (
        "import os, signal, sys\n"
        "from wavegen.data import assembly\n"
        "def progress(done, total):\n"
        "    if done == 6: os.kill(os.getpid(), signal.SIGKILL)\n"
        "assembly.join(sys.argv[2:], sys.argv[1], progress=progress)\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "c"), *map(str, made)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert killed.returncode == -signal.SIGKILL
    assembly.join(made, tmp_path / "c")
    prepare(messy, tmp_path / "whole")
    assert tree_bytes(tmp_path / "c") == tree_bytes(tmp_path / "whole")


def test_a_join_of_parts_that_were_prepared_anew_starts_over(tmp_path, messy, tree_bytes):
    made = prepare_parts(messy, tmp_path, 2)
    with pytest.raises(KeyboardInterrupt):
        assembly.join(made, tmp_path / "c", progress=stop_after(6))
    (source,) = messy
    sound, _ = files.read(source / "a" / "0.wav")
    files.write(source / "a" / "0.wav", sound / 2, RATE)  # a file of the same size
    for folder in made:
        shutil.rmtree(folder)
    assembly.join(prepare_parts(messy, tmp_path, 2), tmp_path / "c")
    prepare(messy, tmp_path / "whole")
    assert tree_bytes(tmp_path / "c") == tree_bytes(tmp_path / "whole")


def test_two_joins_keep_out_of_each_others_way(tmp_path, messy):
    made = prepare_parts(messy, tmp_path, 2)
    said = []

    def second(done, total):
        with pytest.raises(WavegenError, match="another prepare") as refused:
            assembly.join(made, tmp_path / "c")
        said.append(refused)

    assembly.join(made, tmp_path / "c", progress=second)
    assert len(said) == 14


def test_a_source_may_lie_elsewhere_on_another_machine(tmp_path, messy, tree_bytes):
    prepare(messy, tmp_path / "whole")
    shutil.copytree(messy[0], tmp_path / "mounted" / "here")
    made = [tmp_path / "one", tmp_path / "two"]
    prepare(messy, made[0], part=Part(1, 2))
    prepare([tmp_path / "mounted" / "here"], made[1], part=Part(2, 2))
    assembly.join(made, tmp_path / "c")
    assert tree_bytes(tmp_path / "c") == tree_bytes(tmp_path / "whole")


@pytest.mark.parametrize("text", ["0/4", "5/4", "x", "1/0", "1", "1/", "/2", "-1/2", "1/2/3", ""])
def test_a_part_that_is_none_is_refused_in_words(text):
    with pytest.raises(WavegenError, match="I/N"):
        parts.parse(text)
    assert parts.parse("2/4") == Part(2, 4)


@pytest.mark.parametrize(("found", "of"), [(14, 1), (14, 5), (3, 3), (10, 7)])
def test_parts_share_all_that_was_found_and_none_goes_without(found, of):
    shared = [range(found)[Part(i, of).span(found)] for i in range(1, of + 1)]
    assert [number for part in shared for number in part] == list(range(found))
    assert max(map(len, shared)) - min(map(len, shared)) <= 1
    assert min(map(len, shared)) > 0


def test_more_parts_than_recordings_are_refused(tmp_path, messy):
    with pytest.raises(WavegenError, match="13 recordings"):
        prepare(messy, tmp_path / "c", part=Part(1, 14))
    assert not list(tmp_path.glob("c*"))


def other_rate(made, sources):
    shutil.rmtree(made[0])
    corpus.prepare(sources, made[0], sample_rate=4000, part=Part(3, 3))


def other_cleaning(made, sources):
    shutil.rmtree(made[0])
    prepare(sources, made[0], part=Part(3, 3), cleaning=Cleaning(normalize="peak"))


def one_file_more(made, sources):
    shutil.rmtree(made[0])
    shutil.copy(sources[0] / "a" / "2.wav", sources[0] / "a" / "22.wav")
    prepare(sources, made[0], part=Part(3, 3))


def one_label_more(made, sources):
    shutil.rmtree(made[0])
    (sources[0] / "a" / "2.json").write_text('{"mood": "calm"}')
    prepare(sources, made[0], part=Part(3, 3))


def of_another_number(made, sources):
    shutil.rmtree(made[0])
    prepare(sources, made[0], part=Part(3, 4))


def twice(made, sources):
    shutil.copytree(made[1], made[0].parent / "copy")
    made.append(made[0].parent / "copy")


def an_ordinary_corpus(made, sources):
    shutil.rmtree(made[0])
    prepare(sources, made[0])


def unfinished(made, sources):
    shutil.rmtree(made[0])
    with pytest.raises(KeyboardInterrupt):
        prepare(sources, made[0], part=Part(3, 3), progress=stop_after(2))
    made[0] = made[0].with_name(made[0].name + ".partial")


def a_newer_one(made, sources):
    told = json.loads((made[0] / parts.FILE).read_text())
    (made[0] / parts.FILE).write_text(json.dumps(told | {"format_version": 99}))


def cut_journal(made, sources):
    lines = (made[0] / shards.JOURNAL).read_text().splitlines(keepends=True)
    (made[0] / shards.JOURNAL).write_text("".join(lines[:-1]))


def other_journal(made, sources):
    lines = (made[0] / shards.JOURNAL).read_text().splitlines(keepends=True)
    (made[0] / shards.JOURNAL).write_text("".join([lines[0], *lines[2:], lines[1]]))


def another_word_in_the_journal(made, sources):
    text = (made[0] / shards.JOURNAL).read_text()
    (made[0] / shards.JOURNAL).write_text(text.replace('"peak"', '"peal"', 1))


def flipped_sample(made, sources):
    with (made[0] / "train" / "samples-00000.npy").open("r+b") as file:
        file.seek(shards.HEADER_BYTES + 10)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda made, _: made.clear(), "no part was named"),
        (lambda made, _: made.pop(1), "part 2/3 is missing"),
        (lambda made, _: shutil.rmtree(made[0]), "there is no .*part3"),
        (lambda made, _: made.append(made[1]), "part2 and .*part2 are both part 2/3"),
        (lambda made, sources: made.append(sources[0]), "in is no part"),
        (lambda made, _: (made[0] / parts.FILE).write_text("{"), "part3.* is damaged"),
        (lambda made, _: (made[0] / parts.FILE).write_text("[]"), "part3.* is damaged"),
        (lambda made, _: (made[0] / shards.JOURNAL).unlink(), "part3.* is damaged"),
        (lambda made, _: (made[0] / "manifest.json").unlink(), "part3"),
        (lambda made, _: os.truncate(made[0] / "train/samples-00000.npy", 900), "part3.* damaged"),
        (twice, "part2 and .*copy are both part 2/3|copy and .*part2 are both part 2/3"),
        (other_rate, "part3 is of other work than .*part"),
        (other_cleaning, "part3 is of other work than .*part"),
        (one_file_more, "part3 is of other work than .*part"),
        (one_label_more, "part3 is of other work than .*part"),
        (of_another_number, "part3 is part 3/4"),
        (an_ordinary_corpus, "part3 is no part: it is a whole corpus"),
        (unfinished, "part3.partial is no part: it is unfinished"),
        (a_newer_one, "newer"),
        (cut_journal, "part3.* is damaged"),
        (other_journal, "part3.* is damaged"),
        (another_word_in_the_journal, "part3.* is damaged"),
        (flipped_sample, "part3.* is damaged"),
    ],
)
def test_what_cannot_be_joined_is_refused_in_words(tmp_path, messy, harm, words):
    made = prepare_parts(messy, tmp_path, 3)
    harm(made, messy)
    with pytest.raises(WavegenError, match=words):
        assembly.join(made[1:] + made[:1], tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_a_part_that_was_mended_lets_the_join_go_on(tmp_path, messy, tree_bytes):
    made = prepare_parts(messy, tmp_path, 3)
    flipped_sample(made, messy)
    with pytest.raises(WavegenError, match="damaged"):
        assembly.join(made, tmp_path / "c")
    shutil.rmtree(made[0])
    shutil.copytree(messy[0], tmp_path / "mounted" / "in")
    prepare([tmp_path / "mounted" / "in"], made[0], part=Part(3, 3))
    told = []
    assembly.join(made, tmp_path / "c", progress=lambda done, total: told.append(done))
    assert told[0] > 1
    prepare(messy, tmp_path / "whole")
    assert tree_bytes(tmp_path / "c") == tree_bytes(tmp_path / "whole")
