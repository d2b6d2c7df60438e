"""Reads tasks ahead in a thread: to look up a file, or an object in a store, may take a while."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterator

from captioner.archive.engine import Task

_WAIT_SECONDS = 0.05


class Prefetch:
    """The next tasks, at most ``ahead`` of them."""

    def __init__(self, tasks: Iterator[Task], ahead: int) -> None:
        self._tasks = tasks
        self._ready: queue.Queue[Task | BaseException] = queue.Queue(maxsize=ahead)
        self._stopped, self._read = threading.Event(), threading.Event()
        threading.Thread(target=self._work, daemon=True).start()

    @property
    def ended(self) -> bool:
        """Whether all tasks have been read and taken."""
        return self._read.is_set() and self._ready.empty()

    def stop(self) -> None:
        self._stopped.set()

    def count(self) -> int:
        """How many tasks are ready."""
        return self._ready.qsize()

    def take(self, most: int) -> tuple[Task, ...]:
        """The tasks that are ready, at most so many; raises the error that ended the reading."""
        taken: list[Task] = []
        while len(taken) < most:
            try:
                task = self._ready.get_nowait()
            except queue.Empty:
                break
            if isinstance(task, BaseException):
                raise task
            taken.append(task)
        return tuple(taken)

    def _work(self) -> None:
        try:
            for task in self._tasks:
                self._put(task)
                if self._stopped.is_set():
                    return
        except BaseException as error:
            self._put(error)
        self._read.set()

    def _put(self, task: Task | BaseException) -> None:
        while not self._stopped.is_set():
            with contextlib.suppress(queue.Full):
                self._ready.put(task, timeout=_WAIT_SECONDS)
                return
