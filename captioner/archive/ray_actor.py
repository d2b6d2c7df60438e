"""The side of a Ray run that works on some node: a model, loaded once, with a decoding process of its own.

Nothing has to lie on the node: folders come as bytes, and files come from the driver's node piece by piece.
"""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import threading
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from captioner.archive.engine import Outcome, Settings, Task
from captioner.archive.fetched import Fetching, caption_fetched
from captioner.caption.clips import ClipModel
from captioner.errors import VideoError
from captioner.io.stores import Remote, Stores

_PIECE_BYTES = 4 << 20
_DRIVER = "driver:"
"""Begins the address of a file of the driver's node."""

Load = Callable[..., ClipModel]
"""Makes a model of folders, which are given by name."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What every actor of a run is made with."""

    load: Load
    settings: Settings
    batch_size: int
    timeout_seconds: float | None
    retries: int
    scratch: str | None
    ahead: int


class Actor:
    """Captions batches of tasks, one batch after the other."""

    def __init__(self, job: Job, folders: Mapping[str, bytes], files: Any) -> None:
        """``folders``: by the argument of ``job.load``, what :func:`pack` made; ``files``: a :class:`DriverFiles`."""
        import torch

        from captioner.archive.pool import DecodePool
        from captioner.io.platform import keep_freed_memory

        keep_freed_memory()
        self._pool = DecodePool(workers=1, timeout_seconds=job.timeout_seconds)
        self._job = job
        source = _Source(files, Stores(retries=job.retries))
        self._fetching = Fetching(stores=source, scratch=job.scratch, ahead=job.ahead)
        with tempfile.TemporaryDirectory() as base:
            self._model = job.load(**{name: unpack(data, Path(base) / name) for name, data in folders.items()})
        if self._model.device.type == "cpu":
            torch.set_num_threads(1)

    def ready(self) -> None:
        """Returns as soon as there is an actor."""

    def caption(self, tasks: Sequence[Task]) -> list[Outcome]:
        """The outcomes of a batch, in any order."""
        job = self._job
        outcomes = caption_fetched(
            tasks,
            self._model,
            settings=job.settings,
            pool=self._pool,
            batch_size=job.batch_size,
            fetching=self._fetching,
        )
        return list(outcomes)


class DriverFiles:
    """An actor on the driver's node that reads files there."""

    def read(self, path: str, version: str, offset: int) -> bytes | None:
        """A piece of a file; None where it is not the version that the run began with."""
        try:
            with Path(path).open("rb") as file:
                file.seek(offset)
                piece = file.read(_PIECE_BYTES)
                return piece if _version(os.fstat(file.fileno())) == version else None
        except OSError:
            return None


class _Source:
    """Where the files of a task come from: the driver's node, or a store."""

    def __init__(self, files: Any, stores: Stores) -> None:
        self._files, self._stores = files, stores

    def fetch(self, remote: Remote, to: Path, *, stopped: threading.Event | None = None) -> None:
        """Bring a file here; one that this node has too, by a shared file system, is only linked to."""
        if not remote.address.startswith(_DRIVER):
            self._stores.fetch(remote, to, stopped=stopped)
            return
        path = remote.address.removeprefix(_DRIVER)
        if is_here(path, remote.version):
            try:
                to.symlink_to(path)
            except OSError:
                shutil.copyfile(path, to)
            return
        self._pull(path, remote, to, stopped or threading.Event())

    def _pull(self, path: str, remote: Remote, to: Path, stopped: threading.Event) -> None:
        import ray

        with to.open("wb") as out:
            while (offset := out.tell()) < (remote.size or 0) and not stopped.is_set():
                piece = ray.get(self._files.read.remote(path, remote.version, offset))
                if not piece:
                    raise VideoError("changed", f"{path} changed during the run; give the command again")
                out.write(piece)


def for_another_node(task: Task) -> Task:
    """A task for another node: it says where its file lies, and which version of it."""
    item = task.item
    if item.remote is not None:
        return task
    path = Path(item.path).absolute()
    try:
        status = path.stat()
    except OSError:  # the decoder will tell
        return task
    remote = Remote(address=f"{_DRIVER}{path}", version=_version(status), size=status.st_size)
    return replace(task, item=replace(item, remote=remote))


def is_here(path: str, version: str) -> bool:
    """Whether this node has the file under the same name."""
    try:
        return _version(Path(path).stat()) == version
    except OSError:
        return False


def _version(status: os.stat_result) -> str:
    return f"{status.st_size} {status.st_mtime_ns}"


def pack(folder: Path, names: Sequence[str]) -> bytes:
    """Files of a folder as bytes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as out:
        for name in names:
            out.write(folder / name, name)
    return packed.getvalue()


def unpack(data: bytes, folder: Path) -> Path:
    """A new folder with the files that :func:`pack` packed."""
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        packed.extractall(folder)
    return folder
