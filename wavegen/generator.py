"""The Python interface: a trained network that makes sound, arrays in and arrays out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from wavegen import checkpoint, instrument
from wavegen.audio import mulaw
from wavegen.curves import Curve
from wavegen.errors import WavegenError
from wavegen.model.network import Trained
from wavegen.music import midi
from wavegen.music.score import Note, Score
from wavegen.music.song import Song
from wavegen.sampling import arrangement, asking, casting, health, render, sampler
from wavegen.sampling import precision as precisions
from wavegen.sampling.asking import Shares
from wavegen.sampling.health import Trouble
from wavegen.sampling.request import Draws, Request
from wavegen.sampling.state import State

Labels = Mapping[str, str | Shares]  # by name: a value, or the shares of several

DEFAULT_SECONDS = 4.0
HELD = 0.75  # share of the sound that its note is held, where nothing else is asked for
LOUDEST = 0.9  # peak of a song that would be louder
FOREVER_SECONDS = 1e9


def load(
    run: str | Path | None = None,
    *,
    step: int | None = None,
    backend: str = "auto",
    precision: str = "auto",
) -> Generator:
    """The network of a run folder, from its newest good checkpoint or that of `step`.

    The folder of an instrument will do as well; without any, it is the one in the box.
    Everything is compiled when this returns. Raises WavegenError where there is no such
    checkpoint, and where the backend or the precision that was named cannot run here.
    """
    return Generator(checkpoint.load(instrument.find(run), step), backend, precision)


class Generator:
    """A trained network and how it runs. It remembers nothing between two calls."""

    def __init__(self, trained: Trained, backend: str = "auto", precision: str = "auto") -> None:
        chosen = precisions.choose(trained, backend, precision)
        self.trained, self.backend, self.precision = trained, chosen.backend, chosen.precision
        some = self._request(Score(), {}, 1.0, [0], None, self._nothing_to_follow())
        sampler.rehearse(trained, some, Draws(), self.backend, self.precision)

    @property
    def sample_rate(self) -> int:
        """Samples in a second."""
        return self.trained.config.audio.sample_rate

    @property
    def n_codes(self) -> int:
        """Mu-law codes that samples are drawn from."""
        return self.trained.config.audio.n_codes

    @property
    def hop_length(self) -> int:
        """Samples in a frame of conditioning."""
        return self.trained.config.model.hop_length

    @property
    def labels(self) -> dict[str, tuple[str, ...]]:
        """The labels that the model hears, and the values that it learned of each."""
        return asking.known_labels(self.trained)

    @property
    def pitches(self) -> tuple[int, ...]:
        """The MIDI pitches that the model learned; none where it hears no notes."""
        hears = "notes" in self.trained.config.conditioner.signals
        return self.trained.vocabulary.pitches if hears else ()

    def encode(
        self,
        samples: np.ndarray,  # [...] float in [-1, 1], at sample_rate
    ) -> np.ndarray:  # [...] int32
        """The codes of samples, as the model hears them."""
        return mulaw.encode(samples, self.n_codes)

    def decode(
        self,
        codes: np.ndarray,  # [...] int, 0 ... n_codes - 1
    ) -> np.ndarray:  # [...] float32 in [-1, 1]
        """The samples that codes stand for."""
        return mulaw.decode(codes, self.n_codes)

    def generate(
        self,
        seconds: float | None = None,
        *,
        pitch: int | None = None,
        velocity: int = 100,
        hold: float | None = None,
        score: Score | None = None,
        labels: Labels | None = None,
        primer: np.ndarray | None = None,  # [T] float, at sample_rate
        like: np.ndarray | None = None,  # [T] float, at sample_rate
        num: int = 1,
        seed: int = 0,
        temperature: float | Curve | None = None,
        top_k: int = 0,
        top_p: float | Curve = 1.0,
    ) -> np.ndarray:  # [T] float32, or [num, T]
        """New sound; of several takes, each with random draws of its own.

        A model of notes plays `pitch` for `hold` seconds (three quarters of the sound), or a
        whole `score`. The sound goes on from `primer`, which is not in the result, and follows
        the recording `like`. `seconds` are 4, or as long as the score or the recording takes.
        Without a temperature it is 1, or what the instrument is said to sound best at.
        """
        seconds = self._seconds(seconds, hold, score, like)
        played = self._score(pitch, velocity, HELD * seconds if hold is None else hold, score)
        request = self._request(played, labels, seconds, range(num), primer, like)
        primed = 0 if primer is None else len(primer)
        draws = self._draws(seed, temperature, top_k, top_p).later(primed / self.sample_rate)
        codes = sampler.generate(self.trained, request, draws, self.backend, self.precision)
        sound = self.decode(codes[:, primed : primed + round(seconds * self.sample_rate)])
        return sound[0] if num == 1 else sound

    def stream(
        self,
        seconds: float | None = None,
        *,
        pitch: int | None = None,
        velocity: int = 100,
        hold: float | None = None,
        score: Score | None = None,
        labels: Labels | None = None,
        primer: np.ndarray | None = None,  # [T] float, at sample_rate
        like: np.ndarray | None = None,  # [T] float, at sample_rate
        seed: int = 0,
        temperature: float | Curve | None = None,
        top_k: int = 0,
        top_p: float | Curve = 1.0,
        state: State | None = None,
    ) -> Stream:
        """`generate`'s sound in blocks, as they are made; without end where no seconds are said.

        With the `state` of an earlier stream and the same arguments otherwise, it goes on where
        that one stopped, bit for bit; `seconds` then count from the begin of that one.
        """
        held = hold if hold is not None else FOREVER_SECONDS if seconds is None else HELD * seconds
        played = self._score(pitch, velocity, held, score)
        request = self._request(played, labels, seconds, [0], primer, like)
        primed = 0 if primer is None else len(primer)
        draws = self._draws(seed, temperature, top_k, top_p).later(primed / self.sample_rate)
        end = None if seconds is None else primed + round(seconds * self.sample_rate)
        return Stream(self, request, draws, primed, end, state)

    def _draws(
        self, seed: int, temperature: float | Curve | None, top_k: int, top_p: float | Curve
    ) -> Draws:
        own = self.trained.temperature if temperature is None else temperature
        return Draws(seed, own, top_k, top_p)

    def play(
        self,
        song: str | Path | Song | Score,
        *,
        labels: Labels | None = None,
        programs: Mapping[int, Labels] | None = None,  # by General MIDI program
        out_of_range: str = "octave",
        release: float = arrangement.RELEASE_SECONDS,
        stereo: bool = False,
        seed: int = 0,
        temperature: float | None = None,
        top_k: int = 0,
        top_p: float = 1.0,
        retry: int = 2,
    ) -> np.ndarray:  # [T] float32, or [T, 2]
        """A song, note by note, by a model of single notes: see `wavegen play`.

        Each distinct note is made once and put at its place. Nothing is mastered, but a mix
        that peaks above 0.9 is made so much quieter. In `stereo` the tracks stand side by side.
        """
        if isinstance(song, str | Path):
            song = midi.song(song)
        song = Song.of(song.notes) if isinstance(song, Score) else song
        cast = casting.cast(self.trained, song, labels or {}, programs)
        placed = arrangement.arrange(
            song,
            cast.voices,
            self.trained.config,
            self.trained.vocabulary,
            out_of_range=out_of_range,
            release_seconds=release,
        )
        mixes = render.render(
            self.trained,
            arrangement.spread(placed, is_wide=True),
            self._draws(seed, temperature, top_k, top_p),
            self.backend,
            self.precision,
            channels=2 if stereo else 1,
            retry=retry,
        )
        parts = [mix.sum(axis=1) for mix in mixes]
        sound = np.concatenate([np.zeros((0, 2 if stereo else 1), np.float32), *parts])
        sound *= min(1.0, LOUDEST / max(1e-9, float(np.abs(sound).max(initial=0.0))))
        return sound if stereo else sound[:, 0]

    def _seconds(
        self,
        seconds: float | None,
        hold: float | None,
        score: Score | None,
        like: np.ndarray | None,
    ) -> float:
        if seconds is None:
            if score is not None:
                seconds = score.duration_seconds + 1.0
            elif like is not None:
                seconds = len(like) / self.sample_rate
            else:
                seconds = DEFAULT_SECONDS if hold is None else hold / HELD
        if not (seconds > 0 and math.isfinite(seconds)):
            raise WavegenError(f"{seconds} seconds of sound", "more than 0, and an end")
        return seconds

    def _score(self, pitch: int | None, velocity: int, hold: float, score: Score | None) -> Score:
        """What is played: WavegenError where a model of notes is asked for none, or another is."""
        hears = "notes" in self.trained.config.conditioner.signals
        if not hears and (pitch is not None or score is not None):
            raise WavegenError("this model does not hear notes", "neither a pitch nor a score")
        if pitch is not None and score is not None:
            raise WavegenError("a pitch and a score", "one of them")
        if score is not None:
            return score
        if pitch is None:
            if hears and not self.trained.config.training.condition_dropout:
                raise WavegenError(
                    "this model plays notes, and none was asked for", "a pitch or a score"
                )
            return Score()
        return Score((Note(0.0, hold, pitch, velocity),))

    def _request(
        self,
        score: Score,
        labels: Labels | None,
        seconds: float | None,
        streams: Iterator[int] | range | list[int],
        primer: np.ndarray | None,
        like: np.ndarray | None,
    ) -> Request:
        """What the sampler wants; WavegenError where the model needs something that is missing."""
        streams = list(streams)
        if self.trained.config.conditioner.acoustic and like is None:
            heard = ", ".join(self.trained.config.conditioner.acoustic)
            raise WavegenError(f"this model follows a recording ({heard})", "like=samples")
        return asking.request(
            self.trained,
            [score] * len(streams),
            asking.label_shares(self.trained, labels or {}),
            streams,
            seconds,
            _checked("primer", primer),
            _checked("like", like),
        )

    def _nothing_to_follow(self) -> np.ndarray | None:
        """Silence, for a model that follows a recording."""
        return np.zeros(1, np.float32) if self.trained.config.conditioner.acoustic else None


class Stream:
    """Blocks of sound, [n] float32 each, as they are made; an iterator."""

    def __init__(
        self,
        generator: Generator,
        request: Request,
        draws: Draws,
        first: int,  # samples of the stream before those that are wanted
        end: int | None,
        state: State | None,
    ) -> None:
        self.state = state  # after the last block: what a later stream can go on from
        self.troubles: list[Trouble] = []  # signs of collapse so far: see wavegen.sampling.health
        self._generator, self._first, self._end = generator, first, end
        self._done = 0 if state is None else state.num_samples
        self._nats, self._count = 0.0, 0
        trained, score = generator.trained, request.scores[0]
        self._watch = health.Watch(
            generator.sample_rate,
            generator.n_codes,
            trained.heard,
            health.sounding(score) if score.notes else None,
            max(first, self._done) / generator.sample_rate,
        )
        self._made = sampler.stream(
            trained,
            request,
            draws,
            generator.backend,
            generator.precision,
            state=state,
            measures=True,
            keeps=True,
        )

    def __iter__(self) -> Stream:
        """Itself: each block comes once."""
        return self

    def __next__(self) -> np.ndarray:  # [n] float32
        """The next block."""
        while True:
            made = next(self._made, None)
            if made is None:
                self._watch.end()
                self.troubles = self._watch.troubles
                raise StopIteration
            end = None if self._end is None else max(0, self._end - self._done)
            wanted = slice(max(0, self._first - self._done), end)
            self._done += made.codes.shape[1]
            if self._end is not None:
                self._done = min(self._done, self._end)
            assert made.state is not None
            self.state = made.state.upto(self._done)
            codes, measured = made.codes[0, wanted], made.measured[0, wanted]
            if len(codes):
                samples = self._generator.decode(codes)
                self._watch.add(samples, measured[:, 1])
                self.troubles = self._watch.troubles
                known = measured[np.isfinite(measured[:, 0]), 0]
                self._nats -= float(known.sum(dtype=np.float64))
                self._count += len(known)
                return samples

    @property
    def bits_per_sample(self) -> float | None:
        """How unlikely the sound so far is to the model itself; None before anything was drawn."""
        return self._nats / self._count / math.log(2) if self._count else None


def _checked(name: str, samples: np.ndarray | None) -> np.ndarray | None:  # [T] float32
    """A recording that came as an array."""
    if samples is None:
        return None
    samples = np.asarray(samples, np.float32)
    if samples.ndim != 1 or not len(samples):
        raise WavegenError(
            f"{name} is an array of shape {list(samples.shape)}", "mono samples [T], at least one"
        )
    if not np.isfinite(samples).all():
        raise WavegenError(f"{name} holds NaN or infinite samples", "finite samples")
    return samples
