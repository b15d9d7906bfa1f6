import dataclasses
import json

import numpy as np
import pytest
import soundfile

from wavegen import config as configs
from wavegen.data import corpus, plan, report

RATE = 8000


@pytest.fixture
def made(tmp_path, write_tone):
    """A report of tones of all kinds, and the corpus that it is of."""
    folder = tmp_path / "in"
    write_tone(folder / "a" / "tone.wav", RATE)
    write_tone(folder / "a" / "same.wav", RATE)
    write_tone(folder / "b" / "low.wav", 4 * RATE, 110.0)
    time = np.arange(RATE) / RATE
    wave = np.sin(2 * np.pi * 50 * time)
    soundfile.write(folder / "b" / "clipped.wav", np.clip(3 * wave, -1, 1), RATE)
    soundfile.write(folder / "b" / "offset.wav", 0.1 * wave + 0.25, RATE, "PCM_24")
    half = np.concatenate([0.5 * wave, np.zeros(RATE)])
    soundfile.write(folder / "b" / "pause.wav", np.stack([half, half], 1), RATE)
    (folder / "b" / "text.wav").write_text("I am a poem.")
    (folder / "notes.txt").write_text("no sound")
    return corpus.prepare([folder], tmp_path / "c", sample_rate=RATE), tmp_path / "c"


def test_the_report_says_what_the_recordings_are_like(made):
    found, _ = made
    files = {file["name"]: file for file in found.kept}
    assert files["b/pause.wav"]["silence"] == pytest.approx(0.5, abs=0.02)
    assert files["b/offset.wav"]["dc_offset"] == pytest.approx(0.25, abs=1e-4)
    # 50 periods, flat at the top and at the bottom of each.
    assert files["b/clipped.wav"]["clipped_runs"] == 100
    assert files["b/clipped.wav"]["clipped"] > 5000
    assert files["a/tone.wav"]["clipped"] == 0
    assert found.duplicates == [["a/same.wav", "a/tone.wav"]]
    assert found.count("channels") == {"1": 5, "2": 1}
    assert found.count("format") == {"WAV PCM_16": 5, "WAV PCM_24": 1}
    assert found.rms_dbfs["p5"] <= found.rms_dbfs["p50"] <= found.rms_dbfs["p95"]


def test_totals_are_in_the_file_before_the_files(made):
    found, path = made
    stored = json.loads((path / "report.json").read_text())
    assert (stored["found"], stored["kept"], stored["dropped"], stored["ignored"]) == (8, 6, 1, 1)
    assert (stored["clipped_files"], stored["offset_files"]) == (1, 1)
    assert stored["labels"] == {"folder": {"a": 2, "b": 4}}
    assert stored["silence"] == pytest.approx(1 / 10, abs=0.01)  # one second of ten
    assert stored["rms_dbfs"] == found.rms_dbfs
    assert list(stored)[-1] == "files"


def test_the_table_names_what_is_worth_a_look(made):
    found, _ = made
    text = "\n".join(f"{name} {value}" for name, value in report.summary(found))
    assert "text.wav: the file cannot be read as sound" in text
    assert "clipped 1 recording, flat there 100 times, most b/clipped.wav" in text
    assert "DC offset 1 recording beyond 0.01, most b/offset.wav" in text
    assert "a/same.wav = a/tone.wav" in text
    assert "label folder 2: b (4), a (2)" in text


def test_the_table_of_a_spotless_corpus_warns_of_nothing(tmp_path, write_tone):
    for number in range(3):
        write_tone(tmp_path / "in" / f"{number}.wav", RATE, 200 + number)
    found = corpus.prepare([tmp_path / "in"], tmp_path / "c", sample_rate=RATE)
    warnings = {"clipped", "full scale", "DC offset", "the same sound", "cut short"}
    assert not warnings & {name for name, _ in report.summary(found)}


@pytest.fixture
def config():
    return configs.from_dict(
        {
            "audio": {"sample_rate": RATE},
            "training": {"crop_samples": 2 * RATE, "batch_size": 4, "steps": 6},
        }
    )


def test_a_plan_counts_the_crops_of_every_recording(made, config):
    opened = corpus.open(made[1])
    facts = plan.of(opened, config, samples_per_second=1000)
    lengths = opened.splits["train"].lengths
    crops = sum(-(-length // (2 * RATE)) for length in lengths)
    assert facts["crops_per_epoch"] == crops
    assert facts["steps_per_epoch"] == -(-crops // 4)
    assert facts["epochs_in_training"] == pytest.approx(6 / facts["steps_per_epoch"], abs=0.01)
    assert len(facts["shorter_than_a_crop"]) == sum(lengths < 2 * RATE)
    samples = facts["steps_per_epoch"] * 4 * 2 * RATE
    assert facts["hours_per_epoch"] == pytest.approx(samples / 1000 / 3600, abs=1e-4)


def test_no_speed_is_invented(made, config):
    facts = plan.of(corpus.open(made[1]), config)
    assert "hours_per_epoch" not in facts
    assert not any("hours" in name for name, _ in plan.summary(facts))


def test_a_plan_says_why_a_config_does_not_fit(made):
    facts = plan.of(corpus.open(made[1]), configs.from_dict({"audio": {"sample_rate": 16_000}}))
    assert "8000 Hz, the config at 16000 Hz" in facts["refused"]
    assert dict(plan.summary(facts))["does not fit"] == facts["refused"]


def test_what_may_not_be_meant_is_said(made, config):
    opened = corpus.open(made[1])
    longest, in_all = (int(f(opened.splits["train"].lengths)) for f in (max, sum))

    def told(batch_size, crop_samples):
        training = {"batch_size": batch_size, "crop_samples": crop_samples}
        tree = configs.to_dict(config) | {"training": training}
        return " | ".join(plan.concerns(opened, configs.from_dict(tree)))

    frame = config.model.hop_length
    fits = longest // frame * frame
    assert told(1, fits) == ""
    assert "no recording is as long as a crop" in told(1, fits + frame)
    assert f"training.crop_samples={-(-longest // frame) * frame} would do" in told(1, 9 * RATE * 8)
    assert "a batch is larger than the data" in told(in_all // frame + 1, frame)
    assert "a batch is larger than the data" not in told(in_all // frame, frame)
    opened = dataclasses.replace(opened, splits={"train": opened.splits["train"]})
    assert "bits per sample will not be validated" in told(1, fits)


def test_an_entry_that_is_added_leaves_the_others(made):
    path = made[1]
    before = json.loads((path / "report.json").read_text())
    report.write(path, made[0], config={"steps": 3})
    after = json.loads((path / "report.json").read_text())
    assert after.pop("config") == {"steps": 3}
    assert after == before
