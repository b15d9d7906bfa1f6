"""The instrument in the box: small, whole, and the same as when it was measured."""

import hashlib
import importlib.util
import platform
from pathlib import Path

import mido
import numpy as np
import pytest

import wavegen
from wavegen import checkpoint, instrument
from wavegen.audio import files
from wavegen.cli import app
from wavegen.data import corpus
from wavegen.model import network
from wavegen.music import programs
from wavegen.training import evaluate
from wavegen_kernels import predictor
from wavegen_kernels.cpu import machine
from wavegen_kernels.predictor import Foretold

ROOT = Path(__file__).parents[1]
# Of half a second of each label, on x86-64 with AVX-512: elsewhere the vectors have other lengths,
# sums another order, and where two codes are as likely another one may be drawn.
CODES = "1b75506296ebdb89"
BITS_PER_SAMPLE = 2.3940  # of the fifteen held-back notes of its corpus


def test_it_is_small_whole_and_says_what_it_is():
    parts = [path for path in instrument.SHIPPED.iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in parts) < 6e6
    told = instrument.about(instrument.SHIPPED)
    assert told["licence"] == "CC0-1.0"
    card = (instrument.SHIPPED / instrument.CARD).read_text(encoding="utf-8")
    trained = checkpoint.load(instrument.SHIPPED)
    for name in trained.vocabulary.labels["instrument"]:
        assert f"`{name}`" in card
    assert len(trained.vocabulary.labels["instrument"]) >= 6
    assert len(trained.vocabulary.pitches) >= 40
    assert len(trained.vocabulary.velocities) >= 3


def test_its_instruments_stand_in_for_what_it_never_heard():
    values = checkpoint.load(instrument.SHIPPED).vocabulary.labels["instrument"]
    voices = {program: programs.label_for(program, values) for program in range(128)}
    wanted = {
        "piano": (0, 8), "acoustic_guitar": (24, 46), "electric_guitar": (27,), "tuba": (56, 58),
        "pizzicato_bass": (32, 45), "string_contrabass": (40, 43, 48),
        "saxophone": (16, 52, 65, 68, 73),
    }  # fmt: skip
    for name, some in wanted.items():
        assert {voices[program] for program in some} == {name}
    # Synthesiser's pads and effects, sounds that are no instruments, some percussion.
    assert sum(voice is None for voice in voices.values()) < 40


def test_without_a_run_it_is_what_plays():
    generator = wavegen.load(precision="float32")
    sound = generator.generate(0.1, pitch=60, labels={"instrument": "piano"})
    assert sound.shape == (round(0.1 * generator.sample_rate),)
    assert np.abs(sound).max() > 0.01


def test_a_sound_of_it_tells_no_path_of_the_machine(tmp_path):
    out = tmp_path / "note.wav"
    assert ended("generate", "--pitch", 60, "--seconds", 0.1, "--out", out) == 0
    told = files.info(out).provenance
    assert told is not None
    assert told["run"] == "shipped"
    assert str(instrument.SHIPPED.parent) not in out.read_bytes().decode("latin-1")


def ended(*args):
    with pytest.raises(SystemExit) as end:
        app.main([str(arg) for arg in args])
    return end.value.code


def test_it_goes_on_from_a_state_by_the_command_that_was_told(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = ("generate", "--pitch", 60, "--hold", 1, "--seconds")
    assert ended(*asked, 0.1, "--save-state", "s.npz", "--out", "a.wav") == 0
    told = capsys.readouterr().out
    again = told[told.index("wavegen generate --run") :].split()[1:]
    assert ended(*(word.replace("FILE", "b.wav") for word in again), "--seconds", 0.1) == 0
    assert (tmp_path / "b.wav").stat().st_size > 1000


def test_chords_are_left_to_play(tmp_path, capsys):
    song, track = mido.MidiFile(), mido.MidiTrack()
    for kind, pitch, time in (("on", 60, 0), ("on", 64, 0), ("off", 60, 90), ("off", 64, 0)):
        track.append(mido.Message("note_" + kind, note=pitch, time=time))
    song.tracks.append(track)
    song.save(tmp_path / "song.mid")
    asked = ("generate", "--midi", tmp_path / "song.mid", "--seconds", 0.05)
    assert ended(*asked, "--out", tmp_path / "a.wav") == 0
    assert "`wavegen play` makes each by itself" in capsys.readouterr().err


def test_info_of_nothing_is_of_it_and_a_corpus_wants_its_path(capsys):
    assert ended("info") == 0
    assert "seven recorded instruments" in capsys.readouterr().out
    assert ended("info", "--config", "instrument") == 2
    assert "a corpus, with --config or --figure" in capsys.readouterr().err


@pytest.mark.skipif(
    platform.machine() != "x86_64" or machine.lanes() != 16,
    reason="the codes were written down on x86-64 with AVX-512",
)
def test_the_same_seed_gives_the_codes_that_were_written_down():
    generator = wavegen.load(backend="numba_cpu", precision="float32")
    digest = hashlib.sha256()
    for name in generator.labels["instrument"]:
        sound = generator.generate(0.5, pitch=55, labels={"instrument": name}, seed=1)
        digest.update(generator.encode(sound).astype("<u2").tobytes())
    assert digest.hexdigest()[:16] == CODES


def script(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def spread(trained, skip_sum, foretold):
    linear = network.assemble(trained.graphdef, trained.params).wavenet.export().predictor
    assert linear is not None
    shape = skip_sum @ np.asarray(linear.shape) + np.asarray(linear.shape_bias)
    return predictor.spread(foretold, shape[:, 0], shape[:, 1], None, np)


def test_a_share_of_the_shift_moves_what_is_drawn_so_much_less_and_no_wider():
    trained = checkpoint.load(instrument.SHIPPED)
    shifting = script("shift_less").shifting
    skip_sum = np.random.default_rng(0).random((5, 128), np.float32)
    foretold = Foretold(*np.full((3, 5), 0.1, np.float32))
    place, slope = spread(trained, skip_sum, foretold)
    less, alike = spread(shifting(trained, 0.25), skip_sum, foretold)
    assert np.abs(place - 0.1).max() > 1e-3
    np.testing.assert_allclose(less - 0.1, (place - 0.1) / 4, rtol=1e-3, atol=1e-7)
    np.testing.assert_array_equal(alike, slope)


@pytest.mark.slow
def test_its_bits_per_sample_are_those_that_were_measured(shared_data, tmp_path):
    notes = script("instrument_notes")
    notes.pick(shared_data / "notes" / "nsynth-train", tmp_path / "notes")
    out = tmp_path / "corpus"
    corpus.prepare([tmp_path / "notes"], out, sample_rate=8000, pitches=(36, 96))
    found = corpus.open(out)
    trained = checkpoint.load(instrument.SHIPPED)
    scored = evaluate.split(
        trained.graphdef, trained.params, found.splits["valid"], trained.config, trained.vocabulary
    )
    assert found.splits["valid"].num_items == 15
    assert scored.bits_per_sample == pytest.approx(BITS_PER_SAMPLE, abs=0.005)
