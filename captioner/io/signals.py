"""Signals by which people, clusters, services and closed terminals end a process: it stops as by Ctrl-C, or soon."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

STOPPED = 130
"""The exit status of a process that a signal stopped."""

_AGAIN_SECONDS = 2.0
_DEAF_SECONDS = 0.05


@contextlib.contextmanager
def terminable(*, status: Callable[[], int] | None = None, lasting: bool = False) -> Iterator[None]:
    """Let the signals by which people, clusters, services and closed terminals end a process stop it as Ctrl-C does.

    The first one raises KeyboardInterrupt; during an import it waits, for an import might pass over it. More within
    two seconds are let pass, for they would disturb the clearing up; a later one ends the process at once. One that
    the parent ignores (``nohup``) stays ignored. ``lasting`` keeps listening after the block: then a signal ends the
    process with ``status``. Without effect outside the main thread.
    """
    first: float | None = None
    over = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal first
        if over and status is not None:
            os._exit(status())
        if first is None:
            if _is_deaf(frame) and hasattr(signal, "setitimer"):
                signal.signal(signal.SIGALRM, stop)
                signal.setitimer(signal.ITIMER_REAL, _DEAF_SECONDS)
                return
            first = time.monotonic()
            raise KeyboardInterrupt
        if time.monotonic() - first > _AGAIN_SECONDS:
            os._exit(STOPPED)

    before = _heard_by(stop)
    try:
        yield
    finally:
        over = True
        if not lasting:
            _give_back(before)


def _is_deaf(frame: FrameType | None) -> bool:
    """Whether an exception raised here may be lost, because many modules ignore errors of an import."""
    while frame is not None:
        if frame.f_code.co_name == "__del__" or "importlib._bootstrap" in frame.f_code.co_filename:
            return True
        frame = frame.f_back
    return False


class Stop(contextlib.AbstractContextManager["Stop"]):
    """While it is open and :meth:`keep` was called, Ctrl-C and SIGTERM only set ``asked``.

    Before that, and the second time, a signal does what it did outside. Without effect outside the main thread.
    """

    def __init__(self) -> None:
        self.asked = False
        self._keeps = False
        self._before: dict[int, Any] = {}

    def keep(self) -> None:
        """From now on there is something to keep."""
        self._keeps = True

    def __enter__(self) -> Stop:
        self._before = _heard_by(self._hear, but=(signal.SIG_IGN, signal.SIG_DFL, None))
        return self

    def __exit__(self, *problem: object) -> None:
        _give_back(self._before)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self._keeps and not self.asked:
            self.asked = True
        else:
            self._before[number](number, frame)


def _heard_by(
    handler: Callable[[int, FrameType | None], None], *, but: tuple[Any, ...] = (signal.SIG_IGN, None)
) -> dict[int, Any]:
    """Let a handler hear the signals, ``but`` those that have such a one (``nohup`` ignores); returns those before."""
    before = {}
    with contextlib.suppress(ValueError):  # not the main thread
        for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) not in but:
                before[number] = signal.signal(number, handler)
    return before


def _give_back(before: dict[int, Any]) -> None:
    for number, handler in before.items():
        signal.signal(number, handler)
