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

PITCHES = range(60, 73)  # measured: the octave above middle C
SHOWN = (60, 64, 67, 72)  # in the figure: a chord of C major
HELD_SECONDS = 0.8
NOTE_SECONDS = 1.1
WITHIN_CENTS = 50.0
DEMO_PITCHES = (48, 72)  # of the corpus
DEMO_TIMBRES = ("organ", "pluck", "brass")
TEMPERATURE = 0.8
VELOCITY = 100
# Onset and duration in seconds, and pitch: the beginning of "Frère Jacques".
PHRASE = tuple(
    (0.32 * index, 0.3, pitch)
    for index, pitch in enumerate((60, 62, 64, 60, 60, 62, 64, 60, 64, 65, 67, 67))
    if index != 11
)


def run(
    out: Annotated[Path, typer.Option(help="Folder for all that the demo makes.")] = Path("demo"),
    config: Annotated[str, typer.Option(help="Config to train.")] = "demo",
    steps: Annotated[int | None, typer.Option(min=1, help="Short for training.steps.")] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make a corpus, train on it, generate notes and measure them: minutes, nothing downloaded.

    Run again with the same folder it goes on where it was stopped.
    """
    from wavegen import checkpoint
    from wavegen import config as configs
    from wavegen.cli import train
    from wavegen.data import corpus

    console, begin = Console(json, quiet), time.monotonic()
    resolved = configs.load(config, [f"training.steps={steps}"] if steps else [])
    if not (out / "corpus" / "manifest.json").is_file():
        console.note("1/4  synthesising notes to learn from")
        _prepare(out / "corpus", resolved.audio.sample_rate, console)
    found = corpus.open(out / "corpus")
    console.note("2/4  training")
    start = time.monotonic()
    outcome = train.fit(resolved, found, out / "run", console)
    training_seconds = time.monotonic() - start
    if outcome.interrupted:
        console.note("stopped; the same command goes on from here")
        raise typer.Exit(130)
    trained = checkpoint.load(out / "run")
    console.note("3/4  generating")
    notes, sampling = _notes(trained, out, console)
    phrase = _phrase(trained, out)
    console.note("4/4  measuring")
    facts = _measure(trained, found, notes) | sampling
    facts |= {"training_seconds": training_seconds, "seconds": time.monotonic() - begin}
    _draw(out, notes, phrase, trained.config.audio.sample_rate)
    page = _page(facts, out)
    (out / "demo.txt").write_text(page + "\n", encoding="utf-8")
    console.say(page)
    console.result(facts)


def _prepare(path: Path, sample_rate: int, console: Console) -> None:
    from wavegen.data import corpus

    with console.progress("synthesising", "notes") as update:
        corpus.prepare(
            [],
            path,
            layout="synthetic",
            sample_rate=sample_rate,
            pitches=DEMO_PITCHES,
            labels={"instrument": DEMO_TIMBRES},
            progress=update,
        )


def _notes(
    trained: Trained, out: Path, console: Console
) -> tuple[dict[int, np.ndarray], dict[str, Any]]:
    """A note of each pitch, all in one batch and a file each; and how fast they were made."""
    import numpy as np

    from wavegen.audio import files
    from wavegen.cli import generate
    from wavegen.sampling.sampler import Draws

    rate = trained.config.audio.sample_rate
    takes = [
        generate.Take(
            out / "notes" / f"pitch{pitch:03d}.wav", stream, pitch, VELOCITY, HELD_SECONDS
        )
        for stream, pitch in enumerate(PITCHES)
    ]
    draws = Draws(seed=0, temperature=TEMPERATURE)
    label_ids, said = generate.choose_labels(trained, [], Console(quiet=True))
    request = generate.make_request(trained, takes, label_ids, np.zeros(0, np.int32), NOTE_SECONDS)
    settings = {
        "run": str(out / "run"),
        "step": trained.step,
        "seed": draws.seed,
        "temperature": draws.temperature,
        "backend": "auto",
        "labels": said,
    }
    start = time.monotonic()
    span = (0, round(NOTE_SECONDS * rate))
    generate.write(trained, request, draws, takes, settings, "wav16", span, Console(quiet=True))
    spent = time.monotonic() - start
    sounds = {pitch: files.read(t.path)[0] for pitch, t in zip(PITCHES, takes, strict=True)}
    return sounds, {"sampling_samples_per_second": span[1] * len(takes) / spent}


def _phrase(trained: Trained, out: Path) -> np.ndarray:
    """A tune, note by note, as one file."""
    from wavegen.audio import files
    from wavegen.cli import generate
    from wavegen.music.score import Note, Score
    from wavegen.sampling import render
    from wavegen.sampling.sampler import Draws

    label_ids, _ = generate.choose_labels(trained, [], Console(quiet=True))
    score = Score(tuple(Note(onset, held, pitch, VELOCITY) for onset, held, pitch in PHRASE))
    sound = render.render(trained, score, label_ids, Draws(seed=0, temperature=TEMPERATURE))
    story = {"run": str(out / "run"), "step": trained.step, "seed": 0, "temperature": TEMPERATURE}
    files.write(out / "phrase.wav", sound, trained.config.audio.sample_rate, "wav16", story)
    return sound


def _measure(trained: Trained, found: Corpus, notes: dict[int, np.ndarray]) -> dict[str, Any]:
    """Bits per sample of the held-back notes, what a Markov chain needs, and pitch in cents."""
    from wavegen.audio import features
    from wavegen.data import entropy
    from wavegen.training import evaluate

    rate, n_codes = trained.config.audio.sample_rate, trained.config.audio.n_codes
    scored = evaluate.split(
        trained.graphdef,
        trained.params,
        found.splits["valid"],
        trained.config,
        trained.vocabulary,
    )
    held = round(HELD_SECONDS * rate)
    low, high = features.midi_hz(min(PITCHES) - 25), features.midi_hz(max(PITCHES) + 25)
    cents = {
        pitch: features.cents(features.fundamental(sound[:held], rate, low, high), pitch)
        for pitch, sound in notes.items()
    }
    return {
        "bits_per_sample": scored.bits_per_sample,
        "markov_order_1_bits": entropy.markov_bits(
            found.splits["train"], found.splits["valid"], n_codes, 1
        ),
        "cents": {str(pitch): off for pitch, off in cents.items()},
        "in_tune": sum(abs(off) <= WITHIN_CENTS for off in cents.values()),
        "notes": len(cents),
    }


def _draw(out: Path, notes: dict[int, np.ndarray], phrase: np.ndarray, sample_rate: int) -> None:
    from wavegen.evaluation import plots

    named = [(f"pitch {pitch}", notes[pitch]) for pitch in SHOWN]
    plots.sounds(
        out / "demo.png", [*named, ("phrase", phrase)], sample_rate, "made by wavegen demo"
    )


def _page(facts: dict[str, Any], out: Path) -> str:
    """What was learnt, how fast, and where things lie."""
    off = ", ".join(
        f"{pitch}: {cents:+.0f}" if cents == cents else f"{pitch}: no pitch"
        for pitch, cents in facts["cents"].items()
    )
    return f"""
wavegen demo: done in {duration(facts["seconds"])}

  learnt    {facts["bits_per_sample"]:.3f} bits per sample on notes it never heard
            (knowing nothing: 8.0; an order-1 Markov chain of the same data: \
{facts["markov_order_1_bits"]:.3f})
  in tune   {facts["in_tune"]} of {facts["notes"]} generated notes within \
{WITHIN_CENTS:.0f} cents of the pitch asked for
            cents off by MIDI pitch: {off}
  speed     trained in {duration(facts["training_seconds"])}; \
{facts["sampling_samples_per_second"] / 1000:.1f}k samples/s generated, compiling included

  hear      {out / "notes"} (pitch060.wav is middle C), {out / "phrase.wav"}
  look      {out / "demo.png"}
  go on     wavegen generate --run {out / "run"} --pitch 67 --out g4.wav
            wavegen info {out / "run"}""".strip("\n")
