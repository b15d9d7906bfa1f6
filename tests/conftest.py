"""Settings of the whole suite: strict shapes, one compile cache, and where the real data lies."""

import os
import tempfile
from importlib.metadata import entry_points, version
from importlib.util import find_spec
from pathlib import Path

# Many tests compile the same small networks, in several workers and in processes of their own:
# what one compiled the others read. Set before JAX is imported; only with a largest size does it
# lock the folder (with filelock), without which one process reads what another has half written.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ and find_spec("filelock"):
    COMPILED = tempfile.TemporaryDirectory(prefix="wavegen-jax-")
    os.environ |= {
        "JAX_COMPILATION_CACHE_DIR": COMPILED.name,
        "JAX_COMPILATION_CACHE_MAX_SIZE": str(2**30),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
    }

# Compiling is most of what the tests do: without optimisation, it takes half the time, by XLA's
# older way of writing loops a third of that. What `wavegen demo` does in CI is compiled as usual;
# so is everything where jax can compile for an accelerator, be it here or not: there the tests tell
# of what people run.
if "XLA_FLAGS" not in os.environ and not (
    find_spec("jax_plugins") or find_spec("libtpu") or entry_points(group="jax_plugins")
):
    os.environ["XLA_FLAGS"] = "--xla_backend_optimization_level=0"
    if version("jaxlib").startswith("0.10."):  # XLA ends a process that names a flag it lacks
        os.environ["XLA_FLAGS"] += " --xla_cpu_use_fusion_emitters=false"

import jax
import pytest

# A broadcast between arrays of different rank is a mistake here, never a convenience.
jax.config.update("jax_numpy_rank_promotion", "raise")

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture
def shared_data() -> Path:
    """Real recordings and hostile files; a clone elsewhere has none."""
    if not SHARED.is_dir():
        pytest.skip("no recordings lie beside this checkout (../shared/data)")
    return SHARED


# XLA maps memory for every program that it compiles, and keeps it; a process that has as many
# maps as Linux allows (65,530) dies where the next one is wanted.
MANY_MAPS = 12_000


@pytest.fixture(autouse=True, scope="module")
def few_programs():
    """What is compiled does not pile up over the modules of a long run."""
    yield
    forget_programs()


def forget_programs() -> None:
    """Lets go of what was compiled, where it is much."""
    maps = Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > MANY_MAPS:
        jax.clear_caches()
