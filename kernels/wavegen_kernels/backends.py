"""The backends by name: which there are, which can run here, which one "auto" means."""

from __future__ import annotations

import difflib

# The name of a backend is the name of its module in wavegen_kernels.generate.
NAMES = ("reference", "xla_scan")
# What "auto" tries, in this order. The reference is there to be compared with, never to be chosen.
FASTEST_FIRST = ("xla_scan",)


class BackendUnavailable(RuntimeError):
    """A backend that was asked for by name cannot run here; the text says what would help."""

    def __init__(self, name: str, reason: str):
        super().__init__(f"backend {name!r} cannot run here: {reason}")
        self.name = name
        self.reason = reason


def unavailable_reason(name: str) -> str | None:
    """None where the backend can run here, else why not and what would make it run.

    Raises ValueError for a name that no backend has.
    """
    if name not in NAMES:
        close = difflib.get_close_matches(name, NAMES, 1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ValueError(f"no backend {name!r}; {hint}there are auto, {', '.join(NAMES)}")
    return None  # numpy and jax, which these two need, are always installed


def choose(name: str = "auto") -> str:
    """Name of the backend to run: the fastest that can run here, or the one that was named.

    Raises BackendUnavailable where the named one cannot run; only "auto" looks for another.
    """
    if name == "auto":
        return next(each for each in FASTEST_FIRST if unavailable_reason(each) is None)
    reason = unavailable_reason(name)
    if reason is not None:
        raise BackendUnavailable(name, reason)
    return name
