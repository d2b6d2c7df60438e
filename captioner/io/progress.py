"""Reports progress on stderr: a status line for people, or JSON Lines for programs."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

from captioner.errors import about_file
from captioner.io.status import ProgressFile, duration
from captioner.safe.text import visible

_REFRESH_SECONDS = 0.2
_LOG_SECONDS = 10.0
_STATUS_SECONDS = 60.0
_ERASE = "\r\x1b[K"  # back to the start of the line, and clear it


def has_colour() -> bool:
    """Whether terminals are to be coloured: NO_COLOR and TERM=dumb are respected."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class Monitor:
    """Tells how far a run is: a line that is redrawn on a terminal, nothing where stderr is a file or a pipe.

    With ``as_json``, every event is one JSON object a line instead. NO_COLOR and TERM=dumb are respected.
    """

    def __init__(self, *, quiet: bool = False, as_json: bool = False, verbose: bool = False) -> None:
        self._json = as_json
        self._quiet = quiet
        self._verbose = verbose
        plain = quiet or as_json or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb"
        self.live = not plain
        """Whether a line on a terminal is redrawn."""
        self._colour = self.live and has_colour()
        self._began = time.monotonic()
        self._shown = 0.0
        self._file = ProgressFile()

    def progress(self, *, settled: int, total: int, made: int, failed: int) -> None:
        """``settled`` of ``total`` files are over with, ``made`` of them by this run; ``failed`` could not be done."""
        seconds = time.monotonic() - self._began
        rate = made / seconds if seconds > 0 else 0.0
        left = (total - settled) / rate if rate > 0 else None
        self._file.tell(f"{settled} of {total} files", share=settled / total if total else None, seconds_left=left)
        if not self._is_due():
            return
        parts = [f"{settled}/{total}" + (f" ({100 * settled // total} %)" if total else ""), f"{rate:.1f} clips/s"]
        if left is not None:
            parts.append(f"{duration(left)} left")
        if failed:
            parts.append(self._red(f"{failed} failed"))
        self._tell(
            "progress",
            ", ".join(parts),
            settled=settled,
            total=total,
            failed=failed,
            clips_per_second=round(rate, 2),
            seconds_left=None if left is None else round(left),
        )

    def watching(self, *, captioned: int, known: int, failed: int, waiting: int) -> None:
        """How a run without an end is: said every minute, also while nothing comes."""
        if self._is_due(_STATUS_SECONDS):
            numbers = {"captioned": captioned, "known": known, "failed": failed, "waiting": waiting}
            text = ", ".join(f"{number} {name}" for name, number in numbers.items())
            self._tell("status", text, **numbers, seconds=round(time.monotonic() - self._began, 1))

    def position(self, seconds: float | None, *, start: float, end: float | None) -> None:
        """How far one film has been read, of the part from ``start`` to ``end`` (None: not known)."""
        if seconds is None or not self._is_due():
            return
        text = f"{duration(seconds)} of film read"
        if end is not None and end > start and seconds > start:
            share = min(1.0, (seconds - start) / (end - start))
            left = (time.monotonic() - self._began) * (1 - share) / share
            text = f"{duration(seconds)} of {duration(end)} ({100 * share:.0f} %), {duration(left)} left"
        self._tell("position", text, seconds=round(seconds, 3), end_seconds=end)

    def _is_due(self, every_seconds: float = _LOG_SECONDS) -> bool:
        """Whether it is time to tell again, which it then is; ``every_seconds`` in JSON, more often on a terminal."""
        now = time.monotonic()
        due = now - self._shown >= (every_seconds if self._json else _REFRESH_SECONDS)
        self._shown = now if due else self._shown
        return due

    def _tell(self, event: str, text: str, **values: Any) -> None:
        """An event in JSON, or a line on a terminal that the next one replaces."""
        if self._json:
            self._event(event, **values)
        elif self.live:
            self._write(_ERASE + text)

    def clear(self) -> None:
        """Take the redrawn line away."""
        if self.live and self._shown:
            self._write(_ERASE)

    def detail(self, message: str) -> None:
        """What only ``--verbose`` says."""
        if self._verbose:
            self.say(message)

    def failure(self, path: str, code: str, message: str) -> None:
        """A file that cannot be captioned; said even when quiet."""
        if self._json:
            self._event("failed", path=path, code=code, message=message)
        else:
            self._line(f"captioner: {about_file(path, message)} [{code}]", red=True)

    def warning(self, path: str, message: str, *, seconds: float = 0.0) -> None:
        """Something about a file that was captioned all the same, or about its segment from ``seconds``."""
        if self._json:
            self._event("warning", path=path, seconds=round(seconds, 3), message=message)
        elif not self._quiet:
            self._line(f"captioner: {path}{f' at {duration(seconds)}' if seconds >= 1 else ''}: warning: {message}")

    def say(self, message: str) -> None:
        """About the run."""
        if self._json:
            self._event("note", message=message)
        elif not self._quiet:
            self._line(f"captioner: {message}")

    def end(self, message: str, **numbers: Any) -> None:
        """How the run went."""
        seconds = time.monotonic() - self._began
        if self._json:
            self._event("end", seconds=round(seconds, 1), **numbers)
        elif not self._quiet:
            self._line(f"captioner: {message} in {duration(seconds)}")
        else:
            self.clear()

    def _event(self, name: str, **values: Any) -> None:
        self._write(json.dumps({"event": name, "time": round(time.time(), 3)} | values) + "\n")

    def _line(self, text: str, *, red: bool = False) -> None:
        text = visible(text)
        self._write(_ERASE * self.live + (self._red(text) if red else text) + "\n")

    def _red(self, text: str) -> str:
        return f"\x1b[31m{text}\x1b[0m" if self._colour else text

    @staticmethod
    def _write(text: str) -> None:
        print(text, end="", file=sys.stderr, flush=True)
