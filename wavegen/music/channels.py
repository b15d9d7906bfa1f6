"""What the controllers of a MIDI channel say over time: its program, bend, gain and pan.

Controllers as the MIDI 1.0 specification numbers them; the loudness of volume and expression
is that of General MIDI (40 log10(value / 127) dB each), the place of pan that of RP-036.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from wavegen.music.song import Steps

_VOLUME, _PAN, _EXPRESSION, _RESET = 7, 10, 11, 121
_DATA, _DATA_FINE = 6, 38  # what they set is said by the parameter that was chosen before
_PARAMETER, _PARAMETER_FINE = 101, 100  # choose a registered one
_OTHER_PARAMETERS = (98, 99)  # choose one of the maker's
_BEND_RANGE, _NO_PARAMETER = (0, 0), (127, 127)
_USUAL_VOLUME = 100  # of a file that says nothing; it is played at gain 1
_WHEEL = 8192  # steps of the pitch wheel up to the end of its range


class Channel:
    """One channel as a file is played: tell it every message of its own with its time."""

    def __init__(self) -> None:
        self.program, self.bend_semitones = _Saying(0.0), _Saying(0.0)
        self.gain, self.pan = _Saying(1.0), _Saying(0.0)
        self._volume, self._expression = _USUAL_VOLUME, 127
        self._wheel = 0
        self._range, self._range_cents = 2, 0  # of the wheel, in semitones and hundredths
        self._parameter = _NO_PARAMETER

    def hear(self, now: float, message: Any) -> None:
        """What one message does."""
        if message.type == "program_change":
            self.program.say(now, message.program)
        elif message.type == "pitchwheel":
            self._wheel = message.pitch
            self._bend(now)
        elif message.type == "control_change":
            self._control(now, message.control, message.value)

    def _control(self, now: float, control: int, value: int) -> None:
        if control == _VOLUME:
            self._volume = value
            self._balance(now)
        elif control == _EXPRESSION:
            self._expression = value
            self._balance(now)
        elif control == _PAN:
            self.pan.say(now, max(value - 1, 0) / 63 - 1)  # so that 64 is the middle
        elif control == _RESET:  # RP-015: volume, pan, program and bend range stay
            self._expression, self._wheel, self._parameter = 127, 0, _NO_PARAMETER
            self._balance(now)
            self._bend(now)
        else:
            self._choose(now, control, value)

    def _choose(self, now: float, control: int, value: int) -> None:
        """The range of the wheel is set in two moves: it is chosen, then given its data."""
        if control == _PARAMETER:
            self._parameter = value, self._parameter[1]
        elif control == _PARAMETER_FINE:
            self._parameter = self._parameter[0], value
        elif control in _OTHER_PARAMETERS:
            self._parameter = _NO_PARAMETER
        elif self._parameter == _BEND_RANGE and control in (_DATA, _DATA_FINE):
            if control == _DATA:
                self._range, self._range_cents = value, 0
            else:
                self._range_cents = value
            self._bend(now)

    def _bend(self, now: float) -> None:
        semitones = self._range + self._range_cents / 100
        self.bend_semitones.say(now, self._wheel / _WHEEL * semitones)

    def _balance(self, now: float) -> None:
        gain = (self._volume / _USUAL_VOLUME) ** 2 * (self._expression / 127) ** 2
        self.gain.say(now, gain)


class _Saying:
    """Steps as they are said; what only repeats the value before is not kept."""

    def __init__(self, default: float) -> None:
        self.default = default
        self._times: list[float] = []
        self._values: list[float] = []

    def say(self, now: float, value: float) -> None:
        if value != (self._values[-1] if self._values else self.default):
            self._times.append(now)
            self._values.append(value)

    def steps(self) -> Steps:
        times, values = np.array(self._times, np.float64), np.array(self._values, np.float64)
        return Steps(times, values, self.default)
