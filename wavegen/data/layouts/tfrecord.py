"""TFRecord files of tf.train.Example, read without TensorFlow: framing, checksums, values.

A file is records one after the other: length (8 bytes), checksum of the length (4), data,
checksum of the data (4). Checksums are CRC-32C, turned and shifted.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from wavegen.errors import WavegenError

_HEAD, _FOOT = 12, 4  # bytes around the data of a record
_POLYNOMIAL = 0x82F63B78  # of CRC-32C, its bits in reverse
_MASK = 0xA282EAD8
_SEARCHED = 1 << 20  # bytes looked through at once for where a record begins
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types of protocol buffers
_LIST_OF_BYTES, _LIST_OF_FLOATS, _LIST_OF_INTS = 1, 2, 3  # fields of a Feature


class Span(NamedTuple):
    """Where the data of a record lies; or, with a `reason`, bytes that are no whole record."""

    offset: int
    length: int
    reason: str = ""


def spans(data: np.ndarray) -> Iterator[Span]:
    """All records of a file's bytes [N] uint8, in order; the data is neither read nor checked.

    Where a head is damaged, the records after the next whole head are found again.
    """
    here, size = 0, len(data)
    while here < size:
        length = _length(data[here : here + _HEAD].tobytes())
        if length is None:
            after = _next_head(data, here + 1)
            yield Span(here, after - here, f"no record begins at byte {here}")
            here = after
        elif here + _HEAD + length + _FOOT > size:
            yield Span(here, size - here, f"the record at byte {here} is cut short")
            return
        else:
            yield Span(here + _HEAD, length)
            here += _HEAD + length + _FOOT


def read(path: Path, offset: int, length: int) -> memoryview:
    """The data of a record, its checksum verified; WavegenError where it is damaged."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(length + _FOOT)
    except OSError as error:
        raise WavegenError(f"{path} cannot be read: {error.strerror}") from None
    told = data[length:]
    if len(told) < _FOOT or _masked(data[:length]) != int.from_bytes(told, "little"):
        raise WavegenError(
            f"the record at byte {offset} of {path} is damaged: its checksum differs"
        )
    return memoryview(data)[:length]


def features(example: memoryview) -> dict[str, memoryview]:
    """The features of a tf.train.Example by name, not yet decoded; WavegenError if it is none."""
    found = {}
    for whole in _inner(example, 1):
        for entry in _inner(whole, 1):
            names, values = _inner(entry, 1), _inner(entry, 2)
            if names:
                name = bytes(names[-1]).decode("utf-8", "replace")
                found[name] = values[-1] if values else memoryview(b"")
    return found


def values(feature: memoryview) -> list[bytes] | np.ndarray:  # [N] float32 or int64
    """What a feature holds, an empty list if nothing; WavegenError where it is damaged."""
    out: list[bytes] | np.ndarray = []
    for kind, _, listed in _fields(feature):
        if not isinstance(listed, memoryview):
            raise _broken()
        if kind == _LIST_OF_BYTES:
            out = [bytes(value) for value in _inner(listed, 1)]
        elif kind == _LIST_OF_FLOATS:
            out = _floats(listed)
        elif kind == _LIST_OF_INTS:
            out = _integers(listed)
    return out


def _floats(listed: memoryview) -> np.ndarray:
    parts = []
    for field, wire, value in _fields(listed):
        if field != 1 or wire not in (_BYTES, _FIXED32) or len(value) % 4:
            raise _broken()
        parts.append(np.frombuffer(value, "<f4"))
    return np.concatenate([np.zeros(0, np.float32), *parts])


def _integers(listed: memoryview) -> np.ndarray:
    numbers: list[int] = []
    for field, wire, value in _fields(listed):
        if field != 1 or wire not in (_BYTES, _VARINT):
            raise _broken()
        if wire == _VARINT:
            numbers.append(value)
            continue
        here = 0
        while here < len(value):
            number, here = _varint(value, here)
            numbers.append(number)
    return np.array(numbers, np.uint64).astype(np.int64)  # negative ones come as 2**64 less


def _inner(message: memoryview, field: int) -> list[memoryview]:
    """The messages, texts or bytes in one field of a message."""
    return [value for number, wire, value in _fields(message) if number == field and wire == _BYTES]


def _fields(message: memoryview) -> Iterator[tuple[int, int, Any]]:
    """(number, wire type, value) of each field; a value is a memoryview, or int of a varint."""
    here = 0
    while here < len(message):
        tag, here = _varint(message, here)
        wire = tag & 7
        if wire == _VARINT:
            value, here = _varint(message, here)
        else:
            if wire == _BYTES:
                length, here = _varint(message, here)
            elif wire in (_FIXED64, _FIXED32):
                length = 8 if wire == _FIXED64 else 4
            else:
                raise _broken()
            value = message[here : here + length]
            if len(value) < length:
                raise _broken()
            here += length
        yield tag >> 3, wire, value


def _varint(data: memoryview, here: int) -> tuple[int, int]:
    """A number of seven bits a byte, of at most 64, and where the next thing begins."""
    number = 0
    for place in range(10):
        if here + place >= len(data):
            break
        byte = data[here + place]
        number |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return number & (2**64 - 1), here + place + 1
    raise _broken()


def _broken() -> WavegenError:
    return WavegenError("the record holds no whole tf.train.Example", "protocol buffers")


def _length(head: bytes) -> int | None:
    """The length that a record's head gives; None where its checksum does not agree."""
    if len(head) < _HEAD or _masked(head[:8]) != int.from_bytes(head[8:], "little"):
        return None
    return struct.unpack("<Q", head[:8])[0]


def _next_head(data: np.ndarray, start: int) -> int:
    """Where, from `start` on, the next 12 bytes are a whole head; the end where none are."""
    for begin in range(start, len(data) - _HEAD + 1, _SEARCHED):
        part = data[begin : begin + _SEARCHED + _HEAD - 1]
        windows = np.lib.stride_tricks.sliding_window_view(part, _HEAD)
        crc = np.full(len(windows), 0xFFFFFFFF, np.uint32)
        for place in range(8):
            crc = _table()[(crc ^ windows[:, place]) & 0xFF] ^ (crc >> 8)
        told = np.ascontiguousarray(windows[:, 8:]).view("<u4")[:, 0]
        found = np.flatnonzero(_mask(crc ^ 0xFFFFFFFF) == told)
        if len(found):
            return begin + int(found[0])
    return len(data)


def _masked(data: bytes) -> int:
    crc = _crc()(np.frombuffer(data, np.uint8), _table())
    return int(_mask(np.array([crc], np.uint32))[0])


def _mask(crc: np.ndarray) -> np.ndarray:  # [N] uint32, which wraps
    return ((crc >> 15) | (crc << 17)) + np.uint32(_MASK)


@functools.cache
def _table() -> np.ndarray:  # [256] uint32
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = (table >> 1) ^ np.where(table & 1, np.uint32(_POLYNOMIAL), np.uint32(0))
    return table


@functools.cache
def _crc() -> Any:
    """A function of bytes and table: their CRC-32C. Compiled when a file is met, not before."""
    from numba import njit, uint32

    @njit(nogil=True)
    def crc32c(data, table):
        crc = uint32(0xFFFFFFFF)
        for byte in data:
            crc = table[(crc ^ byte) & uint32(0xFF)] ^ (crc >> uint32(8))
        return crc ^ uint32(0xFFFFFFFF)

    return crc32c
