"""What differs between Linux, macOS and Windows: locks, signals, child processes, the allocator, the console."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

BINARY = getattr(os, "O_BINARY", 0)
"""For os.open: on Windows a file is text, with other line ends, unless this is said."""

STOPPED = 130
"""The exit status of a process that a signal stopped."""

_AGAIN_SECONDS = 2.0
_DEAF_SECONDS = 0.05
_PLACE = 1 << 40  # on Windows a lock covers bytes, and those must not be read by others
_PR_SET_PDEATHSIG = 1  # sys/prctl.h
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


def try_lock(file: int) -> bool:
    """Lock an open file until this process ends; False where another has it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(file, _PLACE, os.SEEK_SET)
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
            os.lseek(file, 0, os.SEEK_SET)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def apart() -> dict[str, Any]:
    """Arguments of subprocess.Popen for a child in a group of its own: Ctrl-C is for the parent, which ends it."""
    if sys.platform == "win32":
        return {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
    return {"process_group": 0}


def die_with_parent() -> None:
    """On Linux, be killed when the thread that started this process ends, also where the interpreter cannot run.

    Elsewhere a child has to notice that its input has ended.
    """
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


@contextlib.contextmanager
def terminable(*, status: Callable[[], int] | None = None, lasting: bool = False) -> Iterator[None]:
    """Let the signals by which people, clusters, services and closed terminals end a process stop it as Ctrl-C does.

    The first one raises KeyboardInterrupt; during an import it waits, for an import might pass over it. More within
    two seconds are let pass, for they would disturb the clearing up; a later one ends the process at once. One that
    the parent ignores (``nohup``) stays ignored. ``lasting`` keeps listening after the block: then a signal ends the
    process with ``status``. Without effect outside the main thread.
    """
    first: float | None = None
    over = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal first
        if over and status is not None:
            os._exit(status())
        if first is None:
            if _is_deaf(frame) and hasattr(signal, "setitimer"):
                signal.signal(signal.SIGALRM, stop)
                signal.setitimer(signal.ITIMER_REAL, _DEAF_SECONDS)
                return
            first = time.monotonic()
            raise KeyboardInterrupt
        if time.monotonic() - first > _AGAIN_SECONDS:
            os._exit(STOPPED)

    before = {}
    with contextlib.suppress(ValueError):  # not the main thread
        for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        over = True
        for number, handler in () if lasting else before.items():
            signal.signal(number, handler)


def _is_deaf(frame: FrameType | None) -> bool:
    """Whether an exception raised here may be lost, because many modules ignore errors of an import."""
    while frame is not None:
        if frame.f_code.co_name == "__del__" or "importlib._bootstrap" in frame.f_code.co_filename:
            return True
        frame = frame.f_back
    return False


def allowed_bytes() -> int | None:
    """The address space that this process may take (``ulimit -v``); None where there is no limit."""
    if sys.platform == "win32":
        return None
    import resource

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def peak_bytes() -> int:
    """The most address space that this process has taken; 0 where the system does not tell."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmPeak:")]
        return int(line.split()[1]) * 1024
    return 0


def say_anything() -> None:
    """Let stdout and stderr take every character: what their encoding lacks (cp1252, ASCII) is written as an escape."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def keep_freed_memory(*, largest_bytes: int = 2**30) -> bool:
    """Tell glibc to keep freed blocks of up to ``largest_bytes`` for the next tensor; True if it could be told.

    By default glibc maps every block above 32 MB anew, and the kernel clears each page again. That takes half of a
    CNN's time on a CPU: 16 frames of MobileNetV2 at 224 px in bfloat16 took 18.8 ms a frame, and 8.9 ms with this. It
    is for programs, not for libraries, because the process keeps its peak memory. Other C libraries are left alone.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # musl has none
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, largest_bytes) and mallopt(_M_TRIM_THRESHOLD, 2**31 - 1))
