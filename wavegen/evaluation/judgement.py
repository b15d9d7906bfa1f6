"""Judgement: how good a model is, as one set of facts that a report tells."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from wavegen.audio import mulaw
from wavegen.data.corpus import Corpus, Split
from wavegen.evaluation import (
    baselines,
    excerpts,
    fidelity,
    foretelling,
    likelihood,
    likelihoods,
    renditions,
)
from wavegen.evaluation.foretelling import Foretelling
from wavegen.evaluation.metrics import measures, pairs, sets
from wavegen.evaluation.metrics.measures import Measure
from wavegen.evaluation.metrics.sets import Embed
from wavegen.evaluation.renditions import Rendition
from wavegen.model.network import Trained
from wavegen.sampling import precision as precisions
from wavegen.sampling.request import Draws

TELLING_COPIES = (
    0.1  # share of recordings; where more are called copies, those of a model tell little
)

# What is under way and its unit, as a function that takes what is done and what there is.
Stage = Callable[[str, str], AbstractContextManager[Callable[..., None]]]


@dataclass(frozen=True)
class Asked:
    """What shall be measured of a run."""

    limit: int | None = None  # recordings of the split, evenly spread; None: all
    num: int = 32  # recordings whose notes and labels are played; 0: none
    seconds: float = 4.0  # of each at most
    draws: Draws = field(default_factory=Draws)
    backend: str = "auto"
    precisions: tuple[str, ...] = ()  # whose cost is measured
    with_baselines: bool = False
    embed: Embed | None = None


class Judged(NamedTuple):
    """What was found, and the sounds that it speaks of."""

    facts: dict[str, Any]
    renditions: list[Rendition]  # clip i's


def of_run(trained: Trained, corpus: Corpus, split: str, asked: Asked, stage: Stage) -> Judged:
    """What a model makes of a split of a corpus that goes with it."""
    held, train = corpus.splits[split], corpus.splits.get("train")
    if asked.limit is not None:
        held = held.only(excerpts.spread(held.num_items, asked.limit))
    rate, facts, remarks = trained.config.audio.sample_rate, {}, _unknown(trained, held)
    heard, facts["reconstruction"] = _heard(trained, held, stage)
    facts["likelihood"] = likelihoods.likelihood(heard, held, rate)
    if asked.with_baselines:
        with stage("measuring baselines", "samples") as update:
            n_codes = trained.config.audio.n_codes
            facts["baselines"] = baselines.bits(train, held, n_codes, progress=update)
    if asked.precisions:
        facts["precisions"] = _precisions(trained, held, asked, stage)
    made: list[Rendition] = []
    if asked.num:
        known = train if train is not None and split != "train" else None
        played, made, more = _played(trained, held, known, asked, stage)
        facts |= played
        remarks += more
    seconds = sum(int(each.samples.sum()) for each in heard) / rate
    subject = {"corpus_digest": corpus.digest, "recordings": len(heard), "seconds": seconds}
    return Judged({"subject": subject, "remarks": remarks, **facts}, made)


def _unknown(trained: Trained, held: Split) -> list[str]:
    """Remarks on labels of recordings that the network has never met."""
    remarks = []
    for column, (label, values) in enumerate(held.vocabulary.labels.items()):
        known = trained.vocabulary.labels.get(label, ())
        named = [values[number] for number in held.label_ids[:, column] if number >= 0]
        foreign = [value for value in named if value not in known]
        if foreign and label in trained.config.conditioner.labels:
            remarks.append(
                f"Of {len(foreign)} recordings the network does not know the {label}, such as "
                f"{foreign[0]}: it hears them without."
            )
    return remarks


def _heard(
    trained: Trained, held: Split, stage: Stage
) -> tuple[list[Foretelling], dict[str, dict[str, Measure]]]:
    """What is foretold of every recording, and how near the guesses of its samples are.

    Beside stand the figures of mu-law codes alone: those of who knew each code.
    """
    config = trained.config
    rate, n_codes = config.audio.sample_rate, config.audio.n_codes
    heard, model, mu_law = [], [], []
    with stage("hearing", "s of sound") as update:
        told = foretelling.hear(
            trained,
            held,
            progress=lambda done, total: update(done / rate, total / rate),
        )
        for found, guess in told:
            heard.append(found)
            sound = held.read(found.item).astype(np.float32) / mulaw.INT16_FULL_SCALE
            model.append(pairs.reconstruction(sound, guess, rate))
            coded = mulaw.decode(mulaw.encode(sound, n_codes), n_codes)
            mu_law.append(pairs.reconstruction(sound, coded, rate))
    return heard, {"model": measures.means(model), "mu_law": measures.means(mu_law)}


def _precisions(trained: Trained, held: Split, asked: Asked, stage: Stage) -> dict[str, Any]:
    rate = trained.config.audio.sample_rate
    with stage("comparing precisions", "s of sound") as update:
        found = likelihood.measure(
            trained,
            held,
            asked.precisions,
            backend=asked.backend,
            progress=lambda done, total: update(done / rate, total / rate),
        )
    return {name: each._asdict() for name, each in found.precisions.items()}


def _played(
    trained: Trained, held: Split, train: Split | None, asked: Asked, stage: Stage
) -> tuple[dict[str, Any], list[Rendition], list[str]]:
    """What the model plays when it is asked for what some recordings hold.

    The other held-back recordings are the set that it is compared with, for which those that
    asked are left out: so they can be compared with it as well, and show what is perfect.
    """
    rate = trained.config.audio.sample_rate
    pieces = excerpts.cut(held, rate, asked.seconds)
    items = excerpts.spread(held.num_items, min(asked.num, -(-len(pieces) // 2)))
    chosen = precisions.choose(trained, asked.backend)
    ran = {"backend": chosen.backend, "precision": chosen.precision}
    with stage("playing", "s of sound") as update:
        made = list(
            renditions.make(
                trained, held, items, asked.seconds, asked.draws, *ran.values(), progress=update
            )
        )
    generated = fidelity.measure(made, rate)
    settings = {"num": len(made), "seconds": asked.seconds, **asked.draws.story(), **ran}
    generated["settings"] = settings
    others, known = pieces.but(items), train and excerpts.cut(train, rate, asked.seconds)
    sounds = [each.generated for each in made]
    with stage("comparing sets", "sounds") as update:
        found, real = sets.compare_each(
            [sounds, pieces.begins(items)],
            others,
            known or (),
            rate,
            embed=asked.embed,
            progress=update,
        )
    for clip, near in zip(generated["clips"], found.nearest, strict=True):
        if near is not None and known is not None:
            clip |= {"nearest_known": known.name(near[0]), "nearest_distance": near[1]}
    remarks = list(dict.fromkeys([*found.remarks, *real.remarks]))
    copied = real.measures["copies"]
    if isinstance(copied, float) and copied > TELLING_COPIES:
        remarks.append(
            f"Of the held-back recordings themselves, {copied:.0%} are as like what was trained on "
            "as a copy is: the share of copies says little here."
        )
    if len(made) < asked.num:
        remarks.append(
            f"{len(made)} of {asked.num} sounds were made: the recordings that were heard are "
            f"{held.num_items}, and others are needed to compare them with."
        )
    return (
        {"generated": generated, "sets": {"generated": found.measures, "real": real.measures}},
        made,
        remarks,
    )
