"""Speeds of the road from recordings to batches: measured whole, and never of a wrong answer."""

import json
import math
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest

from wavegen.audio import blocks
from wavegen.data import batches, corpus, listening
from wavegen.errors import WavegenError
from wavegen.evaluation import material, throughput
from wavegen.evaluation.material import Wrong
from wavegen.training import feed
from wavegen_kernels.bench import record

SHARED = {*record.origin(), "bench", "case", "warm_up", "repeats"}
PREPARED = {"files", "sound", "sound_seconds", "workers", "wanted_over"}
BATCHED = {
    "config", "overrides", "samples_per_batch", "bytes_per_batch", "batches", "wanted_over",
    "share_of_look_up",
}  # fmt: skip
WAITED = {"config", "steps", "compile_seconds", "step_seconds_median", "wanted_below"}


def spread(name):
    return {f"{name}_median", f"{name}_min", f"{name}_max"}


def rates(name):
    return {*spread(name), f"{name}_by_processor"}


FIELDS = {
    "prepare notes": PREPARED | rates("times_real_time"),
    "prepare songs": PREPARED | rates("times_real_time"),
    "batches notes_small": BATCHED | rates("samples_per_second"),
    "batches without signals": BATCHED | rates("samples_per_second"),
    "training waits": WAITED | spread("wait_share"),
}


def run(plan):
    """What was found, the exit code, what was said and what was noted."""
    said, noted = [], []
    progress = lambda *_: nullcontext(lambda done: None)
    return *throughput.report(plan, said.append, noted.append, progress), said, noted


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """One short run of everything, its file and its exit code."""
    out = tmp_path_factory.mktemp("bench") / "new" / "data.jsonl"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(throughput, "STEPS", 2)
        found, code, said, _ = run(throughput.Plan(repeats=2, seconds=8, out=out))
    return SimpleNamespace(found=found, out=out, code=code, said=said)


def test_every_record_is_whole_and_its_numbers_are_of_their_kind(whole):
    assert whole.code == 0
    assert whole.found["failures"] == []
    assert [entry["case"] for entry in whole.found["records"]] == list(FIELDS)
    for entry in whole.found["records"]:
        fields = SHARED | FIELDS[entry["case"]]
        fields |= rates("look_up_samples_per_second") if "batches" in entry else set()
        assert set(entry) == fields
        numbers = [value for value in entry.values() if isinstance(value, int | float)]
        assert all(math.isfinite(number) and number > 0 for number in numbers)
        assert entry["repeats"] == 2
    assert whole.found["records"][-1]["wait_share_max"] < 1


def test_the_median_lies_between_the_least_and_the_most(whole):
    for entry in whole.found["records"]:
        for name in (key.removesuffix("_min") for key in entry if key.endswith("_min")):
            assert entry[f"{name}_min"] <= entry[f"{name}_median"] <= entry[f"{name}_max"]


def test_every_record_has_a_row_and_a_line_of_the_file(whole):
    lines = [json.loads(line) for line in whole.out.read_text().splitlines()]
    assert lines == whole.found["records"]
    header, *rows = whole.said
    assert header == throughput.HEADER
    assert [row.startswith(case) for row, case in zip(rows, FIELDS, strict=True)] == [True] * 5
    assert max(map(len, "\n".join(whole.said).splitlines())) <= 100


def half_of(frames):
    return frames[:, 0]


def shifted(n_codes):
    return np.roll(batches.mulaw.int16_codes(n_codes), (1 << 15) + 1).astype(np.int32)


def without_notes(split, config, items, first, num_frames, changes):
    none = np.zeros((len(items), num_frames))
    return np.zeros((len(items), num_frames, 256), np.float32), none, none


def next_step(split, config, vocabulary, seed, step, rows):
    return batches.windows(split, config, vocabulary, seed, step + 1, rows)


WRONG = [
    ("prepare notes", listening, "INT16_FULL_SCALE", 32_760, "samples of"),
    ("prepare songs", listening, "INT16_FULL_SCALE", 32_000, "of 440 Hz"),
    ("prepare songs", blocks, "_mean", half_of, "Hz"),
    ("batches notes_small", batches, "_unsigned_codes", shifted, "nowhere in the corpus"),
    ("batches notes_small", batches, "_notes", without_notes, "nowhere in the corpus"),
    ("batches without signals", batches, "_unsigned_codes", shifted, "nowhere in the corpus"),
    ("training waits", feed, "batches", SimpleNamespace(windows=next_step), "step 0"),
]


@pytest.mark.parametrize(
    ("case", "module", "name", "broken", "words"), WRONG, ids=[f"{w[0]}-{w[2]}" for w in WRONG]
)
def test_what_is_wrong_is_not_timed(case, module, name, broken, words, tmp_path, monkeypatch):
    timed = []
    monkeypatch.setattr(module, name, broken)
    with pytest.raises(Wrong, match=words):
        throughput.CASES[case](throughput.Plan(seconds=8), tmp_path, timed.append)
    assert timed == []


def test_a_song_that_is_cut_short_or_late_is_wrong(tmp_path):
    material.write_songs(tmp_path / "songs", 2)
    corpus.prepare([tmp_path / "songs"], tmp_path / "prepared")
    found = corpus.open(tmp_path / "prepared")
    material.check_songs(found, 2)
    with pytest.raises(Wrong, match="3 songs"):
        material.check_songs(found, 3)
    (path,) = (tmp_path / "prepared" / "train").glob("samples-*.npy")
    np.save(path, np.roll(np.load(path), 1))
    with pytest.raises(Wrong, match="Hz"):
        material.check_songs(corpus.open(tmp_path / "prepared"), 2)


def test_one_wrong_answer_does_not_keep_the_others_from_being_measured(monkeypatch, whole):
    entry = whole.found["records"][0]

    def wrong(*_):
        raise Wrong("it is upside down")

    monkeypatch.setattr(throughput, "CASES", {"first": wrong, "second": lambda *_: dict(entry)})
    found, code, said, _ = run(throughput.Plan(seconds=8))
    assert code == 1
    assert len(found["records"]) == 1
    assert found["failures"] == ["first is wrong, so it is not timed: it is upside down"]
    assert found["failures"][0] in said


def test_an_interrupt_keeps_what_was_measured(monkeypatch, whole):
    def interrupted(*_):
        raise KeyboardInterrupt

    entry = whole.found["records"][0]
    cases = {"first": lambda *_: dict(entry), "second": interrupted, "third": interrupted}
    monkeypatch.setattr(throughput, "CASES", cases)
    found, code, _, noted = run(throughput.Plan(seconds=8))
    assert code == 130
    assert found["interrupted"]
    assert len(found["records"]) == 1
    assert "was measured" in noted[-1]


@pytest.mark.parametrize("wrong", [{"seconds": 0}, {"seconds": math.nan}, {"repeats": 0}])
def test_a_plan_of_nothing_is_refused(wrong):
    with pytest.raises(WavegenError):
        throughput.Plan(**wrong)
