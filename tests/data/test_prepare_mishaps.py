"""Long recordings, full disks, sources that vanish, and two who want the same folder."""

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
from wavegen.data import corpus, lock, shards, spool
from wavegen.errors import WavegenError

RATE = 8000
ROOT = Path(__file__).parents[2]


@pytest.fixture
def tones(tmp_path, write_tone):
    """Eight tones, two of them longer than what is held in memory in `long_in_files`."""
    for number in range(8):
        seconds = 12 if number in (2, 5) else 1
        write_tone(tmp_path / "in" / f"{number}.wav", seconds * RATE + number, 200 + number)
    return tmp_path / "in"


@pytest.fixture
def long_in_files(monkeypatch):
    """Recordings of over ten seconds go through a file, and copies are made of small blocks."""
    monkeypatch.setattr(spool, "MOST_IN_MEMORY", 10 * RATE)
    monkeypatch.setattr(shards, "_BLOCK", 5000)
    monkeypatch.setattr(files, "_BLOCK", 3000)


def stop_after(count):
    def progress(done, total):
        if done == count:
            raise KeyboardInterrupt

    return progress


def prepare(source, out, **options):
    return corpus.prepare([source], out, sample_rate=RATE, **options)


def test_a_long_recording_is_stored_like_a_short_one(tones, tmp_path, tree_bytes, request):
    prepare(tones, tmp_path / "memory")
    request.getfixturevalue("long_in_files")
    prepare(tones, tmp_path / "files")
    memory, stored = tree_bytes(tmp_path / "memory"), tree_bytes(tmp_path / "files")
    # In the report sums of float32 squares may differ in the last digit.
    assert {name: memory[name] for name in memory if name != "report.json"} == {
        name: stored[name] for name in stored if name != "report.json"
    }


@pytest.mark.parametrize("stopped_at", [2, 3, 6])
def test_a_stop_among_long_recordings_changes_no_byte(
    tones, tmp_path, tree_bytes, long_in_files, stopped_at
):
    prepare(tones, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        prepare(tones, tmp_path / "c", progress=stop_after(stopped_at))
    left = tmp_path / "c.partial" / shards.SPOOL
    left.mkdir(exist_ok=True)
    (left / "1-2.int16").write_bytes(b"what a killed process was writing")
    prepare(tones, tmp_path / "c")
    assert tree_bytes(tmp_path / "c") == tree_bytes(tmp_path / "whole")


def test_a_long_recording_that_turns_out_damaged_leaves_nothing(tones, tmp_path, long_in_files):
    samples, _ = files.read(tones / "2.wav")
    samples[-1] = np.nan
    files.write(tones / "2.wav", samples, RATE, "float32")
    made = prepare(tones, tmp_path / "c")
    assert [file["name"] for file in made.dropped] == ["2.wav"]
    opened = corpus.open(tmp_path / "c")
    for split in opened.splits.values():
        for i, name in enumerate(split.names):
            wanted, _ = files.read(tones / name)
            np.testing.assert_array_equal(split.read(i), np.round(wanted * 32767))
    assert not (tmp_path / "c" / shards.SPOOL).exists()


@pytest.mark.parametrize("failing", ["append", "journal", "spool", "report"])
def test_a_full_disk_is_said_in_words_and_the_work_goes_on_when_there_is_room(
    tones, tmp_path, tree_bytes, long_in_files, monkeypatch, failing
):
    prepare(tones, tmp_path / "whole")
    full = OSError(errno.ENOSPC, "No space left on device")
    add, calls = shards.Store.add, []

    def late(*args):
        calls.append(args)
        if len(calls) > 4:
            raise full
        return add(*args)

    def at_once(*args, **kwargs):
        raise full

    with monkeypatch.context() as patched:
        if failing == "append":
            patched.setattr(shards.Store, "add", late)
        elif failing == "journal":
            patched.setattr("json.dumps", at_once)
        elif failing == "spool":
            patched.setattr(spool.Spool, "add", at_once)
        else:
            patched.setattr(corpus.items, "write", at_once)
        with pytest.raises(WavegenError, match="the disk is full") as said:
            prepare(tones, tmp_path / "c")
    assert "goes on where it stopped" in str(said.value)
    assert not (tmp_path / "c").exists()
    told = []
    prepare(tones, tmp_path / "c", progress=lambda done, total: told.append(done))
    assert told == {"append": [5, 6, 7, 8], "report": []}.get(failing, list(range(1, 9)))
    assert tree_bytes(tmp_path / "c") == tree_bytes(tmp_path / "whole")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_source_that_vanishes_stops_the_work_which_goes_on_when_it_is_back(
    tones, tmp_path, tree_bytes, workers
):
    def unplug(done, total):
        if done == 1 and tones.exists():
            os.rename(tones, tmp_path / "unplugged")

    # More than two workers read ahead.
    for number in range(10, 40):
        shutil.copy(tones / "1.wav", tones / f"{number}.wav")
    prepare(tones, tmp_path / "whole")
    with pytest.raises(WavegenError, match="no longer there") as said:
        prepare(tones, tmp_path / "c", workers=workers, progress=unplug)
    assert "goes on where it stopped" in str(said.value)
    assert not (tmp_path / "c").exists()
    os.rename(tmp_path / "unplugged", tones)
    told = []
    prepare(tones, tmp_path / "c", progress=lambda done, total: told.append(done))
    assert told[0] > 1
    assert tree_bytes(tmp_path / "c") == tree_bytes(tmp_path / "whole")


def test_workers_end_with_a_parent_that_is_killed(tones, tmp_path):
    code = (
        "import os, signal, sys\n"
        "from wavegen.data import corpus\n"
        "def progress(done, total): os.kill(os.getpid(), signal.SIGKILL)\n"
        "if __name__ == '__main__':\n"
        "    corpus.prepare([sys.argv[1]], sys.argv[2], workers=2, progress=progress)\n"
    )
    script = tmp_path / "killed.py"
    script.write_text(code)
    # The workers hold the pipe open as long as they live: with one left this would time out.
    killed = subprocess.run(
        [sys.executable, str(script), str(tones), str(tmp_path / "c")],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        timeout=60,
    )
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "c.partial" / shards.JOURNAL).is_file()


def test_a_link_to_nothing_is_named_and_does_not_stop_the_work(tones, tmp_path):
    (tones / "link.wav").symlink_to(tmp_path / "nowhere.wav")
    made = prepare(tones, tmp_path / "c")
    assert [(file["name"], file["reason"]) for file in made.dropped] == [
        ("link.wav", "a link to a file that does not exist")
    ]


def test_a_second_prepare_into_the_same_folder_is_refused_while_the_first_is_at_work(
    tones, tmp_path, tree_bytes
):
    prepare(tones, tmp_path / "whole")
    said = []

    def second(done, total):
        with pytest.raises(WavegenError) as refused:
            prepare(tones, tmp_path / "c")
        said.append(str(refused.value))

    prepare(tones, tmp_path / "c", progress=second)
    assert len(said) == 8
    assert f"another prepare (process {os.getpid()}) is making" in said[0]
    assert tree_bytes(tmp_path / "c") == tree_bytes(tmp_path / "whole")


def test_a_lock_goes_with_the_process_that_held_it(tmp_path):
    code = (
        "import os, pathlib, signal, sys\n"
        "from wavegen.data import lock\n"
        "held = lock.Lock(pathlib.Path(sys.argv[1]))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    folder = tmp_path / "c.partial"
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code, str(folder)], env=env)
    assert (folder / lock.FILE).is_file()
    with lock.Lock(folder), pytest.raises(lock.Taken, match=str(os.getpid())):
        lock.Lock(folder)
    with lock.Lock(folder):
        pass


def test_a_folder_that_its_holder_renamed_away_is_free(tmp_path):
    with lock.Lock(tmp_path / "c.partial"):
        os.replace(tmp_path / "c.partial", tmp_path / "c")
        with lock.Lock(tmp_path / "c.partial"):
            pass
    assert (tmp_path / "c" / lock.FILE).is_file()


def test_the_same_sound_twice_is_kept_and_named(tones, tmp_path):
    shutil.copy(tones / "1.wav", tones / "copy.wav")
    made = prepare(tones, tmp_path / "c")
    assert len(made.kept) == 9
    assert made.duplicates == [["1.wav", "copy.wav"]]
    stored = json.loads((tmp_path / "c" / "report.json").read_text())
    assert stored["duplicates"] == made.duplicates
    assert not any("digest" in file for file in stored["files"])
