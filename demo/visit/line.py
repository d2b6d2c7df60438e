"""The line of visitors who wait for a result: each knows how many are before, and for about how long."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from demo import strings
from demo.limits import Refusal

_TICK_SECONDS = 0.5
_GONE_SECONDS = 30.0
"""Whoever waits asks twice a second; one who has not asked for so long has left."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a visitor stands in the line."""

    before: int
    """Visitors whose results come first, those that are being made included."""
    seconds: float | None
    """Until this one's turn, about; None while nothing was measured."""


class Line:
    """Lets ``places`` visitors in at a time, in the order they came; use it from any thread."""

    def __init__(self, *, places: int, most: int) -> None:
        """``most``: visitors that may wait; the next one is refused."""
        self._places = places
        self._most = most
        self._waiting: dict[object, float] = {}
        self._inside: dict[object, float] = {}
        self._took: deque[float] = deque(maxlen=8)
        self._changed = threading.Condition()

    @contextmanager
    def join(self) -> Iterator[Iterator[Place]]:
        """Gives the places of one visitor until its turn; the turn lasts to the end of the block. Raises Refusal."""
        ticket = object()
        with self._changed:
            self._forget_the_gone()
            if len(self._waiting) >= self._most:
                raise Refusal(strings.LINE_FULL)
            self._waiting[ticket] = time.monotonic()
        try:
            yield self._until_its_turn(ticket)
        finally:
            with self._changed:
                self._waiting.pop(ticket, None)
                if ticket in self._inside:
                    self._took.append(time.monotonic() - self._inside.pop(ticket))
                self._changed.notify_all()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait, and have the turn for the block. Raises Refusal."""
        with self.join() as places:
            for _ in places:
                continue
            yield

    def _until_its_turn(self, ticket: object) -> Iterator[Place]:
        while True:
            with self._changed:
                self._waiting[ticket] = time.monotonic()
                self._forget_the_gone()
                ahead = list(self._waiting).index(ticket)
                if not ahead and len(self._inside) < self._places:
                    del self._waiting[ticket]
                    self._inside[ticket] = time.monotonic()
                    self._changed.notify_all()
                    return
                place = Place(before=ahead + len(self._inside), seconds=self._seconds(ahead))
            yield place
            with self._changed:
                self._changed.wait(_TICK_SECONDS)

    def _seconds(self, ahead: int) -> float | None:
        """Rounds of ``places`` visitors, each as long as the last few took; the first round has begun already."""
        if not self._took:
            return None
        mean = sum(self._took) / len(self._took)
        begun = time.monotonic() - min(self._inside.values(), default=time.monotonic())
        return max(1.0, mean * (1 + ahead // self._places) - begun)

    def _forget_the_gone(self) -> None:
        oldest = time.monotonic() - _GONE_SECONDS
        for ticket in [ticket for ticket, asked in self._waiting.items() if asked < oldest]:
            del self._waiting[ticket]
