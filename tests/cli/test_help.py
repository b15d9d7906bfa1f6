"""Help answers at once, and wrong usage is told from wrong input."""

import subprocess
import sys

import pytest

import wavegen as package
from wavegen.data import LAYOUT_NAMES
from wavegen.data.layouts import LAYOUTS

VERBS = (
    "demo", "prepare", "train", "generate", "play", "master", "evaluate", "compare", "plot", "info",
    "doctor",
)  # fmt: skip


def test_help_names_every_verb(wavegen):
    ended = wavegen("--help")
    assert ended.code == 0
    assert all(verb in ended.out for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_json_and_quiet(wavegen, verb):
    ended = wavegen(verb, "--help")
    assert ended.code == 0
    assert "--json" in ended.out
    assert "--quiet" in ended.out


def test_help_of_prepare_names_every_layout(wavegen):
    assert tuple(LAYOUTS) == LAYOUT_NAMES
    words = wavegen("prepare", "--help").out.replace("│", " ").split()
    assert {f"{name}," for name in ("auto", *LAYOUT_NAMES[:-1])} <= set(words)
    assert "folder" in words


def test_version_is_the_packages(wavegen):
    assert wavegen("--version") == (0, f"wavegen {package.__version__}\n", "")


def test_help_loads_nothing_heavy():
    code = "import sys, wavegen.cli.app; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()
    heavy = {"jax", "flax", "librosa", "soundfile", "numba", "orbax", "scipy", "matplotlib"}
    assert heavy & {name.partition(".")[0] for name in loaded} == set()


@pytest.mark.parametrize(
    "line",
    [
        "",
        "generat",
        "--verbose",
        "generate --runn r --out o.wav",
        "generate --run r",
        "generate --run r --out o.wav more",
        "generate --run r --out o.wav --num 0",
        "generate --run r --out o.wav --seed x",
        "evaluate",
        "evaluate --run r",
        "evaluate --run r --data c --limit 0",
        "prepare src",
        "prepare src --out c --limit 0",
        "train",
        "train tiny --data c --run r --steps 0",
    ],
)
def test_wrong_usage_exits_2_and_says_how_to_go_on(wavegen, line):
    ended = wavegen(*line.split())
    assert ended.code == 2
    assert "--help" in ended.out + ended.err
    assert "Traceback" not in ended.err
