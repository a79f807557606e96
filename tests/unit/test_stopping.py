"""Stop flags: one signal ends a slice and the loop around it."""

import os
import signal
import threading

import pytest

from tasks.stopping import stop_flag


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_the_inner_block_stops_the_outer_one_too(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with stop_flag() as outer:
        with stop_flag() as inner:
            os.kill(os.getpid(), number)
            assert inner()
        assert outer()
    assert signal.getsignal(number) is before


def test_a_later_block_starts_without_the_earlier_ones_signal() -> None:
    with stop_flag() as first:
        os.kill(os.getpid(), signal.SIGTERM)
        assert first()
    with stop_flag() as second:
        assert not second()


def test_a_signal_that_ends_the_outer_block_leaves_an_inner_one_that_is_over_alone() -> None:
    with stop_flag() as outer:
        with stop_flag() as inner:
            assert not inner()
        os.kill(os.getpid(), signal.SIGTERM)
        assert outer()
        assert not inner()


def test_in_a_thread_signals_go_on_meaning_what_they_meant() -> None:
    told: list[bool] = []

    def work() -> None:
        with stop_flag() as stop:
            told.append(stop())

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert told == [False]
    assert signal.getsignal(signal.SIGTERM) is before
