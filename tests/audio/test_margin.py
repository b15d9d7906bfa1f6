import pytest

from wavegen.audio.margin import Pace


def account(*blocks):
    pace = Pace()
    for block in blocks:
        pace.add(*block)
    return pace


def test_times_real_time_leaves_out_the_waiting_between_blocks():
    # Two blocks of 1 s, made in 0.25 s each; 0.75 s pass between them.
    pace = account((1.0, 100.0, 100.25), (1.0, 101.0, 101.25))
    assert pace.times_real_time == pytest.approx(4.0)
    assert pace.sound_seconds == 2.0
    assert pace.first_block_seconds == 0.25


def test_the_margin_is_the_lead_of_what_is_made_over_what_is_due():
    # Heard from 10.5 on. At 11.0 half of the first second is due; at 12.6, 2.1 s of the 2 made.
    pace = account((1.0, 10.0, 10.5), (1.0, 10.5, 11.0))
    assert pace.worst_margin_seconds == pytest.approx(0.5)
    pace.add(1.0, 11.0, 12.6)
    assert pace.worst_margin_seconds == pytest.approx(-0.1)
    pace.add(1.0, 12.6, 12.7)  # a gap that was heard is not mended by speed
    assert pace.worst_margin_seconds == pytest.approx(-0.1)


def test_a_steady_maker_at_twice_real_time_leads_by_half_of_its_first_block_at_worst():
    pace = account(*((0.1, 0.05 * n, 0.05 * (n + 1)) for n in range(50)))
    assert pace.times_real_time == pytest.approx(2.0)
    assert pace.worst_margin_seconds == pytest.approx(0.05)


def test_a_constant_of_the_clock_changes_nothing():
    blocks = [(0.5, 0.0, 0.125), (0.5, 0.25, 1.0), (0.25, 1.0, 1.125)]
    later = [(sound, began + 4096, ended + 4096) for sound, began, ended in blocks]
    pace, moved = account(*blocks), account(*later)
    for name in ("times_real_time", "worst_margin_seconds", "first_block_seconds"):
        assert getattr(pace, name) == getattr(moved, name)  # powers of two: exact


def test_before_there_is_anything_to_say_nothing_is_said():
    pace = account()
    assert (pace.times_real_time, pace.first_block_seconds) == (None, None)
    assert account((1.0, 0.0, 0.5)).worst_margin_seconds is None
