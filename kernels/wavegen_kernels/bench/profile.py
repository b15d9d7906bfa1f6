"""The time that a device itself was at work, told by jax's profiler.

The wall clock has the host's share in it as well: checks, launches, copies, waiting.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

Profile = Any  # a jax.profiler.ProfileData


def busy_seconds(run: Callable[[], object]) -> tuple[float | None, str]:
    """Seconds that a device was at work while `run` ran; where nothing tells them, None and why."""
    options = jax.profiler.ProfileOptions()
    options.host_tracer_level = options.python_tracer_level = 0  # the device alone is asked for
    try:
        with tempfile.TemporaryDirectory(prefix="wavegen-profile-") as folder:
            with jax.profiler.trace(folder, profiler_options=options):
                run()
            paths = list(Path(folder).rglob("*.xplane.pb"))
            profile = jax.profiler.ProfileData.from_file(str(paths[0])) if paths else None
            seconds = busy(profile) if profile else None
    except (RuntimeError, OSError) as error:
        return None, str(error).partition("\n")[0]
    return seconds, "the profile tells of no device" if seconds is None else ""


def busy(profile: Profile) -> float | None:
    """Seconds that the busiest device was at work; None where the profile tells of none.

    A GPU is while anything runs on any of its streams, a TPU while a program does.
    """
    of_devices = [
        _intervals(plane) for plane in profile.planes if plane.name.startswith("/device:")
    ]
    return max((1e-9 * covered(each) for each in of_devices if len(each)), default=None)


def covered(intervals: np.ndarray) -> float:  # [n, 2]: start, end
    """The length of the intervals' union: what overlaps or is nested counts once."""
    starts, ends = intervals[np.argsort(intervals[:, 0])].T
    reached = np.concatenate([starts[:1], np.maximum.accumulate(ends)[:-1]])
    return float(np.maximum(0, ends - np.maximum(starts, reached)).sum())


def _intervals(plane: Any) -> np.ndarray:  # [n, 2] nanoseconds
    """Of what ran; other lines of a plane sum it up by names, scopes or steps."""
    streams = [line for line in plane.lines if line.name.startswith("Stream #")]
    programs = [line for line in plane.lines if line.name in ("XLA Modules", "XLA Ops")]
    found = [
        (event.start_ns, event.start_ns + event.duration_ns)
        for line in streams or programs
        for event in line.events
    ]
    return np.array(found, np.float64).reshape(-1, 2)
