"""Results of the last hour by a name that nobody can guess: a reload, or "back", shows them again."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from captioner.caption.result import Caption
from demo.visit.correction import Corrections

MOST = 400
"""Results that are held; a caption takes about 200 KB."""


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A file that a visitor captioned."""

    file: str
    captions: tuple[Caption, ...]


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What a tab showed."""

    tab: str
    values: tuple[Any, ...]
    """Of the tab's components, in the order in which the tab names them."""
    visitor: str = ""
    """Whose it is."""
    clips: tuple[Clip, ...] = ()
    """For this visitor to find."""
    corrections: Corrections = field(default_factory=dict)
    """Of the visit until then: a reload goes on with them."""


@dataclass(frozen=True)
class Tab:
    """What the page needs of one of its tabs."""

    id: str
    restored: list[Any]
    """The components that a kept result fills, in order."""
    request: list[Any] = field(default_factory=list)
    """The settings of a request, in the order of the endpoint."""


class Shelf:
    """Holds results in memory for ``seconds``, the youngest ``MOST`` of them; use it from any thread."""

    def __init__(self, *, seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._now = now
        self._kept: dict[str, tuple[float, Kept]] = {}
        self._lock = threading.Lock()

    def name(self) -> str:
        """A new name, for a result that is about to be put."""
        return secrets.token_urlsafe(12)

    def put(self, name: str, kept: Kept) -> None:
        """Hold a result; the one of that name that was there goes."""
        with self._lock:
            self._kept.pop(name, None)
            self._kept[name] = self._now(), kept
            self._sweep()

    def get(self, name: str) -> Kept | None:
        """The result of that name, None where there is none any more."""
        with self._lock:
            self._sweep()
            return self._kept[name][1] if name in self._kept else None

    def clips(self, visitor: str) -> list[Clip]:
        """What a visitor captioned, in this order."""
        with self._lock:
            self._sweep()
            return [clip for _, kept in self._kept.values() if kept.visitor == visitor for clip in kept.clips]

    def _sweep(self) -> None:
        oldest = self._now() - self._seconds
        for name in [name for name, (put, _) in self._kept.items() if put < oldest]:
            del self._kept[name]
        while len(self._kept) > MOST:
            del self._kept[next(iter(self._kept))]
