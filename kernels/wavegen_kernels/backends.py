"""The backends by name: which there are, which can run here, which one "auto" means."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from contextlib import contextmanager

# The name of a backend is the name of its module in wavegen_kernels.generate.
NAMES = ("reference", "xla_scan", "numba_cpu", "pallas_gpu", "pallas_tpu")
# What "auto" tries, in this order. The reference is there to be compared with, never to be chosen.
FASTEST_FIRST = ("numba_cpu", "xla_scan")
# The platform of jax that a Pallas kernel is for, what it is, and what makes jax see it. "auto"
# leaves them alone: they were proved on a CPU and compiled for their devices, but never run there.
_ACCELERATORS = {
    "pallas_gpu": ("gpu", "an NVIDIA GPU", "jax[cuda13]"),
    "pallas_tpu": ("tpu", "a TPU", "jax[tpu]"),
}
# How weights are held and multiplied. float32 is the exact one, which every backend has.
PRECISIONS = ("float32", "bfloat16", "int8")
PRECISIONS_OF = {
    "reference": PRECISIONS[:1],
    "xla_scan": PRECISIONS[:1],
    "numba_cpu": PRECISIONS,
    "pallas_gpu": PRECISIONS[:2],
    "pallas_tpu": PRECISIONS[:2],
}


class BackendUnavailable(RuntimeError):
    """A backend that was asked for by name cannot run here; the text says what would help."""

    def __init__(self, name: str, reason: str):
        super().__init__(f"backend {name!r} cannot run here: {reason}")
        self.name = name
        self.reason = reason


_interpreting = False


@contextmanager
def interpreted() -> Iterator[None]:
    """Within it the Pallas kernels run on a CPU too, slowly: for tests and for who writes them."""
    global _interpreting
    before, _interpreting = _interpreting, True
    try:
        yield
    finally:
        _interpreting = before


def interpreting() -> bool:
    """Whether Pallas kernels shall run on the CPU: where it was asked for and there is no other."""
    return _interpreting and _platform() == "cpu"


def unavailable_reason(name: str, precision: str = "float32") -> str | None:
    """None where the backend can run here so precisely, else why not and what would help.

    Raises ValueError for a name that no backend or no precision has.
    """
    _known("backend", name, ("auto", *NAMES))
    _known("precision", precision, PRECISIONS)
    if name == "auto":
        return None
    has = PRECISIONS_OF[name]
    if precision not in has:
        others = ", ".join(each for each in NAMES if precision in PRECISIONS_OF[each])
        return f"it computes in {' and '.join(has)} only; {precision} is a precision of {others}"
    if name == "numba_cpu" and precision == "int8":
        return _without_dot_product()
    if name in _ACCELERATORS:
        return _without_accelerator(name)
    return None  # numpy and jax, which the rest needs, are always installed


def choose(name: str = "auto", precision: str = "float32") -> str:
    """Name of the backend to run: the fastest that can run here, or the one that was named.

    Raises BackendUnavailable where the named one cannot run, or none can so precisely; only
    "auto" looks for another.
    """
    if name == "auto":
        for each in FASTEST_FIRST:
            if unavailable_reason(each, precision) is None:
                return each
        name = FASTEST_FIRST[0]
    reason = unavailable_reason(name, precision)
    if reason is not None:
        raise BackendUnavailable(name, reason)
    return name


def _known(kind: str, name: str, names: tuple[str, ...]) -> None:
    if name not in names:
        close = difflib.get_close_matches(name, names, 1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ValueError(f"no {kind} {name!r}; {hint}there are {', '.join(names)}")


def _without_accelerator(name: str) -> str | None:
    platform, what, extra = _ACCELERATORS[name]
    if interpreting() or _platform() == platform:
        return None
    return (
        f"it needs {what}, and jax sees none (its platform is {_platform()}); "
        f"where there is one: pip install {extra!r}"
    )


def _platform() -> str:
    import jax  # takes its time

    return jax.default_backend()


def _without_dot_product() -> str | None:
    from wavegen_kernels.cpu import machine  # imports Numba, which takes its time

    if machine.dot_product() is not None:
        return None
    return (
        "int8 needs the integer dot product of a CPU with AVX-512 VNNI or AVX-VNNI, which "
        f"{machine.target()[1]} has not; bfloat16 runs on every CPU"
    )
