"""Objects that come into stores: their prefixes are listed again and again."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from dataclasses import replace

from captioner.errors import CaptionerError
from captioner.io.arrivals import Arrivals, Wanted
from captioner.io.inputs import Item, find_inputs
from captioner.io.stores import Stores

_LIST_SECONDS = 60.0
_LIST_SHARE = 20  # listing takes at most one part in so many of the time


class StoreArrivals(Arrivals):
    """The objects below addresses, each whenever its store has another version of it.

    A store shows whole objects alone, so that none has to be waited for.
    """

    def __init__(self, addresses: Iterable[str], stores: Stores, wanted: Wanted) -> None:
        """``addresses`` end with a slash."""
        super().__init__(wanted)
        self._versions: dict[str, dict[str, str]] = {address: {} for address in addresses}
        self._stores = stores
        self._ready: deque[Item] = deque()
        self._told: set[str] = set()

    def _next(self) -> Item | None:
        return self._ready.popleft() if self._ready else None

    @property
    def waiting(self) -> int:
        return len(self._ready)

    def again(self, item: Item) -> None:
        """Hand on this object once more, when it is listed the next time."""
        for versions in self._versions.values():
            versions.pop(item.path, None)

    def _look(self) -> None:
        began = time.monotonic()
        for address in self._versions:
            self._list(address)
        self._stopped.wait(max(_LIST_SECONDS, _LIST_SHARE * (time.monotonic() - began)))

    def _list(self, address: str) -> None:
        wanted = self._wanted
        try:
            inputs = find_inputs([address], recursive=wanted.recursive, images=wanted.images, stores=self._stores)
        except CaptionerError:  # there is nothing below it
            self._versions[address] = {}
            return
        problems = {f"{folder.path} cannot be listed: {folder.reason}" for folder in inputs.unreadable}
        for problem in problems - self._told:
            wanted.say(problem)
        self._told = problems
        versions = self._versions[address]
        there = {item.path: item.remote.version for item in inputs.items if item.remote is not None}
        for item in inputs.items:
            if item.path in there and versions.get(item.path) != there[item.path] and wanted.takes(item):
                self._ready.append(replace(wanted.make(item.path), remote=item.remote))
        self._versions[address] = {**versions, **there} if problems else there
