"""The linear predictor: fit, error, distribution; against other people's and float64."""

import jax
import jax.numpy as jnp
import librosa
import numpy as np
import pytest
import scipy.linalg
import scipy.signal
import scipy.stats
import soundfile
from numba import njit

from wavegen.audio import mulaw
from wavegen_kernels import cases, predictor
from wavegen_kernels.cpu import predictor as compiled
from wavegen_kernels.cpu import vector
from wavegen_kernels.predictor import Echo, Foretold
from wavegen_kernels.weights import amplitudes

W, N = 1024, 64
EVERY_CODE = amplitudes(256)


def codes_of(samples):
    """The nearest code's amplitude: what the predictor hears of any recording."""
    edges = (EVERY_CODE[1:] + EVERY_CODE[:-1]) / 2
    return EVERY_CODE[np.searchsorted(edges, samples)]


def recordings(shared_data):
    folders = ("music/piano_rendered", "music/bach_violin", "speech/ljspeech/test")
    paths = [sorted((shared_data / folder).glob("*.flac"))[0] for folder in folders]
    sounds = [soundfile.read(path, dtype="float64")[0] for path in paths]
    return [sound[len(sound) // 3 :][:4096] for sound in sounds]


def hostile():
    """Windows that fits have stumbled over."""
    t, rng = np.arange(W), np.random.default_rng(0)
    sounds = {
        "digital zero": np.zeros(W),
        "silence": np.full(W, EVERY_CODE[128]),
        "dc": np.full(W, EVERY_CODE[250]),
        "full scale": np.ones(W),
        "a pure tone": np.sin(0.1 * t),
        "a pure tone in codes": codes_of(np.sin(0.1 * t)),
        "the highest tone": (-1.0) ** t,
        "a clipped tone": np.clip(9 * np.sin(0.05 * t), -1, 1),
        "noise": codes_of(rng.uniform(-1, 1, W)),
        "a click at last": np.eye(W)[-1],
        "a click at first": np.eye(W)[0],
        "a start": np.where(t < W - 5, EVERY_CODE[128], EVERY_CODE[255]),
        "very soft": 1e-30 * rng.normal(size=W),
    }
    return list(sounds.values()), list(sounds)


SOUNDS, NAMES = hostile()


@njit
def _fit(anchor, loud, samples, counts, lattice, fitted):
    compiled.fit(anchor, loud, samples, counts, np.float32(1), lattice, fitted)


def fit_compiled(samples, order, anchor=(), loud=1.0):
    fitted, A = np.empty(order, np.float32), len(anchor)
    counts = np.concatenate([np.ones(A), predictor.weights_of_samples(len(samples))])
    lattice = np.empty((3, A + len(samples)), np.float32)
    of_anchor = np.array(anchor, np.float32), np.float32(loud)
    _fit(*of_anchor, samples.astype(np.float32), counts.astype(np.float32), lattice, fitted)
    return fitted[::-1]


def fit_jax(samples, order):
    return np.asarray(predictor.fit(jnp.asarray(samples, jnp.float32), order, 1.0, jnp))


def fit_exact(samples, order):
    return predictor.fit(np.asarray(samples, np.float64), order, 1.0, np)


FITS = {"numpy": fit_exact, "jax": fit_jax, "compiled": fit_compiled}


def errors_of(coefficients, samples):
    """What is left of samples once the ones before them have been heard."""
    return scipy.signal.lfilter(np.concatenate([[1], -coefficients]), 1, samples)


# --- the fit ---


@pytest.mark.parametrize("order", [1, 16, N])
def test_a_fit_without_weights_is_librosas(order, shared_data):
    for sound in recordings(shared_data):
        samples = codes_of(sound)[:W]
        found = predictor.fit(samples, order, 1.0, np, weights=np.ones(W))
        expected = -librosa.lpc(samples, order=order)[1:]
        # librosa takes no noise for granted; -50 dB of it moves where there is nothing to hear.
        found, expected = (errors_of(each, samples)[order:] for each in (found, expected))
        assert np.sqrt(np.mean((found - expected) ** 2)) < 0.1 * expected.std()
        assert found.std() < 1.02 * expected.std()


def test_a_fit_foretells_what_comes_next_better_than_autocorrelation_does(shared_data):
    ours, theirs = [], []
    for sound in recordings(shared_data):
        sound = codes_of(sound)
        for start in range(0, len(sound) - W - 64, 256):
            past, coming = sound[start : start + W], sound[start : start + W + 64]
            windowed = past * np.hanning(W + 2)[1:-1]
            r = np.correlate(windowed, windowed, "full")[W - 1 : W + N]
            r[0] *= 1 + 1e-9
            ours.append(errors_of(fit_exact(past, N), coming)[W:])
            theirs.append(errors_of(scipy.linalg.solve_toeplitz(r[:-1], r[1:]), coming)[W:])
    assert np.log(np.std(ours, axis=1)).mean() < np.log(np.std(theirs, axis=1)).mean() - 0.1


def test_a_fit_finds_the_process_that_made_a_sound():
    made_by = np.array([1.6, -1.2, 0.5, -0.2])
    noise = np.random.default_rng(0).normal(size=200_000)
    sound = scipy.signal.lfilter([1], np.concatenate([[1], -made_by]), noise)
    # The standard error of a coefficient is at most 1 / sqrt(samples); a ramp's weights count
    # as 3/4 of them.
    np.testing.assert_allclose(fit_exact(sound, 4), made_by, atol=0.01)


@pytest.mark.parametrize("way", FITS)
@pytest.mark.parametrize("sound", SOUNDS, ids=NAMES)
def test_a_fit_is_of_minimum_phase_whatever_it_hears(sound, way):
    found = FITS[way](sound, N)
    assert np.isfinite(found).all()
    # What it makes of a click dies away; a root outside of the unit circle would let it grow.
    # Twenty seconds: a pure tone's own poles lie 1e-5 within the circle.
    ringing = scipy.signal.lfilter(
        [1], np.concatenate([[1], -found]), scipy.signal.unit_impulse(320_000)
    )
    assert np.abs(ringing[-1000:]).max() < 0.9 * np.abs(ringing[:1000]).max() + 1e-9


@pytest.mark.parametrize("way", ["jax", "compiled"])
def test_fits_in_float32_foretell_what_float64_does(way, shared_data):
    for sound in recordings(shared_data):
        samples = codes_of(sound)[:W]
        found, exact = (
            np.asarray(errors_of(f(samples, N), samples)) for f in (FITS[way], fit_exact)
        )
        # 1e-7 a rounding, a hundredfold by 64 stages that take 40 dB away.
        assert np.abs(found - exact).max() < 1e-3 * exact.std()


# As many samples as an anchor has, one more than whole vectors, and fewer than taps.
@pytest.mark.parametrize("count", [512, 513, N // 2])
def test_compiled_fits_hear_an_anchor_as_the_reference_does(count, shared_data):
    anchor = np.cos(0.3 * np.arange(count)) + 0.3 * np.cos(0.6 * np.arange(count))
    for sound in recordings(shared_data):
        samples = codes_of(sound)[:W]
        alone = fit_exact(samples, N)
        exact = predictor.fit(samples, N, 1.0, np, anchors=0.7 * anchor)
        found, exact, alone = (
            np.asarray(errors_of(each, samples))
            for each in (fit_compiled(samples, N, anchor, 0.7), exact, alone)
        )
        assert np.abs(exact - alone).max() > 0.1 * alone.std()  # it is heard
        assert np.abs(found - exact).max() < 1e-3 * exact.std()  # as above


# --- all samples at once, and one after the other ---

SETTINGS = {"order": 16, "window": 128, "refit": 32, "floor": 0.2, "damping": 0.999}
PART = 32  # samples of unchanging coefficients
# Three recordings, twenty frames: changing, none yet, too short for the taps, out of reach.
PERIODS = np.linspace([20.4, 0, 3.3], [90, 70.5, 200], 20, axis=1)
KINDS = pytest.mark.parametrize("periods", [None, PERIODS], ids=["fitted", "periodic"])


def one_by_one(samples, periods, order, window, refit, floor, damping):
    """[B, W + T] samples through the step functions, in float64."""
    errors, told, fitted = np.zeros((len(samples), 3)), [], Echo(np.empty(0), np.empty(0))
    for t in range(samples.shape[1] - window):
        past = samples[:, t : t + window]
        if t % PART == 0 and periods is not None:
            fitted = predictor.echo(periods[:, t // PART], order, window, damping, np)
        elif t % PART == 0:
            fitted = Echo(np.ones(3, int), predictor.fit(past, order, damping, np))
        ago = window - fitted.delay[:, None] - np.arange(order)[::-1]
        near = np.take_along_axis(past, ago, axis=1)
        told.append(predictor.foretell(near, fitted.taps, errors, floor, 256, np))
        errors = predictor.updated(errors, told[-1], samples[:, window + t], np)
    return Foretold(*(np.stack(each, axis=1) for each in zip(*told, strict=True))), errors


def all_at_once(samples, errors, periods):
    periods = None if periods is None else jnp.asarray(periods, jnp.float32)
    return predictor.foretell_all(samples, errors, periods, n_codes=256, **SETTINGS)[:2]


def sounds(length=128 + 640):
    """Three chords that fade, with hiss, in codes: neither foretold whole nor not at all."""
    rng, t = np.random.default_rng(0), np.arange(length)
    hertz = rng.uniform(100, 2000, (3, 5, 1))
    chords = np.sin(2 * np.pi * hertz * t / 16_000).sum(axis=1) * 0.15 * 0.998**t
    return codes_of(chords + 0.002 * rng.normal(size=(3, length)))


@KINDS
def test_all_at_once_is_the_same_as_one_sample_after_the_other(periods):
    samples = sounds()
    exact, errors_after = one_by_one(samples, periods, **SETTINGS)
    found, after = all_at_once(jnp.asarray(samples, jnp.float32), jnp.zeros((3, 3)), periods)
    # In units of the error level, for that is what the distribution is measured in; and half a
    # dozen roundings of numbers up to 1, where the level is at its floor. A period in float32
    # is off by 4e-6 samples, and a sound moves up to its full height in one.
    rounding = 4e-7 if periods is None else 4e-6
    assert (np.abs(found.value - exact.value) < 2e-4 * exact.error + rounding).all()
    np.testing.assert_allclose(found.error, exact.error, rtol=2e-4)
    np.testing.assert_allclose(found.surprise, exact.surprise, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(after, errors_after, rtol=4e-4)


@KINDS
def test_parts_of_a_recording_are_the_same_as_all_of_it(periods):
    samples = jnp.asarray(sounds(), jnp.float32)
    whole, end = all_at_once(samples, jnp.zeros((3, 3)), periods)
    errors, parts = jnp.zeros((3, 3)), []
    for first, last in ((0, 32), (32, 320), (320, 640)):
        asked = None if periods is None else periods[:, first // PART : last // PART]
        part, errors = all_at_once(samples[:, first : 128 + last], errors, asked)
        parts.append(part)
    for i in range(3):
        joined = np.concatenate([part[i] for part in parts], axis=1)
        np.testing.assert_allclose(joined, whole[i], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(errors, end, rtol=1e-4)


@KINDS
def test_nothing_is_foretold_from_what_comes_later(periods):
    samples = jnp.asarray(sounds(), jnp.float32)
    before, _ = all_at_once(samples, jnp.zeros((3, 3)), periods)
    at = 300
    after, _ = all_at_once(samples.at[:, 128 + at].set(0.9), jnp.zeros((3, 3)), periods)
    for i in range(3):
        np.testing.assert_array_equal(before[i][:, : at + 1], after[i][:, : at + 1])
        changed = before[i][:, at + 1] != after[i][:, at + 1]
        assert changed.all() or (periods is not None and i == 0)  # an echo comes later


# --- the periodic kind ---


@pytest.mark.parametrize("period", [2.5, 7.0, 30.58, 61.2, 400.37])
def test_a_periodic_sound_is_foretold_whole(period):
    order, t = 16, np.arange(2000)
    partials = np.arange(1, max(2, int(0.6 * period / 2)))  # up to 0.6 of the highest there can be
    phases = np.random.default_rng(0).uniform(0, 2 * np.pi, len(partials))
    sound = np.sin(2 * np.pi * partials[:, None] * t / period + phases[:, None]).mean(axis=0)
    delay, taps = predictor.echo(np.array([period]), order, 1000, 1.0, np)
    near = np.lib.stride_tricks.sliding_window_view(sound, order)[:, ::-1]  # newest first
    found = near @ taps[0]
    late = delay[0] + order - 1  # the first of `found` foretells the sample so many later
    # A windowed sinc of 16 taps is good to about 40 dB there.
    assert np.abs(found[: len(sound) - late] - sound[late:]).max() < 0.02 * np.abs(sound).max()


def test_echoes_neither_grow_nor_look_outside_of_the_window():
    periods = np.exp(np.random.default_rng(0).uniform(0, np.log(300), 5000))
    delay, taps = predictor.echo(periods, 16, 128, 1.0, np)
    heard = taps.any(axis=1)
    np.testing.assert_allclose(taps[heard].sum(axis=1), 1, rtol=1e-6)
    # Gains above 1 at a frequency would let a partial grow from period to period.
    assert np.abs(np.fft.rfft(taps, 512)).max() < 1.03
    assert (delay >= 1).all()
    assert (delay[heard] + 15 <= 128).all()
    assert heard[periods < 110].all()
    assert not heard[periods > 130].any()
    nothing = predictor.echo(np.zeros(3), 16, 128, 1.0, np)
    assert (nothing.delay == 1).all()
    assert not nothing.taps.any()


def test_an_echo_changes_smoothly_with_the_period():
    periods = np.linspace(20, 40, 20_001)
    delay, taps = predictor.echo(periods, 6, 128, 1.0, np)
    at = np.zeros((len(periods), 128))
    np.put_along_axis(at, delay[:, None] + np.arange(6), taps, axis=1)
    assert np.abs(np.diff(at, axis=0)).max() < 5e-3  # a step of 1e-3 samples, slopes below 3


def test_the_error_level_follows_the_error():
    errors, levels, nothing = np.zeros((1, 3)), [], np.zeros(1)
    for t in range(6000):
        error = 0.1 if t < 2000 else 1e-3
        level = predictor.level(errors[:, 0], errors[:, 1], nothing, 0.01, 256, np)
        told = Foretold(nothing, level, nothing)
        errors = predictor.updated(errors, told, np.full(1, error), np)
        levels.append(predictor.level(errors[:, 0], errors[:, 1], nothing, 0.01, 256, np)[0])
    assert levels[1999] == pytest.approx(0.1, rel=1e-3)
    assert levels[-1] == pytest.approx(1e-3, rel=0.05)  # e^(-4000/256) of 0.3 * 0.1^2 is left
    assert levels[2100] < 0.07  # it has begun to forget
    assert errors[0, 2] == pytest.approx(1, rel=0.05)  # as large as it was lately


# --- the distribution ---

MIDDLE, HALF = predictor.cells(256)
SHAPES = {
    "in the middle": (0.0, 0.01, 0.0, 0.0),
    "narrower than a cell": (0.3, 3e-5, 0.0, -5.0),
    "as wide as all": (0.0, 1.0, 0.0, 1.0),
    "moved": (-0.2, 0.02, 3.0, 0.5),
    "beyond the end": (1.0, 0.05, 9.0, 0.0),
    "absurd": (-1.0, 2.0, -1e6, 1e6),
}


GAIN = 0.05  # above 1


@njit
def _logistic(logits, middle, half, place, error, power):
    address = vector.rows(logits)[0]
    middle, half = vector.rows(middle)[0], vector.rows(half)[0]
    compiled.logistic(address, middle, half, place, error, power, logits.size)


def base_of(way, value, error, shift, width):
    shape = np.array([shift, width, GAIN])
    if way == "numpy":
        return predictor.logistic(
            Foretold(np.array(value), np.array(error), np.zeros(())), shape, MIDDLE, HALF, np
        )
    if way == "jax":
        shape, middle, half = (jnp.asarray(each, jnp.float32) for each in (shape, MIDDLE, HALF))
        told = Foretold(jnp.float32(value), jnp.float32(error), jnp.float32(0))
        return np.asarray(predictor.logistic(told, shape, middle, half, jnp))
    out = np.zeros(256, np.float32)
    place = np.float32(value * (1 + GAIN) + error * shift)
    middle, half = map(np.float32, (MIDDLE, HALF))
    _logistic(out, middle, half, place, np.float32(error), np.float32(-width))
    return out


def test_amplitudes_are_those_of_the_codes_that_files_become():
    for n_codes in (64, 256, 1024):
        exact = mulaw.decode(np.arange(n_codes), n_codes)
        np.testing.assert_allclose(amplitudes(n_codes), exact, rtol=1e-7)


def test_cells_meet_and_hold_their_codes_amplitude():
    np.testing.assert_allclose((MIDDLE + HALF)[:-1], (MIDDLE - HALF)[1:], atol=1e-15)
    inner = slice(1, -1)
    assert (np.abs(EVERY_CODE - MIDDLE)[inner] < HALF[inner]).all()


@pytest.mark.parametrize("name", list(SHAPES)[:5])
def test_the_base_distribution_is_scipys_logistic_cut_in_cells(name):
    value, error, shift, width = SHAPES[name]
    edges = np.append(MIDDLE - HALF, MIDDLE[-1] + HALF[-1])
    place, scale = value * (1 + GAIN) + error * shift, error * np.exp(width)
    below = scipy.stats.logistic.cdf(edges, place, scale)
    above = scipy.stats.logistic.sf(edges, place, scale)
    shares = np.where(edges[:-1] < place, np.diff(below), -np.diff(above))
    found = np.exp(base_of("numpy", *SHAPES[name]))
    np.testing.assert_allclose(found, shares + predictor.EVEN, rtol=1e-9)
    if name != "as wide as all":  # which reaches beyond +-4, where the outermost cells end
        assert found.sum() == pytest.approx(1 + 256 * predictor.EVEN, abs=1e-6)


@pytest.mark.parametrize("way", ["jax", "compiled"])
@pytest.mark.parametrize("name", SHAPES)
def test_the_base_distribution_in_float32_is_that_of_float64(name, way):
    exact, found = base_of("numpy", *SHAPES[name]), base_of(way, *SHAPES[name])
    assert np.isfinite(found).all()
    # A cell's edge is right to 6e-8; in units of the narrowest width here, 2e-7, that is nothing
    # where a share is told apart from EVEN. A hundred roundings of 6e-8 remain.
    place = abs(SHAPES[name][0] + SHAPES[name][1] * SHAPES[name][2])
    scale = SHAPES[name][1] * np.exp(np.clip(SHAPES[name][3], -5, 5))
    assert np.abs(found - exact).max() < 6e-6 + 1.2e-7 * min(place, 4) / scale


def test_the_base_distributions_derivative_is_the_true_one():
    rng, n = np.random.default_rng(0), 40
    foretold = Foretold(rng.uniform(-0.9, 0.9, n), np.exp(rng.uniform(-8, -1, n)), np.zeros(n))
    shape, change = rng.normal(size=(n, 3)), rng.normal(size=(n, 256))
    shape[:, 2] *= 0.05  # now and then beyond what it may be

    def exact(shape):
        return (change * predictor.logistic(foretold, shape, MIDDLE, HALF, np)).sum(-1)

    step = 1e-6 * np.eye(3)
    expected = np.stack([(exact(shape + d) - exact(shape - d)) / 2e-6 for d in step], axis=-1)
    told = Foretold(*(jnp.asarray(each, jnp.float32) for each in foretold))
    middle, half = jnp.asarray(MIDDLE, jnp.float32), jnp.asarray(HALF, jnp.float32)
    found = jax.vjp(
        lambda shape: predictor.logistic(told, shape, middle, half, jnp),
        jnp.asarray(shape, jnp.float32),
    )[1](jnp.asarray(change, jnp.float32))[0]
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-3)


# --- what the stack is told ---


def test_between_two_rows_an_embedding_is_blended():
    weights = cases.weights(cases.CASES["tiny_foretold"]).predictor
    assert weights is not None
    every = Foretold(EVERY_CODE, np.geomspace(1e-6, 2, 256), np.linspace(-1e6, 1e6, 256))
    assert np.isfinite(predictor.hint(weights, 256, every, np)).all()
    ends = predictor.hint(
        weights, 256, Foretold(np.array([-1.0, 1]), np.array([0.0, 9]), np.array([-99, 99.0])), np
    )
    rows = sum(table[[0, -1]] for table in (weights.value, weights.level, weights.surprise))
    np.testing.assert_allclose(ends, rows, atol=1e-6)
    places = predictor.places(Foretold(np.zeros(1), np.ones(1), np.zeros(1)), 256, np)
    middle = (predictor.STEPS - 1) / 2
    assert [float(place[0]) for place in places] == [middle, 2 * middle, middle]


def loop_weights():
    from wavegen_kernels import cases

    return cases.weights(cases.CASES["tiny_foretold"]).predictor


# --- LLVM's words ---


@njit
def _logs(x, out):
    for i in range(x.size):
        out[i] = compiled.logarithm(x[i])


def test_logarithms_are_those_of_float64():
    x = np.geomspace(1e-30, 1e30, 20_000).astype(np.float32)
    near = np.linspace(0.5, 2, 20_000).astype(np.float32)
    for each in (x, near):
        out = np.empty_like(each)
        _logs(each, out)
        exact = np.log(each.astype(np.float64))
        # Two roundings of the result, and one of the small part near 1.
        assert (np.abs(out - exact) <= 2e-7 * np.abs(exact) + 1e-7 * np.abs(each - 1)).all()
