"""A lock file that allows one run at a time; the system releases it when the process ends."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from pathlib import Path

from captioner.errors import CaptionerError
from captioner.io.platform import try_lock
from captioner.safe.whole import writing


class FolderLock(contextlib.AbstractContextManager["FolderLock"]):
    """A folder that one run writes to at a time; the file ``name`` in it says who does.

    Raises CaptionerError where another run has it, or where it cannot be written.
    """

    def __init__(self, folder: Path, *, name: str = "run.lock") -> None:
        path = folder / name
        with writing(path):
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        if not try_lock(self._file):
            os.close(self._file)
            raise CaptionerError(
                f"another run{_holder(path)} is writing to {folder}; wait for it, or choose another --out"
            )
        os.ftruncate(self._file, 0)
        os.write(self._file, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode() + b"\n")

    def __exit__(self, *problem: object) -> None:
        os.close(self._file)


def _holder(path: Path) -> str:
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
        return f" (process {holder['pid']} on {holder['host']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def remove_leftovers(folder: Path) -> None:
    """Delete the temporary siblings (``.NAME.PID.tmp``) that killed runs left in a folder; hold its lock.

    What a run had moved aside (``.NAME.PID.old``) when it was killed comes back, unless NAME is there again.
    """
    import shutil

    for path in folder.glob(".*.old"):
        name = path.name[1:].rsplit(".", 2)[0]
        if (folder / name).exists():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.rename(folder / name)
    for path in folder.glob(".*.tmp"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
