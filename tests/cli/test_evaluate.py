"""`wavegen evaluate`: figures on stdout and in JSON, wrong inputs in one message."""

import json
import shutil

import pytest

from wavegen import checkpoint
from wavegen.data import corpus as corpora
from wavegen.data import items
from wavegen.sampling import precision
from wavegen.training import evaluate


def told(ended):
    return json.loads(ended.out.splitlines()[-1])


def test_it_tells_what_each_precision_makes_of_the_held_back_notes(wavegen, run, corpus):
    ended = wavegen("evaluate", "--run", run, "--data", corpus, "--json")
    assert ended.code == 0, ended.err
    found = told(ended)
    assert list(found["precisions"]) == precision.usable()
    assert (found["step"], found["split"]) == (12, "valid")
    split = corpora.open(corpus).splits["valid"]
    assert (found["recordings"], found["samples"]) == (split.num_items, split.lengths.sum())
    trained = checkpoint.load(run)
    expected = evaluate.split(
        trained.graphdef, trained.params, split, trained.config, trained.vocabulary
    )
    bits = found["precisions"]["float32"]["bits_per_sample"]
    assert bits == pytest.approx(expected.bits_per_sample, abs=1e-3)
    for name in precision.usable():
        assert name in ended.out
        assert found["precisions"][name]["bits_per_sample"] == pytest.approx(bits, abs=0.1)
    assert f"{bits:.4f}" in ended.out


def test_one_precision_one_recording_and_an_older_checkpoint_can_be_asked_for(wavegen, run, corpus):
    asked = ("--precision", "bfloat16", "--limit", 1, "--checkpoint", 4, "--split", "train")
    ended = wavegen("evaluate", "--run", run, "--data", corpus, *asked, "--json")
    assert ended.code == 0, ended.err
    found = told(ended)
    assert list(found["precisions"]) == ["float32", "bfloat16"]  # it is compared with float32
    assert (found["recordings"], found["step"], found["split"]) == (1, 4, "train")


def test_quiet_says_nothing_but_json(wavegen, run, corpus):
    asked = ("evaluate", "--run", run, "--data", corpus, "--limit", 1, "--quiet")
    assert wavegen(*asked) == (0, "", "")
    ended = wavegen(*asked, "--json")
    assert ended.err == ""
    assert len(ended.out.splitlines()) == 1
    assert told(ended)["recordings"] == 1


@pytest.fixture(scope="module")
def world(tmp_path_factory, wavegen, run, plain_run, corpus, sines):
    """A run of notes and a run of nothing, and corpora that do not go with them."""
    here = tmp_path_factory.mktemp("evaluate")
    fast = ("--layout", "synthetic", "--sample-rate", 16_000, "--limit", 12)
    assert wavegen("prepare", *fast, "--out", here / "fast").code == 0
    shutil.copytree(corpus, here / "empty")
    items.write(here / "empty" / "valid", [], [], corpora.open(corpus).vocabulary)
    manifest = json.loads((corpus / "manifest.json").read_text())
    manifest["splits"]["valid"] = {"recordings": 0, "seconds": 0.0}
    (here / "empty" / "manifest.json").write_text(json.dumps(manifest))
    (here / "nothing").mkdir()
    for name, target in {"run": run, "plain": plain_run, "notes": corpus, "sines": sines}.items():
        (here / name).symlink_to(target)
    return here


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--run nowhere --data notes", ["there is no run at nowhere"]),
        ("--run nothing --data notes", ["nothing holds no checkpoint yet"]),
        ("--run notes --data notes", ["notes holds no checkpoint yet"]),
        ("--run run --data nowhere", ["there is no corpus nowhere", "wavegen prepare"]),
        ("--run run --data run", ["run is no corpus", "wavegen prepare"]),
        ("--run run --data notes --split test", ["has no split 'test'", "train, valid"]),
        ("--run run --data empty", ["the split 'valid'", "has no recordings"]),
        (
            "--run run --data fast",
            ["fast is at 16000 Hz, the run was trained at 8000 Hz", "--sample-rate 8000"],
        ),
        ("--run run --data sines", ["the run hears the label instrument, which sines lacks"]),
        ("--run run --data notes --checkpoint 5", ["no checkpoint of step 5", "4, 8, 12"]),
        ("--run run --data notes --precision int9", ["no precision 'int9'", "did you mean 'int8'"]),
    ],
)
def test_wrong_input_exits_1_with_one_message(wavegen, world, monkeypatch, line, words):
    monkeypatch.chdir(world)
    ended = wavegen("evaluate", *line.split())
    assert ended.code == 1
    assert ended.out == ""
    assert ended.err.startswith("error: ")
    assert ended.err.count("error: ") == 1
    assert [word for word in words if word not in ended.err] == []


def test_a_run_that_hears_nothing_takes_any_corpus_of_its_rate(wavegen, world, monkeypatch):
    monkeypatch.chdir(world)
    ended = wavegen("evaluate", "--run", "plain", "--data", "notes", "--limit", 1, "--quiet")
    assert ended == (0, "", "")
