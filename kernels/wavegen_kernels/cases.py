"""Named problem shapes with weights and conditioning to match; tests and benchmarks share them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from wavegen_kernels import predictor
from wavegen_kernels.steering import Aim
from wavegen_kernels.weights import Predictor, StackWeights

# Root mean squares that the random weights aim at: the stack must neither die out nor saturate,
# and logits of this spread leave about 5 of the 8 bits of a 256-code draw open.
_GATED_RMS = 0.4
_SKIP_RMS = 1.2
_LOGIT_RMS = 2.0


@dataclass(frozen=True)
class Case:
    """One shape of the stack. Sizes count channels, codes or taps; dilations are 1, 2, 4, ..."""

    name: str
    residual_channels: int  # R
    skip_channels: int  # S
    head_channels: int  # H
    layers_per_cycle: int
    dilation_cycles: int
    kernel_size: int = 2  # K
    n_codes: int = 256  # V
    order: int = 0  # N of the predictor; 0: none
    window: int = 0  # W
    refit: int = 0
    periodic: bool = False  # the predictor
    steered: bool = False

    @property
    def dilations(self) -> tuple[int, ...]:
        """Dilation of every layer, in samples."""
        return tuple(2**i for i in range(self.layers_per_cycle)) * self.dilation_cycles

    @property
    def num_layers(self) -> int:
        """Layers of the stack, L."""
        return self.layers_per_cycle * self.dilation_cycles

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds that one sample of one stream costs; the last residual is never used."""
        L, K, R, S = self.num_layers, self.kernel_size, self.residual_channels, self.skip_channels
        stack = L * K * R * 2 * R + (L - 1) * R * R + L * R * S
        return stack + S * self.head_channels + self.head_channels * self.n_codes

    @property
    def weight_bytes(self) -> int:
        """Bytes of float32 matrices that one step reads, however many streams share it."""
        return 4 * self.multiply_adds


TINY = (
    Case("tiny_one_layer", 8, 8, 8, 1, 1, n_codes=64),
    Case("tiny_odd", 5, 12, 7, 3, 1, n_codes=64),
    Case("tiny_three_taps", 12, 10, 16, 3, 2, kernel_size=3, n_codes=64),
    Case("tiny_cycles", 8, 16, 12, 2, 3),
    Case("tiny_foretold", 8, 12, 7, 3, 1, n_codes=64, order=5, window=24, refit=4),
    Case("tiny_periodic", 8, 12, 7, 3, 1, n_codes=64, order=6, window=24, periodic=True),
    Case("tiny_steered", 8, 12, 7, 3, 1, n_codes=64, order=5, window=256, refit=4, steered=True),
)
CASES = {
    case.name: case
    for case in (
        *TINY,
        Case("small", 32, 128, 256, 10, 2),
        Case("reference", 64, 256, 256, 10, 2),
        Case("foretold", 64, 256, 256, 10, 2, order=128, window=1024, refit=64),
        # That of the instrument in wavegen's box.
        Case("steered", 32, 128, 256, 10, 1, 2, 1024, 128, 2048, 64, steered=True),
        Case("big", 128, 256, 256, 10, 3),
    )
}


def weights(case: Case, seed: int = 0) -> StackWeights:
    """Random float32 numpy weights whose activations stay near 1 and whose logits near 2."""
    rng = np.random.default_rng(seed)
    K, V, L = case.kernel_size, case.n_codes, case.num_layers
    R, S, H = case.residual_channels, case.skip_channels, case.head_channels

    def normal(std: float, *shape: int) -> np.ndarray:
        return (std * rng.standard_normal(shape)).astype(np.float32)

    halved = np.sqrt(2.0)  # a relu halves the mean square of what is symmetric about zero
    return StackWeights(
        embed=normal(K**-0.5, K, V, R),
        gate=normal((K * R) ** -0.5, L, K, R, 2 * R),
        gate_bias=normal(0.1, L, 2 * R),
        residual=normal((L * R) ** -0.5 / _GATED_RMS, L, R, R),
        residual_bias=normal(0.1 * L**-0.5, L, R),
        skip=normal(_SKIP_RMS * (L * R) ** -0.5 / _GATED_RMS, L, R, S),
        skip_bias=normal(0.1, S),
        head1=normal(halved * S**-0.5, S, H),
        head1_bias=normal(0.1, H),
        head2=normal(halved * _LOGIT_RMS / _SKIP_RMS * H**-0.5, H, V),
        head2_bias=normal(0.1, V),
        dilations=case.dilations,
        predictor=_predictor(case, normal) if case.order else None,
    )


def _predictor(case: Case, normal: Callable[..., np.ndarray]) -> Predictor:
    R, S, columns = case.residual_channels, case.skip_channels, 3 if case.periodic else 2
    return Predictor(
        value=normal(0.5, predictor.STEPS, R),
        level=normal(0.5, predictor.STEPS, R),
        surprise=normal(0.5, predictor.STEPS, R),
        shape=normal(0.3 * S**-0.5, S, 3)[:, :columns],
        shape_bias=np.array([0, np.log(predictor.INITIAL_WIDTH), 0], np.float32)[:columns],
        order=case.order,
        window=case.window,
        refit=case.refit,
        floor=0.2,
        damping=0.99,
        periodic=case.periodic,
        steered=case.steered,
    )


def conditioning(case: Case, batch: int, frames: int, seed: int = 0) -> np.ndarray:
    """Random float32 conditioning [B, F, L, 2R], half as strong as the convolutions it joins."""
    shape = (batch, frames, case.num_layers, 2 * case.residual_channels)
    return (0.5 * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def asked(case: Case, batch: int, frames: int, seed: int = 0) -> dict[str, Any]:
    """What a call for the case's weights has to be told of its notes, by name; random float32.

    `periods` [B, F] for a periodic predictor, the `aim` for a steered one. Periods reach from
    shorter than the taps to longer than the window, and some are 0.
    """
    rng = np.random.default_rng(seed)
    lengths = np.exp(rng.uniform(0, np.log(1.5 * max(case.window, 1)), (batch, frames)))
    periods = (lengths * (rng.random((batch, frames)) > 0.1)).astype(np.float32)
    if case.periodic:
        return {"periods": periods}
    if not case.steered:
        return {}
    levels, noises = rng.uniform(-6, 0, (batch, frames)), rng.uniform(-4, 0, (batch, frames))
    # A tone's, of which a third is silent.
    turns = np.arange(4 * case.order) / np.maximum(periods, 2)[..., None]
    anchors = np.sin(2 * np.pi * turns) * rng.uniform(0, 2, (batch, frames, 1))
    anchors *= rng.random((batch, frames, 1)) > 0.3
    return {"aim": Aim(*(each.astype(np.float32) for each in (anchors, levels, noises)))}
