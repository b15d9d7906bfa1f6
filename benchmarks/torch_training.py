"""A training step of the same network as a plain PyTorch program: a baseline, and a second opinion.

It is written as one writes it in PyTorch: convolutions over [B, channels, T], cross-entropy, Adam.
It needs torch and numpy, and weights as wavegen_kernels has them; without a linear predictor.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from torch.nn import functional  # pyright: ignore[reportMissingImports]

MODES = ("eager", "compiled")


class TorchTraining:
    """A network in training on windows that begin with silence, as recordings do.

    "compiled" hands the loss to torch.compile. Set torch's number of threads before making one.
    Raises RuntimeError, with the reason, where the mode cannot run here.
    """

    def __init__(self, weights: Any, mode: str = "eager", learning_rate: float = 2e-3):
        if mode not in MODES:
            raise ValueError(f"no mode {mode!r}; there are {', '.join(MODES)}")
        self.silence, self.dilations = weights.silence, tuple(weights.dilations)
        self.parameters = {name: _parameter(x) for name, x in _convolutions(weights).items()}
        self._adam = torch.optim.Adam(self.parameters.values(), lr=learning_rate, betas=(0.9, 0.99))
        self._loss: Callable[[torch.Tensor], torch.Tensor] = self._mean_nats
        if mode == "compiled":
            self._loss = torch.compile(self._mean_nats, dynamic=False)

    def step(self, codes: np.ndarray) -> float:  # [B, T]
        """One step of Adam under a clipped gradient; gives the loss before it, nats a sample."""
        nats = self._differentiate(codes)
        torch.nn.utils.clip_grad_norm_(self.parameters.values(), 1.0)
        self._adam.step()
        return nats

    def gradient(self, codes: np.ndarray) -> tuple[float, dict[str, np.ndarray]]:
        """The loss, and its gradient by the names and in the shapes of StackWeights."""
        nats = self._differentiate(codes)
        found = {name: x.grad.numpy() for name, x in self.parameters.items()}
        for name, axes in _CONVOLUTIONS.items():
            found[name] = np.transpose(found[name], np.argsort(axes))
        found["gate"] = found["gate"][:, ::-1]
        return nats, found

    def _differentiate(self, codes: np.ndarray) -> float:
        self._adam.zero_grad()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the compiler's own use of what torch warns of
                nats = self._loss(torch.from_numpy(codes.astype(np.int64)))
                nats.backward()
        except (OSError, ImportError) as error:
            raise RuntimeError(f"torch.compile cannot run here: {error}") from error
        return float(nats.detach())

    def _mean_nats(self, codes: torch.Tensor) -> torch.Tensor:  # [B, T]
        w, T = self.parameters, codes.shape[1]
        K = w["embed"].shape[0]
        heard = functional.pad(codes, (K, 0), value=self.silence)
        embedded = [functional.embedding(heard[:, K - 1 - k : K - 1 - k + T], w["embed"][k])
                    for k in range(K)]  # fmt: skip
        h = sum(embedded[1:], embedded[0]).transpose(1, 2)  # [B, R, T]
        total = w["skip_bias"][None, :, None]
        for layer, dilation in enumerate(self.dilations):
            padded = functional.pad(h, ((K - 1) * dilation, 0))
            gate, gate_bias = w["gate"][layer], w["gate_bias"][layer]
            a = functional.conv1d(padded, gate, gate_bias, dilation=dilation)
            filters, gates = a.chunk(2, dim=1)
            z = torch.tanh(filters) * torch.sigmoid(gates)
            total = total + functional.conv1d(z, w["skip"][layer, ..., None])
            residual, bias = w["residual"][layer, ..., None], w["residual_bias"][layer]
            h = h + functional.conv1d(z, residual, bias)
        hidden = functional.conv1d(torch.relu(total), w["head1"][..., None], w["head1_bias"])
        logits = functional.conv1d(torch.relu(hidden), w["head2"][..., None], w["head2_bias"])
        return functional.cross_entropy(logits, codes)


# The axes of StackWeights in the order in which torch's convolutions have them: [out, in, taps].
_CONVOLUTIONS = {
    "gate": (0, 3, 2, 1),  # of [L, K, R, 2R]
    "residual": (0, 2, 1),  # of [L, R, R]; the axis of their only tap comes in the loss
    "skip": (0, 2, 1),
    "head1": (1, 0),
    "head2": (1, 0),
}


def _convolutions(weights: Any) -> dict[str, np.ndarray]:
    """The arrays of StackWeights, as torch's convolutions want them."""
    names = ("embed", "gate", "gate_bias", "residual", "residual_bias", "skip", "skip_bias",
             "head1", "head1_bias", "head2", "head2_bias")  # fmt: skip
    arrays = {name: np.asarray(getattr(weights, name), np.float32) for name in names}
    arrays["gate"] = arrays["gate"][:, ::-1]  # torch's first tap is the oldest
    return {
        name: np.transpose(x, _CONVOLUTIONS[name]) if name in _CONVOLUTIONS else x
        for name, x in arrays.items()
    }


def _parameter(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.array(array, order="C")).requires_grad_()
