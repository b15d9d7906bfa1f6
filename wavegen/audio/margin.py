"""How far ahead of the ear a sound is made, block by block."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Pace:
    """An account of blocks of sound: how long each lasts, and when it was made.

    Of the clock only differences count: any that never steps back serves, in seconds.
    """

    sound_seconds: float = 0.0
    making_seconds: float = 0.0  # without what passes between two blocks, such as waiting to play
    first_block_seconds: float | None = None  # from when it was begun until it was there
    worst_margin_seconds: float | None = None  # below zero: a gap is heard; None before two blocks
    _heard_from: float = field(default=0.0, repr=False)

    def add(self, sound_seconds: float, began: float, ended: float) -> None:
        """Counts a block of so much sound, made between two times of the clock.

        The margin is what was made before, less what was due to be heard by the time the block
        was there, had the first block been heard as soon as it was there.
        """
        if self.first_block_seconds is None:
            self.first_block_seconds = ended - began
            self._heard_from = ended
        else:
            margin = self.sound_seconds - (ended - self._heard_from)
            worst = self.worst_margin_seconds
            self.worst_margin_seconds = margin if worst is None else min(worst, margin)
        self.sound_seconds += sound_seconds
        self.making_seconds += ended - began

    @property
    def times_real_time(self) -> float | None:
        """Seconds of sound made in a second of making; None before any time was spent."""
        return self.sound_seconds / self.making_seconds if self.making_seconds else None
