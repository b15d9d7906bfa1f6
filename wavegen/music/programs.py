"""General MIDI's instruments: their names, and which label of a model could play each."""

from __future__ import annotations

import re
from collections.abc import Sequence

# The sixteen families of General MIDI System Level 1, eight programs each: the words that a
# label for them may hold, the best first. Behind a colon stand those of one program alone.
_FAMILIES = (
    (
        "Piano",
        "piano keyboard",
        """Acoustic Grand Piano
        Bright Acoustic Piano
        Electric Grand Piano
        Honky-tonk Piano
        Electric Piano 1
        Electric Piano 2
        Harpsichord: harpsichord piano keyboard
        Clavi: clavi clavinet piano keyboard""",
    ),
    (
        "Chromatic Percussion",
        "mallet percussion piano",
        """Celesta: celesta glockenspiel mallet piano
        Glockenspiel: glockenspiel bell mallet piano
        Music Box: music_box bell mallet piano
        Vibraphone: vibraphone marimba mallet piano
        Marimba: marimba vibraphone xylophone mallet piano
        Xylophone: xylophone marimba mallet piano
        Tubular Bells: bell mallet piano
        Dulcimer: dulcimer mallet piano""",
    ),
    (
        "Organ",
        "organ saxophone",
        """Drawbar Organ
        Percussive Organ
        Rock Organ
        Church Organ
        Reed Organ: harmonium organ saxophone
        Accordion: accordion organ saxophone
        Harmonica: harmonica accordion reed saxophone
        Tango Accordion: bandoneon accordion organ saxophone""",
    ),
    (
        "Guitar",
        "guitar pluck",
        """Acoustic Guitar (nylon)
        Acoustic Guitar (steel)
        Electric Guitar (jazz)
        Electric Guitar (clean)
        Electric Guitar (muted)
        Overdriven Guitar
        Distortion Guitar
        Guitar harmonics""",
    ),
    (
        "Bass",
        "bass pluck",
        """Acoustic Bass
        Electric Bass (finger)
        Electric Bass (pick)
        Fretless Bass
        Slap Bass 1
        Slap Bass 2
        Synth Bass 1
        Synth Bass 2""",
    ),
    (
        "Strings",
        "string violin viola cello fiddle",
        """Violin: violin fiddle string viola cello
        Viola: viola string violin cello
        Cello: cello string viola violin
        Contrabass: contrabass double_bass string cello bass
        Tremolo Strings
        Pizzicato Strings: pizzicato string pluck
        Orchestral Harp: harp pluck guitar string
        Timpani: timpani drum percussion""",
    ),
    (
        "Ensemble",
        "string ensemble orchestra violin viola cello",
        """String Ensemble 1
        String Ensemble 2
        SynthStrings 1
        SynthStrings 2
        Choir Aahs: choir vocal voice saxophone
        Voice Oohs: voice vocal choir saxophone
        Synth Voice: voice vocal choir saxophone
        Orchestra Hit: orchestra ensemble string""",
    ),
    (
        "Brass",
        "brass trumpet trombone horn tuba",
        """Trumpet: trumpet brass horn trombone tuba
        Trombone: trombone brass tuba horn
        Tuba: tuba brass trombone
        Muted Trumpet: trumpet brass horn trombone tuba
        French Horn: horn brass trombone trumpet tuba
        Brass Section
        SynthBrass 1
        SynthBrass 2""",
    ),
    (
        "Reed",
        "sax saxophone reed clarinet oboe",
        """Soprano Sax
        Alto Sax
        Tenor Sax
        Baritone Sax
        Oboe: oboe reed english_horn clarinet saxophone
        English Horn: english_horn cor_anglais oboe reed saxophone
        Bassoon: bassoon reed clarinet saxophone
        Clarinet: clarinet reed oboe saxophone""",
    ),
    (
        "Pipe",
        "flute recorder pipe saxophone",
        """Piccolo: piccolo flute pipe saxophone
        Flute
        Recorder: recorder flute pipe saxophone
        Pan Flute
        Blown Bottle: bottle flute pipe saxophone
        Shakuhachi: shakuhachi flute pipe saxophone
        Whistle: whistle flute pipe saxophone
        Ocarina: ocarina flute pipe saxophone""",
    ),
    (
        "Synth Lead",
        "synth_lead lead synth synthesizer saxophone",
        """Lead 1 (square)
        Lead 2 (sawtooth)
        Lead 3 (calliope)
        Lead 4 (chiff)
        Lead 5 (charang)
        Lead 6 (voice)
        Lead 7 (fifths)
        Lead 8 (bass + lead)""",
    ),
    (
        "Synth Pad",
        "synth_pad pad synth synthesizer",
        """Pad 1 (new age)
        Pad 2 (warm)
        Pad 3 (polysynth)
        Pad 4 (choir)
        Pad 5 (bowed)
        Pad 6 (metallic)
        Pad 7 (halo)
        Pad 8 (sweep)""",
    ),
    (
        "Synth Effects",
        "synth_effect synth synthesizer",
        """FX 1 (rain)
        FX 2 (soundtrack)
        FX 3 (crystal)
        FX 4 (atmosphere)
        FX 5 (brightness)
        FX 6 (goblins)
        FX 7 (echoes)
        FX 8 (sci-fi)""",
    ),
    (
        "Ethnic",
        "",
        """Sitar: sitar guitar pluck
        Banjo: banjo guitar pluck
        Shamisen: shamisen guitar pluck
        Koto: koto guitar pluck
        Kalimba: kalimba mallet
        Bag pipe: bagpipe bag_pipe reed
        Fiddle: fiddle violin string
        Shanai: shanai shehnai reed""",
    ),
    (
        "Percussive",
        "percussion",
        """Tinkle Bell: bell mallet percussion
        Agogo: agogo percussion
        Steel Drums: steel_drum steelpan mallet
        Woodblock: woodblock percussion
        Taiko Drum: taiko drum percussion
        Melodic Tom: tom drum percussion
        Synth Drum: drum percussion
        Reverse Cymbal: cymbal percussion""",
    ),
    (
        "Sound Effects",
        "",
        """Guitar Fret Noise
        Breath Noise
        Seashore
        Bird Tweet
        Telephone Ring
        Helicopter
        Applause
        Gunshot""",
    ),
)
_PROGRAMS = tuple(line.strip() for *_, lines in _FAMILIES for line in lines.splitlines())


def name(program: int) -> str:
    """General MIDI's name of a program, 0 to 127: "Acoustic Grand Piano" is 0."""
    return _PROGRAMS[program].partition(":")[0]


def family(program: int) -> str:
    """General MIDI's family of a program, 0 to 127: "Piano" up to 7."""
    return _FAMILIES[program // 8][0]


def label_for(program: int, values: Sequence[str]) -> str | None:
    """The label that fits a program, 0 to 127, best; None where none does.

    The instrument's own name comes first, then what is akin to it. Of several labels with
    the same word, the one that has more of the program's name and less besides, then the
    first. A word counts where it ends one of the label's, as in `acoustic-guitars_007` or
    `fortepiano`; a bassoon is no bass.
    """
    words = _PROGRAMS[program].partition(":")[2] or _FAMILIES[program // 8][1]
    called = set(_words(name(program)))

    def likeness(value: str) -> tuple[int, int]:
        own = set(_words(value))
        return len(own & called), -len(own - called)

    for word in words.split():
        if fitting := [value for value in values if _has(value, word)]:
            return max(fitting, key=likeness)
    return None


def _has(value: str, word: str) -> bool:
    """Whether a label has a word, or all words that are joined by _."""
    own = _words(value)
    return all(any(has.endswith(part) for has in own) for part in _words(word))


def _words(text: str) -> list[str]:
    """Runs of letters, small, without the s of a plural: brass and bass keep theirs."""
    return [re.sub("(?<!s)s$", "", word) for word in re.findall(r"[^\W\d_]+", text.lower())]
