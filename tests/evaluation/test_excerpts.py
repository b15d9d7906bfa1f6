"""Pieces of recordings: together they are all of them, and no piece is in two sets."""

import numpy as np
import pytest

from wavegen.data import corpus
from wavegen.evaluation import excerpts

RATE = 8000


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    path = tmp_path_factory.mktemp("excerpts") / "notes"
    corpus.prepare([], path, layout="synthetic", sample_rate=RATE, pitches=(60, 61), limit=8)
    return corpus.open(path).splits["train"]


@pytest.mark.parametrize("seconds", [0.3, 0.45])  # less, and more, than half a piece is left
def test_pieces_are_the_recordings_but_for_short_ends(split, seconds):
    pieces, longest = excerpts.cut(split, RATE, seconds), round(seconds * RATE)
    for item in range(split.num_items):
        whole = split.read(item) / np.float32(32767)
        of_item = [pieces[n] for n, place in enumerate(pieces.places) if place[0] == item]
        joined = np.concatenate(of_item)
        np.testing.assert_array_equal(joined, whole[: len(joined)])
        assert len(whole) - len(joined) < longest / 2
        assert max(map(len, of_item)) <= longest
    assert pieces.name(len(pieces) - 1) == split.names[-1]


def test_a_recording_shorter_than_half_a_piece_is_one(split):
    pieces = excerpts.cut(split, RATE, 60.0)
    assert len(pieces) == split.num_items
    assert [len(piece) for piece in pieces] == split.lengths.tolist()


def test_what_recordings_begin_with_and_the_rest_share_nothing(split):
    pieces, items = excerpts.cut(split, RATE, 0.3), np.array([1, 4])
    begins, rest = pieces.begins(items), pieces.but(items)
    assert begins.places == ((1, 0), (4, 0))
    assert not set(begins.places) & set(rest.places)
    assert set(begins.places) | set(rest.places) == set(pieces.places)
    assert {item for item, _ in rest.places} >= {1, 4}  # what comes later in them is there


@pytest.mark.parametrize(("num_items", "num"), [(10, 3), (3, 10), (1, 1), (7, 7)])
def test_what_is_chosen_is_spread_over_all(num_items, num):
    chosen = excerpts.spread(num_items, num)
    assert len(set(chosen.tolist())) == min(num, num_items)
    assert chosen[0] == 0
    assert num == 1 or chosen[-1] == num_items - 1
