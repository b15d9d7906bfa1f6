"""The table of rooms: who may import whom. Imports point down it, never up."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = {  # room: what it may import besides itself; "*" is everything
    "wavegen.errors": set(),
    "wavegen.config": {"wavegen.errors"},
    "wavegen.heard": set(),
    "wavegen.curves": {"wavegen.errors"},
    "wavegen.audio": {"wavegen.errors", "wavegen.config", "wavegen.curves"},
    "wavegen.music": {"wavegen.errors", "wavegen.config"},
    "wavegen.data": {
        "wavegen.audio", "wavegen.music", "wavegen.heard", "wavegen.config", "wavegen.errors",
    },
    "wavegen.model": {"wavegen_kernels", "wavegen.heard", "wavegen.config"},
    # Beyond the design's table: a checkpoint made small, and the one in the box.
    "wavegen.instrument": {"wavegen.model", "wavegen.heard", "wavegen.config", "wavegen.errors"},
    "wavegen.checkpoint": {
        "wavegen.instrument", "wavegen.model", "wavegen.heard", "wavegen.config", "wavegen.errors",
    },
    "wavegen.training": {
        "wavegen.data", "wavegen.model", "wavegen.instrument", "wavegen.checkpoint",
        "wavegen.config", "wavegen.errors",
    },
    # Beyond the design's table: sound is decoded and measured where it is mixed.
    "wavegen.sampling": {
        "wavegen.model", "wavegen.audio", "wavegen.music", "wavegen.heard", "wavegen_kernels",
        "wavegen.curves", "wavegen.config", "wavegen.errors",
    },
    # Beyond the design's table: what is evaluated is a network, on a corpus.
    "wavegen.evaluation": {
        "wavegen.audio", "wavegen.music", "wavegen.data", "wavegen.model", "wavegen.sampling",
        "wavegen.training", "wavegen_kernels", "wavegen.config", "wavegen.errors",
    },
    "wavegen.continuation": {
        "wavegen.sampling", "wavegen.music", "wavegen.model", "wavegen.checkpoint",
        "wavegen.curves", "wavegen.errors",
    },
    # The Python interface: a model from a run folder, and what sampling and audio do with it.
    "wavegen.generator": {
        "wavegen.sampling", "wavegen.audio", "wavegen.music", "wavegen.model",
        "wavegen.checkpoint", "wavegen.instrument", "wavegen.curves", "wavegen.errors",
    },
    "wavegen.cli": {"*"},
    "wavegen.__main__": {"wavegen.cli"},
    "wavegen_kernels": set(),
}  # fmt: skip
WITHOUT_JAX = {
    "wavegen.errors", "wavegen.config", "wavegen.heard", "wavegen.curves", "wavegen.audio",
    "wavegen.music", "wavegen.data",
}  # fmt: skip
DOORS = {  # third-party package: the only modules that may import it
    "soundfile": {"wavegen.audio.files", "wavegen.cli.doctor"},
    "mido": {"wavegen.music.midi"},
    "sounddevice": {"wavegen.audio.speaker"},
    "orbax": {"wavegen.checkpoint"},
    "safetensors": {"wavegen.instrument"},
    "tomllib": {"wavegen.config"},
    "tensorboard": {"wavegen.training.events"},
    "wandb": {"wavegen.cli.weights_and_biases"},
    "jinja2": {"wavegen.evaluation.pages"},
    "onnxruntime": {"wavegen.evaluation.metrics.embeddings"},
    "sklearn": {"wavegen.evaluation.metrics.bins", "wavegen.evaluation.metrics.neighbours"},
}
KERNELS_MAY_NOT_KNOW = {"flax", "optax", "orbax", "wavegen", "librosa", "soundfile"}


def sources():
    for top in (ROOT / "wavegen", ROOT / "kernels" / "wavegen_kernels"):
        for path in sorted(top.rglob("*.py")):
            parts = path.relative_to(top.parent).with_suffix("").parts
            yield ".".join(part for part in parts if part != "__init__"), path


def room(module):
    return ".".join(module.split(".")[: 1 if module.startswith("wavegen_kernels") else 2])


def imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


SOURCES = list(sources())


@pytest.mark.parametrize(("module", "path"), SOURCES, ids=[module for module, _ in SOURCES])
def test_imports_point_downwards(module, path):
    here = room(module)
    if here == "wavegen":  # the package's own __init__
        return
    allowed = ROOMS[here] | {here, "wavegen.__version__", "wavegen"}
    ours = {n for n in imports(path) if n.split(".")[0] in ("wavegen", "wavegen_kernels")}
    ours = {n for n in ours if n != "wavegen.WavegenError"}  # wavegen.errors by its public name
    bad = {n for n in ours if "*" not in allowed and room(n) not in allowed}
    assert not bad, f"{module} ({here}) may not import {sorted(bad)}"


@pytest.mark.parametrize(("module", "path"), SOURCES, ids=[module for module, _ in SOURCES])
def test_third_party_packages_come_in_by_their_doors(module, path):
    here, found = room(module), {name.split(".")[0] for name in imports(path)}
    assert not (here in WITHOUT_JAX and found & {"jax", "flax", "optax", "wavegen_kernels"})
    assert not (here == "wavegen_kernels" and found & KERNELS_MAY_NOT_KNOW)
    for package, doors in DOORS.items():
        assert package not in found or module in doors, f"{module} imports {package}"


def test_every_room_has_a_row_in_the_table():
    rooms = {room(module) for module, _ in SOURCES} - {"wavegen"}
    assert rooms == set(ROOMS)
