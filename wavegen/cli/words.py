"""Words of the command line that several verbs take: labels, vibrato, recordings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from wavegen.cli.console import Console, key_values
from wavegen.errors import WavegenError

if TYPE_CHECKING:
    import numpy as np

    from wavegen.model.network import Trained
    from wavegen.sampling.asking import Shares


def labels(
    trained: Trained, words: list[str], console: Console
) -> tuple[np.ndarray, dict[str, str]]:
    """Shares of the labels that the model hears, and their names; says which it had to choose.

    A value is one that the model knows, or several with shares: `piano:0.6,guitar:0.4`.
    """
    from wavegen.sampling import asking

    asked, said = asked_labels(trained, words)
    shares = asking.label_shares(trained, asked)
    known = asking.known_labels(trained)
    for name, values in known.items():
        if name not in said:
            said[name] = values[0]
            if len(values) > 1:
                console.note(f"{name} not given: taking {values[0]} (of {', '.join(values)})")
    return shares, {name: said[name] for name in known}


def read(trained: Trained, path: Path) -> np.ndarray:  # [T] float32
    """A recording at the model's rate."""
    from wavegen.audio import files

    samples, _ = files.read(path, trained.config.audio.sample_rate)
    return samples


def asked_labels(
    trained: Trained, words: list[str]
) -> tuple[dict[str, str | Shares], dict[str, str]]:
    """The labels that words ask for, and the words for each; others are not chosen."""
    from wavegen.sampling import asking

    known = asking.known_labels(trained)
    pairs = key_values(words, "--label")
    said = dict(pairs)
    if len(said) < len(pairs):
        raise WavegenError("--label " + ",".join(words), "each label once")
    asked = {name: _shares(text, known.get(name, ())) for name, text in said.items()}
    try:
        asking.label_shares(trained, asked)
    except WavegenError as error:
        raise WavegenError(f"--label {','.join(words)}: {error.came}", error.wanted) from None
    return asked, said


def mapping(
    trained: Trained, words: list[str]
) -> tuple[dict[int, dict[str, str | Shares]], dict[int, dict[str, str | Shares]]]:
    """Labels by program, and by channel from 0, of words such as `0-7=piano` and `ch2=organ`.

    Where several labels know a value, it is told with its label: `0=instrument=piano`.
    """
    by_program: dict[int, dict[str, str | Shares]] = {}
    by_channel: dict[int, dict[str, str | Shares]] = {}
    for word in words:
        who, equals, value = (part.strip() for part in word.partition("="))
        channel = who.lower().startswith("ch")
        low, dash, high = who.lower().removeprefix("ch").partition("-")
        most = 16 if channel else 127
        right = low.isdecimal() and (high.isdecimal() if dash else True)
        if not (
            equals and value and right and int(channel) <= int(low) <= int(high or low) <= most
        ):
            raise WavegenError(
                f"--map {word}",
                "PROGRAM=VALUE with a program from 0 to 127, such as 0-7=piano, or chN=VALUE "
                "with a channel from 1 to 16",
            )
        asked = _mapped(trained, word, value)
        for number in range(int(low), int(high or low) + 1):
            where = by_channel if channel else by_program
            where.setdefault(number - channel, {}).update(asked)
    return by_program, by_channel


def _mapped(trained: Trained, word: str, value: str) -> dict[str, str | Shares]:
    """The label whose value is meant, and the value or its shares."""
    from wavegen.sampling import asking

    known = asking.known_labels(trained)
    name, equals, rest = value.partition("=")
    if equals and name in known:
        open_, value = {name: known[name]}, rest
    else:
        open_ = known
    for label, values in open_.items():
        asked = _shares(value, values)
        if isinstance(asked, str) and asked not in values:
            continue
        if not isinstance(asked, str) and not set(asked) <= set(values):
            continue
        return {label: asked}
    every = [each for values in open_.values() for each in values]
    raise WavegenError(
        f"--map {word}: the model knows no '{value}'",
        "one of: " + ", ".join(every) if every else "a model with labels; this one has none",
    )


def fitting(story: dict[str, Any]) -> dict[str, Any]:
    """As much of what a file would tell of itself as it can hold."""
    import json

    from wavegen.audio import files

    for name in ("labels", "mastered"):
        if len(json.dumps(story)) <= files.MAX_PROVENANCE:
            break
        story = {key: value for key, value in story.items() if key != name}
    return story


def _shares(text: str, values: tuple[str, ...]) -> str | Shares:
    """A value, or the shares of several."""
    if text in values or ":" not in text:
        return text
    shares = {}
    for part in text.split(","):
        value, _, share = part.rpartition(":")
        try:
            shares[value.strip()] = float(share)
        except ValueError:
            return text  # which is then refused as no value
    return shares


def vibrato(text: str) -> tuple[float, float]:
    """Rate in Hz and depth in semitones of words such as `5.5:0.3`."""
    hz, colon, semitones = text.partition(":")
    try:
        if not colon:
            raise ValueError
        return float(hz), float(semitones)
    except ValueError:
        raise WavegenError(
            f"--vibrato {text}", "Hz and semitones to each side, such as 5.5:0.3"
        ) from None
