"""TensorBoard's own reader finds what was written, and nothing twice."""

import numpy as np
from matplotlib import image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.audio import metadata as audio

from wavegen.audio import files
from wavegen.evaluation.figures import plots
from wavegen.training.events import EventFile

RATE = 8000


def read(run):
    """All that TensorBoard would show of a folder."""
    found = EventAccumulator(str(run), size_guidance={"scalars": 0, "images": 0})
    return found.Reload()


def scalars(run, name):
    return [(event.step, event.value) for event in read(run).Scalars(name)]


def write(run, first, steps, value):
    events = EventFile(run, first)
    for step in steps:
        events.scalars(step, {"training/bits_per_sample": value, "training/accuracy": 0.5})
    events.close()
    return max(run.glob("events.out.tfevents.*"))


def test_scalars_come_back(tmp_path):
    write(tmp_path, 0, (20, 40), 3.5)
    assert scalars(tmp_path, "training/bits_per_sample") == [(20, 3.5), (40, 3.5)]
    assert read(tmp_path).Tags()["scalars"] == ["training/bits_per_sample", "training/accuracy"]


def test_steps_after_the_checkpoint_that_is_gone_on_from_are_shown_once(tmp_path):
    write(tmp_path, 0, (20, 40, 60, 80), 4.0)
    write(tmp_path, 40, (60, 80, 100), 3.0)
    shown = [(20, 4.0), (40, 4.0), (60, 3.0), (80, 3.0), (100, 3.0)]
    assert scalars(tmp_path, "training/bits_per_sample") == shown
    write(tmp_path, 100, (), 0.0)  # one that was killed before its first line
    write(tmp_path, 20, (40,), 2.0)
    assert scalars(tmp_path, "training/bits_per_sample") == [(20, 4.0), (40, 2.0)]


def test_an_event_that_a_kill_cut_short_does_not_hide_what_follows(tmp_path):
    torn = write(tmp_path, 0, (20, 40, 60), 4.0)
    torn.write_bytes(torn.read_bytes()[:-7])
    write(tmp_path, 40, (60, 80), 3.0)
    shown = [(20, 4.0), (40, 4.0), (60, 3.0), (80, 3.0)]
    assert scalars(tmp_path, "training/bits_per_sample") == shown


def test_what_was_written_is_readable_before_the_file_is_ended(tmp_path):
    events = EventFile(tmp_path, 0)
    events.scalars(20, {"training/bits_per_sample": 3.5})
    assert scalars(tmp_path, "training/bits_per_sample") == [(20, 3.5)]
    events.close()


def test_sounds_and_pictures_come_back_as_they_were(tmp_path):
    tone = 0.5 * np.sin(2 * np.pi * 220 * np.arange(RATE // 4) / RATE)
    wav, png = tmp_path / "tone.wav", tmp_path / "tone.png"
    files.write(wav, tone, RATE)
    plots.sounds(png, [("tone", tone)], RATE)
    events = EventFile(tmp_path, 0)
    events.sound(20, "samples/sound", wav)
    events.picture(20, "samples/spectrogram", png)
    events.close()
    found = read(tmp_path)
    (heard,) = found.Tensors("samples/sound")
    assert (heard.step, heard.tensor_proto.string_val) == (20, [wav.read_bytes()])
    told = audio.parse_plugin_metadata(found.PluginTagToContent("audio")["samples/sound"])
    assert told.encoding == audio.Encoding.Value("WAV")
    (seen,) = found.Images("samples/spectrogram")
    assert seen.encoded_image_string == png.read_bytes()
    assert (seen.height, seen.width) == image.imread(png).shape[:2]
