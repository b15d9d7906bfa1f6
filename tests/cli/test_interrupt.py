"""Long work that is stopped leaves something whole, and goes on from it."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from wavegen import checkpoint
from wavegen.audio import files

ROOT = Path(__file__).parents[2]
RATE = 8000
# A shell that starts a test run in the background has children ignore Ctrl-C; this one shall not.
START = f"""
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "kernels")!r}]
from wavegen.cli.app import main
main()
"""
PATIENCE_SECONDS = 120  # for a machine that is busy with something else

pytestmark = pytest.mark.slow


def stopped(number, is_ready, *args):
    """Starts wavegen, sends a signal as soon as is_ready(); gives the exit code and stderr."""
    command = [sys.executable, "-c", START, *map(str, args)]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        give_up = time.monotonic() + PATIENCE_SECONDS
        while not is_ready() and process.poll() is None and time.monotonic() < give_up:
            time.sleep(0.05)
        process.send_signal(number)
        _, err = process.communicate(timeout=PATIENCE_SECONDS)
    return process.returncode, err


def is_larger(path, num_bytes):
    return path.is_file() and path.stat().st_size > num_bytes


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_a_stopped_generation_leaves_a_readable_wav(plain_run, tmp_path, number, code):
    out = tmp_path / "long.wav"
    ended, err = stopped(
        number, lambda: is_larger(out, 4096), "generate", "--run", plain_run, "--out", out,
        "--seconds", 3600,
    )  # fmt: skip
    assert ended == code, err
    assert "Traceback" not in err
    samples, rate = files.read(out)
    assert rate == RATE
    assert 1000 < len(samples) < 3600 * RATE
    assert len(samples) == files.info(out).frames  # the header knows how many there are
    assert (files.provenance(out) or {})["run"] == str(plain_run)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_training_has_saved_and_goes_on(wavegen, corpus, small, tmp_path, number, code):
    run = tmp_path / "run"
    settings = ("tiny", "--data", corpus, "--run", run, *small, "--set", "training.save_every=9999")
    log = run / "metrics.jsonl"
    ended, err = stopped(number, lambda: is_larger(log, 0), "train", *settings, "--steps", 100_000)
    assert ended == code, err
    assert "Traceback" not in err
    (step,) = checkpoint.steps(run)
    assert f"stopped at step {step}" in err
    again = wavegen("train", *settings, "--steps", step + 2, "--json")
    assert again.code == 0
    assert f"going on from step {step}" in again.err
    assert json.loads(again.out.splitlines()[-1])["step"] == step + 2


def test_a_stopped_preparation_goes_on_to_the_same_corpus(wavegen, tmp_path):
    asked = ("--layout", "synthetic", "--sample-rate", RATE, "--pitch", "36-72")
    cut, whole = tmp_path / "cut", tmp_path / "whole"
    journal = tmp_path / "cut.partial" / "journal.jsonl"
    ended, err = stopped(
        signal.SIGINT, lambda: is_larger(journal, 2048), "prepare", *asked, "--out", cut
    )
    assert ended == 130, err
    assert "Traceback" not in err
    assert not cut.exists()
    assert journal.is_file()
    for out in (cut, whole):
        assert wavegen("prepare", *asked, "--out", out).code == 0
    found = [path.relative_to(whole) for path in sorted(whole.rglob("*")) if path.is_file()]
    assert len(found) > 4
    assert all((cut / path).read_bytes() == (whole / path).read_bytes() for path in found)
    assert not journal.exists()
