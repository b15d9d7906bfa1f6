"""What a corpus holds, in a few digits: another corpus, or a changed one, has others."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from wavegen.data import items, manifest

BLOCKS = 64  # read of each shard, evenly spread from its first to its last
BLOCK_BYTES = 4096


def of(corpus: Path) -> str:
    """Sixteen hex digits; the same for a copy, and for a corpus prepared again alike.

    Names, labels, notes and places of all recordings count, and the sizes of the shards. Of
    the samples only some blocks are read, so that gigabytes take milliseconds: a corpus made
    of other sound is told apart, a single sample that was changed by hand hardly ever.
    """
    digest = hashlib.blake2b(digest_size=8)
    told = json.loads((corpus / manifest.FILE).read_text(encoding="utf-8"))
    told.pop("wavegen", None)  # who prepared it changes nothing
    digest.update(json.dumps(told, sort_keys=True).encode())
    for path in sorted(corpus.glob(f"*/{items.FILE}")):
        digest.update(path.read_bytes())
    for path in sorted(corpus.glob("*/samples-*.npy")):
        size = path.stat().st_size
        digest.update(f"{path.relative_to(corpus).as_posix()} {size}\n".encode())
        last = max(0, size - BLOCK_BYTES)
        with path.open("rb") as file:
            for start in sorted({last * block // (BLOCKS - 1) for block in range(BLOCKS)}):
                file.seek(start)
                digest.update(file.read(BLOCK_BYTES))
    return digest.hexdigest()
