"""One measurement as one JSON record: its head, which all share, and where it goes."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

# 2: the limits of sampling are measured with vector code, no longer with a matrix product.
FORMAT = 2


def origin() -> dict[str, Any]:
    """When, with which code and on what a record was measured: the head of every record."""
    return {
        "format": FORMAT,
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": _version(),
        "git_revision": _revision(),
        "device": jax.devices()[0].device_kind,
        "processor": _processor(),
        "jax": jax.__version__,
    }


def show(entry: dict[str, Any], path: Path | None) -> None:
    """Prints a record for people, adds it to the file at `path`, prints it again as JSON."""
    width = max(map(len, entry))
    for name, value in entry.items():
        text = f"{value:,}" if isinstance(value, int) else f"{value}"
        print(f"{name:{width}}  {text}")
    if path:
        append(path, entry)
    print(json.dumps(entry))


def append(path: Path, entry: dict[str, Any]) -> None:
    """Add one record to a .jsonl file, which is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def checkout() -> Path | None:
    """The project's folder, if this package lies in one and was not installed without it."""
    root = Path(__file__).resolve().parents[3]
    return root if (root / "kernels" / "wavegen_kernels" / "bench").is_dir() else None


def _version() -> str:
    try:
        return metadata.version("wavegen")
    except metadata.PackageNotFoundError:
        return "not installed"


def _revision() -> str:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    root = checkout()
    if root is None or not (root / ".git").exists():  # or it would be another project's
        return "unknown"
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):  # no git, or none that it trusts
        return "unknown"
    return done.stdout.strip()


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")  # Linux only; elsewhere jax's device kind must do
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "unknown"
