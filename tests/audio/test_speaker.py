import builtins
import sys

import numpy as np
import pytest

from wavegen.audio import speaker
from wavegen.audio.speaker import Speaker
from wavegen.errors import WavegenError

CARDS = [
    {"name": "microphone", "max_output_channels": 0, "default_samplerate": 44100.0},
    {"name": "one side", "max_output_channels": 1, "default_samplerate": 44100.0},
    {"name": "headphones", "max_output_channels": 2, "default_samplerate": 48000.0},
]


class PortAudioError(Exception):
    pass


class Card:
    """What stands in for sounddevice: one stream, which keeps what it is given and what is done."""

    PortAudioError = PortAudioError

    def __init__(self):
        self.cards, self.default = CARDS, 2
        self.refused = {}  # rate: the error that it is refused with
        self.room = 256  # samples that the card takes at once
        self.late = []  # what the writes return, one by one
        self.lasts = None  # writes until the card is gone
        self.error = None  # that write raises then, rather than that it has no room
        self.done, self.given = [], []

    def query_devices(self, device=None, kind=None):
        if kind is None:
            return self.cards
        device = self.default if device is None else device
        found = [
            card
            for number, card in enumerate(self.cards)
            if device == number or str(device) in card["name"]
        ]
        if device == -1:
            raise PortAudioError("Error querying device -1")
        if len(found) != 1 or not found[0]["max_output_channels"]:
            raise ValueError(f"No output device matching {device!r}")
        return found[0]

    def OutputStream(self, samplerate, device, channels, dtype):
        if samplerate in self.refused:
            raise self.refused[samplerate]
        self.opened = {"rate": samplerate, "device": device, "channels": channels}
        assert dtype == "float32"
        return Stream(self)

    def sound(self):
        return np.concatenate(self.given)


class Stream:
    latency = 0.25

    def __init__(self, card):
        self.card = card

    def __getattr__(self, name):
        if name in ("start", "stop", "abort", "close"):
            return lambda: self.card.done.append(name)
        raise AttributeError(name)

    @property
    def active(self):
        return True

    @property
    def write_available(self):
        gone = self.card.lasts is not None and len(self.card.given) >= self.card.lasts
        # Full at every other look, so that a writer has to wait.
        self.full = not getattr(self, "full", False)
        return 0 if self.full or (gone and not self.card.error) else self.card.room

    def write(self, frames):
        if self.card.error and len(self.card.given) >= self.card.lasts:
            raise self.card.error
        assert frames.dtype == np.float32
        assert frames.flags.c_contiguous
        assert frames.shape[1] == self.card.opened["channels"]
        assert len(frames) <= self.card.room, "a write that waits inside PortAudio"
        self.card.given.append(frames.copy())
        return self.card.late.pop(0) if self.card.late else False


@pytest.fixture
def card(monkeypatch):
    card = Card()
    monkeypatch.setitem(sys.modules, "sounddevice", card)
    return card


def noise(*shape):
    return np.random.default_rng(0).uniform(-1, 1, shape)


def test_all_that_is_written_is_played_in_order_and_to_the_end(card):
    sound = noise(5000, 2)
    with Speaker(16_000, 2) as played:
        for block in np.split(sound, [10, 3000]):
            played.write(block)
    np.testing.assert_array_equal(card.sound(), sound.astype(np.float32))
    assert card.opened == {"rate": 16_000, "device": None, "channels": 2}
    assert card.done == ["start", "stop", "close"]
    assert played.seconds == pytest.approx(5000 / 16_000)
    assert (played.name, played.card_rate, played.latency_seconds) == ("headphones", 16_000, 0.25)


@pytest.mark.parametrize(("device", "sides"), [("headphones", 2), ("one side", 1), (1, 1)])
def test_a_mono_sound_comes_from_every_side_there_is(card, device, sides):
    with Speaker(16_000, device=device) as played:
        played.write(noise(1000))
    assert card.opened == {"rate": 16_000, "device": device, "channels": sides}
    np.testing.assert_array_equal(card.sound(), noise(1000).astype("f4")[:, None].repeat(sides, 1))


def test_gaps_are_counted_but_not_the_silence_before_the_first_sample(card):
    card.late = [True, False, True, True]
    with Speaker(16_000) as played:
        played.write(noise(4 * card.room))
    assert played.underflows == 2


@pytest.mark.parametrize("channels", [1, 2])
def test_a_rate_that_the_card_refuses_is_resampled_to_its_own(card, channels):
    card.refused = {16_000: PortAudioError("Invalid sample rate", -9997)}
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    sound = np.stack([tone, -tone], axis=1) if channels == 2 else tone
    with Speaker(16_000, channels) as played:
        for block in np.split(sound, 50):
            played.write(block)
        assert played.card_rate == 48_000
        assert 0.25 < played.latency_seconds < 0.35  # the resampler holds back tens of ms
    got = card.sound()
    assert len(got) == 48_000  # nothing is lost at the end
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000)
    inside = slice(2000, -2000)  # the tone's ends are steps, around which any resampler rings
    np.testing.assert_allclose(got[inside, 0], expected[inside], atol=1e-4)  # soxr HQ: 20 bits
    np.testing.assert_array_equal(got[:, 1], got[:, 0] if channels == 1 else -got[:, 0])


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), BrokenPipeError(), WavegenError("no more notes")]
)
def test_an_error_elsewhere_silences_the_card_at_once(card, error):
    def play():
        with Speaker(16_000) as played:
            played.write(noise(500))
            raise error

    with pytest.raises(type(error)):
        play()
    assert card.done == ["start", "abort", "close"]


@pytest.mark.parametrize("error", [PortAudioError("Device unavailable", -9985), None])
def test_a_card_that_is_gone_is_told_in_words(card, monkeypatch, error):
    monkeypatch.setattr(speaker, "PATIENCE_SECONDS", 0.02)
    card.lasts, card.error = 3, error
    words = "Device unavailable" if error else "no samples for 0.02 s"

    def play():
        with Speaker(1000) as played:
            for num_samples in (200, 200, 2000):
                played.write(noise(num_samples))

    with pytest.raises(WavegenError, match=rf"'headphones' stopped after 0\.4 s: .*{words}"):
        play()
    assert card.done == ["start"]  # to stop a card that is gone may take for ever


def test_a_stream_that_has_ended_is_not_waited_for(card, monkeypatch):
    monkeypatch.setattr(Stream, "active", False)
    card.lasts = 0
    with pytest.raises(WavegenError, match="no longer active"), Speaker(16_000) as played:
        played.write(noise(10))


def test_a_card_that_does_not_start_is_refused(card):
    card.refused = {16_000: PortAudioError("Device unavailable", -9985)}
    with pytest.raises(
        WavegenError, match=r"'headphones' does not start: .*unavailable"
    ) as refused:
        Speaker(16_000)
    assert "is free" in str(refused.value)
    card.refused = dict.fromkeys((16_000, 48_000), PortAudioError("Invalid sample rate", -9997))
    with pytest.raises(WavegenError, match="Invalid sample rate"):
        Speaker(16_000)


def test_a_card_that_is_not_there_is_refused_with_those_that_are(card):
    with pytest.raises(WavegenError, match=r"by 'kazoo'\n.*one of: one side, headphones$"):
        Speaker(16_000, device="kazoo")
    card.default = -1
    with pytest.raises(WavegenError, match=r"by default\n.*one of: one side, headphones$"):
        Speaker(16_000)
    card.cards = CARDS[:1]
    with pytest.raises(WavegenError, match="no sound card on this machine"):
        Speaker(16_000)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ImportError("No module named 'sounddevice'"), r"pip install 'wavegen\[live\]'"),
        (OSError("PortAudio library not found"), "not found\n.*apt install libportaudio2"),
    ],
)
def test_what_is_not_installed_is_named_with_the_way_to_install_it(monkeypatch, error, words):
    real = builtins.__import__

    def fails(name, *more):
        if name == "sounddevice":
            raise error
        return real(name, *more)

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(builtins, "__import__", fails)
    with pytest.raises(WavegenError, match=words):
        Speaker(16_000)
