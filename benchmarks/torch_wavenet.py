"""The same network as a plain PyTorch program: a baseline, and a second opinion on the numbers.

    taskset -c 0 python benchmarks/torch_wavenet.py --case reference --batch 1

It needs torch, numpy and wavegen_kernels, and nothing of the kernels but shapes and draws.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from torch._inductor import config as inductor  # pyright: ignore[reportMissingImports]

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":  # works in a checkout that is not installed
    sys.path.insert(0, str(ROOT / "kernels"))

from wavegen_kernels import cases, random  # noqa: E402
from wavegen_kernels.weights import StackWeights  # noqa: E402

MODES = ("eager", "torchscript", "compiled")
# The compiler times its own products against the libraries' and picks, takes the weights as
# constants, and calls all of it from C++: 2.4 times as fast as its defaults (reference, batch 1).
COMPILER = {"max_autotune": True, "freezing": True, "cpp_wrapper": True}


class TorchWaveNet:
    """One network for `batch` streams; every call begins at the initial state.

    "eager" runs operation after operation, "torchscript" has the loop over a frame's samples in
    the script, "compiled" compiles one sample (minutes at first, on disk then) and loops in
    Python. Set torch's number of threads before making one. Raises RuntimeError, with the
    reason, where the mode cannot run here.
    """

    def __init__(self, weights: StackWeights, batch: int, mode: str):
        if mode not in MODES:
            raise ValueError(f"no mode {mode!r}; there are {', '.join(MODES)}")
        if weights.predictor is not None:
            raise RuntimeError("it has no linear predictor")
        self.weights, self.batch, self.mode = weights, batch, mode
        self._stack = _Stack(weights).eval()
        if mode == "torchscript":
            self._script()
        elif mode == "compiled":
            self._compile()

    def logits(
        self,
        cond: np.ndarray,  # [B, F, L, 2R]
        codes: np.ndarray,  # [B, F*P]
        hop_length: int,
    ) -> np.ndarray:  # [B, F*P, V] float32
        """The logits that each code was to be drawn from, after the codes before it."""
        T, K = codes.shape[1], self.weights.kernel_size
        history = self._silence(T)
        history[K:] = torch.from_numpy(np.array(codes.T, np.int64))
        u, rows = torch.zeros(self.batch, 1), []  # a step always draws; here nobody looks
        with torch.inference_mode():
            for start, (queues, cond_now, read, write) in self._frames(cond, hop_length):
                for i in range(hop_length):
                    past, row = history[start + i : start + i + K], (read[i], write[i])
                    rows.append(self._stack.step(past, queues, cond_now, *row, u)[1])
        return torch.stack(rows, dim=1).numpy()

    def generate(
        self,
        cond: np.ndarray,  # [B, F, L, 2R]
        *,
        hop_length: int,
        seed: int,
        streams: np.ndarray,  # [B] integers
    ) -> np.ndarray:  # [B, F*P] int32
        """Codes drawn at temperature 1 with the uniform numbers of wavegen_kernels.random."""
        T, K = cond.shape[1] * hop_length, self.weights.kernel_size
        u = random.uniforms(seed, np.asarray(streams)[None], np.arange(T)[:, None], np)
        u, history = torch.from_numpy(u)[..., None], self._silence(T)
        with torch.inference_mode():
            for start, of_frame in self._frames(cond, hop_length):
                end = start + hop_length
                self._stack(history[start : K + end], *of_frame, u[start:end])
        return history[K:].T.numpy().astype(np.int32)

    def _silence(self, samples: int) -> torch.Tensor:  # [K + samples, B]
        rows = self.weights.kernel_size + samples
        return torch.full((rows, self.batch), self.weights.silence)

    def _frames(
        self,
        cond: np.ndarray,  # [B, F, L, 2R]
        hop_length: int,
    ) -> Iterator[tuple[int, tuple[torch.Tensor, ...]]]:
        """The first sample of every frame, and what the stack needs for the frame.

        That is queues [rows, B, R], the same in all, the frame's conditioning with the gate
        bias [L, B, 2R], and the rows of the queues to read [P, L*(K-1)] and to write [P, L].
        """
        assert cond.shape[0] == self.batch, (cond.shape, self.batch)
        w = self.weights
        K, slots = w.kernel_size, torch.tensor(w.queue_lengths)
        back = torch.arange(1, K) * torch.tensor(w.dilations)[:, None]  # [L, K-1]
        first = torch.cumsum(slots, 0) - slots
        queues = torch.zeros(int(slots.sum()), self.batch, w.residual_channels)
        with_bias = np.transpose(cond, (1, 2, 0, 3)) + np.asarray(w.gate_bias)[:, None]
        for f, cond_now in enumerate(_tensor(with_bias)):
            times = f * hop_length + torch.arange(hop_length)[:, None]
            read = first[:, None] + (times[..., None] - back) % slots[:, None]  # [P, L, K-1]
            yield f * hop_length, (queues, cond_now, read.flatten(1), first + times % slots)

    def _script(self) -> None:
        with warnings.catch_warnings():
            # torch points to torch.compile instead, which is a mode of its own here.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._stack = torch.jit.script(self._stack)
        for _ in range(3):  # the first runs observe and optimise
            self._try_out()

    def _try_out(self) -> None:
        L, R = len(self.weights.dilations), self.weights.residual_channels
        cond = np.zeros((self.batch, 1, L, 2 * R), np.float32)
        self.generate(cond, hop_length=4, seed=0, streams=np.arange(self.batch))

    def _compile(self) -> None:
        self._stack.step = torch.compile(self._stack.step, fullgraph=True, dynamic=False)
        try:
            with warnings.catch_warnings(), inductor.patch(COMPILER):
                # The compiler itself uses much that torch warns of; none of it is ours.
                warnings.simplefilter("ignore")
                self._try_out()
        except (RuntimeError, OSError, ImportError) as error:
            inner = getattr(error, "inner_exception", error)
            reason = next(iter(str(inner).strip().splitlines()), type(inner).__name__)
            raise RuntimeError(f"torch.compile cannot run here: {reason}") from error


class _Stack(torch.nn.Module):
    """The weights, laid out for one sample at a time, and the step that multiplies with them."""

    def __init__(self, w: StackWeights):
        super().__init__()
        L, K, R, _ = np.shape(w.gate)
        self.K, self.L, self.R = K, L, R
        embed, gate, skip = (np.asarray(x) for x in (w.embed, w.gate, w.skip))
        self.embed = _tensor(embed[::-1].reshape(-1, R))  # the oldest of K codes comes first
        self.offsets = torch.arange(K)[:, None] * w.n_codes
        self.gate_past = _tensor(gate[:, 1:].reshape(L, -1, 2 * R))
        # A list each: cutting a stacked tensor apart costs an operation a layer and sample, and
        # the compiler of torch 2.13, given stacked weights as constants, computes wrong logits.
        self.gate_now = [_tensor(x) for x in gate[:, 0]]
        self.residual = [_tensor(x) for x in np.asarray(w.residual)]
        self.residual_bias = [_tensor(x) for x in np.asarray(w.residual_bias)]
        self.skip, self.skip_bias = _tensor(skip.reshape(L * R, -1)), _tensor(w.skip_bias)
        self.head1, self.head1_bias = _tensor(w.head1), _tensor(w.head1_bias)
        self.head2, self.head2_bias = _tensor(w.head2), _tensor(w.head2_bias)

    # The annotations of the two methods are read by TorchScript.

    def forward(
        self,
        history: torch.Tensor,  # [K + P, B]; the last P rows are filled in
        queues: torch.Tensor,  # [rows, B, R], changed in place
        cond: torch.Tensor,  # [L, B, 2R]
        read: torch.Tensor,  # [P, L*(K-1)]
        write: torch.Tensor,  # [P, L]
        u: torch.Tensor,  # [P, B, 1]
    ) -> None:
        """Draws the codes of one frame."""
        for i in range(u.shape[0]):
            past = history[i : i + self.K]
            history[i + self.K] = self.step(past, queues, cond, read[i], write[i], u[i])[0]

    @torch.jit.export
    def step(
        self,
        codes: torch.Tensor,  # [K, B], the oldest first
        queues: torch.Tensor,  # [rows, B, R], changed in place
        cond: torch.Tensor,  # [L, B, 2R], with the gate bias
        read: torch.Tensor,  # [L*(K-1)]
        write: torch.Tensor,  # [L]
        u: torch.Tensor,  # [B, 1]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Codes [B] drawn with u, and the logits [B, V] that they were drawn from."""
        L, K, B, R = self.L, self.K, codes.shape[1], self.R
        h = torch.nn.functional.embedding(codes + self.offsets, self.embed).sum(0)  # [B, R]
        past = queues.index_select(0, read).view(L, K - 1, B, R).transpose(1, 2)
        # What lies in the queues is known before the first layer: one product for all layers.
        known = torch.baddbmm(cond, past.reshape(L, B, (K - 1) * R), self.gate_past).unbind(0)
        newest, gated = [], []
        for layer in range(L):
            newest.append(h)
            a = torch.addmm(known[layer], h, self.gate_now[layer])  # [B, 2R]
            a[:, :R].tanh_()
            z = torch.nn.functional.glu(a)  # the first half times the sigmoid of the second
            gated.append(z)
            h = torch.addmm(self.residual_bias[layer], z, self.residual[layer]).add_(h)
        queues.index_copy_(0, write, torch.stack(newest))
        s = torch.addmm(self.skip_bias, torch.cat(gated, dim=1), self.skip).relu_()
        hidden = torch.addmm(self.head1_bias, s, self.head1).relu_()
        logits = torch.addmm(self.head2_bias, hidden, self.head2)
        cdf = torch.softmax(logits, dim=1).cumsum(1)
        # The last sum may round to less than 1, and then u may lie above it.
        code = torch.searchsorted(cdf, u, right=True).clamp_(max=cdf.shape[1] - 1)
        return code.squeeze(1), logits


def _tensor(x) -> torch.Tensor:  # a copy: torch warns of arrays that it may not write to
    return torch.from_numpy(np.array(x, np.float32, order="C"))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--case", default="reference", choices=list(cases.CASES))
    parser.add_argument("--batch", type=int, default=1, help="streams sampled together")
    parser.add_argument("--samples", type=int, default=500, help="timed samples of every stream")
    options = parser.parse_args()
    if hasattr(os, "sched_getaffinity"):
        torch.set_num_threads(len(os.sched_getaffinity(0)))
    case, B = cases.CASES[options.case], options.batch
    for mode in MODES:
        try:
            network = TorchWaveNet(cases.weights(case), B, mode)
        except RuntimeError as error:
            print(f"{mode:12} unavailable: {error}")
            continue
        found = microseconds(network, cases.conditioning(case, B, 1), options.samples)
        print(f"{mode:12} {found:8.1f} microseconds a sample, batch {B}")


def microseconds(network: TorchWaveNet, cond: np.ndarray, samples: int) -> float:
    """What one sample of all streams takes; cond is one frame."""
    run = lambda: network.generate(
        cond, hop_length=samples, seed=0, streams=np.arange(network.batch)
    )
    run()  # the warm-up
    start = time.perf_counter()
    run()
    return 1e6 * (time.perf_counter() - start) / samples


if __name__ == "__main__":
    main()
