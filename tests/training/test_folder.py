"""A run's folder has one trainer, and what stands in it is whole."""

import json
import shutil
import subprocess
import sys

import pytest

from wavegen.config import Config
from wavegen.data import lock
from wavegen.errors import WavegenError
from wavegen.training import folder

HOLD = """
import pathlib, sys
sys.path[:0] = sys.argv[2:]
from wavegen.data import lock
with lock.Lock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_trainer_is_kept_out_and_told_who_is_in(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path), *sys.path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(WavegenError, match=f"process {other.pid}"), folder.held(tmp_path):
            pass
        other.kill()  # the system lets go of what a killed process held
    with folder.held(tmp_path):
        assert (tmp_path / lock.FILE).exists()
    assert not (tmp_path / lock.FILE).exists()


def lose(run):
    shutil.rmtree(run)
    (run / "log.txt").write_text("")


def test_a_full_disk_and_a_folder_that_is_gone_are_told_in_words(tmp_path):
    with pytest.raises(WavegenError, match="the disk is full"), folder.held(tmp_path / "run"):
        raise OSError(28, "No space left on device")
    with pytest.raises(WavegenError, match="run is gone"), folder.held(tmp_path / "run"):
        lose(tmp_path / "run")
    with pytest.raises(OSError, match="something else"), folder.held(tmp_path / "run"):
        raise OSError("something else")


def test_where_a_run_began_is_told_of_the_beginning(tmp_path, notes_corpus):
    def told():
        return json.loads((tmp_path / "environment.json").read_text())

    folder.open(tmp_path, Config(), notes_corpus, 0, None)
    assert told()["corpus"] == str(notes_corpus.path)
    assert folder.begun_from(tmp_path) == ""
    folder.open(tmp_path, Config(), notes_corpus, 0, {"run": "/a", "step": 3})  # begun anew
    assert folder.begun_from(tmp_path) == "/a"
    folder.open(tmp_path, Config(), notes_corpus, 8, None)  # gone on with
    assert folder.begun_from(tmp_path) == "/a"
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"begun_from": null}', '{"begun_from"'])
def test_a_run_that_does_not_say_where_it_began_began_nowhere(tmp_path, text):
    assert folder.begun_from(tmp_path) == ""
    (tmp_path / "environment.json").write_text(text)
    assert folder.begun_from(tmp_path) == ""
