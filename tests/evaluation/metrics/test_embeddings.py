"""Embeddings by an ONNX network: its frames, its rate, and what is said where it is none."""

import sys

import numpy as np
import pytest

from wavegen.errors import WavegenError
from wavegen.evaluation.metrics import embeddings

onnx = pytest.importorskip("onnx", reason="onnx, which builds the network, is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra embeddings)")


def written(path, rate=None, shape=(1, "T"), made=(-1, 4), kind=None):
    """A network that cuts a waveform into frames of four samples, and doubles them."""
    kind = onnx.TensorProto.FLOAT if kind is None else kind
    helper = onnx.helper
    graph = helper.make_graph(
        [
            helper.make_node("Reshape", ["waveform", "made"], ["cut"]),
            helper.make_node("Add", ["cut", "cut"], ["frames"]),
        ],
        "frames",
        [helper.make_tensor_value_info("waveform", kind, shape)],
        [helper.make_tensor_value_info("frames", kind, [None] * len(made))],
        [helper.make_tensor("made", onnx.TensorProto.INT64, [len(made)], made)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if rate is not None:
        helper.set_model_props(model, {"sample_rate": str(rate)})
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("shape", [(1, "T"), ("T",)])
@pytest.mark.parametrize("made", [(-1, 4), (1, -1, 4)])
def test_frames_are_what_the_network_makes(tmp_path, shape, made):
    embedder = embeddings.Embedder(written(tmp_path / "n.onnx", shape=shape, made=made))
    samples = np.arange(12) / 16
    assert embedder.sample_rate == 16000
    found = embedder.frames(samples, 16000)
    np.testing.assert_array_equal(found, 2 * samples.reshape(3, 4).astype(np.float32))


def test_one_vector_a_sound_is_one_frame(tmp_path):
    embedder = embeddings.Embedder(written(tmp_path / "n.onnx", made=(-1,)))
    assert embedder.frames(np.ones(10), 16000).shape == (1, 10)


def test_sound_is_resampled_to_the_rate_that_the_file_says(tmp_path):
    embedder = embeddings.Embedder(written(tmp_path / "n.onnx", rate=8000))
    time = np.arange(4000) / 16000
    found = embedder.frames(np.sin(2 * np.pi * 200 * time), 16000).ravel()
    exact = 2 * np.sin(2 * np.pi * 200 * np.arange(2000) / 8000)
    # Away from the ends, where the filter sees the silence around the sound.
    np.testing.assert_allclose(found[200:-200], exact[200:-200], atol=2e-3)


def test_what_is_no_such_network_is_told_in_one_message(tmp_path):
    (tmp_path / "text.onnx").write_text("no network")
    whole = onnx.TensorProto.INT32
    for path, said in (
        (tmp_path / "none.onnx", "is no file"),
        (tmp_path / "text.onnx", "is no ONNX network"),
        (written(tmp_path / "rate.onnx", rate="fast"), "says \"sample_rate\" 'fast'"),
        (written(tmp_path / "rank.onnx", shape=(1, 1, "T")), "takes other inputs"),
        (written(tmp_path / "kind.onnx", kind=whole), "takes other inputs"),
    ):
        with pytest.raises(WavegenError, match=said) as told:
            embeddings.Embedder(path)
        assert "float32 waveform" in str(told.value) or "Hz" in str(told.value)


def test_a_sound_that_the_network_cannot_take_is_told_with_its_length(tmp_path):
    embedder = embeddings.Embedder(written(tmp_path / "n.onnx"))
    for samples in (np.ones(5), np.ones(0)):
        with pytest.raises(WavegenError, match=r"does not take|makes no vectors"):
            embedder.frames(samples, 16000)


def test_without_onnxruntime_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(WavegenError, match=r"wavegen\[embeddings\]"):
        embeddings.Embedder(tmp_path / "n.onnx")
