"""The sound card: the only door to sounddevice, an optional extra."""

from __future__ import annotations

import atexit
import time
from contextlib import suppress
from typing import Any

import numpy as np

from wavegen.errors import WavegenError

PATIENCE_SECONDS = 5.0  # without a sample taken, until a card counts as gone
_WAIT_SECONDS = 0.002  # between two looks at the room in the card's buffer, of 20 ms or more
_INVALID_SAMPLE_RATE = -9997  # PortAudio's paInvalidSampleRate


class Speaker:
    """A sound that is played as it is made; `write` waits while the card's buffer is full.

    Used as a context manager it plays to the end, and falls silent at once where an error or
    Ctrl-C ends the block. `device` is a number or a part of a name, as sounddevice lists them.
    A card that does not play at `sample_rate` plays at its own `card_rate`, resampled, and a mono
    sound comes from both sides.
    """

    def __init__(
        self, sample_rate: int, channels: int = 1, device: int | str | None = None
    ) -> None:
        self._sounddevice = _module()
        self.sample_rate = sample_rate  # Hz, of what is written
        self.seconds = 0.0  # of sound written
        self.underflows = 0  # gaps heard for want of samples, of those cards that tell (not JACK)
        self._channels = channels
        self._gone = False
        self._sounds = False  # whether any sample was written
        card = _card(self._sounddevice, device)
        self.name: str = card["name"]
        self._copies = 2 if channels == 1 and card["max_output_channels"] > 1 else 1
        self._stream, self.card_rate = self._open(device, round(card["default_samplerate"]))
        self._resampler = None
        if self.card_rate != sample_rate:
            import soxr

            self._resampler = soxr.ResampleStream(
                sample_rate, self.card_rate, channels, dtype="float32"
            )

    @property
    def latency_seconds(self) -> float:
        """From a sample written to the ear: the card's word, and what the resampler holds now."""
        held = self._resampler.delay() / self.card_rate if self._resampler else 0.0
        return self._stream.latency + held

    def write(
        self,
        samples: np.ndarray,  # [T], or [T, C] of C channels, float in [-1, 1]
    ) -> None:
        """Plays samples after those before; returns when the card has taken them all.

        A card that is gone is a WavegenError.
        """
        assert samples.shape[1:] == (self._channels,) or (samples.ndim, self._channels) == (1, 1)
        frames = np.asarray(samples, np.float32).reshape(-1, self._channels)
        if self._resampler is not None:
            frames = self._resampler.resample_chunk(frames)
        self._play(frames)
        self.seconds += len(samples) / self.sample_rate

    def close(self) -> None:
        """Waits until all that was written was heard, and lets the card go."""
        if self._resampler is not None:
            none = np.zeros((0, self._channels), np.float32)
            self._play(self._resampler.resample_chunk(none, last=True))
        self._stream.stop()
        self._stream.close()

    def abort(self) -> None:
        """Falls silent at once, and lets the card go."""
        if not self._gone:  # else to stop it may take for ever (JACK)
            self._stream.abort()
            self._stream.close()

    def _open(self, device: int | str | None, default_rate: int) -> tuple[Any, int]:
        """A stream that has started, and its rate."""
        refused = None
        for rate in dict.fromkeys((self.sample_rate, default_rate)):
            try:
                stream = self._sounddevice.OutputStream(
                    samplerate=rate,
                    device=device,
                    channels=self._channels * self._copies,
                    dtype="float32",
                )
                stream.start()
                return stream, rate
            except self._sounddevice.PortAudioError as error:
                refused = error
                if _INVALID_SAMPLE_RATE not in error.args:
                    break
        raise WavegenError(
            f"the sound card '{self.name}' does not start: {refused}",
            f"one that is free, with at least {self._channels} channels",
            "close the program that holds it, choose another, or write the sound to a file",
        )

    def _play(
        self,
        frames: np.ndarray,  # [n, C] float32, at card_rate
    ) -> None:
        try:
            self._fill(np.repeat(frames, self._copies, axis=1))
        except (self._sounddevice.PortAudioError, TimeoutError) as error:
            self._gone = True
            with suppress(AttributeError):  # no name that sounddevice promises to keep
                # As Python ends, it would stop the stream, and wait for ever (JACK).
                atexit.unregister(self._sounddevice._exit_handler)
            raise WavegenError(
                f"the sound card '{self.name}' stopped after {self.seconds:.1f} s: {error}",
                "a sound card that stays connected",
                "connect it again, or write the sound to a file",
            ) from None

    def _fill(
        self,
        frames: np.ndarray,  # [n, C] float32
    ) -> None:
        """Gives the card no more at once than it has room for.

        A write that waits inside PortAudio cannot be interrupted, and waits for ever where the
        card is gone (JACK).
        """
        last_taken = time.monotonic()
        while len(frames):
            room = self._stream.write_available
            if room:
                late = self._stream.write(frames[:room])
                # Before the first samples there was nothing to be heard, and no gap.
                self.underflows += bool(late and self._sounds)
                self._sounds = True
                frames, last_taken = frames[room:], time.monotonic()
            elif not self._stream.active:
                raise TimeoutError("it is no longer active")
            elif time.monotonic() - last_taken > PATIENCE_SECONDS:
                raise TimeoutError(f"it has taken no samples for {PATIENCE_SECONDS:g} s")
            else:
                time.sleep(_WAIT_SECONDS)

    def __enter__(self) -> Speaker:
        return self

    def __exit__(self, error: object, *_: object) -> None:
        if error is None:
            self.close()
        else:
            self.abort()


def _card(sounddevice: Any, device: int | str | None) -> Any:
    """What is known of the card to play through: name, default_samplerate and more."""
    try:
        return sounddevice.query_devices(device, "output")
    except (sounddevice.PortAudioError, ValueError):
        cards = [
            card["name"] for card in sounddevice.query_devices() if card["max_output_channels"]
        ]
    if not cards:
        raise WavegenError(
            "there is no sound card on this machine", do="write the sound to a file"
        ) from None
    if device is None:
        came = "no sound card of this machine is the one to play through by default"
    else:
        came = f"no sound card, or more than one, goes by '{device}'"
    raise WavegenError(came, "one of: " + ", ".join(dict.fromkeys(cards))) from None


def _module() -> Any:
    """sounddevice; WavegenError where it or PortAudio, through which it plays, is missing."""
    try:
        import sounddevice  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise WavegenError(
            "sound is played through sounddevice, which is not installed",
            do="pip install 'wavegen[live]', or write the sound to a file",
        ) from None
    except OSError as error:
        raise WavegenError(
            f"sound is played through PortAudio, which does not load: {error}",
            do="install it (`apt install libportaudio2`, `dnf install portaudio`), "
            "or write the sound to a file",
        ) from None
    return sounddevice
