"""A pool of decoding processes that can be killed: a file that hangs or crashes its decoder fails alone.

Memory is bounded: a child decodes one file and waits until its frames are taken.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar, cast

import numpy as np

from captioner.archive.child import Child, DecodeJob
from captioner.caption.segments import Span
from captioner.errors import CaptionerError, ConfigError
from captioner.video.frames import Frames

_HELD = 4  # parts decoded ahead of their taker, for each child
_IDLE_SECONDS = 0.1
_END = object()


J = TypeVar("J")


class DecodePool:
    """Child processes that decode files. Use it in a ``with`` block, from any thread.

    ``timeout_seconds`` is for each file, or for each segment of it; None waits for ever.
    """

    def __init__(self, *, workers: int = 1, timeout_seconds: float | None = 60.0) -> None:
        if workers < 1:
            raise ConfigError(f"the number of decoding processes is {workers}; it must be at least 1")
        if timeout_seconds is not None and not timeout_seconds > 0:
            raise ConfigError(f"the timeout is {timeout_seconds} seconds; it must be more than 0")
        self.workers = workers
        self.timeout_seconds = timeout_seconds
        self._children = [Child() for _ in range(workers)]
        self._idle: queue.LifoQueue[Child] = queue.LifoQueue()
        for child in self._children:
            child.start()
            self._idle.put(child)

    def __enter__(self) -> DecodePool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the children at once."""
        for child in self._children:
            child.close()

    def decode(self, job: DecodeJob) -> Iterator[tuple[Span, Frames]]:
        """The parts of one file with their frames, as they are decoded.

        Waits until a child is free. Raises what ``sample_frames`` raises; VideoError("timeout") where the child had
        to be killed, VideoError("damaged") where it died.
        """
        child = self._idle.get()
        try:
            yield from child.decode(job, self.timeout_seconds)
        finally:
            self._idle.put(child)

    def decode_all(
        self,
        jobs: Iterable[tuple[J, DecodeJob] | None],
        *,
        encode: Callable[[Frames], np.ndarray] | None = None,
        keep: Callable[[Frames], np.ndarray] = lambda frames: frames.pixels[:0].copy(),
        tick_seconds: float | None = None,
        on_stop: Callable[[], None] = lambda: None,
    ) -> Iterator[Decoded[J] | None]:
        """Many files at once, each under a label, what is ready first coming first; a few parts are held, no more.

        ``jobs`` is read as children become free, from threads of its own but never from two at a time; None says that
        there is nothing yet. ``encode`` is called in those threads, one for each child, and its result comes in place
        of the pixels, of which ``keep`` says what stays. An error that they raise is raised here. With
        ``tick_seconds``, None comes whenever nothing else has for so long. ``on_stop`` is called before what is in
        hand is given up: ``jobs`` must then wait for nothing any more.
        """
        run = _Run(self, jobs, encode, keep)
        try:
            yield from run.results(tick_seconds)
        finally:
            on_stop()
            run.stop()


@dataclass(frozen=True, kw_only=True)
class Decoded(Generic[J]):
    """What became of a job: a part of its clip, then perhaps others, and at last either its end or its error."""

    label: J
    part: tuple[Span, Frames] | None = None
    features: np.ndarray | None = None
    """Of a part that has been encoded; its frames then have no pixels."""
    error: CaptionerError | None = None


class _Run(Generic[J]):
    """One call of ``decode_all``: a thread for each child takes jobs and hands over parts."""

    def __init__(
        self,
        pool: DecodePool,
        jobs: Iterable[tuple[J, DecodeJob] | None],
        encode: Callable[[Frames], np.ndarray] | None,
        keep: Callable[[Frames], np.ndarray],
    ) -> None:
        self._pool = pool
        self._jobs = iter(jobs)
        self._encode, self._keep = encode, keep
        self._turn = threading.Lock()
        self._stopped = threading.Event()
        self._ready: queue.Queue[Decoded[J] | BaseException | None] = queue.Queue(maxsize=_HELD * pool.workers)
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(pool.workers)]
        for thread in self._threads:
            thread.start()

    def results(self, tick_seconds: float | None) -> Iterator[Decoded[J] | None]:
        working = len(self._threads)
        while working:
            try:
                result = self._ready.get(timeout=tick_seconds)
            except queue.Empty:
                yield None
                continue
            if result is None:
                working -= 1
            elif isinstance(result, BaseException):
                raise result
            else:
                yield result

    def stop(self) -> None:
        """Give up the work in hand."""
        self._stopped.set()
        for thread in self._threads:
            while thread.is_alive():
                with contextlib.suppress(queue.Empty):  # a thread may wait for room
                    self._ready.get_nowait()
                thread.join(0.01)

    def _work(self) -> None:
        try:
            while not self._stopped.is_set():
                with self._turn:
                    taken: Any = next(self._jobs, _END)
                if taken is _END:
                    break
                if taken is None:
                    self._stopped.wait(_IDLE_SECONDS)
                else:
                    self._decode(*taken)
        except BaseException as error:
            self._put(error)
        self._put(None)

    def _decode(self, label: J, job: DecodeJob) -> None:
        error: CaptionerError | None = None
        with contextlib.closing(cast(Any, self._pool.decode(job))) as parts:
            try:
                for part in parts:
                    if not self._put(self._encoded(label, part)):
                        return
            except CaptionerError as failure:
                error = failure
        self._put(Decoded(label=label, error=error))

    def _encoded(self, label: J, part: tuple[Span, Frames]) -> Decoded[J]:
        if self._encode is None:
            return Decoded(label=label, part=part)
        span, frames = part
        features = self._encode(frames)
        return Decoded(label=label, part=(span, replace(frames, pixels=self._keep(frames))), features=features)

    def _put(self, result: Decoded[J] | BaseException | None) -> bool:
        """False if the run no longer waits for it."""
        while not self._stopped.is_set():
            with contextlib.suppress(queue.Full):
                self._ready.put(result, timeout=0.1)
                return True
        return False
