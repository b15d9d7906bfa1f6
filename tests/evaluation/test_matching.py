"""Which sounds of two folders belong together, and what becomes of those that differ."""

import numpy as np
import pytest

from wavegen.audio import files
from wavegen.errors import WavegenError
from wavegen.evaluation import matching
from wavegen.evaluation.metrics import measures

RATE = 8000


def sound(hz, seconds=0.5, rate=RATE, noise=0.0):
    t = np.arange(round(seconds * rate)) / rate
    rng = np.random.default_rng(round(hz))
    return 0.4 * np.sin(2 * np.pi * hz * t) + noise * rng.standard_normal(len(t))


def put(folder, rate=RATE, **sounds):
    for name, samples in sounds.items():
        files.write(folder / f"{name.replace('__', '/')}.wav", samples, rate)
    return folder


def compare(*paths, **settings):
    found = matching.compare(*map(matching.look, paths), **settings)
    return found.facts, found.heard


def test_two_files_are_a_pair_whatever_they_are_called(tmp_path):
    put(tmp_path, one=sound(220), two=sound(220, noise=0.01))
    facts, heard = compare(tmp_path / "one.wav", tmp_path / "two.wav")
    assert facts["subject"] == {
        "kind": "sounds", "reference": str(tmp_path / "one.wav"),
        "estimate": str(tmp_path / "two.wav"), "sample_rate": RATE, "pairs": 1, "seconds": 0.5,
    }  # fmt: skip
    # 0.08 over 0.0001: 29 dB, within the chance of 4000 draws.
    assert facts["pair"]["snr_db"] == pytest.approx(29, abs=0.2)
    assert facts["pairs"] == [{"name": "one", **facts["pair"]}]
    assert "sets" not in facts
    assert [len(side) for side in heard[0]] == [4000, 4000]


def test_files_of_folders_find_each_other_by_path_or_else_by_name(tmp_path):
    one = put(tmp_path / "one", x__a=sound(220), x__b=sound(330), c=sound(440))
    same = put(tmp_path / "same", x__a=sound(220), x__b=sound(330, noise=0.01), d=sound(550))
    facts, _ = compare(one, same)
    assert [pair["name"] for pair in facts["pairs"]] == ["x/a", "x/b"]
    assert facts["pairs"][0]["mse"] == 0
    assert facts["pairs"][1]["mse"] > 0
    remarks = "\n".join(facts["remarks"])
    assert "Nothing lies beside c of the reference" in remarks
    assert "Nothing lies beside d of the estimate" in remarks
    flat = put(tmp_path / "flat", a=sound(220), c=sound(440))
    moved = put(tmp_path / "moved", y__a=sound(220), z__c=sound(440))
    facts, _ = compare(flat, moved)
    assert [pair["mse"] for pair in facts["pairs"]] == [0, 0]


def test_folders_without_common_names_are_compared_as_sets(tmp_path):
    one = put(tmp_path / "one", **{f"a{i}": sound(200 + 10 * i, noise=0.1) for i in range(4)})
    two = put(tmp_path / "two", **{f"b{i}": sound(205 + 10 * i, noise=0.1) for i in range(4)})
    far = put(tmp_path / "far", **{f"c{i}": sound(2000 + 100 * i) for i in range(4)})
    near_facts, far_facts = (compare(one, other)[0] for other in (two, far))
    assert "pairs" not in near_facts
    assert any("only the sets compare" in remark for remark in near_facts["remarks"])
    distances = [facts["sets"]["generated"]["frechet_mfcc"] for facts in (near_facts, far_facts)]
    assert distances[0] < distances[1]


def test_rates_and_lengths_are_brought_together_and_told(tmp_path):
    one = put(tmp_path / "one", a=sound(220), b=sound(220))
    two = put(tmp_path / "two", rate=16_000, a=sound(220, 0.8, 16_000), b=sound(220, 0.5, 16_000))
    facts, heard = compare(one, two)
    assert facts["subject"]["sample_rate"] == RATE
    assert facts["pair"]["snr_db"] > 25  # the ends of what was resampled are its error
    assert {len(side) for sides in heard.values() for side in sides} == {4000}
    remarks = "\n".join(facts["remarks"])
    assert "a, b: brought to 8000 Hz" in remarks
    assert "a: of two lengths the shorter one counts" in remarks


def test_what_cannot_be_read_is_left_out_and_named(tmp_path):
    one = put(tmp_path / "one", a=sound(220), b=sound(330))
    two = put(tmp_path / "two", a=sound(220), b=sound(330))
    (two / "b.wav").write_bytes(b"no sound")
    facts, _ = compare(one, two)
    assert [pair["name"] for pair in facts["pairs"]] == ["a"]
    assert any("b.wav" in remark and "Left out" in remark for remark in facts["remarks"])


def test_every_fact_is_a_number_or_has_a_reason(tmp_path):
    """Silence, a few samples, a constant: nothing of it has a pitch, or a ratio."""
    names = {"silent": np.zeros(4000), "short": sound(220, 0.001), "constant": np.full(4000, 0.3)}
    one = put(tmp_path / "one", **names)
    for two in (one, put(tmp_path / "two", **dict.fromkeys(names, sound(220)))):
        told = measures.told(compare(one, two)[0])
        named = [name for name in told["not_applicable"] if name.startswith("pair")]
        assert named
        assert all(told["not_applicable"].values())


def test_progress_goes_on_to_the_end(tmp_path):
    one = put(tmp_path / "one", a=sound(220), b=sound(330))
    told = []
    compare(one, one, progress=lambda *each: told.append(each))
    assert told == [(0.5, 1.0), (1.0, 1.0)]


def test_nothing_to_compare_is_one_message(tmp_path):
    one = put(tmp_path / "one", a=sound(220))
    other = put(tmp_path / "other", b=sound(220), c=sound(220))
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.wav").write_text("no sound")
    with pytest.raises(WavegenError, match="is called as one of"):
        compare(one, other)
    with pytest.raises(WavegenError, match=r"no sound that can be read\n"):
        compare(one, tmp_path / "empty")
    with pytest.raises(WavegenError, match=r"no sound that can be read: .*a\.wav"):
        compare(tmp_path / "text", one)
