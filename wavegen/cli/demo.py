"""`wavegen demo`: the whole road on a laptop, from nothing to notes that can be heard."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wavegen.cli.console import Console, Json, Quiet, duration

if TYPE_CHECKING:
    import numpy as np

    from wavegen.data.corpus import Corpus
    from wavegen.model.network import Trained
    from wavegen.music.song import Song
    from wavegen.sampling.request import Draws

TIMBRES = ("organ", "pluck", "brass")
PITCHES = range(60, 73)  # the octave above middle C: learnt, generated, measured
VELOCITY = 100
HELD_SECONDS = 0.8
NOTE_SECONDS = 1.1
WITHIN_CENTS = 50.0
SHOWN = (("organ", 60), ("pluck", 64), ("brass", 67), ("pluck", 72))  # in the figure
PHRASE_TIMBRE = "pluck"
PIECE = "piece.wav"
LOUDEST = 0.9  # peak of what is played
NAMED = 6  # notes out of tune that the page names; the rest stand in --json
# "Frère Jacques", the first two lines: onset and duration in seconds, and MIDI pitch.
PHRASE = (
    (0.0, 0.35, 60), (0.4, 0.35, 62), (0.8, 0.35, 64), (1.2, 0.35, 60),
    (1.6, 0.35, 60), (2.0, 0.35, 62), (2.4, 0.35, 64), (2.8, 0.35, 60),
    (3.2, 0.35, 64), (3.6, 0.35, 65), (4.0, 0.75, 67),
)  # fmt: skip

Sounds = dict[tuple[str, int], "np.ndarray"]  # samples by timbre and pitch


def run(
    out: Annotated[Path, typer.Option(help="Folder for all that the demo makes.")] = Path("demo"),
    steps: Annotated[int | None, typer.Option(min=1, help="Train for so many steps.")] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Play a piece; then make a corpus, train on it, generate notes and measure them.

    The piece is played by the instrument in the box, within a minute. All of it takes some
    minutes, and nothing is downloaded. Run again with the same folder, it goes on where it was
    stopped.
    """
    from wavegen import checkpoint
    from wavegen import config as configs
    from wavegen.cli import train
    from wavegen.data import corpus

    console, begin = Console(json, quiet), time.monotonic()
    config = configs.load("demo", [f"training.steps={steps}"] if steps else [])
    console.note("1/5  a piece by the instrument in the box")
    piece = _play(out, console)
    console.note(f"     hear it: {out / PIECE}; now a network of your own")
    console.note("2/5  notes to learn from")
    if not (out / "corpus" / "manifest.json").is_file():
        _prepare(out / "corpus", config.audio.sample_rate, console)
    found = corpus.open(out / "corpus")
    console.note("3/5  training")
    start = time.monotonic()
    outcome = train.fit(config, found, out / "run", console)
    training_seconds = time.monotonic() - start
    if outcome.interrupted:
        console.note("stopped; the same command goes on from here")
        raise typer.Exit(128 + outcome.signal)
    console.note("4/5  generating")
    trained = checkpoint.load(out / "run")
    notes, phrase, sampling = _generate(trained, out, console)
    console.note("5/5  measuring")
    facts = _learnt(trained, found) | _in_tune(trained, notes) | sampling | piece
    _draw(out, notes, phrase, trained.config.audio.sample_rate)
    facts |= {"training_seconds": training_seconds, "seconds": time.monotonic() - begin}
    page = _page(facts, out)
    (out / "demo.txt").write_text(page + "\n", encoding="utf-8")
    console.say(page)
    console.result(facts)


def _play(out: Path, console: Console) -> dict[str, Any]:
    """The piece, and how long it took to make; once it is there it stays."""
    from wavegen import checkpoint, instrument
    from wavegen.cli import canon, options
    from wavegen.sampling import precision
    from wavegen.sampling.request import Draws

    if (out / PIECE).is_file():
        return {}
    start, song = time.monotonic(), canon.song()
    trained = checkpoint.load(instrument.SHIPPED)
    draws = Draws(seed=0, temperature=trained.temperature)
    with console.kernels_heard():
        chosen = precision.choose(trained)
        ran = {"backend": chosen.backend, "precision": chosen.precision}
        told = {
            "run": options.named(instrument.SHIPPED),
            "step": trained.step,
            **draws.story(),
            **ran,
        }
        _perform(trained, song, {}, draws, out / PIECE, told, console)
    return {"piece_seconds": song.duration_seconds, "played_in_seconds": time.monotonic() - start}


def _perform(
    trained: Trained,
    song: Song,
    labels: dict[str, Any],
    draws: Draws,
    path: Path,
    story: dict[str, Any],
    console: Console,
) -> np.ndarray:
    """A song as a file, and its samples."""
    import numpy as np

    from wavegen.audio import files
    from wavegen.sampling import arrangement, casting, render

    cast = casting.cast(trained, song, labels)
    arranged = arrangement.arrange(song, cast.voices, trained.config, trained.vocabulary)
    ran, rate, made = (story["backend"], story["precision"]), trained.config.audio.sample_rate, []
    with console.progress("playing", "s of song", arranged.num_samples / rate) as update:
        for mix in render.render(trained, arranged, draws, *ran):
            made.append(mix[:, :, 0].sum(axis=1))
            update(sum(map(len, made)) / rate)
    sound = np.concatenate(made)
    sound = sound * min(1.0, LOUDEST / max(1e-9, float(np.abs(sound).max())))
    files.make_room(path)
    files.write(path, sound, rate, "wav16", story)
    return sound


def _prepare(path: Path, sample_rate: int, console: Console) -> None:
    from wavegen.data import corpus

    with console.progress("synthesising", "notes") as update:
        corpus.prepare(
            [],
            path,
            layout="synthetic",
            sample_rate=sample_rate,
            pitches=(min(PITCHES), max(PITCHES)),
            labels={"instrument": TIMBRES},
            progress=update,
        )


def _generate(
    trained: Trained, out: Path, console: Console
) -> tuple[Sounds, np.ndarray, dict[str, Any]]:
    """The notes, the tune, and how they were made."""
    from wavegen.sampling import precision
    from wavegen.sampling.request import Draws

    draws = Draws(seed=0)
    with console.kernels_heard():
        chosen = precision.choose(trained)
        if chosen.note:
            console.note(chosen.note)
        ran = {"backend": chosen.backend, "precision": chosen.precision}
        start = time.monotonic()
        notes = _notes(trained, draws, out, ran)
        num_samples = sum(len(sound) for sound in notes.values())
        speed = num_samples / (time.monotonic() - start)
        phrase = _phrase(trained, draws, out, ran)
    return notes, phrase, ran | {"sampling_samples_per_second": speed}


def _notes(trained: Trained, draws: Draws, out: Path, ran: dict[str, str]) -> Sounds:
    """Every pitch of every timbre, a file each; the pitches of a timbre in one batch."""

    from wavegen.audio import files
    from wavegen.cli import outlets, takes, words
    from wavegen.music.score import Note, Score
    from wavegen.sampling import asking

    span = (0, round(NOTE_SECONDS * trained.config.audio.sample_rate))
    sounds = {}
    for timbre in TIMBRES:
        planned = [
            takes.Take(
                out / "notes" / f"{timbre}_pitch{pitch:03d}.wav", 0, pitch, VELOCITY, HELD_SECONDS
            )
            for pitch in PITCHES
        ]
        labels, said = words.labels(trained, [f"instrument={timbre}"], Console())
        scores = [Score((Note(0.0, HELD_SECONDS, pitch, VELOCITY),)) for pitch in PITCHES]
        request = asking.request(trained, scores, labels, [0] * len(scores), NOTE_SECONDS)
        story = _story(out, trained, draws, said) | ran
        outlet = outlets.Outlet(trained.config.audio.sample_rate, "wav16", out / "notes")
        job = takes.Job(trained, request, draws, planned, story, outlet, span)
        takes.write(job, Console(quiet=True))
        sounds |= {
            (timbre, pitch): files.read(take.path)[0]
            for pitch, take in zip(PITCHES, planned, strict=True)
        }
    return sounds


def _phrase(trained: Trained, draws: Draws, out: Path, ran: dict[str, str]) -> np.ndarray:
    """A tune, note by note, as one file."""
    from wavegen.cli import words
    from wavegen.music.score import Note
    from wavegen.music.song import Song

    asked, said = words.asked_labels(trained, [f"instrument={PHRASE_TIMBRE}"])
    song = Song.of([Note(onset, held, pitch, VELOCITY) for onset, held, pitch in PHRASE])
    story = _story(out, trained, draws, said) | ran
    return _perform(trained, song, asked, draws, out / "phrase.wav", story, Console(quiet=True))


def _story(out: Path, trained: Trained, draws: Draws, labels: dict[str, str]) -> dict[str, Any]:
    """What each file says of its making."""
    run = {"run": str(out / "run"), "step": trained.step, "labels": labels}
    return run | draws.story()


def _learnt(trained: Trained, found: Corpus) -> dict[str, Any]:
    """Bits per sample of the held-back notes, and what a Markov chain of the data needs."""
    from wavegen.data import entropy
    from wavegen.training import evaluate

    train, valid = found.splits["train"], found.splits["valid"]
    scored = evaluate.split(
        trained.graphdef, trained.params, valid, trained.config, trained.vocabulary
    )
    n_codes = trained.config.audio.n_codes
    return {
        "bits_per_sample": scored.bits_per_sample,
        "markov_order_1_bits": entropy.markov_bits(train, valid, n_codes, 1),
    }


def _in_tune(trained: Trained, notes: Sounds) -> dict[str, Any]:
    """How far each note's fundamental lies from the pitch asked for, while it is held."""
    from wavegen.audio import features

    rate = trained.config.audio.sample_rate
    low, high = features.midi_hz(min(PITCHES) - 25), features.midi_hz(max(PITCHES) + 25)
    held = round(HELD_SECONDS * rate)
    cents = {
        timbre: {
            pitch: features.cents(
                features.fundamental(notes[timbre, pitch][:held], rate, low, high), pitch
            )
            for pitch in PITCHES
        }
        for timbre in TIMBRES
    }
    right = {
        timbre: sum(abs(off) <= WITHIN_CENTS for off in found.values())
        for timbre, found in cents.items()
    }
    return {"cents": cents, "in_tune": right, "notes_per_timbre": len(PITCHES)}


def _draw(out: Path, notes: Sounds, phrase: np.ndarray, sample_rate: int) -> None:
    from wavegen.evaluation.figures import plots

    named = [(f"{timbre}, pitch {pitch}", notes[timbre, pitch]) for timbre, pitch in SHOWN]
    named.append((f"phrase ({PHRASE_TIMBRE})", phrase))
    plots.sounds(out / "demo.png", named, sample_rate, "generated by wavegen demo")


def _page(facts: dict[str, Any], out: Path) -> str:
    """What was learnt, how fast, and where things lie."""
    tune = ", ".join(
        f"{timbre} {right} of {facts['notes_per_timbre']}"
        for timbre, right in facts["in_tune"].items()
    )
    astray = [
        f"{timbre} {pitch} " + ("has no pitch" if off != off else f"is {off:+.0f} cents off")
        for timbre, found in facts["cents"].items()
        for pitch, off in found.items()
        if not abs(off) <= WITHIN_CENTS
    ]
    lines = [
        f"wavegen demo: done in {duration(facts['seconds'])}",
        "",
        f"  learnt   {facts['bits_per_sample']:.3f} bits per sample on notes it never heard;",
        f"           knowing nothing costs 8.000, an order-1 Markov chain of the same data "
        f"{facts['markov_order_1_bits']:.3f}",
        f"  in tune  {tune} generated notes within {WITHIN_CENTS:.0f} cents of the pitch asked for",
        *(["           but " + "; ".join(astray[:NAMED])] if astray else []),
        f"  speed    trained in {duration(facts['training_seconds'])}; generated "
        f"{facts['sampling_samples_per_second'] / 1000:.1f}k samples/s in {facts['precision']}",
        "",
        f"  hear     {out / PIECE} by the instrument in the box, and by the network that was just",
        f"           trained {out / 'phrase.wav'} and {out / 'notes'} (pitch 060 is middle C)",
        f"  look     {out / 'demo.png'}",
        f"  go on    wavegen generate --run {out / 'run'} --label instrument=organ --pitch 67 "
        "--out g4.wav",
        f"           wavegen info {out / 'run'}",
    ]
    return "\n".join(lines)
