"""Embeddings of sound by a network from an ONNX file: the only door to onnxruntime, an extra."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from wavegen.errors import WavegenError

SAMPLE_RATE = 16000  # where the file's metadata do not say another
_WANTED = "a network from a float32 waveform [1, T] or [T] to [.., D] or [.., F, D]"


class Embedder:
    """A network of an ONNX file that makes frames of features from samples.

    Its input is a float32 waveform [1, T] or [T] at the rate that stands in the file's metadata
    under "sample_rate", else at 16 kHz; of its outputs the first is taken. WavegenError where
    onnxruntime is missing or the file holds no such network.
    """

    def __init__(self, path: str | Path) -> None:
        self._path, self._runtime = Path(path), module()
        if not self._path.is_file():
            raise WavegenError(f"{path} is no file", _WANTED)
        options = self._runtime.SessionOptions()
        options.log_severity_level = 4  # what is wrong is said below, in one message
        try:
            self._session = self._runtime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except _errors() as error:
            raise WavegenError(f"{path} is no ONNX network: {_short(error)}", _WANTED) from None
        self.sample_rate = self._rate()
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or inputs[0].type != "tensor(float)" or len(inputs[0].shape) > 2:
            found = ", ".join(f"{i.name} {i.type} {i.shape}" for i in inputs)
            raise WavegenError(f"{path} takes other inputs: {found}", _WANTED)
        self._input = inputs[0]

    def frames(
        self,
        samples: np.ndarray,  # [T] in [-1, 1]
        sample_rate: int,
    ) -> np.ndarray:  # [F, D] float32; F = 1 where the network gives one vector a sound
        """What the network makes of a sound. WavegenError where it cannot take it."""
        import soxr

        samples = np.asarray(samples, np.float32)
        samples = soxr.resample(samples, sample_rate, self.sample_rate) if len(samples) else samples
        shaped = samples.reshape([1, -1][-len(self._input.shape) :])
        try:
            made = self._session.run(None, {self._input.name: shaped})[0]
        except _errors() as error:
            raise WavegenError(
                f"{self._path} does not take {len(samples)} samples: {_short(error)}", _WANTED
            ) from None
        if not isinstance(made, np.ndarray) or not made.ndim or not made.size:
            raise WavegenError(f"{self._path} makes no vectors", _WANTED)
        return made.reshape(-1, made.shape[-1]).astype(np.float32)

    def _rate(self) -> int:
        told = self._session.get_modelmeta().custom_metadata_map.get("sample_rate", SAMPLE_RATE)
        try:
            rate = int(told)
        except ValueError:
            rate = 0
        if rate <= 0:
            raise WavegenError(
                f'{self._path} says "sample_rate" {told!r} in its metadata', "a whole number of Hz"
            )
        return rate


def module() -> Any:
    """onnxruntime; WavegenError where it is not installed."""
    try:
        import onnxruntime  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise WavegenError(
            "embeddings by a network were asked for, and onnxruntime is not installed",
            do="pip install 'wavegen[embeddings]', or go without: the distances of MFCC and "
            "log-mel frames need nothing more",
        ) from None
    return onnxruntime


def _errors() -> tuple[type[Exception], ...]:
    """All that onnxruntime raises: its exceptions have no base of their own."""
    state = importlib.import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    kinds = (each for each in vars(state).values() if isinstance(each, type))
    return (*(kind for kind in kinds if issubclass(kind, Exception)), ValueError)


def _short(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
