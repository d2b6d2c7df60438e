"""Merges the rows that several runs wrote (JSON Lines) into the list that one run would have written.

Rows are not held: a temporary database on the disk keeps where each stands, and sorts them. Two passes read the files.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO, Literal

from captioner.archive.journal import shard_of
from captioner.errors import CaptionerError, DataError
from captioner.io.inputs import Item
from captioner.outputs.rows import from_row
from captioner.safe.json_text import parse_json

Prefer = Literal["first", "last"]

_LONGEST_LINE = 64 * 2**20
_TABLES = """
PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -32768;
CREATE TABLE rows (place BLOB, path BLOB, name BLOB, start REAL, stop REAL, file, line, position, digest BLOB);
CREATE TABLE failures (place BLOB, path BLOB, name BLOB, given BLOB, code TEXT, error BLOB, UNIQUE (path, name));
CREATE TABLE expected (place INTEGER PRIMARY KEY, path BLOB, name BLOB, given BLOB);
CREATE INDEX expected_of ON expected (path, name);
BEGIN;
"""
_ROWS = "SELECT path, name, start, stop, file, line, position, digest FROM rows"
_ORDER = "ORDER BY place, path, name, start, stop, file, line"
_FAILED = """
SELECT given, name, code, error FROM failures f
WHERE NOT EXISTS (SELECT 1 FROM rows r WHERE r.path = f.path AND r.name = f.name) ORDER BY place
"""
_MISSING = """
SELECT given, name FROM expected e
WHERE NOT EXISTS (SELECT 1 FROM rows r WHERE r.path = e.path AND r.name IN (e.name, x''))
AND NOT EXISTS (SELECT 1 FROM failures f WHERE f.path = e.path AND f.name IN (e.name, x'')) ORDER BY place
"""


@dataclass(frozen=True, kw_only=True)
class Malformed:
    """A line that is no row."""

    where: str
    """File and line, such as ``a.jsonl:17``."""
    problem: str


@dataclass(frozen=True, kw_only=True)
class Conflict:
    """Rows of one clip and span that differ."""

    path: str
    places: tuple[str, ...]
    """File and line of each."""
    keys: tuple[str, ...]
    """In which values the first two differ."""


@dataclass(frozen=True, kw_only=True)
class Lack:
    """A file that has no row."""

    item: Item
    code: str
    """What its run said, or ``missing``: it is expected, and no run says anything of it."""
    error: str


class Merge:
    """Rows of several files, put together. Use it in a ``with`` block: read, then ask.

    The order is that of ``expected``, or else that in which a run walks a folder: the files of a folder by name, then
    its subfolders. Rows of one file stand in the order of their times.
    """

    def __init__(self, files: Sequence[str | Path], *, expected: Sequence[Item] = ()) -> None:
        """Raises CaptionerError for a file that cannot be read."""
        self.files = [Path(file) for file in files]
        self.rows = self.repeated = self.unexpected = 0
        """Rows of the result; those left out because they stand there already; those of files that none expects."""
        self._expects = bool(expected)
        with contextlib.ExitStack() as stack:
            self._open = [stack.enter_context(_opened(file)) for file in self.files]
            self._store = sqlite3.connect("", isolation_level=None)  # a temporary file, which SQLite deletes
            stack.callback(self._store.close)
            self._store.executescript(_TABLES)
            self._store.executemany(
                "INSERT INTO expected VALUES (?, ?, ?, ?)",
                ((at, _absolute(item.path), _bytes(item.id), _bytes(item.path)) for at, item in enumerate(expected)),
            )
            self._closing = stack.pop_all()

    def __enter__(self) -> Merge:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def read(self) -> Iterator[Malformed]:
        """Read all files, and their lists of failures beside them; what comes is what could not be read."""
        for number, file in enumerate(self._open):
            yield from self._read(file, self.files[number], number)
            ledger = Path(f"{self.files[number]}.failures.jsonl")
            if ledger.is_file():
                with _opened(ledger) as failures:
                    yield from self._read(failures, ledger, number)
        self._store.execute("CREATE INDEX rows_of ON rows (path, name)")  # sorted at once: quicker than row by row

    def conflicts(self) -> Iterator[Conflict]:
        """The clips of which rows differ; counts the rows."""
        self.rows = self.repeated = 0
        for rows in self._clips():
            self.rows += 1
            self.repeated += len(rows) - 1
            different = next((row for row in rows if row[-1] != rows[0][-1]), None)
            if different:
                one, other = self._values(rows[0]), self._values(different)
                keys = [key for key in {**one, **other} if one.get(key) != other.get(key)]
                places = tuple(f"{self.files[file]}:{line}" for *_, file, line, _, _ in rows)
                yield Conflict(path=one["path"], places=places, keys=tuple(keys))

    def merged(self, *, prefer: Prefer = "first") -> Iterator[dict[str, Any]]:
        """Each row once, in order; of those that differ the one of the first or of the last file, as they are given."""
        for rows in self._clips():
            yield self._values(rows[0 if prefer == "first" else -1])

    def lacking(self) -> Iterator[Lack]:
        """The files without a row: those that failed, then those that are expected and missing, each in order."""
        for path, name, code, error in self._store.execute(_FAILED):
            yield Lack(item=Item(path=_text(path), id=_text(name)), code=code, error=_text(error))
        for path, name in self._store.execute(_MISSING):
            item = Item(path=_text(path), id=_text(name))
            yield Lack(item=item, code="missing", error=f"{item.path} has no row in any of the files")

    def missing_shards(self) -> list[str]:
        """The shards of which no file is; empty where the journals beside the files do not tell."""
        shards = [shard_of(Path(f"{file}.journal")) for file in self.files]
        counts = {shard.count for shard in shards if shard}
        if None in shards or len(counts) != 1:
            return []
        here, [count] = {shard.index for shard in shards if shard}, counts
        return [f"{index}/{count}" for index in range(1, count + 1) if index not in here]

    def _read(self, file: BinaryIO, name: Path, number: int) -> Iterator[Malformed]:
        line = position = 0
        while data := file.readline(_LONGEST_LINE + 1):
            line += 1
            if data.strip(b"\xef\xbb\xbf\r\n\t "):
                where = f"{name}:{line}"
                try:
                    values = _parsed(data, where)
                    if "caption" not in values and "error" in values:
                        self._add_failure(values)
                    else:
                        self._add(values, number, line, position)
                except DataError as error:
                    yield Malformed(where=where, problem=str(error).removeprefix(where).lstrip(": "))
            position += len(data)

    def _add(self, values: dict[str, Any], number: int, line: int, position: int) -> None:
        try:
            caption = from_row(values)
            path, name = _absolute(caption.path), _bytes(caption.id)
            span = float(caption.start_seconds), None if caption.end_seconds is None else float(caption.end_seconds)
        except (TypeError, ValueError, AttributeError, OverflowError) as error:
            raise DataError(f"this is not a caption row: {error}") from None
        digest = hashlib.blake2b(json.dumps(values, sort_keys=True).encode(), digest_size=16).digest()
        place = self._place(path, name)
        self.unexpected += self._expects and place[:1] != b"\0"
        self._insert("rows", place, path, name, *span, number, line, position, digest)

    def _add_failure(self, values: dict[str, Any]) -> None:
        given: Any = values.get("path", values.get("id"))
        name, code, error = (values.get(key, "") for key in ("id", "code", "error"))
        if not all(isinstance(value, str) for value in (given, name, code, error)):
            raise DataError("this is not a row of failures: it needs path, code and error")
        path = _absolute(given)
        place = self._place(path, _bytes(name))
        self._insert("failures", place, path, _bytes(name), _bytes(given), code or "failed", _bytes(error))

    def _insert(self, table: str, *values: Any) -> None:
        try:
            self._store.execute(f"INSERT OR IGNORE INTO {table} VALUES ({', '.join('?' * len(values))})", values)
        except sqlite3.OperationalError as error:
            raise CaptionerError(f"cannot write a temporary file: {error}; TMPDIR says where they go") from error

    def _place(self, path: bytes, name: bytes) -> bytes:
        """What rows are sorted by."""
        if self._expects:
            query = "SELECT min(place) FROM expected WHERE path = ? AND name IN (?, x'')"
            [(place,)] = self._store.execute(query, (path, name))
            if place is not None:
                return b"\0" + int(place).to_bytes(8, "big")
        *folders, file = path.split(os.fsencode(os.sep))
        return b"\1" + b"".join(b"\1%b\0" % folder for folder in folders) + b"\0%b\0" % file

    def _clips(self) -> Iterator[list[tuple[Any, ...]]]:
        """The rows of each clip and span."""
        ordered = self._store.execute(f"{_ROWS} {_ORDER}")
        return (list(rows) for _, rows in groupby(ordered, key=lambda row: row[:4]))

    def _values(self, row: tuple[Any, ...]) -> dict[str, Any]:
        *_, number, line, position, _ = row
        file = self._open[number]
        file.seek(position)
        return _parsed(file.readline(), f"{self.files[number]}:{line}")


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise CaptionerError(f"cannot read {path}: {error.strerror}") from error


def _parsed(line: bytes, where: str) -> dict[str, Any]:
    if len(line) > _LONGEST_LINE:
        raise DataError(f"{where}: the line is longer than {_LONGEST_LINE >> 20} MB; longer lines are refused")
    try:
        text = line.removeprefix(b"\xef\xbb\xbf").decode()
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: this is not UTF-8 text") from error
    values = parse_json(text, name=where)
    if not isinstance(values, dict):
        raise DataError(f"{where}: this is {type(values).__name__}, not a row; give what -f jsonl wrote")
    return values


def _absolute(path: str) -> bytes:
    return _bytes(os.path.abspath(path))  # noqa: PTH100 - links stay as they are


def _bytes(text: str) -> bytes:
    """As SQLite takes it: names of files need not be UTF-8."""
    return text.encode("utf-8", "surrogatepass")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")
