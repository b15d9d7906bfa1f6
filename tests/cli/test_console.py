"""Progress on a terminal and elsewhere, numbers and words of flags."""

import io
import logging
import re
import sys

import pytest

from wavegen.cli import console
from wavegen.cli.console import Console
from wavegen.errors import WavegenError


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("stream", [Terminal, io.StringIO])
@pytest.mark.parametrize("total", [None, 8.0])
def test_progress_works_with_and_without_a_terminal_and_a_total(monkeypatch, stream, total):
    monkeypatch.setattr(console, "PLAIN_EVERY_SECONDS", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    err = stream()
    monkeypatch.setattr(sys, "stderr", err)
    with Console().progress("making", "s of sound", total) as update:
        update(0)
        update(2.5)
        update(5.0, 10)  # the total is known only now
    said = err.getvalue()
    assert "making" in said
    assert "5/10 s of sound" in said


def test_a_quiet_console_shows_no_progress(capsys):
    with Console(quiet=True).progress("making", "notes") as update:
        update(1)
    assert capsys.readouterr() == ("", "")


def log(line):
    logging.getLogger("wavegen_kernels").info(line)


def test_what_the_kernels_log_is_noted_once(capsys):
    with Console().kernels_heard():
        for line in ("compiling for %s", "compiling for %s", "something else"):
            log(line)
    log("too late")
    assert capsys.readouterr() == ("", "compiling for %s\nsomething else\n")


def test_a_quiet_console_hears_no_kernels(capsys):
    with Console(quiet=True).kernels_heard():
        log("compiling")
    assert capsys.readouterr() == ("", "")


def test_no_other_handler_says_it_again(capsys):
    root, other = logging.getLogger(), logging.StreamHandler(io.StringIO())
    root.addHandler(other)
    try:
        with Console().kernels_heard():
            log("compiling")
    finally:
        root.removeHandler(other)
    assert other.stream.getvalue() == ""
    assert capsys.readouterr().err == "compiling\n"


def test_a_note_of_the_kernels_does_not_tear_the_bar_apart(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    err = Terminal()
    monkeypatch.setattr(sys, "stderr", err)
    console = Console()
    with console.kernels_heard(), console.progress("making", "s of sound", 8.0) as update:
        update(2)
        log("compiling")
    lines = [line.rpartition("\r")[2] for line in err.getvalue().split("\n")]
    escapes = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
    plain = [escapes.sub("", line).strip() for line in lines]
    assert plain.count("compiling") == 1  # a line of its own
    assert all(len(line) <= 80 for line in plain)


@pytest.mark.parametrize(
    ("words", "pairs"),
    [
        (["a=1,b=2"], [("a", "1"), ("b", "2")]),
        (["a=1", "b=2"], [("a", "1"), ("b", "2")]),
        (["folder=Bach, J.S."], [("folder", "Bach, J.S.")]),
        (["folder=Bach, J.S.,mode=minor"], [("folder", "Bach, J.S."), ("mode", "minor")]),
    ],
)
def test_pairs_are_parted_by_commas_that_begin_another_key(words, pairs):
    assert console.key_values(words, "--label") == pairs


@pytest.mark.parametrize("word", ["a", "a=", "=1"])
def test_a_pair_without_key_or_value_is_refused(word):
    with pytest.raises(WavegenError, match="KEY=VALUE"):
        console.key_values([word], "--label")


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.04, "0.0s"), (59.9, "59.9s"), (185, "3m05s"), (7860, "2h11m")]
)
def test_durations_read_like_a_clock(seconds, words):
    assert console.duration(seconds) == words
