"""The backends by name: which there are, which can run here, which one "auto" means."""

from __future__ import annotations

import difflib

# The name of a backend is the name of its module in wavegen_kernels.generate.
NAMES = ("reference", "xla_scan", "numba_cpu")
# What "auto" tries, in this order. The reference is there to be compared with, never to be chosen.
FASTEST_FIRST = ("numba_cpu", "xla_scan")
# How weights are held and multiplied. float32 is the exact one, which every backend has.
PRECISIONS = ("float32", "bfloat16", "int8")


class BackendUnavailable(RuntimeError):
    """A backend that was asked for by name cannot run here; the text says what would help."""

    def __init__(self, name: str, reason: str):
        super().__init__(f"backend {name!r} cannot run here: {reason}")
        self.name = name
        self.reason = reason


def unavailable_reason(name: str, precision: str = "float32") -> str | None:
    """None where the backend can run here so precisely, else why not and what would help.

    Raises ValueError for a name that no backend or no precision has.
    """
    _known("backend", name, ("auto", *NAMES))
    _known("precision", precision, PRECISIONS)
    if name == "numba_cpu":
        return _without_dot_product() if precision == "int8" else None
    if precision != "float32":
        return f"it computes in float32 only; {precision} is a precision of numba_cpu"
    return None  # numpy and jax, which these two need, are always installed


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


def _without_dot_product() -> str | None:
    from wavegen_kernels.cpu import machine  # imports Numba, which takes its time

    if machine.dot_product() is not None:
        return None
    return (
        "int8 needs the integer dot product of a CPU with AVX-512 VNNI or AVX-VNNI, which "
        f"{machine.target()[1]} has not; bfloat16 runs on every CPU"
    )
