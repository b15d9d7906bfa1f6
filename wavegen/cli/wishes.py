"""Wishes: what a call of `wavegen generate` asks for, and what is to be made for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wavegen.cli import outlets, words
from wavegen.cli.console import Console, pitches
from wavegen.cli.takes import Take
from wavegen.errors import WavegenError

if TYPE_CHECKING:
    import numpy as np

    from wavegen.audio.bending import Bend
    from wavegen.model.network import Trained
    from wavegen.music.score import Score
    from wavegen.sampling.request import Request

DEFAULT_SECONDS = 4.0
DEFAULT_VELOCITY = 100
HELD = 0.75  # share of --seconds that a note is held where --hold is not given
TAIL_SECONDS = 1.0  # after the last note of --midi
LONGEST_SECONDS = 86_400


@dataclass(frozen=True)
class Wishes:
    """The options that say what shall be heard; None where they were not given."""

    out: Path
    kind: str
    seed: int
    num: int = 1
    seconds: float | None = None
    endless: bool = False
    pitch: str | None = None
    velocity: int | None = None
    hold: float | None = None
    midi: Path | None = None
    label: tuple[str, ...] = ()
    primer: Path | None = None
    like: Path | None = None
    include_primer: bool = True
    bend: str | None = None
    vibrato: str | None = None


@dataclass(frozen=True)
class Plan:
    """What is to be made."""

    request: Request  # a stream for each take
    takes: list[Take]
    span: tuple[int, int | None]  # samples of each stream that are put out; None: without end
    length: int | None  # samples that are put out; None: without end
    primed: int  # samples of the primer, after which the new sound begins
    labels: dict[str, str]  # as files tell them
    bend: Bend | None = None


def plan(trained: Trained, wishes: Wishes, console: Console) -> Plan:
    """What the wishes come to with this model; WavegenError where it cannot be."""
    from wavegen.sampling import asking

    rate = trained.config.audio.sample_rate
    free = _is_free(trained, wishes, console)
    asked: list[int | None] = [None] if free else _pitches(trained, wishes, console)
    if asked == [None] and (wishes.velocity is not None or wishes.hold is not None):
        raise WavegenError("--velocity and --hold say how a note of --pitch is played")
    song = _song(trained, wishes, console)
    followed = None if free else _followed(trained, wishes.like)
    seconds, hold = _durations(wishes, song, followed, rate, console)
    if seconds is not None and round(seconds * rate) < 1:
        raise WavegenError(
            f"--seconds {seconds} is less than one sample at {rate} Hz", "a longer sound"
        )
    if free:
        shares, said = asking.unknown_labels(trained), dict[str, str]()
    else:
        shares, said = words.labels(trained, list(wishes.label), console)
    takes = _takes(wishes, asked, hold)
    bend = _bend(wishes, rate)
    length = None if seconds is None else round(seconds * rate)
    made_seconds = seconds
    if bend is not None and length is not None:
        made_seconds = bend.samples_needed(length) / rate
    begun = words.read(trained, wishes.primer) if wishes.primer else None
    request = asking.request(
        trained,
        [_score(take, song, bend, rate) for take in takes],
        shares,
        [take.stream for take in takes],
        made_seconds,
        begun,
        followed,
    )
    primed = 0 if begun is None else len(begun)
    skip = 0 if wishes.include_primer else primed
    end = None if made_seconds is None else primed + round(made_seconds * rate)
    whole = None if length is None else primed + length - skip
    return Plan(request, takes, (skip, end), whole, primed, said, bend)


def _is_free(trained: Trained, wishes: Wishes, console: Console) -> bool:
    """Whether the model plays without conditioning: it has learnt to, and nothing is asked for."""
    share, conditioner = trained.config.training.condition_dropout, trained.config.conditioner
    asked = (wishes.pitch, wishes.velocity, wishes.hold, wishes.midi, wishes.like)
    is_asked = any(wish is not None for wish in asked) or bool(wishes.label)
    if not share or not conditioner.asks or is_asked:
        return False
    console.note(
        "nothing is asked for: playing without conditioning, which this model learnt "
        f"in {share:.0%} of its training"
    )
    return True


def _pitches(trained: Trained, wishes: Wishes, console: Console) -> list[int | None]:
    """The pitches asked for; [None] where the model hears no notes, or those of a MIDI file."""
    hears_notes = "notes" in trained.config.conditioner.signals
    if wishes.midi is not None:
        if not hears_notes:
            raise _hears_no_notes(f"--midi {wishes.midi}")
        if wishes.pitch is not None:
            raise WavegenError("--midi and --pitch", "one of them")
        return [None]
    if wishes.pitch is None:
        if hears_notes:
            raise WavegenError(
                "this model plays notes, and no pitch was asked for",
                f"--pitch with MIDI numbers, or --midi; it was trained on {_range(trained)}",
            )
        return [None]
    if not hears_notes:
        raise _hears_no_notes(f"--pitch {wishes.pitch}")
    asked = pitches(wishes.pitch)
    foreign = [pitch for pitch in asked if pitch not in trained.vocabulary.pitches]
    if foreign:
        console.warn(
            f"pitch {', '.join(map(str, foreign))} was not among the notes the model learned "
            f"({_range(trained)}); expect something else"
        )
    return list(asked)


def _hears_no_notes(asked: str) -> WavegenError:
    return WavegenError(
        f"{asked}: this model does not hear notes",
        'a model whose conditioner.signals hold "notes"',
    )


def _range(trained: Trained) -> str:
    known = trained.vocabulary.pitches
    return f"{known[0]} to {known[-1]}" if known else "no notes at all"


def _song(trained: Trained, wishes: Wishes, console: Console) -> Score | None:
    """The score of --midi."""
    if wishes.midi is None:
        return None
    from wavegen.music import midi

    song = midi.song(wishes.midi)
    score = song.score()
    if song.num_drums:
        console.note(f"{wishes.midi}: {song.num_drums} notes of drums are left out")
    if not score.notes:
        raise WavegenError(f"{wishes.midi} holds no notes", "a score with at least one")
    known = trained.vocabulary.pitches
    foreign = sum(note.pitch not in known for note in score.notes)
    if foreign:
        console.warn(
            f"{foreign} of {len(score.notes)} notes of {wishes.midi} have pitches that the model "
            f"did not learn ({_range(trained)})"
        )
    if trained.config.model.predictor.periods_of == "notes" and score.overlaps:
        console.warn(
            f"{wishes.midi} has notes that sound together, and this model follows one at a time: "
            "`wavegen play` makes each by itself"
        )
    return score


def _followed(trained: Trained, like: Path | None) -> np.ndarray | None:
    """The recording that the model shall follow; None where it hears none."""
    heard = ", ".join(trained.config.conditioner.acoustic)
    if like is None and heard:
        raise WavegenError(
            f"this model follows a recording ({heard}), and none was named", "--like WAV"
        )
    if like is not None and not heard:
        raise WavegenError(
            f"--like {like}: this model follows no recording",
            "no --like, or a model whose conditioner.signals hold mel, mfcc or f0_loudness",
        )
    return None if like is None else words.read(trained, like)


def _durations(
    wishes: Wishes,
    song: Score | None,
    followed: np.ndarray | None,
    sample_rate: int,
    console: Console,
) -> tuple[float | None, float]:
    """Seconds of sound and of holding the note; each follows from the other where not given."""
    seconds, hold = wishes.seconds, wishes.hold
    for flag, value in (("--seconds", seconds), ("--hold", hold)):
        if value is not None and not 0 < value <= LONGEST_SECONDS:
            raise WavegenError(f"{flag} {value}", f"more than 0, up to {LONGEST_SECONDS} (a day)")
    if wishes.endless:
        if seconds is not None:
            raise WavegenError(f"--endless and --seconds {seconds:g}", "one of them")
        return None, hold if hold is not None else LONGEST_SECONDS
    lasts = None
    if song is not None:
        lasts, what = song.duration_seconds, f"{wishes.midi}"
        seconds = lasts + TAIL_SECONDS if seconds is None else seconds
        if seconds < lasts:
            console.warn(f"{what} lasts {lasts:.2f} s; it is cut short")
    elif followed is not None:
        lasts = len(followed) / sample_rate
        if seconds is None and hold is None:
            seconds = lasts
        elif seconds is not None and seconds > lasts:
            console.warn(f"{wishes.like} lasts {lasts:.2f} s; what is beyond follows silence")
    if seconds is not None and hold is not None and hold > seconds:
        console.warn(f"--hold {hold} is longer than --seconds {seconds}: the note is cut short")
    if seconds is None:
        seconds = DEFAULT_SECONDS if hold is None else hold / HELD
    return seconds, seconds * HELD if hold is None else hold


def _takes(wishes: Wishes, asked: list[int | None], hold: float) -> list[Take]:
    """What to make and where: `out` itself for one sound, else names of their own in it."""
    velocity = DEFAULT_VELOCITY if wishes.velocity is None else wishes.velocity
    if not 1 <= velocity <= 127:
        raise WavegenError(f"--velocity {velocity}", "1 to 127")
    count, out = len(asked) * wishes.num, wishes.out
    if count > 1 and (out == outlets.STDOUT or outlets.is_one_file(out)):
        raise WavegenError(
            f"--out {out} is one file, but {count} sounds were asked for", "a folder"
        )
    one, takes = out == outlets.STDOUT or outlets.is_one_file(out), []
    suffix = ".flac" if wishes.kind == "flac" else ".wav"
    song = f"{wishes.midi.stem}_" if wishes.midi else ""
    for pitch in asked:
        for number in range(wishes.num):
            named = f"pitch{pitch:03d}_vel{velocity:03d}_" if pitch is not None else song
            path = out if one else out / f"{named}seed{wishes.seed}_take{number}{suffix}"
            note = (pitch, velocity, hold) if pitch is not None else (None, None, None)
            takes.append(Take(path, number, *note))
    return takes


def _score(take: Take, song: Score | None, bend: Bend | None, sample_rate: int) -> Score:
    """What a take plays: the song, its one note, or nothing where the model hears no notes."""
    from wavegen.music.score import Note, Score

    if song is not None:
        return song
    if take.pitch is None or take.velocity is None or take.hold_seconds is None:
        return Score()
    held = take.hold_seconds
    if bend is not None:  # the note is held as long as is heard of it
        held = bend.samples_needed(round(held * sample_rate)) / sample_rate
    return Score((Note(0.0, held, take.pitch, take.velocity),))


def _bend(wishes: Wishes, sample_rate: int) -> Bend | None:
    """The bend and the vibrato asked for."""
    from wavegen import curves
    from wavegen.audio.bending import Bend

    if wishes.bend is None and wishes.vibrato is None:
        return None
    if wishes.endless or wishes.primer is not None:
        raise WavegenError(
            "--bend and --vibrato with " + ("--endless" if wishes.endless else "--primer"),
            "a sound with an end that begins by itself",
        )
    hz, depth = words.vibrato(wishes.vibrato) if wishes.vibrato else (0.0, 0.0)
    semitones = curves.parse(wishes.bend, "--bend") if wishes.bend else 0.0
    return Bend(sample_rate, semitones, hz, depth)


def story(wishes: Wishes) -> dict[str, Any]:
    """What files tell of the wishes, besides labels and notes."""
    told = {
        "primer": wishes.primer.name if wishes.primer else None,
        "like": wishes.like.name if wishes.like else None,
    }
    if wishes.midi:
        told["midi"] = wishes.midi.name
    return told | {
        name: value
        for name, value in (("bend", wishes.bend), ("vibrato", wishes.vibrato))
        if value is not None
    }
