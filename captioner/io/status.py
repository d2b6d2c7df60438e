"""Tells on stderr how far a run is: on a terminal by a line that is redrawn, elsewhere by a line now and then."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from pathlib import Path

REFRESH_SECONDS = 0.2
LINE_SECONDS = 30.0
"""Where stderr is a file or a pipe: nothing is said more often."""
FILE = "CAPTIONER_PROGRESS"
"""The environment variable that names a file for programs: ``{"text": ..., "share": ..., "seconds_left": ...}``. It is
written anew at most twice a second, also where the run is quiet."""
_FILE_SECONDS = 0.5


class Status:
    """What a run says on stderr."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._live = not quiet and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._every = REFRESH_SECONDS if self._live else LINE_SECONDS
        self._told = 0.0 if self._live else time.monotonic()
        self._left = TimeLeft()
        self._file = ProgressFile()

    def say(self, text: str) -> None:
        """A line that stays."""
        if not self._quiet:
            self._write(text + "\n")

    def show(self, text: str, *, share: float | None = None, at_most: bool = False) -> None:
        """A line that the next one replaces; with the ``share`` of the work that is done, it tells the time left."""
        left = self._left.after(share) if share is not None else None
        self._file.tell(text, share=share, seconds_left=left)
        if self._quiet or time.monotonic() - self._told < self._every:
            return
        if left is not None:
            text += f", {'at most ' * at_most}{duration(left)} left"
        self._write(text + "\n" * (not self._live))

    def clear(self) -> None:
        """Take the redrawn line away, before something else is printed."""
        if self._live:
            self._write("")

    def _write(self, text: str) -> None:
        self._told = time.monotonic()
        print(("\r\x1b[K" if self._live else "") + text, end="", file=sys.stderr, flush=True)


class ProgressFile:
    """The file that :data:`FILE` names; nothing is written where it names none."""

    def __init__(self) -> None:
        self._path, self._told = os.environ.get(FILE), 0.0

    def tell(self, text: str, *, share: float | None, seconds_left: float | None) -> None:
        """How far the run is; of what comes too soon after the last, nothing is written."""
        if not self._path or time.monotonic() - self._told < _FILE_SECONDS:
            return
        self._told = time.monotonic()
        file = Path(self._path)
        temporary = file.with_name(file.name + ".tmp")
        with contextlib.suppress(OSError):
            temporary.write_text(json.dumps({"text": text, "share": share, "seconds_left": seconds_left}), "utf-8")
            temporary.replace(file)


class Part(Status):
    """A piece of a status's work: it shows how far it is under a name, and leaves no line."""

    def __init__(self, whole: Status, name: str) -> None:
        super().__init__(quiet=True)
        self._whole, self._name = whole, name

    def show(self, text: str, *, share: float | None = None, at_most: bool = False) -> None:
        self._whole.show(f"{self._name}: {text}")


class TimeLeft:
    """How long the rest of some work takes, by how long its share so far took."""

    def __init__(self) -> None:
        self._began, self._first, self._last = 0.0, 1.0, 1.0

    def after(self, share: float) -> float | None:
        """Seconds; None while nothing is known. A share below the last begins another piece of work."""
        now = time.monotonic()
        if share < self._last:
            self._began, self._first = now, share
        self._last = share
        done = share - self._first
        return (now - self._began) * (1 - share) / done if done > 0 else None


def duration(seconds: float) -> str:
    """``40 s``, ``3 min 20 s``, ``2 h 05 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def announce(text: str, *, quiet: bool) -> None:
    """The first line of a command that takes a while: it stands there before PyTorch is loaded."""
    if not quiet:
        print(f"captioner: {text}", file=sys.stderr, flush=True)
