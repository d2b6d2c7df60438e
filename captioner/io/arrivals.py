"""Files that come while a run lasts: what folders and stores have in common, and several of them together."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from captioner.io.inputs import Item


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which of the files that come are wanted, and who is told of what goes wrong."""

    recursive: bool = False
    images: bool = False
    takes: Callable[[Item], bool] = lambda item: True
    make: Callable[[str], Item] = lambda path: Item(path=path)
    """An item of a path."""
    say: Callable[[str], None] = lambda message: None
    """Told what cannot be listed, and which folder is gone or back."""


class Arrivals(ABC):
    """An endless list that a thread adds to; None stands where nothing has come yet. Use it in a ``with`` block.

    Any thread may ask for the next item. An error that ends the thread is raised to whoever asks.
    """

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._error: BaseException | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Arrivals:
        self._thread.start()
        return self

    def __exit__(self, *problem: object) -> None:
        self._stopped.set()
        self._thread.join(2.0)  # a drive or a server that does not answer ends with the process

    def __next__(self) -> Item | None:
        if self._error is not None:
            raise self._error
        return self._next()

    @property
    @abstractmethod
    def waiting(self) -> int:
        """Items that were found and not handed on."""

    @abstractmethod
    def _next(self) -> Item | None: ...

    @abstractmethod
    def _look(self) -> None:
        """Find what has come; called again and again until ``_stopped``, for which it has to wait."""

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                self._look()
        except BaseException as error:
            self._error = error


class Together:
    """What comes from several sources, as it comes."""

    def __init__(self, sources: Sequence[Arrivals]) -> None:
        self._sources = sources

    def __iter__(self) -> Iterator[Item | None]:
        return self

    def __next__(self) -> Item | None:
        return next((item for source in self._sources if (item := next(source)) is not None), None)

    @property
    def waiting(self) -> int:
        return sum(source.waiting for source in self._sources)
