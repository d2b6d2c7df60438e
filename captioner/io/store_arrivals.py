"""Objects that come into stores: their prefixes are listed again and again."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol

from captioner.errors import CaptionerError
from captioner.io.inputs import Item, find_inputs
from captioner.io.stores import Stores
from captioner.io.wanted import Wanted

_LIST_SECONDS = 60.0
_LIST_SHARE = 20  # listing takes at most one part in so many of the time


class Source(Protocol):
    """Where items come from; None stands where nothing has come yet."""

    def __next__(self) -> Item | None: ...

    @property
    def waiting(self) -> int:
        """Items that were found and not handed on."""


class Together:
    """What comes from several sources, as it comes."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources

    def __iter__(self) -> Iterator[Item | None]:
        return self

    def __next__(self) -> Item | None:
        return next((item for source in self._sources if (item := next(source)) is not None), None)

    @property
    def waiting(self) -> int:
        return sum(source.waiting for source in self._sources)


class StoredArrivals:
    """An endless list of the objects below addresses, each whenever its store has another version of it.

    A store shows whole objects alone, so that none has to be waited for. Any thread may ask for the next one. Use it in
    a ``with`` block.
    """

    def __init__(self, addresses: Iterable[str], stores: Stores, wanted: Wanted) -> None:
        """``addresses`` end with a slash."""
        self._versions: dict[str, dict[str, str]] = {address: {} for address in addresses}
        self._stores, self._wanted = stores, wanted
        self._ready: deque[Item] = deque()
        self._told: set[str] = set()
        self._error: BaseException | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> StoredArrivals:
        self._thread.start()
        return self

    def __exit__(self, *problem: object) -> None:
        self._stopped.set()
        self._thread.join(2.0)  # a server that does not answer ends with the process

    def __next__(self) -> Item | None:
        if self._error is not None:
            raise self._error
        return self._ready.popleft() if self._ready else None

    @property
    def waiting(self) -> int:
        return len(self._ready)

    def again(self, item: Item) -> None:
        """Hand on this object once more, when it is listed the next time."""
        for versions in self._versions.values():
            versions.pop(item.path, None)

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                began = time.monotonic()
                for address in self._versions:
                    self._list(address)
                self._stopped.wait(max(_LIST_SECONDS, _LIST_SHARE * (time.monotonic() - began)))
        except BaseException as error:
            self._error = error

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
