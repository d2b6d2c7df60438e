"""What differs between Linux, macOS and Windows: locks, child processes, memory, the console."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

BINARY = getattr(os, "O_BINARY", 0)
"""For os.open: on Windows a file is text, with other line ends, unless this is said."""

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


def keep_freed_memory() -> bool:
    """Tell glibc to keep freed blocks of up to a gigabyte for the next tensor; True if it could be told.

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
    return bool(mallopt(_M_MMAP_THRESHOLD, 2**30) and mallopt(_M_TRIM_THRESHOLD, 2**31 - 1))
