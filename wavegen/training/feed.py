"""Batches made ahead of the step that wants them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from jax.sharding import Mesh

from wavegen.config import Config
from wavegen.data import batches
from wavegen.data.batches import Batch
from wavegen.data.corpus import Corpus
from wavegen.training import devices

AHEAD = 2  # batches kept ready


@contextmanager
def prefetched(
    corpus: Corpus, config: Config, steps: range, mesh: Mesh
) -> Iterator[Iterator[Batch]]:
    """The batches of `steps` on their devices, made by a thread, a few ahead of the step.

    Each process makes the rows of its own devices.
    """
    rows = devices.rows(config.training.batch_size, mesh)
    ahead: queue.Queue[Batch | BaseException | None] = queue.Queue(maxsize=AHEAD)
    closed = threading.Event()

    def put(item: Batch | BaseException | None) -> None:
        while not closed.is_set():
            try:
                return ahead.put(item, timeout=0.2)
            except queue.Full:
                continue

    def fill() -> None:
        try:
            for step in steps:
                own = batches.windows(
                    corpus.splits["train"],
                    config,
                    corpus.vocabulary,
                    config.training.seed,
                    step,
                    rows,
                )
                put(devices.spread(own, mesh))
                if closed.is_set():
                    return
            put(None)
        except BaseException as error:  # handed to the loop, which raises it
            put(error)

    def drain() -> Iterator[Batch]:
        while (item := ahead.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    thread = threading.Thread(target=fill, daemon=True)
    thread.start()
    try:
        yield drain()
    finally:
        closed.set()
        thread.join()
