"""Layout `fma`, against folders true to its format."""

import pytest

from wavegen.data import corpus, layouts
from wavegen.data.layouts import Dropped, Recording
from wavegen.errors import WavegenError


def find(source, layout):
    found = list(layouts.find(source, layout))
    good = {item.name: item for item in found if isinstance(item, Recording)}
    return good, {item.name: item.reason for item in found if isinstance(item, Dropped)}


TRACKS = (
    ",album,set,set,track,track\n,comments,split,subset,genre_top,title\ntrack_id,,,,,\n"
    '2,"a,\nb",training,small,Hip-Hop,Food\n3,0,validation,small,Rock,"So, so"\n'
    "5,0,test,medium,,This World\n7,0,test,small,Rock,Gone\n9,0,test,large,Rock,Not here\n"
)


@pytest.fixture
def fma(tmp_path, write_tone):
    """FMA's metadata, its smallest folder and the next, which holds the same clips and more."""
    root = tmp_path / "fma"
    (root / "fma_metadata").mkdir(parents=True)
    (root / "fma_metadata" / "tracks.csv").write_text(TRACKS)
    for folder, number in (("small", 2), ("small", 3), ("medium", 2), ("medium", 3), ("medium", 5)):
        write_tone(root / f"fma_{folder}" / "000" / f"{number:06d}.wav", 8000 + number)
    for path in root.rglob("*.wav"):
        path.rename(path.with_suffix(".mp3"))  # libsndfile looks at the bytes, not at the name
    (root / "fma_small" / "README.txt").write_text("")
    return root


def test_fma_keeps_its_splits_and_genres_and_takes_a_clip_once(fma):
    assert layouts.name_of(fma) == "fma"
    good, dropped = find(fma, "fma")
    assert {name: (item.split, item.labels) for name, item in good.items()} == {
        "fma_small/000/000002.mp3": ("train", {"genre": "Hip-Hop"}),
        "fma_small/000/000003.mp3": ("valid", {"genre": "Rock"}),
        "fma_medium/000/000005.mp3": ("test", {}),
    }
    assert dropped == {
        "fma_small/000/000007.mp3": "is missing",
        "fma_medium/000/000002.mp3": "it lies in a smaller folder too",
        "fma_medium/000/000003.mp3": "it lies in a smaller folder too",
    }


def test_a_broken_clip_of_fma_is_dropped_and_the_others_are_kept(fma, tmp_path):
    (fma / "fma_small" / "000" / "000003.mp3").write_bytes(b"ID3 and then nothing")
    (fma / "fma_small" / "000" / "000004.mp3").write_bytes(b"")
    made = corpus.prepare([fma], tmp_path / "c", sample_rate=4000)
    assert [file["name"] for file in made.kept] == [
        "fma_small/000/000002.mp3",
        "fma_medium/000/000005.mp3",
    ]
    reasons = {file["name"]: file["reason"] for file in made.dropped}
    assert "cannot be read as sound" in reasons["fma_small/000/000003.mp3"]
    assert "no row" in reasons["fma_small/000/000004.mp3"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no columns set.split"),
        ("track_id,split,subset,genre_top\n2,training,small,Rock\n", "no columns"),
        (TRACKS + "x,0,test,small,Rock,Gone\n", "no track: x"),
        (TRACKS + "10,0,test\n", "no track: 10"),
    ],
)
def test_a_broken_table_of_fma_is_told(fma, text, words):
    (fma / "fma_metadata" / "tracks.csv").write_text(text)
    with pytest.raises(WavegenError, match=words):
        find(fma, "fma")


def test_fma_without_clips_says_so(fma):
    for folder in ("fma_small", "fma_medium"):
        (fma / folder).rename(fma / f"other_{folder}")
    with pytest.raises(WavegenError, match="has no clips"):
        find(fma, "fma")
