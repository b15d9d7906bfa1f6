"""SoundFonts, built here chunk by chunk around one looped sine."""

import contextlib
import io
import pickle
import random
import struct

import numpy as np
import pytest
import soundfile

from wavegen.audio import soundfont, voices
from wavegen.data import corpus, layouts
from wavegen.data.layouts import Dropped, Recording
from wavegen.errors import WavegenError

RATE, PERIOD, PERIODS = 22050, 50, 40  # 441 Hz, four cents above the A that it is called
SINE = 0.5 * np.sin(2 * np.pi * np.arange(PERIOD * PERIODS) / PERIOD)
PLAYS, WAVE = (41, 0), (53, 0)  # a preset's zone ends with its instrument, that one's with a sample
LOOPED, LOOPED_WHILE_HELD = (54, 1), (54, 3)
SECOND = 0  # timecents


def chunk(name, data):
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def keys(low, high, kind=43):
    return (kind, low | high << 8)


def velocities(low, high):
    return keys(low, high, 44)


def bags(heads):
    """Where each head's zones begin, the bags of all zones, and their generators."""
    begins, table, generators = [0], b"", b""
    for zones in heads:
        for zone in zones:
            table += struct.pack("<HH", len(generators) // 4, 0)
            generators += b"".join(struct.pack("<HH", kind, n % 65536) for kind, n in zone)
        begins.append(len(table) // 4)
    end = struct.pack("<HH", len(generators) // 4, 0)
    return begins, table + end, generators + b"\0" * 4


def font(*inner, presets=(("Sine", 0, 0, ((PLAYS,),)),), wave=SINE, compressed=False, **changes):
    """A file with one wave, one instrument of the zones `inner`, and presets of theirs."""
    inner = inner or ((LOOPED, WAVE),)
    head = {"rate": RATE, "pitch": 69, "correction": -4, "loop": (500, 1500), "type": 1} | changes
    pool, size = np.round(wave * 32767).astype("<i2").tobytes() + b"\0" * 92, len(wave)
    if compressed:
        file = io.BytesIO()
        soundfile.write(file, wave, head["rate"], format="OGG", subtype="VORBIS")
        pool, size, head["type"] = file.getvalue(), len(file.getvalue()), 0x11
    begins, pbag, pgen = bags([zones for *_, zones in presets])
    rows = [(name, number, bank) for name, bank, number, _ in presets] + [("EOP", 0, 0)]
    phdr = b"".join(
        struct.pack("<20sHHHIII", name.encode(), number, bank, begin, 0, 0, 0)
        for (name, number, bank), begin in zip(rows, begins, strict=True)
    )
    begins, ibag, igen = bags([inner])
    inst = b"".join(struct.pack("<20sH", b"instrument", begin) for begin in begins)
    numbers = (0, size, *head["loop"], head["rate"], head["pitch"], head["correction"], 0)
    shdr = struct.pack("<20sIIIIIBbHH", b"sine", *numbers, head["type"])
    tables = {b"phdr": phdr, b"pbag": pbag, b"pmod": b"\0" * 10, b"pgen": pgen, b"inst": inst}
    tables |= {b"ibag": ibag, b"imod": b"\0" * 10, b"igen": igen, b"shdr": shdr + b"\0" * 46}
    info = b"INFO" + chunk(b"ifil", struct.pack("<HH", 2, 4))
    samples = b"sdta" + chunk(b"smpl", pool)
    hydra = b"pdta" + b"".join(chunk(*table) for table in tables.items())
    return chunk(b"RIFF", b"sfbk" + b"".join(chunk(b"LIST", x) for x in (info, samples, hydra)))


@pytest.fixture
def play(tmp_path):
    """A function: a key held for a second and let go for another, in the font of some zones."""

    def render(*inner, key=69, velocity=127, **changes):
        (tmp_path / "a.sf2").write_bytes(font(*inner, **changes))
        opened = soundfont.open(tmp_path / "a.sf2")
        zones = opened.zones(opened.presets[0])
        return voices.note(opened, zones, key, velocity, 1.0, 1.0)

    return render


def hertz(samples):
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 1 << 18))
    return np.argmax(spectrum) * voices.RATE / (1 << 18)


def level(samples, begin, end):
    """dB of a sine's peak between two instants in seconds; 0 is the peak of SINE in the middle."""
    part = samples[round(begin * voices.RATE) : round(end * voices.RATE)].astype(np.float64)
    return 10 * np.log10(np.mean(part**2) * 2 / (0.5**2) * 2 + 1e-30)


HELD = slice(4800, 43200)


def find(source):
    found = list(layouts.find(source, "soundfont"))
    good = {item.name: item for item in found if isinstance(item, Recording)}
    return good, {item.name: item.reason for item in found if isinstance(item, Dropped)}


@pytest.mark.parametrize("key", [45, 60, 69, 81])
def test_a_key_sounds_at_its_pitch_for_as_long_as_it_is_held(play, key):
    samples = play(key=key)
    assert (len(samples), samples.dtype) == (2 * voices.RATE, np.float32)
    cents = 1200 * np.log2(hertz(samples[HELD]) / (440 * 2 ** ((key - 69) / 12)))
    assert abs(cents) < 1
    assert level(samples, 0.9, 0.99) == pytest.approx(0, abs=0.3)  # far beyond the wave's own end
    assert level(samples, 1.01, 2.0) < -80


def test_a_loop_has_no_seam(play):
    samples = play()[HELD].astype(np.float64)
    spectrum = np.abs(np.fft.rfft(samples * np.blackman(len(samples))))
    peak = np.argmax(spectrum)
    others = np.delete(spectrum, np.arange(peak - 5, peak + 6))
    assert 20 * np.log10(others.max() / spectrum[peak]) < -60


def test_a_wave_without_a_loop_ends_and_one_looped_while_held_goes_on_when_let_go(play):
    once = play((WAVE,))
    assert level(once, 0.02, 0.08) == pytest.approx(0, abs=0.3)
    assert level(once, 0.1, 1.0) < -80
    release = (38, SECOND)
    ringing = play((LOOPED_WHILE_HELD, release, WAVE))
    assert level(ringing, 0.5, 0.9) == pytest.approx(0, abs=0.3)
    assert level(ringing, 1.1, 2.0) < -80  # the rest of the wave after its loop is short
    assert level(play((LOOPED, release, WAVE)), 1.1, 1.2) == pytest.approx(-15, abs=1)


def test_the_envelope_attacks_holds_decays_sustains_and_releases(play):
    times = ((34, -2400), (35, -3600), (36, SECOND), (37, 400), (38, SECOND))  # 0.25 s, 0.125 s
    samples = play((LOOPED, *times, WAVE))
    assert level(samples, 0.12, 0.13) == pytest.approx(-6, abs=0.5)  # half way up
    assert level(samples, 0.26, 0.37) == pytest.approx(0, abs=0.3)
    assert level(samples, 0.57, 0.58) == pytest.approx(-20, abs=0.7)
    assert level(samples, 0.9, 1.0) == pytest.approx(-40, abs=0.3)
    assert level(samples, 1.195, 1.205) == pytest.approx(-60, abs=0.7)


def test_velocity_and_attenuation_change_the_loudness_by_the_book(play):
    assert level(play(velocity=64), 0.2, 0.9) == pytest.approx(40 * np.log10(64 / 127), abs=0.3)
    assert level(play((LOOPED, (48, 120), WAVE)), 0.2, 0.9) == pytest.approx(-12, abs=0.3)


def test_a_low_pass_takes_what_lies_above_its_cutoff(play):
    low = play((LOOPED, (8, 4500), WAVE), key=93)  # 110 Hz, for a key of 1760 Hz
    assert level(low, 0.2, 0.9) < -40
    assert level(play((LOOPED, (8, 12000), WAVE)), 0.2, 0.9) == pytest.approx(0, abs=0.5)


def test_vibrato_bends_the_pitch_both_ways(play):
    samples = play((LOOPED, (6, 100), (24, -1200), WAVE))[HELD]  # a semitone, 4 times a second
    pitches = [hertz(part) for part in np.array_split(samples, 32)]
    assert max(pitches) == pytest.approx(440 * 2 ** (1 / 12), rel=0.012)
    assert min(pitches) == pytest.approx(440 / 2 ** (1 / 12), rel=0.012)


def test_two_sides_of_a_stereo_sound_make_their_mean(play):
    left, right = ((LOOPED, (17, side), WAVE) for side in (-500, 500))
    middle = level(play(), 0.2, 0.9)
    assert level(play(left, right), 0.2, 0.9) - middle == pytest.approx(3, abs=0.1)
    assert level(play(left), 0.2, 0.9) - middle == pytest.approx(-3, abs=0.1)


def test_zones_sound_for_their_keys_and_velocities_and_inherit_from_the_global_one(play):
    low = (keys(0, 68), LOOPED, (51, 12), WAVE)
    loud = (keys(69, 127), velocities(100, 127), WAVE)
    zones = ((LOOPED,), low, loud)
    assert hertz(play(*zones, key=57)[HELD]) == pytest.approx(440, rel=1e-3)  # an octave up
    assert hertz(play(*zones, key=69)[HELD]) == pytest.approx(440, rel=1e-3)
    assert not play(*zones, key=69, velocity=99).any()


def test_a_preset_adds_to_what_its_instrument_says(play):
    presets = (("Sine", 0, 0, (((51, 7),), ((48, 60), (52, 50), PLAYS))),)
    samples = play((LOOPED, (51, 5), (48, 60), WAVE), presets=presets)
    assert level(samples, 0.2, 0.9) == pytest.approx(-12, abs=0.3)
    # The preset's own zone says nothing of generator 51, so its global one counts: 7 and 5.
    assert hertz(samples[HELD]) == pytest.approx(880 * 2 ** (50 / 1200), rel=1e-3)


def test_compressed_waves_are_decoded(play):
    samples = play(compressed=True)
    assert hertz(samples[HELD]) == pytest.approx(440, rel=1e-3)
    assert level(samples, 0.2, 0.9) == pytest.approx(0, abs=0.5)


def test_a_font_becomes_notes_like_those_of_nsynth(tmp_path):
    presets = (
        ("Sine", 0, 0, ((keys(60, 61), PLAYS),)),
        ("Sine", 8, 0, ((keys(60, 60), velocities(90, 127), PLAYS),)),
        ("Kit", 128, 0, ((PLAYS,),)),
        ("Lost", 0, 9, (((41, 77),),)),
    )
    (tmp_path / "one.sf2").write_bytes(font(presets=presets))
    assert layouts.name_of(tmp_path) == layouts.name_of(tmp_path / "one.sf2") == "soundfont"
    good, dropped = find(tmp_path / "one.sf2")
    assert list(good) == [
        *(f"Sine-{pitch:03d}-{velocity:03d}" for pitch in (60, 61) for velocity in (50, 100, 127)),
        *("Sine 8:0-060-100", "Sine 8:0-060-127"),
    ]
    assert dropped == {
        "Kit": "a drum kit: its keys are no pitches",
        "Lost": "the file has no entry 77 in inst",
    }
    item = pickle.loads(pickle.dumps(good["Sine-061-100"]))
    assert item.labels == {"instrument": "Sine"}
    assert [(n.onset_seconds, n.duration_seconds, n.pitch, n.velocity) for n in item.notes] == [
        (0.0, 3.0, 61, 100)
    ]
    samples, facts = item.load(16000)
    assert len(samples) == 64000
    assert facts["channels"] == 1
    assert np.abs(samples[:47000]).max() == pytest.approx(0.22, abs=0.02)
    assert np.abs(samples[48100:]).max() < 1e-3


def test_a_font_goes_through_prepare(tmp_path):
    (tmp_path / "one.sf2").write_bytes(font(presets=(("Sine", 0, 0, ((keys(60, 61), PLAYS),)),)))
    made = corpus.prepare([tmp_path / "one.sf2"], tmp_path / "c", sample_rate=4000)
    assert (made.layout, len(made.kept), made.dropped) == ("soundfont", 6, [])
    assert corpus.open(tmp_path / "c").vocabulary.velocities == (50, 100, 127)


def test_of_several_fonts_a_broken_one_is_dropped(tmp_path):
    (tmp_path / "good.sf3").write_bytes(font(compressed=True))
    (tmp_path / "bad.sf2").write_bytes(b"RIFF")
    good, dropped = find(tmp_path)
    assert {item.labels["instrument"] for item in good.values()} == {"good/Sine"}
    assert dropped == {"bad.sf2": "the file is no SoundFont"}
    with pytest.raises(WavegenError, match="no SoundFont"):
        find(tmp_path / "bad.sf2")


@pytest.mark.parametrize(
    ("changes", "silent"),
    [
        ({"loop": (1500, 500)}, False),
        ({"loop": (0, 2**32 - 1)}, False),
        ({"rate": 0}, True),
        ({"type": 0x8001}, True),
        ({"pitch": 255}, False),
        ({"wave": SINE[:1]}, True),
    ],
)
def test_odd_headers_of_a_wave_do_no_harm(play, changes, silent):
    assert play(**changes).any() != silent


def test_zones_that_multiply_without_end_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(soundfont, "MAX_ZONES", 20)
    presets = (("Sine", 0, 0, ((PLAYS,),) * 7),)
    (tmp_path / "a.sf2").write_bytes(font(*((LOOPED, WAVE),) * 3, presets=presets))
    good, dropped = find(tmp_path)
    assert not good
    assert dropped == {"Sine": "its preset Sine has over 20 zones"}


def test_damage_anywhere_gives_notes_or_words_but_nothing_else(tmp_path):
    draw = random.Random(0)
    whole = font((LOOPED, (8, 9000), (6, 50), WAVE), wave=SINE[:200], loop=(50, 150))
    for _ in range(200):
        data = bytearray(whole[: draw.choice([len(whole), draw.randint(0, len(whole))])])
        for _ in range(draw.randint(1, 6) if data else 0):
            data[draw.randrange(min(700, len(data)), len(data)) if len(data) > 700 else 0] = (
                draw.randrange(256)
            )
        (tmp_path / "a.sf2").write_bytes(data)
        with contextlib.suppress(WavegenError):
            opened = soundfont.open(tmp_path / "a.sf2")
            for preset in opened.presets:
                samples = voices.note(opened, opened.zones(preset), 60, 100, 0.01, 0.01)
                assert np.isfinite(samples).all()
