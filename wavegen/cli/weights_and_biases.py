"""The only door to wandb, an optional extra."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wavegen import config as configs
from wavegen.config import Config
from wavegen.errors import WavegenError

ID_FILE = "wandb_id.txt"  # in the run folder: what goes on is the same run there, too


class Wandb:
    """A run of a project at wandb, whose own settings say whether it is sent (WANDB_MODE)."""

    def __init__(self, project: str, run: Path, config: Config) -> None:
        self._wandb = module()
        known = run / ID_FILE
        try:
            self._run = self._wandb.init(
                project=project,
                name=run.absolute().name,
                id=known.read_text(encoding="utf-8").strip() if known.exists() else None,
                resume="allow",
                dir=str(run),
                config=configs.to_dict(config),
            )
        except self._wandb.Error as error:
            raise WavegenError(
                f"wandb does not start: {error}",
                "a wandb that is logged in, or offline",
                "`wandb login`, or set WANDB_MODE=offline and `wandb sync` later",
            ) from None
        known.write_text(self._run.id + "\n", encoding="utf-8")

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers by their names."""
        self._run.log(dict(values), step=step)

    def sound(self, step: int, name: str, wav: Path) -> None:
        """A WAV, mono."""
        self._run.log({name: self._wandb.Audio(str(wav))}, step=step)

    def picture(self, step: int, name: str, png: Path) -> None:
        """A PNG."""
        self._run.log({name: self._wandb.Image(str(png))}, step=step)

    def close(self) -> None:
        """Ends the run; waits until all was sent, where it is sent."""
        self._run.finish()


def module() -> Any:
    """wandb; WavegenError where it is not installed."""
    try:
        import wandb  # pyright: ignore[reportMissingImports]
    except ImportError:
        wandb = None
    # A folder of wandb's logs, where the program was started, looks like an empty package.
    if not hasattr(wandb, "init"):
        raise WavegenError(
            "--wandb was given, and wandb is not installed",
            do="pip install 'wavegen[wandb]', or leave --wandb out: TensorBoard and metrics.jsonl "
            "need nothing more",
        )
    return wandb
