"""A stop that lets work come to a good end."""

from __future__ import annotations

import os
import signal

import pytest

from captioner.io.signals import Stop, terminable


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_second_stops(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), terminable(), Stop() as stop:
        stop.keep()
        os.kill(os.getpid(), number)
        assert stop.asked
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


def test_where_nothing_is_to_be_kept_the_first_one_stops() -> None:
    with pytest.raises(KeyboardInterrupt), terminable(), Stop():
        os.kill(os.getpid(), signal.SIGTERM)
