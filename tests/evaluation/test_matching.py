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
    same = put(tmp_path / "same", x__a=sound(220), x__b=sound(330, noise=0.01), z__c=sound(440))
    facts, _ = compare(one, same)
    assert [pair["name"] for pair in facts["pairs"]] == ["x/a", "x/b"]
    assert facts["pairs"][0]["mse"] == 0
    assert facts["pairs"][1]["mse"] > 0
    remarks = "\n".join(facts["remarks"])
    assert "Nothing lies beside c of the reference" in remarks
    assert "Nothing lies beside z/c of the estimate" in remarks  # some paths are equal
    flat = put(tmp_path / "flat", a=sound(220), c=sound(440))
    moved = put(tmp_path / "moved", y__a=sound(220), z__c=sound(440))
    facts, _ = compare(flat, moved)
    assert [pair["mse"] for pair in facts["pairs"]] == [0, 0]
    assert facts["remarks"] == []
    twice = put(tmp_path / "twice", y__a=sound(220), z__a=sound(330), z__c=sound(440))
    facts, _ = compare(flat, twice)
    assert [pair["name"] for pair in facts["pairs"]] == ["c"]  # which "a" is meant is not known


def test_the_estimate_is_measured_from_the_reference(tmp_path):
    put(tmp_path, one=sound(220), half=0.5 * sound(220))
    facts, _ = compare(tmp_path / "one.wav", tmp_path / "half.wav")
    # 6.02 dB; half a step of 16 bits is 40 dB and more below what is left.
    assert facts["pair"]["loudness_difference_lu"] == pytest.approx(-6.02, abs=0.01)


def test_folders_without_common_names_are_compared_as_sets(tmp_path):
    one = put(tmp_path / "one", **{f"a{i}": sound(200 + 10 * i, noise=0.1) for i in range(4)})
    two = put(tmp_path / "two", **{f"b{i}": sound(205 + 10 * i, noise=0.1) for i in range(4)})
    far = put(tmp_path / "far", **{f"c{i}": sound(2000 + 100 * i) for i in range(4)})
    near_facts, far_facts = (compare(one, other)[0] for other in (two, far))
    assert "pairs" not in near_facts
    assert any("only the sets compare" in remark for remark in near_facts["remarks"])
    distances = [facts["sets"]["generated"]["frechet_mfcc"] for facts in (near_facts, far_facts)]
    assert distances[0] < distances[1]


def test_the_estimate_is_the_set_that_is_judged(tmp_path):
    """Two sounds are a set; that of the estimate is one sound twice."""
    one = put(tmp_path / "one", a=sound(220), b=sound(990))
    alike = put(tmp_path / "alike", c=sound(330), d=sound(330))
    facts, _ = compare(one, alike)
    assert facts["sets"]["generated"]["nearest_within"] == 0


def test_sets_of_two_rates_are_heard_at_the_lower_one(tmp_path):
    one, two, far = (tmp_path / name for name in ("one", "two", "far"))
    for number in range(3):
        hz = 500 * 2**number
        put(one, **{f"a{number}": sound(hz)})
        put(two, rate=16_000, **{f"b{number}": sound(hz, rate=16_000)})
        put(far, **{f"c{number}": sound(hz / 2)})  # as 16 kHz would sound if taken for 8 kHz
    near, octave = (compare(one, other)[0] for other in (two, far))
    distances = [facts["sets"]["generated"]["frechet_mfcc"] for facts in (near, octave)]
    assert distances[0] < 0.1 * distances[1]


def test_sounds_of_some_pairs_are_kept_the_first_and_the_last_among_them(tmp_path, monkeypatch):
    monkeypatch.setattr(matching, "HEARD", 2)
    one = put(tmp_path / "one", **{name: sound(220, 0.05) for name in "abc"})
    facts, heard = compare(one, one)
    assert len(facts["pairs"]) == 3
    assert list(heard) == [0, 2]


def test_of_many_files_a_remark_names_three(tmp_path):
    one = put(tmp_path / "one", **{name: sound(220, 0.05) for name in "abcdef"})
    two = put(tmp_path / "two", a=sound(220, 0.05))
    for name in "bcdef":
        (two / f"{name}.wav").write_bytes(b"no sound")
    remarks = compare(one, two)[0]["remarks"]
    assert sum("Left out" in remark for remark in remarks) == 4
    assert "Left out: 2 further files." in remarks
    assert "Nothing lies beside b, c, d and 2 more of the reference." in remarks


def test_rates_and_lengths_are_brought_together_and_told(tmp_path):
    one = put(tmp_path / "one", a=sound(220), b=sound(220), c=sound(220))
    two = put(tmp_path / "two", rate=16_000, a=sound(220, 0.8, 16_000), b=sound(220, 0.5, 16_000))
    facts, heard = compare(one, put(two, c=sound(220)))
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


def test_names_that_differ_in_their_ending_alone_are_two_sounds(tmp_path):
    one = put(tmp_path / "one", a=sound(220))
    files.write(one / "a.flac", sound(330), RATE, "flac")
    facts, _ = compare(one, one)
    assert [pair["name"] for pair in facts["pairs"]] == ["a.flac", "a.wav"]


def test_hidden_files_are_no_sounds_and_links_are_followed(tmp_path):
    real = put(tmp_path / "real", a=sound(220))
    one = put(tmp_path / "one", b=sound(220))
    (one / "._b.wav").write_bytes(b"what macOS lays beside it")
    (one / "linked").symlink_to(real)
    (one / "round").symlink_to(one)
    facts, _ = compare(one, one)
    assert [pair["name"] for pair in facts["pairs"]] == ["b", "linked/a"]
    assert facts["remarks"] == []


def test_what_is_beyond_full_scale_is_told_to_be_cut(tmp_path):
    put(tmp_path, one=sound(220))
    files.write(tmp_path / "loud.wav", 3 * sound(220), RATE, "float32")
    facts, _ = compare(tmp_path / "one.wav", tmp_path / "loud.wav")
    assert facts["remarks"] == ["loud: beyond full scale in places, and cut off there."]
