"""What is compiled for accelerators is kept; what is compiled for processors is not."""

from pathlib import Path

import jax
import pytest

from wavegen.cli import compiled


def kept():
    """The folder that JAX keeps what it compiles in."""
    return jax.config.values["jax_compilation_cache_dir"]


@pytest.fixture
def caches(monkeypatch, tmp_path):
    """A folder for caches, and JAX without one of its own."""
    before = kept()
    jax.config.update("jax_compilation_cache_dir", None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    yield tmp_path
    jax.config.update("jax_compilation_cache_dir", before)


def test_on_a_gpu_it_is_kept_among_the_persons_caches(caches, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    compiled.keep()
    assert kept() == str(caches / "wavegen" / "compiled")


def test_a_folder_that_was_named_stays(caches, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    jax.config.update("jax_compilation_cache_dir", str(caches / "other"))
    compiled.keep()
    assert kept() == str(caches / "other")


def test_on_a_processor_nothing_is_kept(caches, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    compiled.keep()
    assert kept() is None


@pytest.mark.parametrize("value", ["", "relative"])
def test_without_a_place_for_caches_it_is_the_usual_one(monkeypatch, value):
    monkeypatch.setenv("XDG_CACHE_HOME", value)
    assert compiled.folder() == Path.home() / ".cache" / "wavegen" / "compiled"
