"""The only door to TensorBoard: event files that it reads, written without TensorFlow."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.plugins.audio import metadata
from tensorboard.summary.writer.record_writer import RecordWriter

# Generated modules, into which a type checker does not see.
_event: Any = event_pb2
_summary: Any = summary_pb2

_VERSION = "brain.Event:2"  # of the format; from 2 on, a START makes TensorBoard forget


class EventFile:
    """A new event file of a run, with what comes after step `first`.

    TensorBoard reads the files of a folder in the order of their names and forgets, where a
    session starts at a step, all that older files hold from that step on. So what a killed
    training had written after its last checkpoint is not shown beside the same steps of the
    one that goes on. What was written is readable after a kill.
    """

    # tensorboard's EventFileWriter would write from a thread, whose troubles, such as a full
    # disk, end as a traceback.
    def __init__(self, run: Path, first: int) -> None:
        name = f"events.out.tfevents.{time.time_ns():020d}.{os.getpid()}"
        self._file = (run / name).open("xb")
        self._records = RecordWriter(self._file)
        self._write(_event.Event(file_version=_VERSION))
        start = _event.SessionLog(status=_event.SessionLog.START)
        self._write(_event.Event(step=first + 1, session_log=start))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers by their names; one with a slash stands under what is before it."""
        summary = [_summary.Summary.Value(tag=t, simple_value=v) for t, v in values.items()]
        self._sum_up(step, summary)

    def sound(self, step: int, name: str, wav: Path) -> None:
        """A WAV, mono."""
        # As a tensor, the form of today: TensorBoard's fast loader forgets that an older
        # Summary.Audio is a WAV.
        shape = {"dim": [{"size": 1}]}
        tensor = {"dtype": "DT_STRING", "tensor_shape": shape, "string_val": [wav.read_bytes()]}
        told = metadata.create_summary_metadata(
            display_name="", description="", encoding=metadata.Encoding.Value("WAV")
        )
        self._sum_up(step, [_summary.Summary.Value(tag=name, tensor=tensor, metadata=told)])

    def picture(self, step: int, name: str, png: Path) -> None:
        """A PNG."""
        data = png.read_bytes()
        width, height = struct.unpack(">II", data[16:24])  # where every PNG says it
        image = _summary.Summary.Image(
            height=height, width=width, colorspace=3, encoded_image_string=data
        )
        self._sum_up(step, [_summary.Summary.Value(tag=name, image=image)])

    def close(self) -> None:
        """Ends the file."""
        self._file.close()

    def _sum_up(self, step: int, values: list[Any]) -> None:
        self._write(_event.Event(step=step, summary=_summary.Summary(value=values)))

    def _write(self, event: Any) -> None:
        event.wall_time = time.time()
        self._records.write(event.SerializeToString())
        self._file.flush()
