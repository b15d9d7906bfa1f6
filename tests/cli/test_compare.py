"""`wavegen compare`: tables of any width, a page, JSON; wrong inputs in one message."""

import itertools
import json
import shutil

import pytest

from wavegen.cli import compare


@pytest.fixture(scope="module")
def other(run, tmp_path_factory):
    """The same run with another config, and validations that are better by half a bit."""
    path = tmp_path_factory.mktemp("compare") / "other"
    shutil.copytree(run, path)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        if "validation_bits_per_sample" in line:
            line["validation_bits_per_sample"] -= 0.5
    (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    told = (path / "config.toml").read_text()
    (path / "config.toml").write_text(told.replace("batch_size = 2", "batch_size = 4"))
    return path


def test_runs_are_laid_side_by_side(wavegen, run, other):
    ended = wavegen("compare", run, other, "--json")
    assert ended.code == 0, ended.err
    *lines, last = ended.out.splitlines()
    facts = json.loads(last)
    rows = {row["name"]: row for row in facts["rows"]}
    assert facts["validated_on_the_same"]
    assert facts["verdict"].startswith("other validates best")
    assert "0.5000 below run" in facts["verdict"]
    assert rows["training.batch_size"]["values"] == [2, 4]
    assert rows["best_validation"]["best"] == [1]
    assert rows["parameters"]["values"][0] == rows["parameters"]["values"][1] > 0
    assert [each["step"] for each in facts["runs"]] == [12, 12]
    assert ["training.batch_size", "2", "4"] in [line.split() for line in lines]
    assert any("best validation" in line and line.endswith("*") for line in lines)
    assert [line for line in lines if line in ("network", "config", "training")] == [
        "network", "config", "training",
    ]  # fmt: skip


@pytest.mark.parametrize("width", [30, 48, 80, 200])
def test_many_runs_fit_any_terminal(wavegen, run, other, tmp_path, monkeypatch, width):
    more = [tmp_path / name for name in "abcd"]
    for path in more:
        path.symlink_to(shutil.copytree(other, path.with_suffix(".kept")))
    monkeypatch.setenv("COLUMNS", str(width))
    ended = wavegen("compare", run, other, *more)
    assert ended.code == 0, ended.err
    verdict, *lines = ended.out.splitlines()
    assert max(map(len, lines)) <= width
    heads = [line.split() for before, line in itertools.pairwise(lines) if not before]
    assert [name for head in heads[:-1] for name in head] == ["run", "other", *"abcd"]
    assert heads[-1][0] == "*"  # what the mark means
    assert verdict.startswith("other, a, b, c and d validate alike")


def test_a_page_is_written_beside_the_words(wavegen, run, other, tmp_path):
    page = tmp_path / "deep" / "page.html"
    ended = wavegen("compare", run, other, "--out", page, "--json", "--quiet")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["page"] == str(page)
    assert page.read_text().startswith("<!doctype html>")
    assert [path.name for path in page.parent.iterdir()] == ["page.html"]


def test_a_run_without_checkpoints_is_shown_as_far_as_it_goes(wavegen, run, other, tmp_path):
    bare = shutil.copytree(other, tmp_path / "bare")
    shutil.rmtree(bare / "checkpoints")
    ended = wavegen("compare", run, bare)
    assert ended.code == 0
    assert "bare: it has no checkpoint" in ended.err
    assert "training.batch_size" in ended.out
    assert compare.BEST not in ended.out  # on what it was validated is not known


def test_what_is_too_long_for_its_column_goes_on_below():
    lines = compare._lines(["label", "one two three", "four"], 6, 5)
    assert [line.split() for line in lines] == [["label", "one", "four"], ["two"], ["three"]]


def test_damaged_and_newer_checkpoints_are_passed_over(wavegen, run, other, tmp_path, monkeypatch):
    from wavegen import checkpoint

    hurt = shutil.copytree(other, tmp_path / "hurt")
    for file in (hurt / "checkpoints" / f"{12:09d}" / "about").rglob("*"):
        if file.is_file():
            file.write_bytes(b"")
    ended = wavegen("compare", run, hurt)
    assert ended.code == 0
    assert "hurt: checkpoint passed over: step 12 is damaged" in ended.err
    monkeypatch.setattr(checkpoint, "FORMAT_VERSION", 1)
    ended = wavegen("compare", run, other)
    assert ended.code == 0
    assert "has format version 2" in ended.err


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        ("RUN", "only one run"),
        ("RUN RUN", "given twice"),
        ("RUN nowhere", "does not exist"),
        ("RUN CORPUS", "a corpus, but no run"),
        ("RUN OTHER --out page.txt", "ends in .html"),
        ("RUN OTHER --out CORPUS", "ends in .html"),
    ],
)
def test_wrong_input_is_told_in_one_message(wavegen, run, other, corpus, paths, words):
    known = {"RUN": run, "OTHER": other, "CORPUS": corpus}
    ended = wavegen("compare", *(known.get(word, word) for word in paths.split()))
    assert ended.code == 1
    assert ended.err.startswith("error: ")
    assert words in ended.err
    assert ended.out == ""
