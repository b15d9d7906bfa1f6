"""How fast recordings become a corpus and a corpus batches, and how long training waits for them.

    python benchmarks/bench_data.py --out benchmarks/results/data.jsonl

The same as `wavegen bench data --json`, in a checkout that is not installed.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "kernels"), str(ROOT)]

from wavegen.cli import app  # noqa: E402

if __name__ == "__main__":
    app.main(["bench", "data", "--json", *sys.argv[1:]])
