"""`wavegen evaluate`: figures on stdout and in JSON, wrong inputs in one message."""

import json
import shutil

import numpy as np
import pytest

from wavegen import checkpoint
from wavegen.audio import files
from wavegen.data import corpus as corpora
from wavegen.data import items
from wavegen.evaluation.metrics import embeddings
from wavegen.sampling import precision
from wavegen.training import evaluate


def told(ended):
    return json.loads(ended.out.splitlines()[-1])


@pytest.fixture(scope="module")
def evaluated(wavegen, run, corpus, tmp_path_factory):
    """A copy of the run that was evaluated, and how the command ended."""
    own = tmp_path_factory.mktemp("evaluated") / "run"
    shutil.copytree(run, own)
    asked = ("--precision", "all", "--baselines", "--num", 2, "--seconds", 0.2)
    asked += ("--seed", 3, "--temperature", 0.9)
    ended = wavegen("evaluate", "--run", own, "--data", corpus, *asked, "--json")
    assert ended.code == 0, ended.err
    return own, ended


def test_it_says_how_good_the_run_is_and_what_each_precision_makes_of_it(evaluated, corpus):
    own, ended = evaluated
    found = told(ended)
    subject, split = found["subject"], corpora.open(corpus).splits["valid"]
    assert (subject["step"], subject["split"]) == (12, "valid")
    assert subject["recordings"] == subject["of_recordings"] == split.num_items
    assert subject["seconds"] == pytest.approx(split.lengths.sum() / 8000)
    trained = checkpoint.load(own)
    expected = evaluate.split(
        trained.graphdef, trained.params, split, trained.config, trained.vocabulary
    )
    bits = found["likelihood"]["bits_per_sample"]
    assert bits == pytest.approx(expected.bits_per_sample, abs=1e-5)  # sums in another order
    assert f"{bits:.3f} bits" in ended.out
    assert list(found["precisions"]) == precision.usable()
    for name in precision.usable():
        assert found["precisions"][name]["bits_per_sample"] == pytest.approx(bits, abs=0.1)
    assert 0 < found["baselines"]["markov_2_bits"] < 8
    assert "Markov chain, order 2" in ended.out
    settings = found["generated"]["settings"]
    assert settings["num"] == len(found["generated"]["clips"]) == 2
    assert (settings["seed"], settings["temperature"]) == (3, 0.9)


def test_the_report_lies_in_the_run_with_the_sounds_it_names(evaluated, corpus):
    own, ended = evaluated
    split = corpora.open(corpus).splits["valid"]
    folder = own / "evaluation" / "step_000000012_valid"
    assert told(ended)["report"] == str(folder / "report.html")
    written = json.loads((folder / "report.json").read_text())
    assert told(ended) == written | {"report": str(folder / "report.html")}
    for clip in written["generated"]["clips"]:
        for side in ("generated", "real"):
            samples, rate = files.read(folder / clip[side])
            assert len(samples) / rate == clip["seconds"] == 0.2
        recording = split.read(split.names.index(clip["name"]))[: len(samples)] / 32767
        np.testing.assert_allclose(samples, recording, atol=1e-4)  # both in 16 bits
        story = files.provenance(folder / clip["generated"])
        assert story is not None
        assert (story["step"], story["seed"], story["temperature"]) == (12, 3, 0.9)
        assert files.provenance(folder / clip["real"]) is None
    assert not list(own.rglob("*.partial"))


def test_one_recording_and_an_older_checkpoint_can_be_asked_for(wavegen, run, corpus, tmp_path):
    asked = ("--limit", 1, "--checkpoint", 4, "--split", "train", "--num", 0, "--out", tmp_path)
    ended = wavegen("evaluate", "--run", run, "--data", corpus, *asked, "--json")
    assert ended.code == 0, ended.err
    subject = told(ended)["subject"]
    assert (subject["recordings"], subject["step"], subject["split"]) == (1, 4, "train")
    assert subject["of_recordings"] == corpora.open(corpus).splits["train"].num_items > 1
    assert {path.name for path in tmp_path.iterdir()} == {"report.html", "report.json"}


def test_quiet_says_nothing_but_json(wavegen, run, corpus, tmp_path):
    asked = ("--limit", 1, "--num", 0, "--out", tmp_path, "--quiet")
    ended = wavegen("evaluate", "--run", run, "--data", corpus, *asked)
    assert ended == (0, "", "")
    ended = wavegen("evaluate", "--run", run, "--data", corpus, *asked, "--json")
    assert ended.err == ""
    assert len(ended.out.splitlines()) == 1
    assert told(ended)["subject"]["recordings"] == 1


def test_two_sounds_are_compared_and_nothing_is_written_unasked(wavegen, sine, tmp_path):
    one, two = sine(tmp_path / "a.wav", 220), sine(tmp_path / "b.wav", 225)
    ended = wavegen("evaluate", one, two, "--json")
    assert ended.code == 0, ended.err
    found = told(ended)
    assert found["pair"]["pitch_error_cents"] == pytest.approx(38.9, abs=1)  # 1200 log2(225/220)
    assert found["report"] is None
    assert "raw pitch accuracy" in ended.out
    assert {path.name for path in tmp_path.iterdir()} == {"a.wav", "b.wav"}


def test_a_report_of_two_folders_holds_their_sounds(wavegen, sine, tmp_path):
    for folder in ("ours", "theirs"):
        for hz in (220, 330, 440):
            sine(tmp_path / folder / f"{hz}.wav", hz + (folder == "theirs"))
    out = tmp_path / "report"
    ended = wavegen("evaluate", tmp_path / "ours", tmp_path / "theirs", "--out", out)
    assert ended.code == 0, ended.err
    page = (out / "report.html").read_text()
    assert page.count("<audio") == 6
    assert len(list((out / "sounds").iterdir())) == 6
    for side, folder in (("reference", "ours"), ("estimate", "theirs")):
        for number, hz in enumerate((220, 330, 440)):
            heard, _ = files.read(out / "sounds" / f"{number:03}_{side}.wav")
            np.testing.assert_array_equal(heard, files.read(tmp_path / folder / f"{hz}.wav")[0])
    one = [tmp_path / side / "220.wav" for side in ("ours", "theirs")]
    assert wavegen("evaluate", *one, "--out", out).code == 0
    assert len(list((out / "sounds").iterdir())) == 2  # none is left of the report before


def test_the_same_sound_twice_has_no_distance_and_no_ratio(wavegen, sine, tmp_path):
    one = sine(tmp_path / "a.wav")
    ended = wavegen("evaluate", one, one, "--json")
    found = told(ended)
    assert found["pair"]["mse"] == found["pair"]["log_spectral_distance_db"] == 0
    assert found["pair"]["snr_db"] is None
    assert found["not_applicable"]["pair.snr_db"]
    assert "NaN" not in ended.out
    assert "inf" not in ended.out.lower().replace("info", "")


@pytest.fixture(scope="module")
def world(tmp_path_factory, wavegen, run, plain_run, corpus, sines, sine):
    """A run of notes and a run of nothing, and corpora that do not go with them."""
    here = tmp_path_factory.mktemp("evaluate")
    fast = ("--layout", "synthetic", "--sample-rate", 16_000, "--limit", 12)
    assert wavegen("prepare", *fast, "--out", here / "fast").code == 0
    shutil.copytree(corpus, here / "empty")
    items.write(here / "empty" / "valid", [], [], corpora.open(corpus).vocabulary)
    manifest = json.loads((corpus / "manifest.json").read_text())
    manifest["splits"]["valid"] = {"recordings": 0, "seconds": 0.0}
    (here / "empty" / "manifest.json").write_text(json.dumps(manifest))
    shutil.copytree(corpus, here / "unplayed")
    manifest = json.loads((corpus / "manifest.json").read_text())
    manifest["vocabulary"] |= {"pitches": [], "velocities": []}
    (here / "unplayed" / "manifest.json").write_text(json.dumps(manifest))
    (here / "nothing").mkdir()
    (here / "text.wav").write_text("no sound")
    sine(here / "a.wav")
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
        ("--run run --data notes --backend abacus", ["no backend 'abacus'"]),
        ("--run run --data unplayed", ["the run hears notes", "unplayed has any"]),
        ("--run run --data notes --seconds 0", ["--seconds 0", "more than 0"]),
        ("--run run --data notes --seconds 31", ["--seconds 31", "up to 30"]),
        ("--run run --data notes --temperature -1", ["temperature is -1"]),
        ("--run run --data notes --embedding none.onnx", ["none.onnx"]),
        ("--run run --data notes --out a.wav", ["a.wav is a file"]),
        ("a.wav", ["1 path", "a reference and an estimate"]),
        ("a.wav a.wav --run run", ["a.wav with --run", "sounds, or a run"]),
        ("a.wav a.wav --baselines", ["a.wav with --baselines", "sounds, or a run"]),
        ("a.wav notes", ["a folder and a file"]),
        ("a.wav nowhere.wav", ["there is no nowhere.wav"]),
        ("a.wav text.wav", ["text.wav"]),
        ("nothing nothing", ["the folder nothing holds no sound that can be read"]),
    ],
)
def test_wrong_input_exits_1_with_one_message(wavegen, world, monkeypatch, line, words):
    monkeypatch.chdir(world)
    ended = wavegen("evaluate", *line.split())
    assert ended.code == 1
    assert ended.out == ""
    assert ended.err.removeprefix("reading ...\n").startswith("error: ")
    assert ended.err.count("error: ") == 1
    assert [word for word in words if word not in ended.err] == []


def test_a_run_that_hears_nothing_takes_any_corpus_of_its_rate(wavegen, world, monkeypatch):
    monkeypatch.chdir(world)
    asked = ("--limit", 2, "--num", 1, "--seconds", 0.1, "--out", "plain_report", "--quiet")
    asked += ("--backend", "xla_scan")
    assert wavegen("evaluate", "--run", "plain", "--data", "notes", *asked) == (0, "", "")
    found = json.loads((world / "plain_report" / "report.json").read_text())
    assert found["generated"]["settings"]["backend"] == "xla_scan"
    assert found["generated"]["model"]["pitch_error_cents"] is None
    reason = found["not_applicable"]["generated.model.pitch_error_cents"]
    assert reason == "the model hears no notes"


class Counting:
    """Stands for a network that makes of each 100 samples their mean and their peak."""

    def __init__(self, path):
        self.path = path

    def frames(self, samples, rate):
        rows = samples[: len(samples) // 100 * 100].reshape(-1, 100)
        return np.stack([rows.mean(axis=1), np.abs(rows).max(axis=1)], axis=1)


def test_embeddings_of_a_network_are_compared_as_well(wavegen, world, monkeypatch):
    monkeypatch.chdir(world)
    monkeypatch.setattr(embeddings, "Embedder", Counting)
    for name in ("one", "two"):
        (world / name).mkdir()
        for number in range(2):
            shutil.copy("a.wav", world / name / f"{number}.wav")
    network = ("--embedding", "some.onnx", "--json")
    of_sounds = wavegen("evaluate", "one", "two", *network)
    asked = ("--num", 2, "--seconds", 0.2, "--limit", 4, "--out", "embedded")
    of_run = wavegen("evaluate", "--run", "run", "--data", "notes", *asked, *network)
    for ended in (of_sounds, of_run):
        assert ended.code == 0, ended.err
        assert isinstance(told(ended)["sets"]["generated"]["frechet_embedding"], float)
