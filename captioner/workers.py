"""Decoding in child processes that can be killed: a file that hangs or crashes its decoder costs that file only.

Memory is bounded: a child has one file in hand and stops when nobody takes its frames.
"""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Generic, TypeVar, cast, get_args

import numpy as np

from captioner.config import VideoConfig, to_dict
from captioner.errors import CaptionerError, ConfigError, VideoError, VideoErrorCode
from captioner.segments import LONGEST_SECONDS, Segments, Span
from captioner.video import Frames
from captioner.worker import receive, send, unpack_frames

_GRACE_SECONDS = 1.0  # the child itself gives up in time where it can; killing is for where it cannot
_START_SECONDS = 120.0  # to import what it needs, on a machine that is busy
_HELD = 4  # parts decoded ahead of their taker, for each child


@dataclass(frozen=True, kw_only=True)
class DecodeJob:
    """A file to be decoded, or a part of one."""

    path: str
    video: VideoConfig
    segments: Segments | None = None
    start_seconds: float | None = None
    end_seconds: float | None = None


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
        self._children = [_Child() for _ in range(workers)]
        self._idle: queue.LifoQueue[_Child] = queue.LifoQueue()
        for child in self._children:
            child.start()
            self._idle.put(child)

    def __enter__(self) -> DecodePool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the children, whatever they are doing."""
        for child in self._children:
            child.close()

    def decode(
        self,
        path: str | os.PathLike[str],
        video: VideoConfig,
        *,
        segments: Segments | None = None,
        start_seconds: float | None = None,
        end_seconds: float | None = None,
    ) -> Iterator[tuple[Span, Frames]]:
        """The parts of one file with their frames (None: the whole clip as one part), as they are decoded.

        Waits until a child is free. Raises what ``sample_frames`` raises; VideoError("timeout") where the child had
        to be killed, VideoError("damaged") where it died.
        """
        job = DecodeJob(
            path=os.fspath(path),
            video=video,
            segments=segments,
            start_seconds=start_seconds,
            end_seconds=end_seconds,
        )
        child = self._idle.get()
        try:
            yield from child.decode(job, self.timeout_seconds)
        finally:
            self._idle.put(child)

    def decode_all(
        self,
        jobs: Iterable[tuple[J, DecodeJob]],
        *,
        encode: Callable[[Frames], np.ndarray] | None = None,
        tick_seconds: float | None = None,
    ) -> Iterator[Decoded[J] | None]:
        """Many files at once, each under a label, what is ready first coming first; a few parts are held, no more.

        ``jobs`` is read as children become free, from threads of its own but never from two at a time. ``encode`` is
        called in those threads, one for each child, and its result comes in place of the pixels. An error that either
        raises is raised here. With ``tick_seconds``, None comes whenever nothing else has for so long.
        """
        run = _Run(self, jobs, encode)
        try:
            yield from run.results(tick_seconds)
        finally:
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
        jobs: Iterable[tuple[J, DecodeJob]],
        encode: Callable[[Frames], np.ndarray] | None,
    ) -> None:
        self._pool = pool
        self._jobs = iter(jobs)
        self._encode = encode
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
        """Whatever is in hand is given up."""
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
                    label, job = next(self._jobs, (None, None))
                if job is None:
                    break
                self._decode(cast(J, label), job)
        except BaseException as error:
            self._put(error)
        self._put(None)

    def _decode(self, label: J, job: DecodeJob) -> None:
        parts = self._pool.decode(
            job.path,
            job.video,
            segments=job.segments,
            start_seconds=job.start_seconds,
            end_seconds=job.end_seconds,
        )
        error: CaptionerError | None = None
        with contextlib.closing(cast(Any, parts)):
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
        return Decoded(label=label, part=(span, replace(frames, pixels=frames.pixels[:0].copy())), features=features)

    def _put(self, result: Decoded[J] | BaseException | None) -> bool:
        """False if nobody wants it any more."""
        while not self._stopped.is_set():
            with contextlib.suppress(queue.Full):
                self._ready.put(result, timeout=0.1)
                return True
        return False


class _Child:
    """One child process at a time, started again after it has been killed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False
        self._ready = False

    def start(self) -> None:
        """Begin to start it; it is waited for when first used."""
        root = str(Path(__file__).resolve().parents[1])
        code = f"import sys; sys.path.insert(0, {root!r}); from captioner.worker import serve; serve()"
        # A group of its own: Ctrl-C is for the parent, which ends the children in order.
        apart: dict[str, Any] = (
            {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
            if sys.platform == "win32"
            else {"process_group": 0}
        )
        self._ready = False
        self._process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, **apart
        )

    def close(self) -> None:
        """Kill it, and never start another."""
        self._closed = True
        self._kill()

    def decode(self, job: DecodeJob, timeout_seconds: float | None) -> Iterator[tuple[Span, Frames]]:
        request = {
            "path": job.path,
            "video": to_dict(job.video),
            "segments": job.segments,
            "start_seconds": job.start_seconds,
            "end_seconds": job.end_seconds,
            "timeout_seconds": timeout_seconds,
        }
        child_limit = None if timeout_seconds is None else timeout_seconds * _patience(job.segments) + _GRACE_SECONDS
        whole = False
        try:
            process = self._running()
            with contextlib.suppress(OSError):  # reading will tell what has become of it
                send(cast(BinaryIO, process.stdin), request)
            while (message := self._receive(process, job.path, child_limit)) is not None:
                header, body = message
                if "error" in header:
                    whole = True
                    raise _error(header)
                if "end" in header:
                    break
                yield _unpack(header, body, job)
            whole = True
        finally:
            if not whole:  # killed, dead, or left in the middle
                self._kill()

    def _running(self) -> subprocess.Popen[bytes]:
        """The process, started and ready; raises CaptionerError where it cannot be started."""
        if self._closed:
            raise CaptionerError("the decoding processes have been closed")
        if self._process is None:
            self.start()
        assert self._process is not None
        if not self._ready:
            try:
                self._receive(self._process, "", _START_SECONDS)
            except VideoError:
                self._kill()
                raise CaptionerError("a decoding process cannot be started; what it says is above") from None
            self._ready = True
        return self._process

    def _receive(
        self, process: subprocess.Popen[bytes], path: str, limit_seconds: float | None
    ) -> tuple[dict[str, Any], bytearray]:
        """The next message; VideoError if none comes in time, or if the process dies."""
        late = threading.Event()

        def give_up() -> None:
            late.set()
            process.kill()

        timer = None if limit_seconds is None else threading.Timer(limit_seconds, give_up)
        if timer is not None:
            timer.daemon = True
            timer.start()
        try:
            message = receive(cast(BinaryIO, process.stdout))
        except (ValueError, OSError):
            message = None
        finally:
            if timer is not None:
                timer.cancel()
        if late.is_set():
            raise VideoError("timeout", f"{path} took too long; its decoder hung and was ended")
        if message is None:
            process.kill()
            status = process.wait()
            how = f"signal {-status}" if status < 0 else f"status {status}"
            raise VideoError("damaged", f"{path} crashed its decoder ({how})")
        return message

    def _kill(self) -> None:
        process, self._process, self._ready = self._process, None, False
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()


def _patience(segments: Segments | None) -> float:
    """How many times the timeout a part may take: segments have it for every ten seconds of film."""
    if segments is None:
        return 1.0
    length = LONGEST_SECONDS if segments == "shots" else float(segments)
    return max(1.0, length / 10 + 1)


def _error(header: dict[str, Any]) -> CaptionerError:
    message, code = str(header["error"]), header.get("code")
    return VideoError(cast(VideoErrorCode, code), message) if code in get_args(VideoErrorCode) else ConfigError(message)


def _unpack(header: dict[str, Any], body: bytearray, job: DecodeJob) -> tuple[Span, Frames]:
    try:
        return unpack_frames(header, body, size=job.video.size)
    except (ValueError, TypeError, KeyError) as error:
        raise VideoError("damaged", f"{job.path} made its decoder answer nonsense ({error})") from None
