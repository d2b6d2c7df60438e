"""The folder that uploads lie in: private, swept while the server runs, gone when it stops."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def private_folder(keep_seconds: float) -> Iterator[Path]:
    """A new folder for gradio's uploads, to be entered before gradio is imported.

    Gradio deletes what it has noted down; this also finds what it has not (files inside MCP messages), and clears up
    after all of it.
    """
    with tempfile.TemporaryDirectory(prefix="captioner-uploads-", ignore_cleanup_errors=True) as name:
        os.environ["GRADIO_TEMP_DIR"] = name
        stopped = threading.Event()
        threading.Thread(target=_sweep, args=(Path(name), keep_seconds, stopped), daemon=True).start()
        try:
            yield Path(name)
        finally:
            stopped.set()


def _sweep(folder: Path, keep_seconds: float, stopped: threading.Event) -> None:
    sweeper = Sweeper(folder, keep_seconds=keep_seconds)
    while not stopped.wait(min(60.0, keep_seconds)):
        sweeper.sweep()


class Sweeper:
    """Deletes the files below a folder that it has known for long; a clock that is set back or forward changes nothing.

    What was written again is young again.
    """

    def __init__(self, folder: Path, *, keep_seconds: float) -> None:
        self._folder, self._keep_seconds = folder, keep_seconds
        self._since: dict[tuple[Path, int], float] = {}
        """When each file, in the state of its last change, was first seen."""

    def sweep(self) -> None:
        """Look again; also folders that are left empty go."""
        now, since = time.monotonic(), {}
        for path in sorted(self._folder.rglob("*"), reverse=True):  # what is in a folder comes before the folder
            with contextlib.suppress(OSError):
                state = (path, path.lstat().st_ctime_ns)
                since[state] = self._since.get(state, now)
                if now - since[state] >= self._keep_seconds:
                    path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        self._since = since


def swept_folder(prefix: str) -> Path:
    """A new folder among the uploads, which are deleted as they grow old and when the server stops."""
    from gradio.utils import get_upload_folder

    uploads = Path(get_upload_folder())
    uploads.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=prefix, dir=uploads))
