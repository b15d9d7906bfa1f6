"""wavegen: raw-audio waveform generation, one sample at a time, in JAX."""

from wavegen.errors import WavegenError

__version__ = "0.1.0"
__all__ = ["WavegenError", "__version__"]
