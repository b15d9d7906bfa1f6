"""The first signal is a wish, the second one is meant."""

import os
import signal
import threading

import pytest

from wavegen.training import interruption


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_a_wish_and_names_itself(number):
    with interruption.heard() as wish:
        assert wish.signal == 0
        signal.raise_signal(number)
        assert wish.signal == number


def test_a_second_signal_acts_as_it_did_before():
    acted = []
    before = signal.signal(signal.SIGTERM, lambda *_: acted.append("ended"))
    try:
        with interruption.heard() as wish:
            os.kill(os.getpid(), signal.SIGTERM)
            assert (wish.signal, acted) == (signal.SIGTERM, [])
            os.kill(os.getpid(), signal.SIGTERM)
            assert acted == ["ended"]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_second_ctrl_c_interrupts():
    press = signal.raise_signal
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with interruption.heard():
            press(signal.SIGINT)
            with pytest.raises(KeyboardInterrupt):
                press(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_afterwards_signals_act_as_before():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with interruption.heard():
        assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] != before
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_thread_may_train_though_it_hears_no_signals():
    wishes = []

    def train():
        with interruption.heard() as wish:
            wishes.append(wish)

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert wishes[0].signal == 0
