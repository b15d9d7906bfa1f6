"""How fast our backends sample, beside each other, after each was shown to be right.

    python benchmarks/bench_sampling.py --case reference --batch 1

The same as `wavegen bench sampling`, for a machine that has jax, numpy and numba only. The last
line of the output is everything found as JSON; what comes before it is for people.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import nullcontext
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "kernels"))  # works in a checkout that is not installed

from wavegen_kernels.backends import BackendUnavailable  # noqa: E402
from wavegen_kernels.bench import sampling  # noqa: E402


def main() -> None:
    options = _options()
    try:
        plan = sampling.plan(**vars(options))
    except (ValueError, BackendUnavailable) as error:
        sys.exit(f"error: {error}")
    note = lambda text: print(text, file=sys.stderr, flush=True)

    def progress(doing: str, unit: str, total: float):
        note(f"{doing} ...")
        return nullcontext(lambda done: None)

    found, code = sampling.report(plan, lambda text: print(text, flush=True), note, progress)
    print(json.dumps(found))
    sys.exit(code)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    several = {"action": "append", "default": []}
    usual = ", ".join(sampling.CASES)
    parser.add_argument("--case", dest="names", **several, help=f"several may be given ({usual})")
    parser.add_argument("--backend", dest="backends", **several, help="(all but reference)")
    parser.add_argument("--precision", dest="precisions", **several, help="(all)")
    batches = "(1, 8, 32; on accelerators up to 8192)"
    parser.add_argument("--batch", dest="batches", type=_count, **several, help=batches)
    parser.add_argument("--repeats", type=_count, default=sampling.REPEATS, help="that count")
    parser.add_argument("--seconds", type=float, default=sampling.SECONDS, help="of a repeat")
    parser.add_argument("--no-peers", dest="peers", action="store_false", help="without PyTorch")
    parser.add_argument("--out", type=Path, help="a .jsonl file that records are added to")
    return parser.parse_args()


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


if __name__ == "__main__":
    main()
