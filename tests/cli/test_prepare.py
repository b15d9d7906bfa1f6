"""What `wavegen prepare` says of its sources."""

from wavegen.audio import files
from wavegen.data import synthesis


def test_what_auto_took_each_source_for_is_said(wavegen, tmp_path):
    sound = synthesis.note("organ", 60, 100, 0.3, 0.1, 8000)
    files.write(tmp_path / "mine" / "a.wav", sound, 8000)
    files.write(tmp_path / "said" / "yes" / "b.wav", sound, 8000)
    (tmp_path / "said" / "testing_list.txt").write_text("yes/b.wav\n")
    one, two = tmp_path / "mine", tmp_path / "said"
    common = ("--sample-rate", "8000")
    ended = wavegen("prepare", one, "--out", tmp_path / "c", *common)
    assert "folder (recognised)" in ended.out
    ended = wavegen("prepare", one, two, "--out", tmp_path / "d", *common)
    assert f"{one}: folder, {two}: speech (recognised)" in ended.out
    ended = wavegen("prepare", two, "--layout", "folder", "--out", tmp_path / "e", *common)
    assert ended.code == 0
    assert "recognised" not in ended.out
