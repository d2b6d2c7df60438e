"""A stop that lets work come to a good end: the first signal asks for it, the second one ends the program."""

from __future__ import annotations

import contextlib
import signal
from types import FrameType
from typing import Any


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
        with contextlib.suppress(ValueError):  # not the main thread
            for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
                number = getattr(signal, name, None)
                if number is not None and callable(signal.getsignal(number)):
                    self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(self, *problem: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self._keeps and not self.asked:
            self.asked = True
        else:
            self._before[number](number, frame)
