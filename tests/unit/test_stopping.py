"""Stop flags: one signal ends a slice and the loop around it."""

import os
import signal

from tasks.stopping import stop_flag


def test_a_signal_in_the_inner_block_stops_the_outer_one_too() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stop_flag() as outer:
        with stop_flag() as inner:
            os.kill(os.getpid(), signal.SIGTERM)
            assert inner()
        assert outer()
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_later_block_starts_without_the_earlier_ones_signal() -> None:
    with stop_flag() as first:
        os.kill(os.getpid(), signal.SIGTERM)
        assert first()
    with stop_flag() as second:
        assert not second()
