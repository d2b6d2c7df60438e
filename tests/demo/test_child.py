"""Work in a process of its own: it tells how far it is, and comes to a good end if it is given time."""

from __future__ import annotations

import threading

import pytest

from demo.child import Child


@pytest.mark.parametrize("ending_seconds", [30.0, 0.0])
def test_a_stop_waits_for_a_good_end_where_it_may(ending_seconds: float) -> None:
    child = Child(["tests.patient"], names=[], seconds=60.0, late="too late")
    stopped = threading.Event()
    for _ in child.wait(stopped, ending_seconds=ending_seconds):
        if child.progress:
            stopped.set()
    assert child.progress["text"] == "working" and 0 <= child.progress["share"] < 1
    assert (child.code == 130) is (ending_seconds > 0) and (child.said != "") is (ending_seconds > 0)
