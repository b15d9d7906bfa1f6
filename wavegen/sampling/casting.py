"""Who plays what: the labels that a model is given for each part of a song."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wavegen.errors import WavegenError
from wavegen.model.network import Trained
from wavegen.music import programs
from wavegen.music.song import Part, Song
from wavegen.sampling import asking
from wavegen.sampling.arrangement import Voice
from wavegen.sampling.asking import Shares

Asked = Mapping[str, str | Shares]  # labels by name


@dataclass(frozen=True)
class Cast:
    """The voices of a song, and what has none."""

    voices: dict[int, Voice]  # by the place of a part in the song
    silent: tuple[int, ...]  # parts that nobody plays


def cast(
    trained: Trained,
    song: Song,
    labels: Asked,
    mapped: Mapping[int, Asked] | None = None,  # by General MIDI program
    by_channel: Mapping[int, Asked] | None = None,  # by channel, from 0; beats the program
) -> Cast:
    """A voice for each part, or none.

    What is mapped is taken first. Else a label that `labels` names is so for all parts, and for
    each label of instruments that it does not name the value is looked for that fits the part's
    program (a piano for programs 0 to 7, and so on); a part that none fits has no voice. Where no
    value fits any part of the song, all parts take the first.
    WavegenError where the model plays no notes, or does not know what is asked for.
    """
    if "notes" not in trained.config.conditioner.signals:
        raise WavegenError(
            "this model does not hear notes",
            'a model whose conditioner.signals hold "notes", such as that of notes_small',
        )
    mapped, by_channel = mapped or {}, by_channel or {}
    open_ = {
        name: values
        for name, values in asking.known_labels(trained).items()
        if name not in labels and len(values) > 1 and _are_instruments(values)
    }
    found = {
        place: _labels(part, labels, open_, mapped, by_channel)
        for place, part in enumerate(song.parts)
    }
    if all(each is None for each in found.values()):
        found = dict.fromkeys(found, labels)
    voices = {place: voice(trained, asked) for place, asked in found.items() if asked is not None}
    silent = tuple(place for place, asked in found.items() if asked is None)
    return Cast(voices, silent)


def voice(trained: Trained, asked: Asked) -> Voice:
    """The voice of some labels, and the pitches that were learned of it."""
    shares = asking.label_shares(trained, asked)
    known = asking.known_labels(trained)
    pitches = trained.vocabulary.pitches or (0, 127)
    lowest, highest, names, first = pitches[0], pitches[-1], [], 0
    ranges = trained.heard.pitches if trained.heard else {}
    for name, values in known.items():
        of_label = shares[first : first + len(values)]
        first += len(values)
        taken = [value for value, share in zip(values, of_label, strict=True) if share > 0]
        names.append("+".join(taken))
        heard = [ranges[name][value] for value in taken if value in ranges.get(name, {})]
        if heard:
            lowest = max(lowest, min(low for low, _ in heard))
            highest = min(highest, max(high for _, high in heard))
    if lowest > highest:  # of labels that were never heard together
        lowest, highest = pitches[0], pitches[-1]
    return Voice(", ".join(names) or "the model", tuple(shares.tolist()), lowest, highest)


def _labels(
    part: Part,
    labels: Asked,
    open_: Mapping[str, Sequence[str]],  # labels of instruments, with their values
    mapped: Mapping[int, Asked],
    by_channel: Mapping[int, Asked],
) -> Asked | None:
    """What a part is played with; None where nothing fits its program."""
    for given in (by_channel.get(part.channel), mapped.get(part.program)):
        if given is not None:
            return {**labels, **given}
    fitting = {name: programs.label_for(part.program, values) for name, values in open_.items()}
    found = {name: value for name, value in fitting.items() if value is not None}
    return {**labels, **found} if found or not open_ else None


def _are_instruments(values: Sequence[str]) -> bool:
    """Whether any program is played by one of them: a label of rooms says nothing of a part."""
    return any(programs.label_for(program, values) for program in range(128))
