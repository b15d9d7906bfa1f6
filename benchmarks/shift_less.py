"""A steered run as an instrument whose network shifts what is foretold by less than it learnt to.

    python benchmarks/shift_less.py CORPUS --run RUN --share 0.85 --temperature 0.9 --out OUT

Sounds that were recorded stray from what is foretold to the same side many times in a row, as low
thumps do, and a network learns to follow. What follows itself so runs away; see README.md, of
2026-11-22. The weights of the shift are multiplied by the share, the bits per sample measured anew.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "kernels"), str(ROOT)]

from wavegen import checkpoint, instrument  # noqa: E402
from wavegen.data import corpus as corpora  # noqa: E402
from wavegen.model.network import Trained  # noqa: E402
from wavegen.training import evaluate  # noqa: E402


def main() -> None:
    options = _options()
    trained = shifting(checkpoint.load(options.run), options.share)
    trained = replace(trained, temperature=options.temperature)
    split = corpora.open(options.corpus).splits["valid"]
    found = evaluate.split(
        trained.graphdef, trained.params, split, trained.config, trained.vocabulary
    )
    papers = instrument.Papers(
        options.name or options.out.name,
        options.licence,
        options.card.read_text(encoding="utf-8"),
        found.bits_per_sample,
    )
    num_bytes = instrument.write(trained, papers, options.out)
    print(f"wrote {options.out}: {num_bytes / 1e6:.2f} MB, {found.bits_per_sample:.4f} bits/sample")


def shifting(trained: Trained, share: float) -> Trained:
    """The network with that share of its shift; see wavegen_kernels.predictor.spread."""
    wavenet = trained.params["wavenet"]
    linear = dict(wavenet["predictor"])
    for name in ("shape", "shape_bias"):  # the shift is the first of two columns
        linear[name] = linear[name].at[..., 0].multiply(share)
    return replace(trained, params=trained.params | {"wavenet": wavenet | {"predictor": linear}})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("corpus", type=Path, help="to validate with")
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--share", type=float, default=0.85)
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--name")
    parser.add_argument("--licence", default="not stated")
    parser.add_argument("--card", type=Path, required=True, help="Markdown")
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
