"""How often a running result is sent to the browser."""

from __future__ import annotations

import time

SECONDS = 0.4


class Pace:
    """True at first, then at most once in ``SECONDS``: fast work must not drown the page in updates."""

    def __init__(self) -> None:
        self._last = -SECONDS

    def due(self) -> bool:
        now = time.monotonic()
        if now - self._last < SECONDS:
            return False
        self._last = now
        return True
