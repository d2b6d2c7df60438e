"""Captions many files on this machine: child processes decode, threads encode, searches run in batches.

Memory is bounded by the batch and the number of children, however long the list. Results come in the order in which
they are ready; a result does not depend on the order (decision 0071).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from captioner.archive.pool import DecodeJob, DecodePool
from captioner.caption.clips import ClipModel, EncodedClip
from captioner.caption.merging import merge_captions
from captioner.caption.result import Caption, Place
from captioner.caption.segments import Segments, Span
from captioner.errors import CaptionerError, ConfigError, VideoError
from captioner.io.inputs import Item
from captioner.video.config import VideoConfig
from captioner.video.frames import Frames

BATCH = 16
"""Clips searched together; more gain little."""

_LINGER_SECONDS = 2.0  # a clip waits so long for others before it is searched with what there is


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How every file of a run is captioned: with the model, all that a row depends on."""

    video: VideoConfig
    search: Any
    """A ``SearchConfig``, or actions' ``ActionSettings``."""
    segments: Segments | None = None

    def job(self, item: Item) -> DecodeJob:
        """What a decoding process is asked for."""
        return DecodeJob(
            path=item.path,
            video=self.video,
            segments=self.segments,
            start_seconds=item.start_seconds,
            end_seconds=item.end_seconds,
        )


@dataclass(frozen=True, kw_only=True)
class Task:
    """One file of a list."""

    index: int
    """Its place in the list."""
    item: Item
    key: str = ""
    """Hex digits for its content, the model and the settings."""


NOTHING_YET = Task(index=-1, item=Item(path=""))
"""Stands in a growing list where nothing has come yet; its outcome says that the engine waits."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why there is no caption."""

    code: str
    """A VideoErrorCode; ``out_of_range``: its start does not lie in the clip; ``unwritable``: its output is not."""
    message: str

    @classmethod
    def of(cls, error: CaptionerError) -> Failure:
        code = error.code if isinstance(error, VideoError) else "out_of_range"
        return cls(code=code, message=str(error))


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a task: captions, one for each segment, or a failure."""

    task: Task
    captions: tuple[Caption, ...] = ()
    failure: Failure | None = None


@dataclass
class _Open:
    """A task that is being worked on."""

    task: Task
    waiting: int = 0
    """Parts that are decoded but not yet captioned."""
    captions: list[Caption] = field(default_factory=list)
    ended: bool = False
    error: CaptionerError | None = None


def caption_tasks(
    tasks: Iterable[Task],
    captioner: ClipModel,
    *,
    settings: Settings,
    pool: DecodePool,
    batch_size: int = BATCH,
    on_decoded: Callable[[Task], None] = lambda task: None,
    on_stop: Callable[[], None] = lambda: None,
) -> Generator[Outcome, None, None]:
    """The outcome of each task, as it is ready; ``tasks`` is read little by little, from other threads.

    ``on_decoded`` is told of each file that is needed no longer, and ``on_stop`` that no more tasks will be read. On a
    CPU set torch to one thread first: each child has a thread of this process to itself, which encodes.
    """
    if batch_size < 1:
        raise ConfigError(f"the batch size is {batch_size}; it must be at least 1")
    gathered = _Gathered(captioner, settings, batch_size)
    blank = np.zeros((1, settings.video.size, settings.video.size, 3), np.uint8)
    captioner.encode(Frames.made(blank))  # prepares the encoder, which threads must not do at once
    grows = False

    def jobs() -> Iterator[tuple[Task, DecodeJob] | None]:
        nonlocal grows
        for task in tasks:
            grows |= task is NOTHING_YET
            yield None if task is NOTHING_YET else (task, settings.job(task.item))

    for result in pool.decode_all(
        jobs(), encode=captioner.encode, keep=captioner.keeps, tick_seconds=_LINGER_SECONDS / 4, on_stop=on_stop
    ):
        if result is not None and result.part is not None:
            assert result.features is not None
            gathered.add(result.label, *result.part, result.features)
        elif result is not None:
            on_decoded(result.label)
            yield from gathered.end(result.label, result.error)
        elif grows:
            yield Outcome(task=NOTHING_YET)
        if gathered.is_due():
            yield from gathered.run()
    yield from gathered.run()


class _Gathered:
    """The batch that is being gathered, and the tasks that it belongs to."""

    def __init__(self, captioner: ClipModel, settings: Settings, size: int) -> None:
        self._captioner, self._settings, self._size = captioner, settings, size
        self._parts: list[tuple[_Open, Span, Frames, np.ndarray]] = []
        self._open: dict[int, _Open] = {}
        self._since = 0.0

    def add(self, task: Task, span: Span, frames: Frames, features: np.ndarray) -> None:
        if not self._parts:
            self._since = time.monotonic()
        entry = self._open.setdefault(task.index, _Open(task))
        entry.waiting += 1
        self._parts.append((entry, span, frames, features))

    def end(self, task: Task, error: CaptionerError | None) -> Iterator[Outcome]:
        entry = self._open.setdefault(task.index, _Open(task))
        entry.ended, entry.error = True, error
        yield from self._finished([entry])

    def is_due(self) -> bool:
        late = self._parts and time.monotonic() - self._since > _LINGER_SECONDS
        return len(self._parts) >= self._size or bool(late)

    def run(self) -> Iterator[Outcome]:
        """Caption what has been gathered."""
        parts, self._parts = self._parts, []
        if not parts:
            return
        captions = self._captioner.caption_encoded(
            [
                EncodedClip(frames, features, Place(entry.task.item.path, span.start_seconds, span.end_seconds))
                for entry, span, frames, features in parts
            ],
            search=self._settings.search,
            shape=(self._size, self._settings.video.frames),
        )
        for (entry, *_), caption in zip(parts, captions, strict=True):
            entry.waiting -= 1
            entry.captions.append(replace(caption, id=entry.task.item.id))
        yield from self._finished([entry for entry, *_ in parts])

    def _finished(self, entries: list[_Open]) -> Iterator[Outcome]:
        for entry in entries:
            if entry.ended and not entry.waiting and entry.task.index in self._open:
                del self._open[entry.task.index]
                yield _outcome(entry, merge=self._settings.segments is not None)


def _outcome(entry: _Open, *, merge: bool) -> Outcome:
    captions = tuple(merge_captions(entry.captions)) if merge else tuple(entry.captions)
    if entry.error is None:
        return Outcome(task=entry.task, captions=captions)
    failure = Failure.of(entry.error)
    if not captions or failure.code == "timeout":
        return Outcome(task=entry.task, failure=failure)
    # A film that breaks off: what came before is good, and its last caption tells.
    last = replace(captions[-1], warnings=(*captions[-1].warnings, f"it breaks off here: {failure.message}"))
    return Outcome(task=entry.task, captions=(*captions[:-1], last))


def cores() -> int:
    """Processor cores that this process may use: its affinity, and a container's share."""
    affinity: Any = getattr(os, "sched_getaffinity", None)
    count = len(affinity(0)) if affinity else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        count = min(count, max(1, round(int(quota) / int(period))))
    except (OSError, ValueError):  # no control groups, or no limit ("max")
        pass
    return count
