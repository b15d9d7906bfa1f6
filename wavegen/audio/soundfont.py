"""SoundFont files (.sf2, .sf3): presets, and the zones and samples that sound for a key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wavegen.audio import files
from wavegen.errors import WavegenError

DRUM_BANK = 128
MAX_ZONES = 20_000  # of a preset; zones multiply, so a small file could ask for billions
_GENERATORS_READ = 128  # of a zone; there are 61 kinds
_ROM, _VORBIS = 0x8000, 0x10  # bits of a sample's type: in a card's memory; compressed, as in .sf3
_INSTRUMENT, _KEYS, _VELOCITIES, _SAMPLE = 41, 43, 44, 53  # generators that choose
# Generators that belong to samples; a preset's zone may not change them.
_OF_SAMPLES = frozenset((0, 1, 2, 3, 4, 12, 45, 46, 47, 50, 54, 57, 58))
# What a generator is where nothing is said; 0 for the others.
DEFAULTS: dict[int, int] = {
    **dict.fromkeys((21, 23, 25, 26, 27, 28, 30, 33, 34, 35, 36, 38), -12_000),
    **{8: 13_500, 46: -1, 47: -1, 56: 100, 58: -1},
}
_WANTED = "a SoundFont 2 or 3 file"
_BAG = np.dtype([("generator", "<u2"), ("modulator", "<u2")])
_GENERATOR = np.dtype([("kind", "<u2"), ("amount", "<i2")])
_TABLES = {
    b"phdr": np.dtype(
        [("name", "S20"), ("number", "<u2"), ("bank", "<u2"), ("bag", "<u2"), ("rest", "S12")]
    ),
    b"inst": np.dtype([("name", "S20"), ("bag", "<u2")]),
    b"pbag": _BAG,
    b"ibag": _BAG,
    b"pgen": _GENERATOR,
    b"igen": _GENERATOR,
    b"shdr": np.dtype(
        [
            *(("name", "S20"), ("start", "<u4"), ("end", "<u4"), ("loop_start", "<u4")),
            *(("loop_end", "<u4"), ("rate", "<u4"), ("pitch", "u1"), ("correction", "i1")),
            *(("link", "<u2"), ("type", "<u2")),
        ]
    ),
}


@dataclass(frozen=True)
class Preset:
    """One instrument that can be played; `place` is its row in the file."""

    name: str
    bank: int
    number: int
    place: int


@dataclass(frozen=True)
class Zone:
    """What sounds for some keys and velocities: a sample, and how it is played."""

    keys: tuple[int, int]  # lowest and highest, both included
    velocities: tuple[int, int]
    generators: dict[int, int]  # amounts by kind, those of the preset added
    sample: int  # its row in the file


@dataclass(frozen=True, eq=False)
class Sample:
    """A recorded wave and how it loops; places are counted from its first sample."""

    wave: np.ndarray  # [N] float32 in [-1, 1]
    rate: int  # Hz
    pitch: int  # MIDI key that it was recorded at
    correction: int  # cents
    loop: tuple[int, int]  # first, and first after


@dataclass(frozen=True, eq=False)
class SoundFont:
    """A file, open for reading: its tables, and its samples still on disk."""

    path: Path
    tables: dict[bytes, np.ndarray]
    pool: np.ndarray  # [N] uint8, memory-mapped: the chunk of samples

    @property
    def presets(self) -> tuple[Preset, ...]:
        """All presets, by bank and number."""
        rows = self.tables[b"phdr"][:-1]  # the last row only ends the one before
        found = [
            Preset(_text(row["name"]), int(row["bank"]), int(row["number"]), place)
            for place, row in enumerate(rows)
        ]
        return tuple(sorted(found, key=lambda preset: (preset.bank, preset.number)))

    def zones(self, preset: Preset) -> tuple[Zone, ...]:
        """What sounds when a preset is played; WavegenError where it points nowhere."""
        zones: list[Zone] = []
        for outer in self._generators(b"phdr", b"pbag", b"pgen", preset.place, _INSTRUMENT):
            above = {kind: n for kind, n in outer.items() if kind not in _OF_SAMPLES}
            for inner in self._generators(b"inst", b"ibag", b"igen", outer[_INSTRUMENT], _SAMPLE):
                if len(zones) == MAX_ZONES:
                    raise WavegenError(f"its preset {preset.name} has over {MAX_ZONES} zones")
                keys = _overlap(outer.get(_KEYS), inner.get(_KEYS))
                velocities = _overlap(outer.get(_VELOCITIES), inner.get(_VELOCITIES))
                summed = inner | {
                    kind: inner.get(kind, DEFAULTS.get(kind, 0)) + n for kind, n in above.items()
                }
                zones.append(Zone(keys, velocities, summed, inner[_SAMPLE] & 0xFFFF))
        return tuple(zones)

    def sample(self, zone: Zone) -> Sample | None:
        """The wave of a zone; None where it lies in a sound card or has no length."""
        headers = self.tables[b"shdr"][:-1]
        if zone.sample >= len(headers):
            raise WavegenError(f"{self.path} has no sample {zone.sample}", _WANTED)
        head = headers[zone.sample]
        if head["type"] & _ROM or not head["rate"]:
            return None
        start, end = int(head["start"]), int(head["end"])
        loop = int(head["loop_start"]), int(head["loop_end"])
        if head["type"] & _VORBIS:
            wave = files.decode(self.pool[start:end].tobytes(), f"a sample of {self.path}")
        else:
            wave = self.pool[2 * start : 2 * end].tobytes()
            wave = np.frombuffer(wave[: len(wave) // 2 * 2], "<i2").astype(np.float32) / 32768
            loop = loop[0] - start, loop[1] - start
        if len(wave) < 2:
            return None
        pitch = int(head["pitch"]) if head["pitch"] <= 127 else 60  # 255: it has none
        return Sample(wave, int(head["rate"]), pitch, int(head["correction"]), loop)

    def _generators(
        self, heads: bytes, bags: bytes, generators: bytes, place: int, last: int
    ) -> Iterator[dict[int, int]]:
        """The generators of each zone of one head, those of its global zone below them."""
        rows = self.tables[heads]
        if not 0 <= place < len(rows) - 1:
            raise WavegenError(f"{self.path} has no entry {place} in {heads.decode()}", _WANTED)
        begins = self.tables[bags]["generator"]
        common: dict[int, int] = {}
        for bag in range(rows[place]["bag"], min(rows[place + 1]["bag"], len(begins) - 1)):
            here = self.tables[generators][begins[bag] : begins[bag + 1]][:_GENERATORS_READ]
            own = dict(zip(here["kind"].tolist(), here["amount"].tolist(), strict=True))
            if last in own:
                yield common | own
            elif bag == rows[place]["bag"]:
                common = own


def open(path: Path) -> SoundFont:
    """A SoundFont's tables, its samples memory-mapped; WavegenError if it is none, or damaged."""
    try:
        size = path.stat().st_size
        data = np.memmap(path, np.uint8, mode="r") if size else np.zeros(0, np.uint8)
    except OSError as error:
        raise WavegenError(f"{path} cannot be read: {error.strerror}", _WANTED) from None
    if data[:4].tobytes() != b"RIFF" or data[8:12].tobytes() != b"sfbk":
        raise WavegenError(f"{path} is no SoundFont", _WANTED)
    found: dict[bytes, np.ndarray] = {}
    for name, body in _chunks(data[12:]):
        if name == b"LIST":
            found |= dict(_chunks(body[4:]))
    missing = [name.decode() for name in (*_TABLES, b"smpl") if name not in found]
    if missing:
        raise WavegenError(f"{path} is damaged: it has no " + ", ".join(missing), _WANTED)
    tables = {
        name: np.frombuffer(found[name][: len(found[name]) // kind.itemsize * kind.itemsize], kind)
        for name, kind in _TABLES.items()
    }
    return SoundFont(path, tables, found[b"smpl"])


def _chunks(data: np.ndarray) -> Iterator[tuple[bytes, np.ndarray]]:
    """Name and body of each chunk; the last one's body may be cut short."""
    here = 0
    while here + 8 <= len(data):
        size = int.from_bytes(data[here + 4 : here + 8].tobytes(), "little")
        yield data[here : here + 4].tobytes(), data[here + 8 : here + 8 + size]
        here += 8 + size + size % 2


def _overlap(*ranges: int | None) -> tuple[int, int]:
    """Lowest and highest of what lies in all ranges, each two bytes of one number."""
    told = [each & 0xFFFF for each in ranges if each is not None]
    low, high = (each & 0xFF for each in told), (each >> 8 for each in told)
    return max(low, default=0), min(high, default=127)


def _text(name: bytes) -> str:
    return name.split(b"\0")[0].decode("latin-1").strip()
