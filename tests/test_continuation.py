"""A generation in a file: what goes on from it, and what is refused."""

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from tests.sampling.networks import NETWORKS, make, request_of
from wavegen import continuation
from wavegen.continuation import Piece
from wavegen.curves import Curve
from wavegen.errors import WavegenError
from wavegen.model import network
from wavegen.sampling import sampler
from wavegen.sampling.request import Draws

DRAWS = Draws(7, Curve((0.0, 1.0), (0.7, 1.1)), 50, 0.95)


def stopped(trained, frames=40):
    """A piece that stopped after so many frames, and the codes of the whole."""
    request = request_of(trained, frames=70)
    ran = ("numba_cpu", "float32")
    whole = np.concatenate([m.codes for m in sampler.stream(trained, request, DRAWS, *ran)], axis=1)
    part = dataclasses.replace(request, num_frames=frames)
    made = list(sampler.stream(trained, part, DRAWS, *ran, keeps=True))
    state = made[-1].state
    assert state is not None
    return Piece(state.upto(state.num_samples - 3), request, DRAWS, *ran, {"a": [1, "b"]}), whole


@pytest.mark.parametrize("name", NETWORKS)
def test_a_piece_goes_on_from_its_file_bit_for_bit(name, tmp_path):
    trained = make(name)
    piece, whole = stopped(trained)
    continuation.write(tmp_path / "new" / "a.state", trained, piece)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.state"]
    found = continuation.read(tmp_path / "new" / "a.state", trained)
    assert (found.draws, found.backend, found.precision) == (DRAWS, "numba_cpu", "float32")
    assert found.facts == {"a": [1, "b"]}
    assert found.request.scores == piece.request.scores
    request = dataclasses.replace(found.request, num_frames=70)
    more = sampler.stream(
        trained, request, found.draws, found.backend, found.precision, state=found.state
    )
    codes = np.concatenate([made.codes for made in more], axis=1)
    np.testing.assert_array_equal(codes, whole[:, 40 * 8 - 3 :])


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A piece of a network, in a file."""
    path = tmp_path_factory.mktemp("piece") / "a.state"
    continuation.write(path, make("none"), stopped(make("none"))[0])
    return path


def test_a_state_of_another_model_is_refused(kept):
    trained = make("none")
    config, vocabulary = trained.config, trained.vocabulary
    _, params = network.create(config, vocabulary, seed=1)
    with pytest.raises(WavegenError, match="is of another model, of step 0"):
        continuation.read(kept, dataclasses.replace(trained, params=params))
    with pytest.raises(WavegenError, match="is of another model"):
        continuation.read(kept, make("past"))


def test_a_state_that_is_missing_cut_or_no_state_at_all_is_refused(kept, tmp_path):
    whole = kept.read_bytes()
    for name, data in (
        ("empty", b""),
        ("text", b"hello"),
        ("cut", whole[: len(whole) // 2]),
        ("flipped", whole[: len(whole) // 2] + b"\xff\x00\xff" + whole[len(whole) // 2 + 3 :]),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(WavegenError, match=f"{name} is damaged"):
            continuation.read(tmp_path / name, make("none"))
    with pytest.raises(WavegenError, match="does not exist"):
        continuation.read(tmp_path / "nowhere", make("none"))
    with pytest.raises(WavegenError, match="is a folder"):
        continuation.read(tmp_path, make("none"))


def test_every_flipped_byte_is_noticed_or_changes_nothing(kept, tmp_path):
    whole, trained = bytearray(kept.read_bytes()), make("none")
    expected = continuation.read(kept, trained)
    random = np.random.default_rng(0)
    noticed = 0
    for place in random.integers(0, len(whole), 60):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(random.integers(8))
        (tmp_path / "a").write_bytes(damaged)
        try:
            found = continuation.read(tmp_path / "a", trained)
        except WavegenError:
            noticed += 1
            continue
        np.testing.assert_array_equal(found.state.step.queues, expected.state.step.queues)
        np.testing.assert_array_equal(found.state.begun, expected.state.begun)
    assert noticed > 30  # the rest fell into what the archive says twice, or not at all


def test_a_state_of_a_newer_version_is_refused(kept, tmp_path):
    with np.load(kept) as stored:
        arrays = {name: stored[name] for name in stored.files}
    about = json.loads(arrays["about"].tobytes()) | {"format_version": 99}
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    with (tmp_path / "new").open("wb") as file:
        np.savez(file, **arrays)
    with pytest.raises(WavegenError, match="format version 99"):
        continuation.read(tmp_path / "new", make("none"))


def test_a_place_that_cannot_be_written_is_refused(kept, tmp_path):
    (tmp_path / "file").write_text("")
    piece = continuation.read(kept, make("none"))
    with pytest.raises(WavegenError, match="cannot write"):
        continuation.write(tmp_path / "file" / "a.state", make("none"), piece)


def test_a_state_whose_arrays_have_other_shapes_is_refused(kept, tmp_path):
    with np.load(kept) as stored:
        arrays = {name: stored[name] for name in stored.files}
    for name in ("state0", "streams"):
        with (tmp_path / "odd").open("wb") as file:
            changed: dict[str, Any] = arrays | {name: np.zeros(7, np.int32)}
            np.savez(file, **changed)
        with pytest.raises(WavegenError, match="odd is damaged"):
            continuation.read(tmp_path / "odd", make("none"))


def test_a_write_that_fails_leaves_the_older_state_and_nothing_beside_it(
    kept, tmp_path, monkeypatch
):
    path, piece = tmp_path / "a.state", continuation.read(kept, make("none"))
    path.write_bytes(kept.read_bytes())

    def full(file, **_):
        file.write(b"torn")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(WavegenError, match="No space left"):
        continuation.write(path, make("none"), piece)
    assert path.read_bytes() == kept.read_bytes()
    assert [each.name for each in tmp_path.iterdir()] == ["a.state"]
