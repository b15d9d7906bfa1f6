"""wavegen: raw-audio waveform generation, one sample at a time, in JAX."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wavegen.errors import WavegenError

if TYPE_CHECKING:
    from wavegen.generator import Generator, load

__version__ = "0.1.0"
__all__ = ["Generator", "WavegenError", "__version__", "load"]


def __getattr__(name: str) -> Any:
    """What needs jax is imported when it is asked for: `wavegen --help` answers at once."""
    if name in ("Generator", "load"):
        from wavegen import generator

        return getattr(generator, name)
    raise AttributeError(f"module 'wavegen' has no attribute '{name}'")
