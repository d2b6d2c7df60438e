"""The journal of a run: one JSON object a result, flushed to disk as soon as it is known.

A run that is killed loses what it had in hand and nothing else: a line that was cut off is dropped when the journal is
opened again. One run at a time may write to it.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from captioner.errors import CaptionerError, ConfigError
from captioner.io.growing import append
from captioner.io.inputs import Shard
from captioner.io.platform import BINARY, try_lock

_HEADER = {"captioner_journal": 1}
_LONGEST_RUN = 4096


@dataclass(frozen=True)
class Entry:
    """Where in the journal a file's latest result stands."""

    offset: int
    failed: bool


class Journal:
    """An append-only file of results. Use it in a ``with`` block; it is locked until then.

    Every record has a ``key`` (hex digits: content, model and settings) and a ``path``; one with a ``code`` is a
    failure. Raises CaptionerError when it is in use, is no journal, or cannot be written.
    """

    def __init__(self, path: str | Path, *, overwrite: bool = False, read_only: bool = False, shard: str = "") -> None:
        """``read_only`` neither locks nor changes the file, which must exist; ``shard`` is the part of the list."""
        self.path = Path(path)
        self.repaired = False
        """Whether the end of it had to be cut off."""
        self._done: dict[bytes, int] = {}
        self._failed: dict[tuple[bytes, str], int] = {}
        self._outputs: set[str] = set()
        try:
            mode = os.O_RDONLY if read_only else os.O_RDWR | os.O_CREAT
            self._file = os.open(self.path, mode | BINARY, 0o666)
        except OSError as error:
            raise CaptionerError(f"cannot {'read' if read_only else 'write'} {self.path}: {error.strerror}") from error
        try:
            if not read_only:
                self._lock()
            end = self._read_all()
            if read_only:
                return
            self.repaired = end < os.fstat(self._file).st_size
            if overwrite:
                end = 0
                self._done, self._failed, self._outputs = {}, {}, set()
            os.ftruncate(self._file, end)
            if not end:
                self.append(_HEADER)
            part = {"shard": shard} if shard else {}
            self.append({"run": {"pid": os.getpid(), "host": socket.gethostname(), **part}})
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Have it on the disk, and let others write."""
        with contextlib.suppress(OSError):  # a file system that cannot; everything has been written all the same
            os.fsync(self._file)
        os.close(self._file)

    def find(self, key: str, path: str) -> Entry | None:
        """The latest result for this content, model and settings: a success under any name, a failure under its own."""
        digest = bytes.fromhex(key)
        if digest in self._done:
            return Entry(self._done[digest], failed=False)
        offset = self._failed.get((digest, path))
        return None if offset is None else Entry(offset, failed=True)

    def owns(self, output: str) -> bool:
        """Whether a run with this journal has claimed the output file of this name."""
        return output in self._outputs

    @property
    def has_outputs(self) -> bool:
        """Whether any output file has been claimed."""
        return bool(self._outputs)

    def claim(self, output: str) -> None:
        """An output file is about to be written: from now on it is ours."""
        if output not in self._outputs:
            self.append({"output": output})

    def read(self, offset: int) -> dict[str, Any]:
        """The record that begins at ``offset``."""
        parts = []
        while True:
            part = os.pread(self._file, 1 << 16, offset) if hasattr(os, "pread") else self._pread(1 << 16, offset)
            line, newline, _ = part.partition(b"\n")
            parts.append(line)
            if newline or not part:
                record: dict[str, Any] = json.loads(b"".join(parts))
                return record
            offset += len(part)

    def append(self, record: dict[str, Any]) -> int:
        """Write one record through to the file; returns its offset. After an error all that was there still is."""
        offset = append(self._file, json.dumps(record, separators=(",", ":")).encode() + b"\n", path=self.path)
        self._index(record, offset)
        return offset

    def _pread(self, size: int, offset: int) -> bytes:
        os.lseek(self._file, offset, os.SEEK_SET)
        return os.read(self._file, size)

    def _read_all(self) -> int:
        """Index all records; returns where the last whole one ends."""
        end = 0
        with open(self._file, "rb", closefd=False) as lines:
            for line in lines:
                record = _parse(line)
                if end == 0 and (record is None or "captioner_journal" not in record):
                    if line.strip(b"\0") in json.dumps(_HEADER, separators=(",", ":")).encode():  # it was cut off
                        break
                    raise CaptionerError(f"{self.path} is not a journal of captioner; give another name")
                if record is None and not line.endswith(b"\n"):
                    break
                if record is not None:
                    self._index(record, end)
                end += len(line)
        return end

    def _index(self, record: dict[str, Any], offset: int) -> None:
        if "output" in record:
            self._outputs.add(record["output"])
        if "key" not in record:
            return
        digest, path = bytes.fromhex(record["key"]), record["path"]
        if "code" in record:
            self._failed[digest, path] = offset
        else:
            self._done[digest] = offset

    def _lock(self) -> None:
        if not try_lock(self._file):
            raise CaptionerError(
                f"another run{self._holder()} is writing to {self.path}; wait for it, or give another output"
            )

    def _holder(self) -> str:
        """Who holds the lock, by the last run that the journal names."""
        holder = ""
        with self.path.open("rb") as lines:
            for line in lines:
                record = _parse(line) if line.startswith(b'{"run":') else None
                if record is not None and isinstance(record["run"], dict):
                    holder = f" (process {record['run'].get('pid')} on {record['run'].get('host')})"
        return holder


def shard_of(path: Path) -> Shard | None:
    """The part of the list that the run which began a journal had; None where it had all, or there is no journal."""
    try:
        with path.open("rb") as lines:
            run = [_parse(lines.readline(_LONGEST_RUN)) for _ in range(2)][1]
        return Shard.parse(run["run"]["shard"]) if run else None
    except (OSError, KeyError, TypeError, AttributeError, ConfigError):
        return None


def _parse(line: bytes) -> dict[str, Any] | None:
    """The record in a whole line; None for anything else."""
    try:
        record = json.loads(line)
        if not isinstance(record, dict) or not line.endswith(b"\n"):
            return None
        if "output" in record and not isinstance(record["output"], str):
            return None
        if "key" in record:
            bytes.fromhex(record["key"])
            if not {"path", "captions"} <= set(record) and not {"path", "code", "message"} <= set(record):
                return None
    except (ValueError, TypeError, RecursionError):
        return None
    return record
