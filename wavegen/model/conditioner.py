"""The conditioner: signals per frame, through a recurrent cell, to every layer of the stack.

Each signal is a small module that turns one thing into [B, F, signal_channels]. The cell
runs once per frame. The signals also go past it, straight to the projection, so that what
is asked for need not survive a memory.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from wavegen.config import ACOUSTIC, Model, Vocabulary
from wavegen.config import Conditioner as ConditionerConfig
from wavegen.model import anchor
from wavegen.model.wavenet import smooth_embedding
from wavegen_kernels.steering import along

Array = jax.Array
Carry = Any  # the cell's memory: (c, h) of an LSTM, h of a GRU; each [B, hidden_channels]

BUMPS = 24  # of an age, and of a pitch: numbers that are 1 near a place on their scale
LONGEST_FRAMES = 1024  # the age at the end of its scale
OCTAVES = 8  # of periods from 2 samples on
ENVELOPE_CHANNELS = 256
# About where the logarithms lie that recordings are described by, and how far apart.
MIDDLE, APART = -5.0, 3.0
PAST_CHANNELS = 8  # width of each of the P codes of the frame before, once embedded


class Notes(nnx.Module):
    """What sounds and what starts: [B, F, 256] velocities in 0..1 to [B, F, channels].

    A key that sounds has a row of full scale besides one that grows with its velocity, so
    that a soft note is as clearly asked for as a loud one.
    """

    def __init__(self, channels: int, *, rngs: nnx.Rngs) -> None:
        self.sounding = nnx.Param(rngs.params.normal((256, channels)))
        self.velocity = nnx.Param(rngs.params.normal((256, channels)))

    def __call__(self, velocities: Array) -> Array:
        """The embedding of each frame."""
        on = (velocities > 0).astype(velocities.dtype)
        return on @ self.sounding[...] + velocities @ self.velocity[...]


class Past(nnx.Module):
    """The frame before: its P codes [B, F, P] to [B, F, channels].

    The upper tier of SampleRNN (Mehri et al. 2016, arXiv 1612.07837, section 2.1) with the
    codes embedded instead of taken as numbers.
    """

    def __init__(self, n_codes: int, hop_length: int, channels: int, *, rngs: nnx.Rngs) -> None:
        self.embed = nnx.Param(smooth_embedding(rngs, 1, n_codes, PAST_CHANNELS)[0])
        self.project = nnx.Linear(hop_length * PAST_CHANNELS, channels, rngs=rngs)

    def __call__(self, codes: Array) -> Array:
        """The embedding of each frame."""
        B, F, P = codes.shape
        return self.project(self.embed[...][codes].reshape(B, F, P * PAST_CHANNELS))


class Pitch(nnx.Module):
    """A fundamental and a level: [B, F, 2], see wavegen.audio.signals, to [B, F, channels].

    A pitch between two keys has a mean of their rows; where there is none (0), the level alone.
    """

    def __init__(self, channels: int, *, rngs: nnx.Rngs) -> None:
        self.keys = nnx.Param(rngs.params.normal((128, channels)))
        self.level = nnx.Linear(1, channels, rngs=rngs)

    def __call__(self, frames: Array) -> Array:
        """The embedding of each frame."""
        pitch = frames[..., :1]
        below = jnp.clip(jnp.floor(pitch[..., 0]).astype(jnp.int32), 0, 126)
        part = pitch - below[..., None]
        between = (1 - part) * self.keys[...][below] + part * self.keys[...][below + 1]
        return jnp.where(pitch > 0, between, 0.0) + self.level(frames[..., 1:])


class Expected(NamedTuple):
    """What a steered predictor is held to; see wavegen_kernels.steering."""

    levels: Any  # [B, F]: the logarithm of the mean square before each frame
    noises: Any  # [B, F]: the logarithm of the error level in it
    strengths: Any  # [B, F, K]: of the harmonics from its start on, see wavegen.model.anchor


class Clock(nnx.Module):
    """Age and period of the note that began last: [B, F] each, in samples, to [B, F, channels].

    Both on scales of logarithms: the first hundredth of a second matters as much as the third.
    What lies beyond the end of a scale is as at its end. An age of less than 0 lies before the
    scale's begin, where the first bumps fade: in the frame that it begins in, a note is silent
    for so long.
    """

    def __init__(self, hop_length: int, channels: int, *, rngs: nnx.Rngs) -> None:
        self.hop_length = hop_length
        self.project = nnx.Linear(2 * BUMPS, channels, rngs=rngs)

    def __call__(self, periods: Array, ages: Array) -> Array:
        """The embedding of each frame; before the first note the bias alone."""
        frames = ages / self.hop_length
        age = jnp.where(frames > 0, jnp.log2(1 + jnp.maximum(frames, 0)), frames)
        age = jnp.clip(age / math.log2(1 + LONGEST_FRAMES), -1, 1)
        octave = jnp.clip(jnp.log2(jnp.maximum(periods, 2) / 2) / OCTAVES, 0, 1)
        places = jnp.stack([age, octave], axis=-1)[..., None] * (BUMPS - 1)
        bumps = jnp.exp(-0.5 * (places - along(np.arange(BUMPS, dtype=np.float32), places)) ** 2)
        bumps = jnp.where((periods > 0)[..., None, None], bumps, 0.0)
        return 2 * self.project(bumps.reshape(*periods.shape, 2 * BUMPS))  # of unit variance


class Envelope(nnx.Module):
    """What the sound should be like: [B, F, width] of what is asked for to Expected."""

    def __init__(self, width: int, *, rngs: nnx.Rngs) -> None:
        self.inner = nnx.Linear(width, ENVELOPE_CHANNELS, rngs=rngs)
        self.outer = nnx.Linear(ENVELOPE_CHANNELS, 2 + anchor.BANDS, rngs=rngs)

    def __call__(self, heard: Array) -> Expected:
        """What is expected of each frame."""
        all_of_it = MIDDLE + APART * self.outer(jnp.tanh(self.inner(heard)))
        return Expected(all_of_it[..., 0], all_of_it[..., 1], all_of_it[..., 2:])


class Label(nnx.Module):
    """One thing said of the whole recording: ids [B] to [B, channels]; -1 is unknown, zeros.

    Shares of its values, [B, num_values] float32, give the mean of their rows: what lies between.
    """

    def __init__(self, num_values: int, channels: int, *, rngs: nnx.Rngs) -> None:
        self.num_values = num_values
        self.embed = nnx.Param(rngs.params.normal((num_values, channels)))

    def __call__(self, said: Array) -> Array:
        """The embedding of each recording, of ids or of shares."""
        if jnp.issubdtype(said.dtype, jnp.floating):
            # Rounded to bfloat16 or TF32, a share of 1 would not give the row itself.
            return jnp.matmul(said, self.embed[...], precision="highest")
        return jnp.where(said[:, None] >= 0, self.embed[...][said], 0.0)


class Conditioner(nnx.Module):
    """Signals in, conditioning of every layer out, frame by frame or all at once."""

    def __init__(
        self,
        config: ConditionerConfig,
        model: Model,
        n_codes: int,
        vocabulary: Vocabulary,
        *,
        rngs: nnx.Rngs,
    ) -> None:
        E, D = config.signal_channels, config.hidden_channels
        L, R = model.num_layers, model.residual_channels
        self.hidden_channels = D
        self.notes = Notes(E, rngs=rngs) if "notes" in config.signals else None
        self.past = (
            Past(n_codes, model.hop_length, E, rngs=rngs) if "past" in config.signals else None
        )
        self.widths = tuple(ACOUSTIC[name] for name in config.acoustic)
        self.acoustics = nnx.List(
            [
                Pitch(E, rngs=rngs)
                if name == "f0_loudness"
                else nnx.Linear(ACOUSTIC[name], E, rngs=rngs)
                for name in config.acoustic
            ]
        )
        self.labels = nnx.List(
            [Label(len(vocabulary.labels[name]), E, rngs=rngs) for name in config.labels]
        )
        steered = model.predictor.is_steered
        self.clock = Clock(model.hop_length, E, rngs=rngs) if steered else None
        width = E * (len(config.signals) + len(config.labels) + steered)
        cell = nnx.OptimizedLSTMCell if config.cell == "lstm" else nnx.GRUCell
        self.cell = cell(width, D, rngs=rngs)
        self.envelope = Envelope(D + width, rngs=rngs) if steered else None
        # Unit variance from each signal: what is asked for enters every layer at full scale. The
        # sound so far, most of which the stack hears as well, enters at zero, and is let in as far
        # as it helps: at full scale it costs 0.14 bits of twelve minutes (benchmarks/README.md).
        self.from_cell = nnx.Param(rngs.params.normal((D, L, 2 * R)) * D**-0.5)
        self.from_signals = nnx.Param(rngs.params.normal((width, L, 2 * R)) * E**-0.5)
        if self.past is not None:
            first = E * (self.notes is not None)
            self.from_signals[first : first + E] = 0.0
            if not config.asks:
                self.from_cell[...] *= 0.0

    def initial_carry(self, batch: int) -> Carry:
        """The memory before the first frame: zeros."""
        zeros = jnp.zeros((batch, self.hidden_channels))
        return (zeros, zeros) if isinstance(self.cell, nnx.OptimizedLSTMCell) else zeros

    def __call__(
        self,
        carry: Carry,
        notes: Array,  # [B, F, 256] float32; unused without the signal "notes"
        past: Array,  # [B, F, P] int32: codes of the frame before; unused without "past"
        labels: Array,  # [B, number of labels] int32, or [B, number of values] float32 shares
        valid: Array,  # [B, F] float32: 0 before a recording's start, where no memory forms
        acoustics: Array,  # [B, F, D] float32: the acoustic signals in the config's order
        periods: Array,  # [B, F] samples; unused without a steered predictor, as the ages are
        ages: Array,  # [B, F] samples
    ) -> tuple[Carry, Array, Expected | None]:  # carry, [B, F, L, 2R], of [B, F]
        """The memory after F frames, their conditioning, what a steered predictor is held to."""
        B, F = valid.shape
        signals = [
            module(codes)
            for module, codes in ((self.notes, notes), (self.past, past))
            if module is not None
        ]
        parts = jnp.split(acoustics, np.cumsum(self.widths, dtype=int), axis=-1)
        signals += [module(part) for module, part in zip(self.acoustics, parts, strict=False)]
        for label, said in zip(self.labels, self._each(labels), strict=True):
            one = label(said)[:, None]
            signals.append(jnp.broadcast_to(one, (B, F, one.shape[-1])))
        if self.clock is not None:
            signals.append(self.clock(periods, ages))
        heard = jnp.concatenate(signals, axis=-1)  # [B, F, width]

        def step(carry: Carry, frame: tuple[Array, Array]) -> tuple[Carry, Array]:
            inputs, is_valid = frame
            carry, out = self.cell(carry, inputs)
            return jax.tree.map(lambda memory: memory * is_valid[:, None], carry), out

        frames = (jnp.moveaxis(heard, 1, 0), jnp.moveaxis(valid, 1, 0))
        carry, out = jax.lax.scan(step, carry, frames)
        # Frames back to their place first: a product that also moves axes is five times as slow.
        out = jnp.moveaxis(out, 0, 1)
        cond = jnp.einsum("bfd,dlr->bflr", out, self.from_cell[...])
        cond = cond + jnp.einsum("bfi,ilr->bflr", heard, self.from_signals[...])
        if self.envelope is None:
            return carry, cond, None
        return carry, cond, self.envelope(jnp.concatenate([out, heard], axis=-1))

    def _each(self, labels: Array) -> list[Array]:
        """What is said of each label: its ids [B], or the shares of its values [B, num_values]."""
        if jnp.issubdtype(labels.dtype, jnp.floating):
            ends = np.cumsum([label.num_values for label in self.labels], dtype=int)
            return jnp.split(labels, ends, axis=1)[: len(self.labels)]
        return [labels[:, index] for index in range(len(self.labels))]
