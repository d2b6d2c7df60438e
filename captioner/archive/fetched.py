"""Tasks whose files lie in stores: each is fetched to a private file while others are decoded, and removed after it.

The engine sees local files alone. At most ``ahead`` files, and those that are being decoded, are on the disk at once.
"""

from __future__ import annotations

import contextlib
import queue
import re
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from captioner.archive.engine import BATCH, Failure, Outcome, Settings, Task, caption_tasks
from captioner.archive.pool import DecodePool
from captioner.caption.clips import ClipModel
from captioner.errors import CaptionerError, VideoError
from captioner.io.scratch import Scratch
from captioner.io.stores import Remote, Stores

_THREADS = 4
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}")
_WAIT_SECONDS = 0.1
_JOIN_SECONDS = 1.0


class Source(Protocol):
    """What has files: the stores, or another machine."""

    def fetch(self, remote: Remote, to: Path, *, stopped: threading.Event | None = None) -> None:
        """Bring a file here; raises VideoError."""


@dataclass(frozen=True, kw_only=True)
class Fetching:
    """How files come from stores."""

    stores: Source = field(default_factory=Stores)
    scratch: str | None = None
    """The folder to fetch to; None: the system's for temporary files."""
    ahead: int = 8
    """Files fetched before they are decoded."""


def caption_fetched(
    tasks: Iterable[Task],
    captioner: ClipModel,
    *,
    settings: Settings,
    pool: DecodePool,
    batch_size: int = BATCH,
    fetching: Fetching,
) -> Generator[Outcome, None, None]:
    """The outcome of each task, as :func:`caption_tasks` gives it, wherever its file lies."""
    with _Fetched(tasks, fetching) as fetched:
        outcomes = caption_tasks(
            fetched,
            captioner,
            settings=settings,
            pool=pool,
            batch_size=batch_size,
            on_decoded=fetched.remove,
            on_stop=fetched.stop,
        )
        for outcome in outcomes:
            yield from fetched.failures()
            yield fetched.named(outcome)
        yield from fetched.failures()


@dataclass
class _Slot:
    """A task on its way: its file is being fetched to ``path``."""

    task: Task
    path: Path | None = None
    ready: threading.Event = field(default_factory=threading.Event)
    error: CaptionerError | None = None


class _Fetched(contextlib.AbstractContextManager["_Fetched"]):
    """The tasks, in their order, each with a file of this machine."""

    def __init__(self, tasks: Iterable[Task], fetching: Fetching) -> None:
        self._tasks = iter(tasks)
        self._stores, self._parent, self._limit = fetching.stores, fetching.scratch, max(1, fetching.ahead)
        self._scratch: Scratch | None = None
        self._stopped = threading.Event()
        self._coming: deque[_Slot] = deque()
        self._wanted: queue.SimpleQueue[_Slot | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._there: dict[int, _Slot] = {}
        self._failed: deque[Outcome] = deque()

    def __exit__(self, *problem: object) -> None:
        self.stop()
        for _ in self._threads:
            self._wanted.put(None)
        for thread in self._threads:
            thread.join(_JOIN_SECONDS / _THREADS)  # one that waits for a server ends with the process
        if self._scratch is not None:
            self._scratch.__exit__()

    def stop(self) -> None:
        """Wait for nothing any more."""
        self._stopped.set()

    def __iter__(self) -> Iterator[Task]:
        return self

    def __next__(self) -> Task:
        while True:
            self._look_ahead()
            if not self._coming:
                raise StopIteration
            slot = self._coming[0]
            while not slot.ready.wait(_WAIT_SECONDS):
                if self._stopped.is_set():
                    raise StopIteration
            self._coming.popleft()
            if slot.path is None:
                return slot.task
            if slot.error is None:
                self._there[slot.task.index] = slot
                return replace(slot.task, item=replace(slot.task.item, path=str(slot.path), remote=None))
            slot.path.unlink(missing_ok=True)
            if not isinstance(slot.error, VideoError):
                raise slot.error
            self._failed.append(Outcome(task=slot.task, failure=Failure.of(slot.error)))

    def failures(self) -> Iterator[Outcome]:
        """The tasks whose files could not be fetched, so far."""
        while self._failed:
            yield self._failed.popleft()

    def remove(self, task: Task) -> None:
        """Its file is needed no longer."""
        slot = self._there.get(task.index)
        if slot is not None and slot.path is not None:
            slot.path.unlink(missing_ok=True)

    def named(self, outcome: Outcome) -> Outcome:
        """An outcome of the task as it was, with the file's own name in place of the local one."""
        slot = self._there.pop(outcome.task.index, None)
        if slot is None:
            return outcome
        local, name = str(slot.path), slot.task.item.path
        captions = tuple(
            replace(caption, path=name, warnings=tuple(text.replace(local, name) for text in caption.warnings))
            for caption in outcome.captions
        )
        failure = outcome.failure
        if failure is not None:
            failure = replace(failure, message=failure.message.replace(local, name))
        return Outcome(task=slot.task, captions=captions, failure=failure)

    def _look_ahead(self) -> None:
        """Have as many files on their way as allowed; one of this machine is not waited behind."""
        while len(self._coming) < self._limit and not self._stopped.is_set():
            task = next(self._tasks, None)
            if task is None:
                return
            slot = _Slot(task)
            self._coming.append(slot)
            if task.item.remote is None:
                slot.ready.set()
                if len(self._coming) == 1:
                    return
            else:
                slot.path = self._place(task)
                self._wanted.put(slot)

    def _place(self, task: Task) -> Path:
        if self._scratch is None:
            self._scratch = Scratch(self._parent)
            self._threads = [threading.Thread(target=self._fetch, daemon=True) for _ in range(_THREADS)]
            for thread in self._threads:
                thread.start()
        suffix = _SUFFIX.fullmatch(Path(task.item.path).suffix)
        return self._scratch.folder / f"{task.index}{suffix.group(0) if suffix else ''}"

    def _fetch(self) -> None:
        while (slot := self._wanted.get()) is not None and not self._stopped.is_set():
            assert slot.path is not None and slot.task.item.remote is not None
            try:
                self._stores.fetch(slot.task.item.remote, slot.path, stopped=self._stopped)
            except CaptionerError as error:
                slot.error = error
            except Exception as error:  # whatever it is, the run must not wait for this file
                slot.error = CaptionerError(f"{slot.task.item.path} could not be fetched ({type(error).__name__})")
            slot.ready.set()
