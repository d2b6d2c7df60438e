"""The parent's side of a decoding process: starts it, sends requests, kills it after a timeout."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast, get_args

from captioner.archive.decoder_process import receive, send, unpack_frames
from captioner.caption.segments import LONGEST_SECONDS, Segments, Span
from captioner.config import to_dict
from captioner.errors import CaptionerError, ConfigError, VideoError, VideoErrorCode
from captioner.io.platform import apart
from captioner.video.config import VideoConfig
from captioner.video.frames import Frames

ROOT = str(Path(__file__).resolve().parents[2])
"""The folder that the package is in."""

_GRACE_SECONDS = 1.0  # the child itself gives up in time where it can; killing is for where it cannot
_START_SECONDS = 120.0  # to import what it needs, on a machine that is busy

# Starts every child. Linux kills a child that wants to die with its parent when the *thread* that started it ends, and
# the threads of a server come and go; this one stays as long as the interpreter.
_STARTER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="start-decoders")


@dataclass(frozen=True, kw_only=True)
class DecodeJob:
    """A file to be decoded, or a part of one."""

    path: str
    video: VideoConfig
    segments: Segments | None = None
    """None: the whole clip is one part."""
    start_seconds: float | None = None
    end_seconds: float | None = None


class Child:
    """One child process at a time, started again after it has been killed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False
        self._ready = False

    def start(self) -> None:
        """Begin to start it; it is waited for when first used."""
        code = f"import sys; sys.path.insert(0, {ROOT!r}); from captioner.archive.decoder_process import serve; serve()"
        self._ready = False
        command, pipe = [sys.executable, "-P", "-c", code], subprocess.PIPE  # -P: no module of the folder it runs in
        self._process = _STARTER.submit(
            lambda: subprocess.Popen(command, stdin=pipe, stdout=pipe, bufsize=0, **apart())
        ).result()

    def close(self) -> None:
        """Kill it, and never start another."""
        self._closed = True
        self._kill()

    def decode(self, job: DecodeJob, timeout_seconds: float | None) -> Iterator[tuple[Span, Frames]]:
        """The parts of a file with their frames, as ``DecodePool.decode`` gives them; left half-way, it is killed."""
        request = to_dict(job) | {"timeout_seconds": timeout_seconds}
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
        if self._process is not None and self._process.poll() is not None:
            self._kill()  # by somebody else, with nothing in hand: no file's fault
        if self._process is None:
            self.start()
        assert self._process is not None
        if not self._ready:
            try:
                self._receive(self._process, "", _START_SECONDS)
            except VideoError:
                self._kill()
                raise CaptionerError("a decoding process cannot be started; its own error is printed above") from None
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
        raise VideoError("damaged", f"{job.path}: its decoder gave an unreadable answer ({error})") from None
