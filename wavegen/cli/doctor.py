"""`wavegen doctor`: what works on this machine, and what to do about the rest."""

from __future__ import annotations

import importlib.metadata
import platform
from typing import Any

from wavegen.cli.console import Console, Json, Quiet, table

PACKAGES = ("jax", "flax", "optax", "orbax-checkpoint", "numpy", "numba", "soundfile", "librosa")
WORKS = "works"


def run(json: Json = False, quiet: Quiet = False) -> None:
    """Say which devices, versions and backends work here, and what to do about the rest."""
    console = Console(json, quiet)
    facts = _facts()
    console.say(_page(facts))
    console.result(facts)


def _facts() -> dict[str, Any]:
    """All that is told; a backend or a precision "works" or has a reason why not."""
    import jax
    import soundfile

    import wavegen
    from wavegen import config
    from wavegen_kernels import backends
    from wavegen_kernels.cpu import machine

    devices, configs = jax.devices(), [path.stem for path in config.shipped_configs()]
    return {
        "wavegen": wavegen.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "devices": [f"{device.platform}: {device.device_kind}" for device in devices],
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        "libsndfile": soundfile.__libsndfile_version__,
        "backends": {name: backends.unavailable_reason(name) or WORKS for name in backends.NAMES},
        "auto": backends.choose("auto"),
        "processor": machine.target()[1],
        "float32_per_vector": machine.lanes(),
        "precisions": {  # of numba_cpu, the only backend that has several
            name: backends.unavailable_reason("numba_cpu", name) or WORKS
            for name in backends.PRECISIONS
        },
        "configs": configs,
        "advice": _advice([device.platform for device in devices], configs),
    }


def _page(facts: dict[str, Any]) -> str:
    """The facts as a person reads them."""
    chosen = facts["auto"]
    backends = [
        (name, _said(reason) + (" (auto)" if name == chosen else ""))
        for name, reason in facts["backends"].items()
    ]
    precisions = [(name, _said(reason)) for name, reason in facts["precisions"].items()]
    lines = [
        f"wavegen {facts['wavegen']} on Python {facts['python']}",
        table([("devices", ", ".join(facts["devices"])), *facts["versions"].items()]),
        "sampling backends",
        table(backends),
        f"precisions of numba_cpu, on {facts['processor']} with vectors of "
        f"{facts['float32_per_vector']} float32",
        table(precisions),
        table(
            [
                ("configs", ", ".join(facts["configs"]) or "none found"),
                ("libsndfile", facts["libsndfile"]),
            ]
        ),
        *(f"- {line}" for line in facts["advice"]),
    ]
    return "\n".join(lines)


def _said(reason: str) -> str:
    return "works here" if reason == WORKS else reason


def _advice(platforms: list[str], configs: list[str]) -> list[str]:
    """What would make more of this machine."""
    advice = []
    if platforms == ["cpu"]:
        advice.append(
            "JAX sees no accelerator. On a machine with an NVIDIA GPU: "
            "pip install 'jax[cuda13]'; on a TPU: pip install 'jax[tpu]'"
        )
    if not configs:
        advice.append("the shipped configs are missing; name a .toml file by its path instead")
    return advice
