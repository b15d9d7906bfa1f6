import pytest

from wavegen.music import programs

NSYNTH = (
    *("bass", "brass", "flute", "guitar", "keyboard", "mallet"),
    *("organ", "reed", "string", "synth_lead", "vocal"),
)
SYNTHESISER = ("organ", "pluck", "brass")


def test_there_are_128_names_and_8_programs_in_each_of_16_families():
    names = [programs.name(program) for program in range(128)]
    assert len(set(names)) == 128
    assert all(name.isprintable() and ":" not in name and name == name.strip() for name in names)
    families = [programs.family(program) for program in range(128)]
    assert len(set(families)) == 16
    assert all(families[k] == families[k - k % 8] for k in range(128))


@pytest.mark.parametrize(
    ("program", "name", "family"),
    [
        (0, "Acoustic Grand Piano", "Piano"),
        (9, "Glockenspiel", "Chromatic Percussion"),
        (19, "Church Organ", "Organ"),
        (24, "Acoustic Guitar (nylon)", "Guitar"),
        (40, "Violin", "Strings"),
        (56, "Trumpet", "Brass"),
        (73, "Flute", "Pipe"),
        (87, "Lead 8 (bass + lead)", "Synth Lead"),
        (104, "Sitar", "Ethnic"),
        (127, "Gunshot", "Sound Effects"),
    ],
)
def test_programs_have_the_names_of_general_midi(program, name, family):
    assert (programs.name(program), programs.family(program)) == (name, family)


def fits(values, **expected):
    for label, ranges in expected.items():
        for program in ranges:
            assert programs.label_for(program, values) == label, programs.name(program)


def test_families_of_nsynth_play_what_is_akin_to_them():
    fits(
        NSYNTH,
        keyboard=range(8),
        mallet=range(8, 16),
        organ=[*range(16, 22), 23],
        guitar=[*range(24, 32), 46, *range(104, 108)],
        bass=range(32, 40),
        string=[*range(40, 46), *range(48, 52), 55, 110],
        vocal=range(52, 55),
        brass=range(56, 64),
        reed=[*range(64, 72), 109, 111],
        flute=range(72, 80),
        synth_lead=range(80, 104),
    )
    for program in (47, *range(115, 128)):
        assert programs.label_for(program, NSYNTH) is None, programs.name(program)


def test_the_built_in_synthesiser_plays_organs_brass_and_what_is_plucked():
    fits(SYNTHESISER, organ=range(16, 22), brass=range(56, 64), pluck=[*range(24, 40), 45, 46])
    assert programs.label_for(0, SYNTHESISER) is None


@pytest.mark.parametrize(
    ("program", "values", "label"),
    [
        (40, ["strings", "cello", "Violin"], "Violin"),
        (40, ["cello", "Strings"], "Strings"),
        (40, ["piano", "cello"], "cello"),
        (0, ["keyboard", "piano"], "piano"),
        (0, ["electric piano", "piano"], "piano"),
        (4, ["piano", "electric piano"], "electric piano"),
        (24, ["guitar_electronic_002", "guitar_acoustic_015"], "guitar_acoustic_015"),
        (0, ["fortepiano"], "fortepiano"),
        (26, ["Acoustic-Guitars"], "Acoustic-Guitars"),
        (32, ["bassoon", "tuba"], None),
        (46, ["harpsichord"], None),
        (70, ["bass", "reed"], "reed"),
        (65, ["saxophones"], "saxophones"),
        (65, ["tenor sax", "alto sax"], "alto sax"),
        (80, ["synth", "synth_lead"], "synth_lead"),
        (120, ["guitar"], None),
        (0, ["007", "", "_"], None),
        (0, [], None),
    ],
)
def test_the_label_that_fits_best_is_found_among_words(program, values, label):
    assert programs.label_for(program, values) == label


def test_of_labels_that_fit_alike_the_first_is_taken():
    assert programs.label_for(0, ["piano_b", "piano_a"]) == "piano_b"
    assert programs.label_for(0, ["piano_a", "piano_b"]) == "piano_a"
