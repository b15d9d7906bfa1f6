"""What people watch of a training: console and log.txt, TensorBoard, wandb, sounds, figures."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from wavegen.cli.console import Console, duration
from wavegen.errors import WavegenError

if TYPE_CHECKING:
    from wavegen.config import Config
    from wavegen.data.corpus import Corpus
    from wavegen.evaluation.samples import Sound
    from wavegen.model.network import Trained
    from wavegen.training.progress import Progress, Validation


class Board(Protocol):
    """A place that shows what came of each step: TensorBoard, wandb."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers by their names; one with a slash stands under what is before it."""

    def sound(self, step: int, name: str, wav: Path) -> None:
        """A WAV, mono."""

    def picture(self, step: int, name: str, png: Path) -> None:
        """A PNG."""

    def close(self) -> None:
        """There is no more to come."""


class Watch:
    """All that a training tells goes through here: it is said, written down, drawn and shown."""

    def __init__(self, run: Path, config: Config, corpus: Corpus, console: Console) -> None:
        self._run, self._config, self._corpus, self._console = run, config, corpus, console
        self._boards: list[Board] = []
        self._is_drawn = True  # there is nothing new that the figure of the loss does not show

    def tell(self, line: str) -> None:
        """A line for the person, and for log.txt."""
        self._write(line)
        self._console.note(line)

    def warn(self, words: str) -> None:
        """Something has gone wrong, and the training goes on."""
        self._write(f"warning: {words}")
        self._console.warn(words)

    def end(self, error: WavegenError) -> None:
        """Keeps what ended the training, if it had begun; the command line says it."""
        with contextlib.suppress(OSError):  # of a folder that is gone, or a full disk
            if self._boards:
                self._write(f"error: {error}")

    def begin(self, first: int, project: str | None, description: str) -> None:
        """Opens the boards for what comes after step `first`; wandb's where there is a project."""
        from wavegen.cli.weights_and_biases import Wandb
        from wavegen.training.events import EventFile

        self.tell(description)
        self._boards.append(EventFile(self._run, first))
        if project:
            self._boards.append(Wandb(project, self._run, self._config))

    def progress(self, line: Progress) -> None:
        """A line of the log."""
        self.tell(progress_line(line))
        self._is_drawn = False
        shown = {f"training/{name}": value for name, value in _shown(line).items()}
        for board in self._boards:
            board.scalars(line.step, shown)

    def validation(self, found: Validation) -> None:
        """A validation; it is drawn."""
        self.tell(validation_line(found))
        self._is_drawn = False
        for board in self._boards:
            board.scalars(
                found.step,
                {
                    "validation/bits_per_sample": found.validation_bits_per_sample,
                    "validation/accuracy": found.validation_accuracy,
                },
            )
        self.draw()

    def sample(self, trained: Trained) -> None:
        """Some seconds of what the network makes by now, to be heard and seen."""
        from wavegen.evaluation import samples

        try:
            with self._console.kernels_heard():
                seconds = self._config.training.sample_seconds
                sound = samples.make(trained, self._corpus, seconds)
            wav, png = self._keep(sound, trained.step)
        except WavegenError as error:  # no reason to end the training
            self.warn(f"no sound of step {trained.step}: {error.came}")
            return
        rate = self._config.audio.sample_rate
        for board in self._boards:
            board.sound(trained.step, "samples/sound", wav)
            board.picture(trained.step, "samples/spectrogram", png)
        self.tell(f"step {trained.step}  {sound.samples.size / rate:.1f} s of sound: {wav}")
        if sound.trouble:
            self.warn(f"{wav}: {sound.trouble}")
        self.draw()

    def _keep(self, sound: Sound, step: int) -> tuple[Path, Path]:
        """Writes a sound as a WAV that says how it was made, and as a figure."""
        from wavegen.audio import files
        from wavegen.evaluation import samples
        from wavegen.evaluation.figures import plots

        rate = self._config.audio.sample_rate
        name = f"step_{step:09d}_t{samples.DRAWS.temperature:g}_seed{samples.DRAWS.seed}"
        wav, png = self._run / "samples" / f"{name}.wav", self._run / "plots" / f"{name}.png"
        story = {"run": str(self._run), "step": step, **asdict(samples.DRAWS), **sound.story}
        files.write(wav, sound.samples, rate, "wav16", story)
        shown = sound.parts
        if sound.followed:
            original = self._run / "samples" / "followed.wav"
            if not original.exists():
                files.write(original, sound.followed.samples, rate)
            shown = [sound.followed, *shown]
        plots.sounds(png, shown, rate, f"step {step}")
        return wav, png

    def draw(self) -> None:
        """Draws the loss up to now."""
        from wavegen.evaluation.figures import curves

        if self._is_drawn:
            return
        try:
            curves.draw(self._run / "plots" / "loss.png", self._run)
        except WavegenError as error:
            self.warn(f"the loss was not drawn: {error.came}")
        self._is_drawn = True

    def close(self) -> None:
        """Ends what was written."""
        for board in self._boards:
            board.close()

    def _write(self, line: str) -> None:
        with (self._run / "log.txt").open("a", encoding="utf-8") as log:
            log.write(line + "\n")


def progress_line(line: Progress) -> str:
    """One line of the log."""
    memory = f"  memory {line.memory_bytes / 2**30:.2f} GiB" if line.memory_bytes else ""
    skipped = f"  skipped {line.skipped_steps}" if line.skipped_steps else ""
    return (
        f"step {line.step}/{line.steps}  {line.bits_per_sample:.3f} bits/sample  "
        f"acc {line.accuracy:.1%}  lr {line.learning_rate:.1e}  gnorm {line.gradient_norm:.2f}  "
        f"{line.steps_per_second:.2f} steps/s  {line.samples_per_second / 1000:.1f}k samples/s  "
        f"heard {duration(3600 * line.audio_hours)}{memory}{skipped}  "
        f"left {duration(line.seconds_left)}"
    )


def validation_line(found: Validation) -> str:
    """One line of the log about a validation."""
    return (
        f"step {found.step}  validation {found.validation_bits_per_sample:.3f} bits/sample  "
        f"acc {found.validation_accuracy:.1%}"
    )


def _shown(line: Progress) -> dict[str, Any]:
    """The figures of a line that have a curve to show."""
    hidden = ("step", "steps", "nats", "steps_per_second", "audio_hours_per_hour", "seconds_left")
    return {name: value for name, value in line._asdict().items() if name not in hidden}
