"""Where compiled steps are kept from one process to the next."""

from __future__ import annotations

import os
from pathlib import Path


def keep() -> None:
    """Has JAX keep what it compiles for a GPU or TPU, which takes it up to minutes.

    Nothing is kept for processors, unless JAX_COMPILATION_CACHE_DIR names a folder: they compile
    in seconds, and what one processor compiled may crash another that reads the same folder
    (https://github.com/jax-ml/jax/issues/38445).
    """
    import jax

    named = jax.config.values["jax_compilation_cache_dir"]
    if jax.default_backend() != "cpu" and not named:
        jax.config.update("jax_compilation_cache_dir", str(folder()))


def folder() -> Path:
    """Where a person's caches are by the XDG base directory specification."""
    caches = os.environ.get("XDG_CACHE_HOME", "")
    # The specification has relative paths ignored.
    base = Path(caches) if Path(caches).is_absolute() else Path.home() / ".cache"
    return base / "wavegen" / "compiled"
