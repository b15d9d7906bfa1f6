"""How fast a training step is, beside the same network in PyTorch, and how much memory it takes.

    taskset -c 0 python benchmarks/bench_training.py --out benchmarks/results/training.jsonl

The same as `wavegen bench training --json`, in a checkout that is not installed.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "kernels"), str(ROOT)]

from wavegen.cli import app  # noqa: E402

if __name__ == "__main__":
    app.main(["bench", "training", "--json", *sys.argv[1:]])
