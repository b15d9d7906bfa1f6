"""`wavegen doctor`: what works on this machine, and what to do about the rest."""

from __future__ import annotations

import importlib.metadata
import platform

from wavegen.cli.console import Console, Json, Quiet, table

PACKAGES = ("jax", "flax", "optax", "orbax-checkpoint", "numpy", "numba", "soundfile", "librosa")


def run(json: Json = False, quiet: Quiet = False) -> None:
    """Say which devices, versions and backends work here, and what to do about the rest."""
    import jax
    import soundfile

    import wavegen
    from wavegen import config
    from wavegen_kernels import backends

    console = Console(json, quiet)
    devices = [f"{device.platform}: {device.device_kind}" for device in jax.devices()]
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    reasons = {name: backends.unavailable_reason(name) for name in backends.NAMES}
    configs = [path.stem for path in config.shipped_configs()]
    advice = _advice([device.platform for device in jax.devices()], configs)
    console.say(f"wavegen {wavegen.__version__} on Python {platform.python_version()}")
    console.say(table([("devices", ", ".join(devices)), *versions.items()]))
    console.say("sampling backends")
    chosen = backends.choose("auto")
    console.say(
        table(
            [
                (name, (reason or "works here") + (" (auto)" if name == chosen else ""))
                for name, reason in reasons.items()
            ]
        )
    )
    console.say(
        table(
            [
                ("configs", ", ".join(configs) or "none found"),
                ("libsndfile", soundfile.__libsndfile_version__),
            ]
        )
    )
    for line in advice:
        console.say(f"- {line}")
    console.result(
        {
            "wavegen": wavegen.__version__,
            "python": platform.python_version(),
            "platform": platform.platform(),
            "devices": devices,
            "versions": versions,
            "backends": {name: reason or "works" for name, reason in reasons.items()},
            "auto": chosen,
            "configs": configs,
            "advice": advice,
        }
    )


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
