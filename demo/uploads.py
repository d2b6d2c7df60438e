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
    while not stopped.wait(min(60.0, keep_seconds)):
        delete_older(folder, keep_seconds)


def delete_older(folder: Path, seconds: float) -> None:
    """Delete the files below ``folder`` that are older than this, and folders that are left empty."""
    oldest = time.time() - seconds
    for path in sorted(folder.rglob("*"), reverse=True):  # what is in a folder comes before the folder
        with contextlib.suppress(OSError):
            if path.is_dir():
                if path.stat().st_mtime < oldest:
                    path.rmdir()
            elif path.lstat().st_ctime < oldest:
                path.unlink()


def swept_folder(prefix: str) -> Path:
    """A new folder among the uploads, which are deleted as they grow old and when the server stops."""
    from gradio.utils import get_upload_folder

    uploads = Path(get_upload_folder())
    uploads.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=prefix, dir=uploads))
