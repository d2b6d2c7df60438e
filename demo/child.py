"""Work in a process of its own, which can be killed: what a visitor sends may hang or crash it, and nothing else."""

from __future__ import annotations

import contextlib
import json
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from captioner.io.signals import STOPPED
from captioner.io.status import FILE
from demo.limits import Refusal

ROOT = Path(__file__).resolve().parent.parent
_TICK_SECONDS = 0.5


class Child:
    """One run of ``python -m ...``; ``wait`` it to its end, then look at ``code`` and ``said``."""

    def __init__(self, arguments: Sequence[str], *, names: Sequence[Path], seconds: float, late: str) -> None:
        """``names``: the visitor's files, of which only the names are told; after ``seconds`` it is killed and the
        visitor reads ``late``."""
        self._command = [sys.executable, "-m", *arguments]
        self._names = names
        self._seconds = seconds
        self._late = late
        self.code = 0
        self.said = ""
        """Its errors, without the paths of this server."""
        self.progress: dict[str, Any] = {}
        """What it says of itself (:data:`captioner.io.status.FILE`), while it is waited for; empty at first."""

    def wait(self, stopped: threading.Event | None = None, *, ending_seconds: float = 0.0) -> Iterator[float]:
        """The seconds gone by, now and then, until it ends. Left alone, it is killed; asked to stop, it has
        ``ending_seconds`` to come to an end by itself.

        Raises Refusal if it takes too long, and RuntimeError where its error is none that a visitor can do something
        about.
        """
        began, asked = time.monotonic(), math.inf
        with tempfile.TemporaryFile() as errors, tempfile.TemporaryDirectory(prefix="captioner-progress-") as folder:
            file = Path(folder) / "progress.json"
            process = subprocess.Popen(
                self._command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=errors, env=os.environ | {FILE: str(file)}
            )
            try:
                while process.poll() is None:
                    gone = time.monotonic() - began
                    if gone > self._seconds:
                        raise Refusal(self._late)
                    if stopped is not None and stopped.is_set() and asked == math.inf:
                        asked = gone
                        process.terminate()
                    if gone - asked >= ending_seconds:
                        break
                    with contextlib.suppress(OSError):
                        self.progress = json.loads(file.read_text(encoding="utf-8"))
                    yield gone
                    try:
                        process.wait(_TICK_SECONDS)
                    except subprocess.TimeoutExpired:
                        continue
            finally:
                process.kill()
                process.wait()
            self.code = process.returncode
            errors.seek(0)
            self._hear(errors.read().decode("utf-8", "replace"), self._command[2])

    def _hear(self, text: str, program: str) -> None:
        if self.code > 0 and self.code != STOPPED and not (self.code < 3 and text.startswith(f"{program}: ")):
            raise RuntimeError(text)
        for path in self._names:
            text = text.replace(str(path), path.name).replace(str(path.parent), "")
        self.said = "\n".join(line.removeprefix(f"{program}: ") for line in text.strip().splitlines())
