"""An instrument: a trained network in a folder of three small files, to be passed on.

    instrument.json      what it is: config, vocabulary, what it heard in training, its licence
    weights.safetensors  its parameters, rounded to float16, under their names
    README.md            its card, for people

A run folder is where training goes on; an instrument only plays, and begins other trainings.
Weights of this size lie well inside float16, which rounds them eight times as finely as bfloat16.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from wavegen import config as configs
from wavegen.config import Vocabulary
from wavegen.errors import WavegenError
from wavegen.heard import Heard
from wavegen.model import network
from wavegen.model.network import Trained

FORMAT_VERSION = 1
IN_THE_BOX = "shipped"
SHIPPED = Path(__file__).resolve().parent / IN_THE_BOX  # the instrument in the box
ABOUT, WEIGHTS, CARD = "instrument.json", "weights.safetensors", "README.md"
_TOLD = (
    *("name", "licence", "step", "config", "vocabulary", "heard", "temperature"),
    *("bits_per_sample", "weights_crc32"),
)  # of ABOUT, besides its version


class Papers(NamedTuple):
    """What is said of an instrument, besides how it is made."""

    name: str
    licence: str  # of the weights
    card: str  # Markdown
    bits_per_sample: float | None = None  # of a validation


def find(run: str | Path | None) -> Path:
    """The folder that is meant by a name: none, or "shipped", is the instrument in the box."""
    path = Path(IN_THE_BOX if run is None else run)
    return SHIPPED if path == Path(IN_THE_BOX) and not path.exists() else path


def called(folder: Path) -> str:
    """What a folder is called where somebody else reads it; see `find`."""
    return IN_THE_BOX if folder == SHIPPED else str(folder)


def is_one(folder: Path) -> bool:
    """Whether a folder holds an instrument."""
    return (folder / ABOUT).is_file()


def write(trained: Trained, papers: Papers, folder: Path) -> int:
    """Writes an instrument, beside its place and then there; how many bytes it has.

    What else lies in the folder stays. Raises WavegenError where a weight is no number that
    float16 holds.
    """
    weights = {name: np.asarray(leaf) for name, leaf in network.named(trained.params).items()}
    with np.errstate(over="ignore"):
        small = {name: leaf.astype(np.float16) for name, leaf in weights.items()}
    wrong = [name for name, leaf in small.items() if not np.isfinite(leaf).all()]
    if wrong:
        raise WavegenError(
            f"{wrong[0]} holds weights that float16 cannot", "weights below 65504, all of them",
            "an earlier checkpoint: this training has come apart",
        )  # fmt: skip
    packed = safetensors.numpy.save(small)
    training = replace(trained.config.training, init_from="")  # a path says nothing elsewhere
    told = {
        "format_version": FORMAT_VERSION,
        "name": papers.name,
        "licence": papers.licence,
        "step": trained.step,
        "config": configs.to_dict(replace(trained.config, training=training)),
        "vocabulary": trained.vocabulary.to_dict(),
        "heard": trained.heard and trained.heard.to_dict(),
        "temperature": trained.temperature,
        "bits_per_sample": papers.bits_per_sample,
        "weights_crc32": zlib.crc32(packed),
    }
    folder = folder.resolve()
    place = folder if folder.is_dir() else folder.with_name(folder.name + ".unfinished")
    place.mkdir(parents=True, exist_ok=True)
    parts = {
        WEIGHTS: packed,
        CARD: (papers.card.rstrip() + "\n").encode(),
        ABOUT: (json.dumps(told, indent=1) + "\n").encode(),  # last: it has the weights' checksum
    }
    for name, content in parts.items():
        (place / (name + ".unfinished")).write_bytes(content)
    for name in parts:
        (place / (name + ".unfinished")).replace(place / name)
    if place != folder:
        place.rename(folder)
    return sum(map(len, parts.values()))


def about(folder: Path) -> dict[str, Any]:
    """What `instrument.json` says; raises WavegenError where it is damaged or too new."""
    try:
        told = dict(json.loads((folder / ABOUT).read_text(encoding="utf-8")))
        version = int(told["format_version"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(folder / ABOUT, error) from None
    missing = [name for name in _TOLD if name not in told]
    if missing and version <= FORMAT_VERSION:
        raise _damaged(folder / ABOUT, KeyError(f"it does not tell {missing[0]}"))
    if version > FORMAT_VERSION:
        raise WavegenError(
            f"{folder} is an instrument of format version {version}",
            f"{FORMAT_VERSION} or older",
            "use a newer wavegen",
        )
    return told


def read(folder: Path) -> Trained:
    """The network of an instrument; raises WavegenError where it is damaged or too new."""
    told = about(folder)
    try:
        packed = (folder / WEIGHTS).read_bytes()
        if zlib.crc32(packed) != told["weights_crc32"]:
            raise ValueError("its checksum differs")
        weights = safetensors.numpy.load(packed)
        config = configs.from_dict(told["config"], where=str(folder / ABOUT))
        vocabulary = Vocabulary.from_dict(told["vocabulary"])
        heard = Heard.from_dict(told["heard"]) if told["heard"] else None
        graphdef, shapes = network.structure(config, vocabulary)
        named = network.named(shapes)
        if {name: leaf.shape for name, leaf in named.items()} != {
            name: leaf.shape for name, leaf in weights.items()
        }:
            raise ValueError("its weights are not those of its config")
        leaves = [jnp.asarray(weights[name], jnp.float32) for name in named]
        params = jax.tree.unflatten(jax.tree.structure(shapes), leaves)
        told = (int(told["step"]), heard, float(told["temperature"]))
        return Trained(config, vocabulary, graphdef, params, *told)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise _damaged(folder / WEIGHTS, error) from None


def _damaged(path: Path, error: Exception) -> WavegenError:
    words = " ".join(str(error).split())[:200] or type(error).__name__
    return WavegenError(
        f"{path} is damaged: {words}",
        "an instrument as `wavegen export` wrote it",
        "fetch it once more, or export it again",
    )
