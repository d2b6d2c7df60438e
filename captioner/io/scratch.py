"""A private folder for fetched files, which goes with the run: also after a kill, when the next run starts."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from captioner.errors import CaptionerError
from captioner.io.platform import BINARY, try_lock

_PREFIX = "captioner-scratch-"
_LOCK = ".lock"
_PLAIN = getattr(os, "O_NOFOLLOW", 0)


class Scratch(contextlib.AbstractContextManager["Scratch"]):
    """A folder of its own in ``parent`` (default: the system's for temporary files), that only this user may enter.

    A lock beside it says that its run lives; folders whose lock is free are removed. Raises CaptionerError.
    """

    def __init__(self, parent: str | Path | None = None) -> None:
        base = Path(parent or tempfile.gettempdir()).absolute()
        try:
            base.mkdir(parents=True, exist_ok=True)
            _remove_leftovers(base)
            file, lock = tempfile.mkstemp(suffix=_LOCK, prefix=_PREFIX, dir=base)
            self._file, self._lock = file, Path(lock)
            try_lock(file)
            self.folder = self._lock.with_suffix("")
            self.folder.mkdir(mode=0o700)
        except OSError as error:
            raise CaptionerError(f"cannot write to the scratch folder {base}: {error.strerror}") from error

    def __exit__(self, *problem: object) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._file)  # before its name goes, which Windows wants
        self._lock.unlink(missing_ok=True)


def _remove_leftovers(base: Path) -> None:
    """Delete what runs left that were killed; those of other users stay. A run locks before it makes its folder."""
    for folder in base.glob(f"{_PREFIX}*"):
        if folder.suffix == _LOCK:
            continue
        lock = folder.with_name(folder.name + _LOCK)
        try:
            file = os.open(lock, os.O_RDWR | _PLAIN | BINARY)
        except FileNotFoundError:  # a file was still written while its folder was removed
            shutil.rmtree(folder, ignore_errors=True)
            continue
        except OSError:
            continue
        is_dead = try_lock(file)
        if is_dead:
            shutil.rmtree(folder, ignore_errors=True)
        os.close(file)
        if is_dead:
            lock.unlink(missing_ok=True)
