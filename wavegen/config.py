"""What a run is: frozen dataclasses, read from TOML, written back to TOML.

The defaults are the tiny model of the tests; a file in configs/ holds only differences.
An unknown key is refused with the nearest known one, a value of the wrong type or out of
range in words. What follows from other values is a property, never a key.
"""

from __future__ import annotations

import copy
import dataclasses
import difflib
import importlib.metadata
import json
import math
import tomllib
import typing
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from wavegen.errors import WavegenError

# Signals measured in a recording, and how many numbers each has in a frame: wavegen.audio.signals
ACOUSTIC = {"mel": 64, "mfcc": 20, "f0_loudness": 2}
SIGNALS = ("notes", "past", *ACOUSTIC)
CELLS = ("lstm", "gru")
COMPUTE_DTYPES = ("float32", "bfloat16")
OPTIMIZERS = ("adamw", "lion", "muon")
SCHEDULES = ("cosine", "constant", "inverse_sqrt")
# What a predictor can follow, and the signal that has to be heard for it.
FOLLOWED = {"past": "", "notes": "notes", "f0": "f0_loudness"}


def _in(low: float, high: float = math.inf, **more: Any) -> Any:
    """A field whose value must lie in [low, high]."""
    return field(metadata={"low": low, "high": high}, **more)


def _one_of(*choices: str, **more: Any) -> Any:
    """A field whose value, or each of whose values, must be one of `choices`."""
    return field(metadata={"choices": choices}, **more)


@dataclass(frozen=True)
class Audio:
    """How sound becomes numbers."""

    sample_rate: int = _in(1000, 384_000, default=16_000)  # Hz
    n_codes: int = _in(4, 65_536, default=256)  # mu-law codes; mu = n_codes - 1


@dataclass(frozen=True)
class Predictor:
    """The linear predictor under the network; see wavegen_kernels.predictor.

    One that follows the past is fitted to it. The others are periodic, for sounds of one note at
    a time: they repeat what sounded one period ago, of the note that began last or of the
    fundamental of the recording that is heard.
    """

    order: int = _in(0, 1024, default=0)  # coefficients; 0: no predictor
    follows: str = _one_of(*FOLLOWED, default="past")
    window: int = _in(2, 65_536, default=1024)  # past samples that it hears
    refit: int = _in(1, default=64)  # samples from one fit to the next
    floor: float = _in(0.001, 100, default=0.2)  # codes; the least error that it counts on
    # What is left of a steady tone after a sample; after a period where it is periodic.
    damping: float = _in(0.01, 1, default=0.999)
    # Whether a fitted one is held to the pitch of the notes, and to the spectrum, the level and
    # the noise that the conditioner expects of them; see wavegen_kernels.steering.
    steered: bool = False

    @property
    def is_periodic(self) -> bool:
        """Whether it repeats what sounded one period ago, instead of being fitted."""
        return self.order > 0 and self.follows != "past"

    @property
    def is_steered(self) -> bool:
        """Whether it is fitted, and to what the notes ask for as well."""
        return self.order > 0 and self.follows == "past" and self.steered

    @property
    def periods_of(self) -> str:
        """Whose periods the predictor is told: "notes" or "f0"; else empty."""
        return self.follows if self.is_periodic else "notes" if self.is_steered else ""


@dataclass(frozen=True)
class Model:
    """Shape of the stack (R, S, H, K, L of the design) and of its frames."""

    residual_channels: int = _in(1, default=16)
    skip_channels: int = _in(1, default=32)
    head_channels: int = _in(1, default=32)
    layers_per_cycle: int = _in(1, 20, default=6)  # dilations 1, 2, 4, ... in each cycle
    dilation_cycles: int = _in(1, default=1)
    kernel_size: int = _in(2, 64, default=2)  # taps of every causal convolution
    hop_length: int = _in(1, default=64)  # samples per frame of conditioning
    predictor: Predictor = Predictor()

    @property
    def num_layers(self) -> int:
        """Layers of the stack."""
        return self.layers_per_cycle * self.dilation_cycles

    @property
    def dilations(self) -> tuple[int, ...]:
        """Dilation of each layer, in samples."""
        return tuple(2 ** (layer % self.layers_per_cycle) for layer in range(self.num_layers))

    @property
    def receptive_field(self) -> int:
        """Past samples that one prediction of the stack can hear, the input layer included."""
        return 1 + (self.kernel_size - 1) * (1 + sum(self.dilations))

    @property
    def predictor_frames(self) -> int:
        """Frames that the predictor has to hear before its first sample; 0 without one."""
        return math.ceil(self.predictor.window / self.hop_length) if self.predictor.order else 0


@dataclass(frozen=True)
class Conditioner:
    """What steers the stack: signals per frame and labels, through an LSTM or GRU."""

    signals: tuple[str, ...] = _one_of(*SIGNALS, default=())
    labels: tuple[str, ...] = ()  # names of the corpus's labels, such as "instrument"
    cell: str = _one_of(*CELLS, default="lstm")
    hidden_channels: int = _in(1, default=32)  # width of the recurrent cell
    signal_channels: int = _in(1, default=32)  # width of each signal and label once embedded

    @property
    def is_used(self) -> bool:
        """Whether there is a conditioner at all; without signals the model is unconditional."""
        return bool(self.signals or self.labels)

    @property
    def asks(self) -> tuple[str, ...]:
        """The signals and labels that somebody asks for: all but the sound so far."""
        return tuple(name for name in (*self.signals, *self.labels) if name != "past")

    @property
    def acoustic(self) -> tuple[str, ...]:
        """The signals that are measured in a recording, which it then has to be given."""
        return tuple(name for name in self.signals if name in ACOUSTIC)


@dataclass(frozen=True)
class Augmentation:
    """What is changed at random in the recordings of each training window; see wavegen.data."""

    gain_db: float = _in(0, 40, default=0.0)  # up to so much louder or softer
    polarity_fraction: float = _in(0, 1, default=0.0)  # share of windows that are turned over
    delay_samples: int = _in(0, default=0)  # up to so late, less than a frame
    transpose_semitones: int = _in(0, 24, default=0)  # up to so far up or down, notes as well
    softer_db: float = _in(0, 60, default=0.0)  # up to so much softer, the velocities as well
    let_go_fraction: float = _in(0, 1, default=0.0)  # share of single notes that end sooner


@dataclass(frozen=True)
class Training:
    """How the network learns."""

    init_from: str = ""  # run or instrument to begin from; "shipped" is the one in the box
    steps: int = _in(1, default=1000)
    batch_size: int = _in(1, default=4)  # windows
    crop_samples: int = _in(1, default=4096)  # samples of a window that carry loss
    first_crop_samples: int = _in(0, default=0)  # of the first windows; these double until they
    curriculum_steps: int = _in(0, default=0)  # are whole, after so many steps; 0: whole at once
    start_fraction: float = _in(0, 1, default=0.25)  # share of windows at recordings' starts
    context_seconds: float = _in(0, 60, default=1.0)  # frames heard before a window
    input_jitter: int = _in(0, default=0)  # codes; inputs are moved by up to this, targets not
    condition_dropout: float = _in(0, 1, default=0.0)  # share of windows that hear no conditioning
    label_smoothing: float = _in(0, 0.99, default=0.0)  # share of the loss that asks for all codes
    compute_dtype: str = _one_of(*COMPUTE_DTYPES, default="float32")  # of the stack's products
    microbatches: int = _in(1, default=1)  # equal parts of a batch, computed one after the other
    # Whether a layer's inner activations are computed again for its gradient instead of kept.
    remat: bool = True
    optimizer: str = _one_of(*OPTIMIZERS, default="adamw")
    schedule: str = _one_of(*SCHEDULES, default="cosine")  # of the learning rate
    learning_rate: float = _in(0, 1, default=2e-3)  # the highest, after the warm-up
    final_learning_rate: float = _in(0, 1, default=1e-4)  # of the cosine schedule
    warmup_steps: int = _in(0, default=50)
    weight_decay: float = _in(0, 1, default=0.0)
    clip_norm: float = _in(1e-9, default=1.0)  # of the whole gradient
    ema_decay: float = _in(0, 1, default=0.999)
    seed: int = _in(0, 2**31 - 1, default=0)
    log_every: int = _in(1, default=20)  # steps
    validate_every: int = _in(1, default=500)  # steps
    validation_seconds: float = _in(0.01, default=60.0)  # of the split, at most, while training
    patience: int = _in(0, default=0)  # validations without a better one that end it; 0: never
    save_every: int = _in(1, default=500)  # steps
    keep_checkpoints: int = _in(1, default=3)  # newest ones; the best is kept as well
    keep_every: int = _in(0, default=0)  # steps; one of every so many stays for good; 0: none
    sample_every: int = _in(0, default=1000)  # steps from one sound of samples/ to the next; 0: off
    sample_seconds: float = _in(0.01, 3600, default=4.0)  # of sound, each time


@dataclass(frozen=True)
class Config:
    """A whole run, resolved."""

    audio: Audio = Audio()
    model: Model = Model()
    conditioner: Conditioner = Conditioner()
    augmentation: Augmentation = Augmentation()
    training: Training = Training()

    def __post_init__(self) -> None:
        for section in dataclasses.fields(self):
            _check_ranges(section.name, getattr(self, section.name))
        _check_predictor(self.model, self.conditioner)
        _check_training(self.training, self.model.hop_length)
        hop = self.model.hop_length
        if self.training.condition_dropout and not self.conditioner.asks:
            raise WavegenError(
                f"training.condition_dropout is {self.training.condition_dropout}, and there is "
                "nothing that could be left out",
                "a signal other than past among conditioner.signals, or a label",
            )
        if self.augmentation.delay_samples >= hop:
            raise WavegenError(
                f"augmentation.delay_samples is {self.augmentation.delay_samples}, "
                f"a frame (model.hop_length) {hop} samples",
                "a delay of less than a frame: a longer one only moves the frames",
                f"take up to {hop - 1}",
            )
        repeated = {name for name in self.conditioner.labels if name in SIGNALS}
        if repeated or len(set(self.conditioner.labels)) < len(self.conditioner.labels):
            raise WavegenError(
                f"conditioner.labels is {list(self.conditioner.labels)}",
                "each label once, and no signal's name among them",
            )

    @property
    def receptive_field_seconds(self) -> float:
        """How far back the stack hears, in seconds."""
        return self.model.receptive_field / self.audio.sample_rate

    @property
    def frame_seconds(self) -> float:
        """Duration of a frame of conditioning."""
        return self.model.hop_length / self.audio.sample_rate

    @property
    def lead_frames(self) -> int:
        """Frames of a window before its crop: the receptive field, rounded up."""
        return math.ceil(self.model.receptive_field / self.model.hop_length)

    @property
    def window_frames(self) -> int:
        """Frames of a training window: receptive field and crop."""
        return self.lead_frames + self.training.crop_samples // self.model.hop_length

    @property
    def crop_stages(self) -> tuple[int, ...]:
        """Samples of a crop as training goes on: they double from the first to the whole."""
        crop = self.training.first_crop_samples or self.training.crop_samples
        stages = []
        while crop < self.training.crop_samples:
            stages.append(crop)
            crop *= 2
        return (*stages, self.training.crop_samples)

    def at(self, step: int) -> Config:
        """The config with the crop of a step; those that are not yet whole last equally long."""
        growing = self.crop_stages[:-1]
        if not growing or step >= self.training.curriculum_steps:
            return self
        crop = growing[step * len(growing) // self.training.curriculum_steps]
        return replace(
            self,
            training=replace(
                self.training, crop_samples=crop, first_crop_samples=0, curriculum_steps=0
            ),
        )

    @property
    def context_frames(self) -> int:
        """Frames that conditioner and predictor hear before a window; no stack, no loss."""
        heard = self.training.context_seconds if self.conditioner.is_used else 0.0
        return max(math.ceil(heard / self.frame_seconds), self.model.predictor_frames)


@dataclass(frozen=True)
class Vocabulary:
    """The names and notes a corpus holds; a model keeps those it was trained on.

    A label's id is its value's place in the tuple. Pitches are MIDI numbers, velocities
    1 to 127; both are sorted, and empty where the recordings have no notes.
    """

    labels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    pitches: tuple[int, ...] = ()
    velocities: tuple[int, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and dicts, for JSON."""
        return {
            "labels": {name: list(values) for name, values in self.labels.items()},
            "pitches": list(self.pitches),
            "velocities": list(self.velocities),
        }

    @classmethod
    def from_dict(cls, tree: dict[str, Any]) -> Vocabulary:
        """The inverse of `to_dict`."""
        return cls(
            labels={name: tuple(values) for name, values in tree["labels"].items()},
            pitches=tuple(tree["pitches"]),
            velocities=tuple(tree["velocities"]),
        )


def load(name: str | Path, overrides: Sequence[str] = ()) -> Config:
    """The config at a path, or of that name among the shipped ones, with `section.key=value`s."""
    path = find(name)
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise WavegenError(
            f"{path} is not TOML: {error}", "a file like those in configs/"
        ) from None
    return from_dict(apply_overrides(tree, overrides), where=str(path))


def find(name: str | Path) -> Path:
    """The file that a config's path or name means."""
    path = Path(name)
    if path.is_file():
        return path
    shipped = {file.stem: file for file in shipped_configs()}
    if path.parent == Path() and path.stem in shipped and path.suffix in ("", ".toml"):
        return shipped[path.stem]
    if path.parent == Path("configs") and path.stem in shipped:
        return shipped[path.stem]
    near = difflib.get_close_matches(path.stem, shipped, 1)
    raise WavegenError(
        f"there is no config '{name}'",
        "a path to a .toml file, or one of: " + ", ".join(sorted(shipped)),
        f"did you mean '{near[0]}'?" if near else "",
    )


def shipped_configs() -> list[Path]:
    """The files of configs/, in a checkout as well as after an ordinary install."""
    checkout = Path(__file__).parents[1]
    if (checkout / "configs" / "tiny.toml").is_file():
        return sorted((checkout / "configs").glob("*.toml"))
    try:
        files = importlib.metadata.files("wavegen") or []
    except importlib.metadata.PackageNotFoundError:
        return []
    found = [file for file in files if "share/wavegen/configs/" in file.as_posix()]
    return sorted(Path(str(file.locate())).resolve() for file in found)


def apply_overrides(tree: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """`tree` with every `section.key=value` put in; values are TOML, or else plain words."""
    result = copy.deepcopy(tree)
    for override in overrides:
        key, equals, text = override.partition("=")
        section, dot, name = key.strip().rpartition(".")
        if not (equals and dot and name):
            raise WavegenError(
                f"--set {override}", "section.key=value, such as training.steps=2000"
            )
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text.strip()
        table = result
        for part in section.split("."):
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise WavegenError(f"'{section}' must be a table, got {table!r}")
        table[name] = value
    return result


def from_dict(tree: dict[str, Any], where: str = "the config") -> Config:
    """A Config from nested dicts; errors name the key and `where` it stands."""
    try:
        return _build(Config, tree, "")
    except WavegenError as error:
        raise WavegenError(f"{where}: {error.came}", error.wanted, error.do) from None


def to_dict(config: Config) -> dict[str, Any]:
    """Nested plain dicts; `from_dict` gives the config back."""
    return json.loads(json.dumps(dataclasses.asdict(config)))


def to_toml(config: Config) -> str:
    """The whole config as TOML: every key, defaults included."""
    # Whole numbers, floats, booleans, strings and lists of strings read the same in JSON and TOML.
    lines = []
    for section, values in _sections(to_dict(config)).items():
        lines += [f"[{section}]", *(f"{k} = {json.dumps(v)}" for k, v in values.items()), ""]
    return "\n".join(lines)


def _sections(tree: dict[str, Any], path: str = "") -> dict[str, dict[str, Any]]:
    """The tables of nested dicts by their full names, each without the tables inside it."""
    found = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            name = path + key
            found[name] = {k: v for k, v in value.items() if not isinstance(v, dict)}
            found |= _sections(value, name + ".")
    return found


def differences(old: Config, new: Config) -> list[str]:
    """One line for each key whose value differs, as `section.key: old -> new`."""
    before, after = _sections(to_dict(old)), _sections(to_dict(new))
    return [
        f"{section}.{key}: {before[section][key]} -> {value}"
        for section, values in after.items()
        for key, value in values.items()
        if before[section][key] != value
    ]


def _build(kind: type, tree: dict[str, Any], path: str) -> Any:
    """A dataclass from a dict, strict in keys and types."""
    hints = typing.get_type_hints(kind)
    values = {}
    for key, value in tree.items():
        name = path + key
        if key not in hints:
            near = difflib.get_close_matches(key, hints, 1)
            raise WavegenError(
                f"unknown key '{name}'",
                "one of: " + ", ".join(path + known for known in hints),
                f"did you mean '{path}{near[0]}'?" if near else "",
            )
        if dataclasses.is_dataclass(hints[key]):
            if not isinstance(value, dict):
                raise WavegenError(f"'{name}' is {value!r}", f"a table: [{name}]")
            values[key] = _build(typing.cast(type, hints[key]), value, name + ".")
        else:
            values[key] = _convert(name, value, hints[key])
    return kind(**values)


def _convert(name: str, value: Any, hint: Any) -> Any:
    """`value` as the type that the field asks for; whole numbers may stand for floats."""
    if hint is float and type(value) is int:
        return float(value)
    if hint == tuple[str, ...]:
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
        raise WavegenError(f"'{name}' is {value!r}", 'a list of names, such as ["notes"]')
    if type(value) is not hint:
        words = {
            int: "a whole number",
            float: "a number",
            str: "a word in quotes",
            bool: "true or false",
        }
        raise WavegenError(f"'{name}' is {value!r}", words[hint])
    return value


def _check_predictor(model: Model, conditioner: Conditioner) -> None:
    predictor = model.predictor
    if predictor.steered and not predictor.is_steered:
        raise WavegenError(
            f"model.predictor.steered is true, of order {predictor.order} and following "
            f"'{predictor.follows}': there is nothing to steer",
            "a predictor that is fitted to the past",
            "take model.predictor.order=128 and model.predictor.follows=past",
        )
    if predictor.is_steered and "notes" not in conditioner.signals:
        raise WavegenError(
            "model.predictor.steered is true, and the conditioner hears no notes to steer by",
            "conditioner.signals with 'notes' among them",
        )
    signal = FOLLOWED[predictor.follows]
    if predictor.is_periodic and signal not in conditioner.signals:
        raise WavegenError(
            f"model.predictor.follows is '{predictor.follows}': the conditioner does not hear that",
            f"conditioner.signals with '{signal}' among them",
            "add it, or take model.predictor.follows=past",
        )
    if predictor.order and predictor.order >= predictor.window:
        raise WavegenError(
            f"model.predictor.order is {predictor.order}, its window {predictor.window} samples",
            "an order below the window: a fit needs more samples than coefficients",
            f"take model.predictor.window={8 * predictor.order}, or a lower order",
        )
    fitted = predictor.order and not predictor.is_periodic
    if fitted and model.hop_length % predictor.refit:
        raise WavegenError(
            f"model.predictor.refit is {predictor.refit}, which does not divide "
            f"model.hop_length ({model.hop_length})",
            "whole fits in a frame",
            f"take model.predictor.refit={math.gcd(predictor.refit, model.hop_length)}",
        )


def _check_training(training: Training, hop: int) -> None:
    for name in ("crop_samples", "first_crop_samples"):
        crop = getattr(training, name)
        if crop % hop:
            raise WavegenError(
                f"training.{name} is {crop}, which is not a multiple of model.hop_length ({hop})",
                "whole frames in a crop",
                f"take {max(1, round(crop / hop)) * hop}",
            )
    if (training.first_crop_samples > 0) != (training.curriculum_steps > 0):
        raise WavegenError(
            f"training.first_crop_samples is {training.first_crop_samples}, "
            f"training.curriculum_steps {training.curriculum_steps}",
            "both or neither: how long crops are at first, and after how many steps they are whole",
        )
    if training.first_crop_samples > training.crop_samples:
        raise WavegenError(
            f"training.first_crop_samples is {training.first_crop_samples}, more than "
            f"training.crop_samples",
            "crops that grow",
            f"take up to {training.crop_samples}",
        )
    if training.batch_size % training.microbatches:
        fit = next(n for n in range(training.microbatches, 0, -1) if training.batch_size % n == 0)
        raise WavegenError(
            f"training.microbatches is {training.microbatches}, which does not divide "
            f"training.batch_size ({training.batch_size})",
            "equal parts of a batch",
            f"take training.microbatches={fit}",
        )


def _check_ranges(section: str, values: Any) -> None:
    for entry in dataclasses.fields(values):
        name, value = f"{section}.{entry.name}", getattr(values, entry.name)
        if dataclasses.is_dataclass(type(value)):
            _check_ranges(name, value)
        if "low" in entry.metadata:
            low, high = entry.metadata["low"], entry.metadata["high"]
            if not low <= value <= high or not math.isfinite(value):
                bounds = f"at least {low:g}" if high == math.inf else f"{low:g} to {high:g}"
                raise WavegenError(f"'{name}' is {value!r}", bounds)
        for item in value if isinstance(value, tuple) else (value,):
            choices = entry.metadata.get("choices")
            if choices and item not in choices:
                near = difflib.get_close_matches(str(item), choices, 1)
                raise WavegenError(
                    f"'{name}' holds '{item}'",
                    "one of: " + ", ".join(choices),
                    f"did you mean '{near[0]}'?" if near else "",
                )
