"""Settings of the whole suite: strict shapes, one compile cache, and where the real data lies."""

import tempfile
from pathlib import Path

import jax
import pytest

# A broadcast between arrays of different rank is a mistake here, never a convenience.
jax.config.update("jax_numpy_rank_promotion", "raise")
# Many tests compile the same small network; what one compiled the next one reads.
jax.config.update("jax_compilation_cache_dir", tempfile.mkdtemp(prefix="wavegen-jax-"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture
def shared_data() -> Path:
    """Real recordings and hostile files; a clone elsewhere has none."""
    if not SHARED.is_dir():
        pytest.skip("no recordings lie beside this checkout (../shared/data)")
    return SHARED
