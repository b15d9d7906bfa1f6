"""A generation that stopped, in a file, from which it goes on bit for bit as if it had not.

One NPZ: the arrays of the state and of what was asked for, and a JSON text `about`. Each member of
an NPZ has a checksum, so a damaged file is noticed.
"""

from __future__ import annotations

import contextlib
import json
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from wavegen import checkpoint, curves
from wavegen.errors import WavegenError
from wavegen.model.network import Trained
from wavegen.music.score import Note, Score
from wavegen.sampling import blocks
from wavegen.sampling.request import Draws, Request
from wavegen.sampling.state import State

FORMAT_VERSION = 1
_KIND = "a file that `wavegen generate --save-state` wrote"


@dataclass(frozen=True)
class Piece:
    """A generation that can be gone on with."""

    state: State
    request: Request  # its number of frames means nothing any more
    draws: Draws
    backend: str
    precision: str
    facts: dict[str, Any]  # what the caller wants to know again; JSON


def write(path: Path, trained: Trained, piece: Piece) -> None:
    """Writes a piece, which is there as a whole or not at all."""
    request, state = piece.request, piece.state
    counts = [len(score.notes) for score in request.scores]
    notes = [
        (n.onset_seconds, n.duration_seconds, n.pitch, n.velocity)
        for score in request.scores
        for n in score.notes
    ]
    about = {
        "format_version": FORMAT_VERSION,
        "model": _digest(trained),
        "step": trained.step,
        "frame": state.frame,
        "draws": piece.draws.story(),
        "backend": piece.backend,
        "precision": piece.precision,
        "facts": piece.facts,
    }
    arrays: dict[str, Any] = {f"state{i}": leaf for i, leaf in enumerate(_leaves(state))}
    if request.acoustics is not None:
        arrays["acoustics"] = np.asarray(request.acoustics)
    beside = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            np.savez(
                file,
                about=np.frombuffer(json.dumps(about).encode(), np.uint8),
                labels=request.labels,
                streams=request.streams,
                counts=np.array(counts, np.int64),
                notes=np.array(notes, np.float64).reshape(-1, 4),
                **arrays,
            )
        beside.replace(path)
    except OSError as error:
        raise WavegenError(
            f"cannot write {path}: {error.strerror or error}", "a place that can be written to"
        ) from None
    finally:
        with contextlib.suppress(OSError):  # which was told already
            beside.unlink(missing_ok=True)


def read(path: Path, trained: Trained) -> Piece:
    """The piece in a file; WavegenError where there is none, or one of another model."""
    if not path.is_file():
        raise WavegenError(
            f"{path} does not exist" if not path.exists() else f"{path} is a folder", _KIND
        )
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        about = json.loads(arrays["about"].tobytes())
        version = int(about["format_version"])
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error):
        raise WavegenError(f"{path} is damaged, or no state of a generation", _KIND) from None
    if version > FORMAT_VERSION:
        raise WavegenError(
            f"{path} has format version {version}",
            f"{FORMAT_VERSION} or older",
            "use a newer wavegen",
        )
    if about["model"] != _digest(trained):
        raise WavegenError(
            f"{path} is of another model, of step {about['step']} of its training",
            "the run and the checkpoint that it was made with",
            "name them by --run and --checkpoint",
        )
    try:
        return _piece(arrays, about, trained)
    except (ValueError, KeyError, TypeError, WavegenError):
        raise WavegenError(f"{path} is damaged", _KIND) from None


def _piece(arrays: dict[str, np.ndarray], about: dict[str, Any], trained: Trained) -> Piece:
    batch = len(arrays["streams"])
    like = blocks.initial(trained, batch)
    shapes, structure = jax.tree.flatten(like._replace(frame=np.int64(0)))
    leaves = [arrays[f"state{i}"] for i in range(len(shapes))]
    begun = leaves[-1]  # whose length is free
    wanted = [np.shape(leaf) for leaf in shapes[:-1]] + [(batch, begun.shape[1])]
    if [leaf.shape for leaf in leaves] != wanted:
        raise ValueError("arrays of other shapes")
    state: State = jax.tree.unflatten(structure, leaves)
    rows = np.split(arrays["notes"], np.cumsum(arrays["counts"])[:-1])
    scores = tuple(
        Score(tuple(Note(on, held, int(pitch), int(velocity)) for on, held, pitch, velocity in row))
        for row in (each.tolist() for each in rows)
    )
    told = about["draws"]
    draws = Draws(
        told["seed"],
        curves.parse(str(told["temperature"]), "temperature"),
        told["top_k"],
        curves.parse(str(told["top_p"]), "top-p"),
    )
    request = Request(
        None, scores, arrays["labels"], arrays["streams"], acoustics=arrays.get("acoustics")
    )
    state = state._replace(frame=int(about["frame"]))
    return Piece(state, request, draws, about["backend"], about["precision"], about["facts"])


def _leaves(state: State) -> list[np.ndarray]:
    return [
        np.asarray(leaf) for leaf in jax.tree.leaves(state._replace(frame=np.int64(state.frame)))
    ]


def _digest(trained: Trained) -> str:
    """Stands for the parameters of a network."""
    sums = json.dumps(checkpoint.checksums(trained.params), sort_keys=True)
    return f"{zlib.crc32(sums.encode()):08x}"
