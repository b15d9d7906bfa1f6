"""What generated sound amounts to, and whether it is a sound at all."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from wavegen.audio import levels, windows
from wavegen.audio.windows import Window
from wavegen.heard import Heard
from wavegen.music.score import Score

KINDS = SILENCE, STUCK, NOISE, LOOP, CLIPPING = (
    "silence",
    "a stuck value",
    "runaway noise",
    "a short loop",
    "clipping",
)
# How far beyond what was heard in training a window has to be: what is made is never quite that.
OFFSET = 0.05  # of silence; what is stuck further from zero is no offset of a sound card
LONGER = 2.0  # times the longest silence: by where it begins, one window of it may become two
MORE_CLIPPED = 0.05  # share of samples
FLATTER = 0.5  # of the way from the flattest spectrum heard to that of white noise
UNSURER = 0.5  # of the way from the highest entropy heard to that of a fair guess
RARELY = 0.01  # share of windows; where more go round in training, going round is no fault
# After its onset a held note has to be heard: long enough to fill most of one window wherever it
# begins, and no longer, since the highest notes of a piano are gone by then.
FRESH_SECONDS = 1.1
SHORTEST_SECONDS = 0.2  # of a sound that is looked at
# Of a checkpoint that does not say what it heard: what most recordings keep to.
UNHEARD = Heard((-50.0, 0.0), (0.0, 0.4), clipped=0.02, repeating=0.0, silent_seconds=2.0)


class Level(NamedTuple):
    """Level of some samples in [-1, 1], gathered while they are made."""

    peak: float = 0.0
    energy: float = 0.0  # sum of squares
    num_samples: int = 0
    lowest: float = math.inf
    highest: float = -math.inf

    def add(self, samples: np.ndarray) -> Level:
        """The level with more samples taken in."""
        if not samples.size:
            return self
        return Level(
            max(self.peak, float(np.abs(samples).max())),
            self.energy + float(np.square(samples, dtype=np.float64).sum()),
            self.num_samples + samples.size,
            min(self.lowest, float(samples.min())),
            max(self.highest, float(samples.max())),
        )

    @property
    def rms_dbfs(self) -> float:
        """Root mean square in dB of full scale; -inf for digital silence."""
        power = self.energy / max(1, self.num_samples)
        return 10 * math.log10(power) if power > 0 else -math.inf

    @property
    def peak_dbfs(self) -> float:
        """Peak in dB of full scale."""
        return 20 * math.log10(self.peak) if self.peak > 0 else -math.inf


def verdict(level: Level) -> str | None:
    """What is wrong with the sound, in words, or None."""
    if level.num_samples and level.lowest == level.highest:
        return "every sample has the same value: this is silence"
    if level.rms_dbfs < levels.SILENT_DBFS:
        return f"almost silent ({level.rms_dbfs:.0f} dBFS RMS)"
    return None


class Trouble(NamedTuple):
    """Something wrong with a stretch of sound."""

    kind: str  # one of KINDS
    first_seconds: float
    last_seconds: float
    words: str  # what was measured, and what it was compared with

    def __str__(self) -> str:
        return (
            f"{self.kind} from {self.first_seconds:.1f} to {self.last_seconds:.1f} s: {self.words}"
        )


class Watch:
    """Looks at a sound as it is made, window by window, for signs that it has collapsed.

    What counts as one is what the model did not hear in training (wavegen.heard), with a margin;
    of an older checkpoint, what hardly any recording holds. `sounds` says whether something is
    asked to sound for most of a time; what goes on beside is no silence.
    """

    def __init__(
        self,
        sample_rate: int,
        n_codes: int,
        heard: Heard | None = None,
        sounds: Callable[[float, float], bool] | None = None,
        start_seconds: float = 0.0,  # of what comes first
    ) -> None:
        self.troubles: list[Trouble] = []
        self._rate, self._heard, self._sounds = sample_rate, heard or UNHEARD, sounds
        self._where = "in most recordings" if heard is None else "in training"
        self._most_nats = math.log(n_codes)
        self._size = round(windows.WINDOW_SECONDS * sample_rate)
        self._samples = np.zeros(0, np.float32)  # less than a window
        self._entropies = np.zeros(0, np.float32)
        self._done = round(start_seconds * sample_rate)  # samples looked at
        self._least = round(SHORTEST_SECONDS * sample_rate)  # samples worth a look at the end
        self._silent_since: float | None = None

    def add(
        self,
        samples: np.ndarray,  # [n] float32 in [-1, 1]
        entropies: np.ndarray | None = None,  # [n] float32 nats, NaN where unknown
    ) -> list[Trouble]:
        """Takes what was made next; the troubles that began in it."""
        if entropies is None:
            entropies = np.full(len(samples), np.nan, np.float32)
        self._samples = np.concatenate([self._samples, samples])
        self._entropies = np.concatenate([self._entropies, entropies])
        found = []
        while len(self._samples) >= self._size:
            found += self._look(self._size)
        return found

    def end(self) -> list[Trouble]:
        """Looks at what is left, if that is half a window or all there is; what began in it."""
        return self._look(len(self._samples)) if len(self._samples) >= self._least else []

    def _look(self, count: int) -> list[Trouble]:
        first, last = self._done / self._rate, (self._done + count) / self._rate
        window = windows.describe(self._samples[:count], self._rate)
        known = self._entropies[:count]
        known = known[np.isfinite(known)]
        entropy = float(known.mean()) if len(known) else math.nan
        self._samples, self._entropies = self._samples[count:], self._entropies[count:]
        self._done, self._least = self._done + count, self._size // 2
        named = self._silence(window, first, last) or self._wrong(window, entropy)
        if not named:
            return []
        kind, words = named
        if kind == SILENCE and self._silent_since is not None:
            first = self._silent_since
        return self._note(kind, words, first, last)

    def _silence(self, window: Window, first: float, last: float) -> tuple[str, str] | None:
        """Silence where something is asked for, or for longer than there was in training."""
        if not window.is_silent:
            self._silent_since = None
            return None
        if max(window.lowest, -window.highest) > OFFSET:  # it never comes near zero
            self._silent_since = None
            return STUCK, f"every sample is about {(window.lowest + window.highest) / 2:.3f}"
        level = f"{window.rms_dbfs:.0f} dBFS" if window.rms_dbfs > -150 else "nothing at all"
        if self._sounds is not None:
            asked = self._sounds(first, last)
            return (SILENCE, f"{level}, while a note is asked for") if asked else None
        if self._silent_since is None:
            self._silent_since = first
        longest = self._heard.silent_seconds
        if last - self._silent_since <= max(windows.WINDOW_SECONDS, LONGER * longest):
            return None
        return SILENCE, f"{level}; the longest silence {self._where} was {longest:.0f} s"

    def _wrong(self, window: Window, entropy: float) -> tuple[str, str] | None:
        heard = self._heard
        flattest = heard.flatness[1]
        if (
            window.flatness > flattest + FLATTER * (1 - flattest)
            and window.rms_dbfs > heard.rms_dbfs[0]
        ):
            return NOISE, (
                f"a spectrum as flat as {window.flatness:.2f} (white noise is 1), "
                f"{flattest:.2f} at most {self._where}"
            )
        if heard.nats is not None:
            most = heard.nats[1] + UNSURER * (self._most_nats - heard.nats[1])
            if entropy > most:
                return NOISE, (
                    f"it hardly knows what comes next: {_bits(entropy)} bits a sample, "
                    f"{_bits(heard.nats[1])} at most {self._where}"
                )
        if window.clipped > heard.clipped + MORE_CLIPPED:
            return CLIPPING, (
                f"{window.clipped:.0%} of the samples are at full scale, "
                f"{heard.clipped:.0%} at most {self._where}"
            )
        if window.loop_seconds and heard.repeating < RARELY:
            return LOOP, f"the same {1000 * window.loop_seconds:.0f} ms again and again"
        return None

    def _note(self, kind: str, words: str, first: float, last: float) -> list[Trouble]:
        """The trouble, or a longer one where it goes on; what is new of it."""
        if self.troubles:
            before = self.troubles[-1]
            if before.kind == kind and before.last_seconds >= first - 1e-9:
                self.troubles[-1] = before._replace(last_seconds=last)
                return []
        self.troubles.append(Trouble(kind, first, last, words))
        return self.troubles[-1:]


def sounding(score: Score) -> Callable[[float, float], bool]:
    """Whether, for most of a time, notes of the score are held that began not long ago.

    Later a note may have died away, as those of plucked strings do.
    """
    onsets = np.array([note.onset_seconds for note in score.notes])
    ends = np.array([note.end_seconds for note in score.notes])
    ends = np.minimum(ends, onsets + FRESH_SECONDS)

    def asked(first: float, last: float) -> bool:
        near = (onsets < last) & (ends > first)
        times = np.linspace(first, last, 100, endpoint=False)[:, None]
        held = (onsets[near] <= times) & (times < ends[near])
        return bool(held.any(axis=1).mean() > 0.5)

    return asked


def _bits(nats: float) -> str:
    return f"{nats / math.log(2):.2f}"
