"""Ctrl-C and SIGTERM as a wish that the training ends after its step, saved."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Wish:
    """Whether an end was asked for."""

    signal: int = 0  # the number of the one that asked; 0: none did


@contextmanager
def heard() -> Iterator[Wish]:
    """A wish that the first SIGINT or SIGTERM makes; a second one acts as usual."""
    wish = Wish()
    if threading.current_thread() is not threading.main_thread():
        yield wish  # only the main thread may catch signals
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def ask(number: int, _: object) -> None:
        wish.signal = number
        restore()

    for number in before:
        signal.signal(number, ask)
    try:
        yield wish
    finally:
        restore()
