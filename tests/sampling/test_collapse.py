"""Sound that has collapsed is named, with its time; sound as it was in training hardly ever is."""

import functools
import math
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wavegen.audio import mulaw, windows
from wavegen.data import corpus, hearing
from wavegen.heard import Heard
from wavegen.music.score import Note, Score
from wavegen.sampling import health
from wavegen.sampling.health import CLIPPING, LOOP, NOISE, SILENCE, STUCK, Watch

RATE = 8000
N_CODES = 256
HEARD = Heard((-40.0, -5.0), (0.0, 0.2), clipped=0.0, repeating=0.0, silent_seconds=1.0)
SEEDS = range(5)
SHARED = Path(__file__).parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not SHARED.is_dir(), reason=f"no recordings at {SHARED}")
FOLDERS = {  # of ../shared/data, by what they hold
    "notes": ("notes",),
    "music": ("music",),
    "loops": ("music/loops",),
    "speech": ("speech/ljspeech",),
    "digits": ("speech/fsdd",),
}
SLOW_KINDS = [
    pytest.param(kind, rate, marks=pytest.mark.slow)
    for kind, rate in (("notes", 16_000), ("music", 8000), ("digits", 8000))
]


def noise(seconds, level=0.1, seed=0, rate=RATE):
    drawn = np.random.default_rng(seed).normal(0, level, round(seconds * rate))
    return np.clip(drawn, -1, 1).astype(np.float32)


def tune(seconds, seed=0, rate=RATE):
    """Plucked notes, four a second, each with partials of its own."""
    drawing, time = np.random.default_rng(seed), np.arange(rate // 4) / rate
    notes = []
    for key in drawing.integers(0, 24, size=(round(4 * seconds),)).tolist():
        hz = 220 * 2 ** (key / 12)
        waves = [np.sin(2 * np.pi * hz * k * time) / k for k in range(1, 5)]
        notes.append(0.2 * np.exp(-8 * time) * np.sum(waves, axis=0))
    return np.concatenate(notes).astype(np.float32)


def put(sound, piece, second, rate=RATE):
    """The sound with a piece in place of what was there."""
    changed, first = sound.copy(), round(second * rate)
    changed[first : first + len(piece)] = piece
    return changed


def troubles(
    sound,
    heard: Heard | None = HEARD,
    rate=RATE,
    block=None,
    entropies=None,
    sounds=None,
    start=0.0,
):
    """What a watch says of a sound that comes in such blocks, while it goes on and in the end."""
    watch = Watch(rate, N_CODES, heard, sounds, start)
    told = []
    for first in range(0, len(sound), block or max(1, len(sound))):
        part = slice(first, first + (block or len(sound)))
        told += watch.add(sound[part], None if entropies is None else entropies[part])
    told += watch.end()
    assert [(t.kind, t.first_seconds) for t in told] == [
        (t.kind, t.first_seconds) for t in watch.troubles
    ]
    return watch.troubles


def broken(kind, recording, rate, seconds=3.0, seed=0):
    """So many seconds of a sound that has collapsed in one of the known ways."""
    drawing = np.random.default_rng(seed)
    count = round(seconds * rate)
    if kind == "loop":  # of what was there, as a network falls into one
        length = int(drawing.uniform(0.05, 0.3) * rate)
        first = drawing.integers(0, len(recording) - length)
        return np.resize(recording[first : first + length], count)
    return {
        "zeros": np.zeros(count, np.float32),
        "stuck": np.full(count, 0.37, np.float32),
        "soft noise": noise(seconds, 10 ** (-20 / 20), seed, rate),
        "loud noise": noise(seconds, 10 ** (-6 / 20), seed, rate),
        "clipping": (30 * recording[:count]).clip(-1, 1),
    }[kind]


NAMES = {
    "zeros": SILENCE,
    "stuck": STUCK,
    "soft noise": NOISE,
    "loud noise": NOISE,
    "loop": LOOP,
    "clipping": CLIPPING,
}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_sound_like_those_of_training_is_no_trouble(seed):
    assert troubles(tune(20, seed)) == []
    assert troubles(tune(20, seed), heard=None) == []


@pytest.mark.parametrize("heard", [HEARD, None])
@pytest.mark.parametrize("kind", NAMES)
def test_each_kind_of_collapse_is_named_with_its_time(kind, heard):
    for seed in SEEDS:
        sound = tune(20, seed)
        # Three windows' worth more than the longest silence of either may be.
        changed = put(sound, broken(kind, sound, RATE, 7.0, seed), 6.0)
        (found,) = troubles(changed, heard)
        assert found.kind == NAMES[kind]
        assert (found.first_seconds, found.last_seconds) == (6, 13)
        assert str(found).startswith(f"{found.kind} from 6.0 to 13.0 s: ")


@pytest.mark.parametrize("kind", NAMES)
def test_a_collapse_at_any_time_is_found_within_a_window_of_it(kind):
    for begin in np.linspace(5, 6, 9):
        sound = tune(20)
        found = troubles(put(sound, broken(kind, sound, RATE, 6.0), begin))
        assert [each.kind for each in found] == [NAMES[kind]]
        assert abs(found[0].first_seconds - begin) <= windows.WINDOW_SECONDS
        assert abs(found[0].last_seconds - (begin + 6)) <= windows.WINDOW_SECONDS


@pytest.mark.parametrize("block", [1, 64, 999, 8000, 8001, 30_000])
def test_blocks_of_any_size_give_the_troubles_of_the_whole(block):
    sound = tune(16)
    for kind, second, seconds in (
        ("zeros", 2.3, 4), ("loud noise", 6.5, 2), ("loop", 9.1, 3), ("stuck", 13.0, 2.7)
    ):  # fmt: skip
        sound = put(sound, broken(kind, tune(16), RATE, seconds), second)
    entropies = np.linspace(0, 5, len(sound), dtype=np.float32)
    heard = replace(HEARD, nats=(0.5, 2.0))
    whole = troubles(sound, heard, entropies=entropies)
    assert len({each.kind for each in whole}) == 4
    assert troubles(sound, heard, block=block, entropies=entropies) == whole


def test_times_go_on_from_where_a_continued_sound_was():
    sound = put(tune(8), noise(2), 4)
    (whole,) = troubles(sound)
    (later,) = troubles(sound[2 * RATE :], start=2.0)
    assert later == whole


def test_a_silence_no_longer_than_training_held_is_none():
    for heard, longest in ((HEARD, 2), (None, 4)):
        for seconds in range(1, 8):
            found = troubles(put(tune(12), np.zeros(seconds * RATE), 2), heard)
            assert bool(found) == (seconds > longest)


def test_silence_counts_from_its_start_and_is_told_once():
    watch = Watch(RATE, N_CODES, HEARD)
    told = [watch.add(second) for second in np.split(put(tune(9), np.zeros(6 * RATE), 2), 9)]
    assert [len(each) for each in told] == [0, 0, 0, 0, 1, 0, 0, 0, 0]
    assert [(t.first_seconds, t.last_seconds) for t in watch.troubles] == [(2, 8)]


def test_what_is_stuck_may_waver_and_an_offset_in_silence_is_not_stuck():
    wavering = 0.4 + noise(3, 1e-4)
    (found,) = troubles(put(tune(8), wavering, 3))
    assert found.kind == STUCK
    assert "0.400" in found.words
    assert troubles(put(tune(8), np.full(2 * RATE, 0.02), 3)) == []
    click = np.zeros(2 * RATE, np.float32)
    click[100] = 0.08
    assert troubles(put(tune(8), click, 3)) == []


def test_what_was_stuck_before_a_silence_is_no_part_of_it():
    sound = put(put(tune(16), np.zeros(4 * RATE), 2), np.full(RATE, 0.4), 3)
    assert [each.kind for each in troubles(sound)] == [STUCK]
    for each in troubles(put(sound, np.zeros(5 * RATE), 8)):
        assert each.kind == STUCK or (each.first_seconds, each.last_seconds) == (8, 13)


def test_what_training_was_full_of_is_no_fault():
    noisy = Heard((-40.0, -5.0), (0.0, 0.97), 0.0, 0.0, 1.0)
    clipped = Heard((-40.0, 0.0), (0.0, 0.2), 0.9, 0.0, 1.0)
    looping = Heard((-40.0, -5.0), (0.0, 0.2), 0.0, 0.02, 1.0)
    for kind, heard in (("soft noise", noisy), ("clipping", clipped), ("loop", looping)):
        sound = put(tune(8), broken(kind, tune(8), RATE), 3)
        assert troubles(sound, heard) == []
        assert [each.kind for each in troubles(sound)] == [NAMES[kind]]


def test_hiss_that_is_softer_than_anything_heard_is_no_runaway_noise():
    assert troubles(put(tune(8), noise(3, 10 ** (-45 / 20)), 3)) == []
    assert troubles(put(tune(8), noise(3, 10 ** (-35 / 20)), 3)) != []


def test_a_network_that_hardly_knows_what_comes_next_has_run_away():
    heard = replace(HEARD, nats=(0.5, 2.0))
    limit = 2.0 + 0.5 * (math.log(N_CODES) - 2.0)  # half way to a fair guess
    for nats, kinds in ((1.2, []), (2.0, []), (limit - 0.1, []), (limit + 0.1, [NOISE])):
        entropies = np.full(8 * RATE, 1.2, np.float32)
        entropies[3 * RATE : 6 * RATE] = nats
        entropies[::2] = np.nan  # not drawn, but given
        found = troubles(tune(8), heard, entropies=entropies)
        assert [each.kind for each in found] == kinds
        assert all((each.first_seconds, each.last_seconds) == (3, 6) for each in found)
        assert troubles(tune(8), HEARD, entropies=entropies) == []  # nothing to compare with
    (told,) = troubles(tune(1), heard, entropies=np.full(RATE, 8 * math.log(2), np.float32))
    assert "8.00 bits a sample" in told.words
    assert f"{2 / math.log(2):.2f} at most in training" in told.words


def test_words_say_training_only_where_it_is_known():
    for kind in ("zeros", "soft noise", "clipping"):
        sound = put(tune(10), broken(kind, tune(10), RATE, 6.0), 2)
        assert "in training" in troubles(sound)[0].words
        assert "in most recordings" in troubles(sound, heard=None)[0].words


@pytest.mark.parametrize("seconds", [0.2, 0.35, 0.6, 0.99])
def test_sounds_shorter_than_a_window_are_looked_at(seconds):
    assert troubles(tune(1)[: int(seconds * RATE)]) == []
    (found,) = troubles(noise(seconds))
    assert found.kind == NOISE
    assert found.last_seconds == pytest.approx(seconds, abs=1 / RATE)
    always = troubles(np.zeros(int(seconds * RATE)), sounds=lambda first, last: True)
    assert [each.kind for each in always] == [SILENCE]


def test_too_little_to_judge_by_is_not_judged():
    assert troubles(noise(0.1)) == troubles(np.zeros(0, np.float32)) == []
    assert troubles(np.concatenate([tune(1), noise(0.4)])) == []  # less than half a window


@pytest.mark.parametrize("onset", [0.0, 0.3, 0.5, 0.51, 0.9, 4.25])
@pytest.mark.parametrize("held", [1.1, 3.0])
def test_a_note_that_is_asked_for_has_to_sound_wherever_it_begins(onset, held):
    asked = health.sounding(Score((Note(onset, held, 60, 100),)))
    silent = np.zeros(8 * RATE, np.float32)
    found = troubles(silent, sounds=asked)
    assert [each.kind for each in found] == [SILENCE]
    assert abs(found[0].first_seconds - onset) <= 0.5
    plucked = put(silent, tune(1)[: 3 * RATE // 4], onset)
    assert troubles(plucked, sounds=asked) == []  # it may be gone after that


def test_short_notes_that_follow_each_other_have_to_sound_together():
    asked = health.sounding(Score(tuple(Note(2 + k / 4, 0.25, 60, 100) for k in range(16))))
    (found,) = troubles(np.zeros(8 * RATE, np.float32), sounds=asked)
    assert (found.kind, found.first_seconds, found.last_seconds) == (SILENCE, 2, 6)
    sparse = health.sounding(Score(tuple(Note(k / 2, 0.2, 60, 100) for k in range(16))))
    assert troubles(np.zeros(8 * RATE, np.float32), sounds=sparse) == []  # mostly rests


def test_silence_where_nothing_is_asked_for_is_none():
    asked = health.sounding(Score((Note(3.0, 1.0, 60, 100),)))
    sound = np.zeros(60 * RATE, np.float32)
    assert troubles(put(sound, tune(1), 3), sounds=asked) == []
    never = health.sounding(Score(()))
    assert not never(0.0, 1.0)
    assert troubles(sound, sounds=never) == []


def test_hours_are_watched_in_constant_memory():
    watch, sound = Watch(RATE, N_CODES, HEARD), tune(10)
    entropies = np.ones(len(sound), np.float32)

    def watch_on(count):
        for _ in range(count):
            for first in range(0, len(sound), 800):
                watch.add(sound[first : first + 800], entropies[first : first + 800])
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        begin = watch_on(1)
        # Ten more minutes are 9.6 million samples; what is kept is less than a window of them.
        assert watch_on(60) - begin < 200_000
    finally:
        tracemalloc.stop()


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """A function: all recordings of a kind, rounded to codes as a model's are; what was heard."""

    @functools.cache
    def prepared(kind, rate):
        path = tmp_path_factory.mktemp("corpora") / kind
        corpus.prepare([SHARED / each for each in FOLDERS[kind]], path, sample_rate=rate)
        opened = corpus.open(path)
        sounds = {}
        for split in opened.splits.values():
            for item, name in enumerate(split.names):
                codes = mulaw.encode(split.read(item).astype(np.float32) / 32767, N_CODES)
                sounds[name] = (mulaw.decode(codes, N_CODES), split.score(item))
        return sounds, hearing.measure(opened.splits["train"], rate)

    return prepared


@needs_data
@pytest.mark.parametrize(("kind", "rate"), [("speech", 8000), ("loops", 16_000), *SLOW_KINDS])
def test_hardly_any_real_recording_is_called_collapsed(recordings, kind, rate):
    sounds, heard = recordings(kind, rate)
    for given in (heard, None):
        found = {name: troubles(sound, given, rate) for name, (sound, _) in sounds.items()}
        found = {name: each for name, each in found.items() if each}
        # One in a hundred; of two dozen pieces of music of half a minute or more, one.
        assert len(found) <= max(1, len(sounds) // 100), found


@needs_data
@pytest.mark.slow
def test_hardly_any_real_note_is_called_silent_while_it_is_asked_for(recordings):
    rate = 16_000
    sounds, heard = recordings("notes", rate)
    found, drawing = {}, np.random.default_rng(0)
    for name, (sound, score) in sounds.items():
        onset = drawing.uniform(0, 1)
        late = np.concatenate([np.zeros(round(onset * rate), np.float32), sound])
        notes = (replace(each, onset_seconds=onset) for each in score.notes)
        asked = health.sounding(Score(tuple(notes)))
        if each := troubles(late, heard, rate, sounds=asked):
            found[name] = each
    assert len(found) <= len(sounds) // 100, found


@needs_data
@pytest.mark.parametrize(("kind", "rate"), [("speech", 8000), *SLOW_KINDS])
def test_what_has_collapsed_in_a_real_recording_is_found(recordings, kind, rate):
    sounds, heard = recordings(kind, rate)
    seconds = 2 * heard.silent_seconds + 3  # so that silence is too long wherever windows begin
    some = list(sounds.values())[:: max(1, len(sounds) // 40)]
    missed, count = dict.fromkeys(NAMES, 0), 0
    for number, (sound, _) in enumerate(some):
        begin = 1 + number % 7 / 7
        live = np.resize(sound[:rate], round((begin + seconds + 2) * rate))
        if windows.describe(live[:rate], rate).rms_dbfs < -40:
            continue  # what is clipped or goes round is to be a sound
        count += 1
        for name, wanted in NAMES.items():
            piece = broken(name, live, rate, seconds, number)
            found = troubles(put(live, piece, begin, rate), heard, rate)
            in_time = [
                each
                for each in found
                if each.kind == wanted
                and abs(each.first_seconds - begin) <= windows.WINDOW_SECONDS
                and abs(each.last_seconds - begin - seconds) <= windows.WINDOW_SECONDS
            ]
            missed[name] += not in_time
    assert count >= 5
    # A loop cut from a steady tone is a tone still, and what dies away need not reach the rail.
    assert missed.pop("loop") <= count / 3
    assert missed.pop("clipping") <= count / 20
    assert not any(missed.values()), missed
