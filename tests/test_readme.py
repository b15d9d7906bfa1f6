"""The README's commands work, word for word but for how long and how large a training is."""

import json
import shlex
from pathlib import Path

import mido
import pytest

from wavegen.audio import files
from wavegen.cli import app
from wavegen.data import synthesis
from wavegen.music.score import pitch_of
from wavegen.training import cost

ROOT = Path(__file__).parents[1]
# The shipped networks are wide, and their crops long: of the same parts, these are soon done.
SMALL = (
    *("model.residual_channels=16", "model.skip_channels=16", "model.head_channels=16"),
    *("training.batch_size=1", "training.crop_samples=1024", "training.validation_seconds=1"),
)


def commands():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.startswith("    wavegen ")]


def recordings(folder):
    """Three recordings of lengths and rates of their own."""
    folder.mkdir()
    for number, (rate, seconds) in enumerate([(16_000, 2.0), (44_100, 1.5), (8000, 1.0)], 1):
        sound = synthesis.note("organ", 55 + number, 100, seconds, 0.2, rate)
        files.write(folder / f"take{number}.wav", sound, rate)


def nsynth_notes(folder):
    """Some notes of one guitar, as NSynth lays them out."""
    entries = {}
    for pitch in range(48, 61):
        name = f"guitar_acoustic_000-{pitch:03d}-100"
        files.write(
            folder / "audio" / f"{name}.wav",
            synthesis.note("pluck", pitch, 100, 0.8, 0.2, 16_000),
            16_000,
        )
        entries[name] = {
            "note": pitch, "note_str": name, "instrument": 0,
            "instrument_str": "guitar_acoustic_000", "pitch": pitch, "velocity": 100,
            "sample_rate": 16_000, "qualities": [0] * 10, "qualities_str": [],
            "instrument_family": 3, "instrument_family_str": "guitar",
            "instrument_source": 0, "instrument_source_str": "acoustic",
        }  # fmt: skip
    (folder / "examples.json").write_text(json.dumps(entries))


def own_notes(folder):
    """The table that the README shows, the notes it names, and ten more up to two octaves above."""
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    first = lines.index("    file,pitch,instrument")
    table = [line.strip() for line in lines[first : first + 3]]
    table += [f"take{number}.wav,{number + 48},cello" for number in range(3, 25, 2)]
    for line in table[1:]:
        name, pitch, _ = line.split(",")
        sound = synthesis.note("brass", pitch_of(pitch), 100, 0.8, 0.2, 16_000)
        files.write(folder / name, sound, 16_000)
    (folder / "labels.csv").write_text("\n".join(table) + "\n")


def song(path):
    """Three notes of a piano."""
    file = mido.MidiFile(type=0)
    track = mido.MidiTrack()
    for pitch in (52, 55, 90):
        track.append(mido.Message("note_on", note=pitch, velocity=90, time=0))
        track.append(mido.Message("note_off", note=pitch, time=240))
    file.tracks.append(track)
    file.save(path)


def examples():
    """The Python code of the README, block by block."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return [part.partition("```")[0] for part in text.split("```python\n")[1:]]


@pytest.mark.slow
def test_the_readmes_commands_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cost, "ENOUGH_SECONDS", 0.0)
    recordings(tmp_path / "my_recordings")
    nsynth_notes(tmp_path / "nsynth-train")
    own_notes(tmp_path / "my_notes")
    song(tmp_path / "song.mid")
    seen = []
    for command in commands():
        words = shlex.split(command)[1:]
        if words[0] == "train":
            # One that begins from the instrument in the box has its shapes.
            small = SMALL if words[1] != "notes_adapt" else SMALL[3:]
            words += ["--steps", "1", *(word for each in small for word in ("--set", each))]
        if words[0] in ("demo", "bench"):
            continue  # of tests/cli/test_demo.py and CI, and of tests/cli/test_bench.py
        with pytest.raises(SystemExit) as end:
            app.main(words)
        assert end.value.code == 0, (command, capsys.readouterr().err)
        seen.append(words[0])
    assert {"prepare", "train", "generate", "play", "master", "plot"} <= set(seen)
    found = {}
    for code in examples():  # with the run that the commands have trained
        exec(code, found)
    assert found["note"].shape == (16_000,)
    assert found["song"].shape[1] == 2
    assert files.read("new.wav")[1] == 16_000
    assert len(list(Path("scale").glob("*.wav"))) == 13


def test_every_config_the_readme_names_is_shipped_and_every_shipped_one_is_named():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = text.partition("| config | what | steered by |")[2].partition("\n\n")[0]
    named = {line.split("`")[1] for line in table.splitlines() if line.startswith("| `")}
    shipped = {path.stem for path in (ROOT / "configs").glob("*.toml")}
    assert shipped == named
