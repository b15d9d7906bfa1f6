"""Layout `speech`, against folders true to the formats of its three data sets."""

from wavegen.data import layouts
from wavegen.data.layouts import Dropped, Recording


def find(source, layout):
    found = list(layouts.find(source, layout))
    good = {item.name: item for item in found if isinstance(item, Recording)}
    return good, {item.name: item.reason for item in found if isinstance(item, Dropped)}


def test_words_in_folders_keep_their_label_and_official_splits(tmp_path, write_tone):
    for word in ("zero", "one"):
        for name in ("a_nohash_0", "b_nohash_0", "c_nohash_0"):
            write_tone(tmp_path / word / f"{name}.wav")
    write_tone(tmp_path / "_background_noise_" / "pink.wav")
    write_tone(tmp_path / "loose.wav")
    (tmp_path / "validation_list.txt").write_text("zero/b_nohash_0.wav\none/b_nohash_0.wav\n")
    (tmp_path / "testing_list.txt").write_text("zero/c_nohash_0.wav\none/gone.wav\n../x.wav\n")
    assert layouts.name_of(tmp_path) == "speech"
    good, dropped = find(tmp_path, "speech")
    assert {name: item.split for name, item in good.items()} == {
        "one/a_nohash_0.wav": "train",
        "one/b_nohash_0.wav": "valid",
        "one/c_nohash_0.wav": "train",
        "zero/a_nohash_0.wav": "train",
        "zero/b_nohash_0.wav": "valid",
        "zero/c_nohash_0.wav": "test",
    }
    assert all(item.labels == {"word": name.split("/")[0]} for name, item in good.items())
    assert dropped == {
        "../x.wav": "its name '../x.wav' leads out of the data set's folder",
        "_background_noise_/pink.wav": "_background_noise_ is no word",
        "loose.wav": "it lies in no word's folder",
        "one/gone.wav": "one/gone.wav is missing",
    }


def test_ljspeech_takes_what_its_table_names_and_leaves_its_quotes_alone(tmp_path, write_tone):
    for name in ("LJ001-0001", "LJ001-0002", "LJ001-0009"):
        write_tone(tmp_path / "wavs" / f"{name}.wav")
    (tmp_path / "metadata.csv").write_text(
        'LJ001-0001|"Printing, in|"Printing, in\nLJ001-0002|an "x"|a\nLJ001-0003|c|d\n../a|e|f\n'
    )
    assert layouts.name_of(tmp_path) == "speech"
    good, dropped = find(tmp_path, "speech")
    assert list(good) == ["wavs/LJ001-0001.wav", "wavs/LJ001-0002.wav"]
    assert dropped == {
        "wavs/../a.wav": "its name 'wavs/../a.wav' leads out of the data set's folder",
        "wavs/LJ001-0003.wav": "wavs/LJ001-0003.wav is missing",
        "wavs/LJ001-0009.wav": "there is no row for it in metadata.csv",
    }


def test_vctk_says_who_speaks_and_into_which_microphone(tmp_path, write_tone):
    write_tone(tmp_path / "wav48" / "p225" / "p225_001.wav")
    write_tone(tmp_path / "wav48_silence_trimmed" / "s5" / "s5_001_mic2.wav")
    write_tone(tmp_path / "wav48" / "p225" / "noise.wav")
    (tmp_path / "txt").mkdir()
    assert layouts.name_of(tmp_path) == "speech"
    good, dropped = find(tmp_path, "speech")
    assert {name: item.labels for name, item in good.items()} == {
        "wav48/p225/p225_001.wav": {"speaker": "p225"},
        "wav48_silence_trimmed/s5/s5_001_mic2.wav": {"speaker": "s5", "microphone": "mic2"},
    }
    assert dropped == {"wav48/p225/noise.wav": "its name does not say who speaks"}
