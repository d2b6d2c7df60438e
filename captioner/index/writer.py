"""Writes an index: it stands in the place of the journal in a run over an archive, and holds the results for good."""

from __future__ import annotations

import base64
import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from captioner.archive.engine import Outcome
from captioner.archive.journal import Entry
from captioner.errors import CaptionerError
from captioner.index.rows import columns_of, row_of
from captioner.index.schema import (
    BLOCK,
    FEATURES_TABLE,
    Facts,
    check_ours,
    connect,
    create,
    has_features,
    read_facts,
)
from captioner.io.addresses import protocol
from captioner.io.platform import BINARY, try_lock

_BATCH = 16
"""Files in a transaction: what a killed run loses at most."""


class IndexWriter:
    """The one writer of an index; readers go on reading. Use it in a ``with`` block.

    It is asked for results (:meth:`find`, :meth:`read`) and given new ones (:meth:`append`) as a journal is, and told
    of each file's outcome (:meth:`place`). A run that is killed loses the files of its last transaction, and makes
    them again. Raises CaptionerError where another run writes, or where the index was made with something else.
    """

    def __init__(self, path: str | Path, facts: Facts, *, overwrite: bool = False, read_only: bool = False) -> None:
        """``read_only`` neither locks nor changes the index, which must exist."""
        self.path = Path(path)
        self.facts = facts
        self._waiting = 0
        self._turn = threading.RLock()  # what there is to do is asked for from the engine's threads
        self._lock: int | None = None
        if read_only:
            self._connection = connect(self.path)
            self._check()
            return
        self._lock = self._locked()
        try:
            if overwrite:
                check_ours(self.path)
                for suffix in ("-wal", "-shm"):
                    self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
                os.truncate(self._lock, 0)
            if not os.fstat(self._lock).st_size:
                create(self.path, facts)
            self._connection = connect(self.path, write=True)
            self._check()
        except BaseException:
            os.close(self._lock)
            raise

    def _locked(self) -> int:
        try:
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | BINARY, 0o666)
        except OSError as error:
            raise CaptionerError(f"cannot write {self.path}: {error.strerror}") from error
        if not try_lock(file):
            os.close(file)
            raise CaptionerError(f"another run is writing to {self.path}; wait for it, or give another output")
        return file

    def _check(self) -> None:
        found = read_facts(self._connection)
        if found == self.facts:
            return
        self._connection.close()
        if found.vectors != self.facts.vectors:
            kinds = {"clips": "of clips", "captions": "of captions that were made before (--from)"}
            raise CaptionerError(
                f"{self.path} is an index {kinds[found.vectors]}; what is {kinds[self.facts.vectors]} goes into another"
            )
        own, theirs = (
            (self.facts.model, found.model)
            if found.model != self.facts.model
            else (self.facts.retriever, found.retriever)
        )
        raise CaptionerError(
            f"{self.path} was made with the model {theirs}, and this is {own}; "
            "give another output, or --overwrite to index all anew"
        )

    def __enter__(self) -> IndexWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Write what is known, mark what is gone, and let others write."""
        if self._lock is None:
            self._connection.close()
            return
        try:
            with contextlib.closing(self._connection), self._writing():
                self._mark_gone()
                self._drop_unused()
                self._connection.commit()
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            os.close(self._lock)

    def find(self, key: str, path: str) -> Entry | None:
        """The content of this key under any name, or the failure of this file with it."""
        digest = bytes.fromhex(key)
        found = self._one("SELECT id FROM contents WHERE key = ?", digest)
        if found:
            return Entry(found[0], failed=False)
        query = "SELECT id FROM files WHERE key = ? AND path = ? AND code IS NOT NULL"
        found = self._one(query, digest, _absolute(path))
        return Entry(-found[0], failed=True) if found else None

    def read(self, offset: int) -> dict[str, Any]:
        """The record of an entry, as much of it as the index has."""
        if offset < 0:
            path, code, message = self._one("SELECT path, code, message FROM files WHERE id = ?", -offset)
            return {"path": path, "code": code, "message": message}
        with self._turn:
            rows = self._connection.execute(
                "SELECT start, stop, caption, confidence FROM moments WHERE content = ? ORDER BY id", (offset,)
            ).fetchall()
        return {"captions": [row_of(*row, model=self.facts.model) for row in rows]}

    def append(self, record: dict[str, Any]) -> None:
        """A new result; a failure is written when it is placed."""
        if "captions" not in record:
            return
        with self._writing():
            key = bytes.fromhex(record["key"])
            content = self._connection.execute("INSERT INTO contents (key) VALUES (?)", (key,)).lastrowid
            assert content is not None
            for row in record["captions"]:
                self._add(content, row)

    def place(self, outcome: Outcome) -> None:
        """What became of a file of the list."""
        task, failure = outcome.task, outcome.failure
        if not task.key:  # it could not even be read
            return
        path, start = _absolute(task.item.path), task.item.start_seconds or 0.0
        key = bytes.fromhex(task.key)
        content = self._one("SELECT id FROM contents WHERE key = ?", key) if failure is None else None
        values = {
            "key": key,
            "content": content[0] if content else None,
            "modified": _modified(path),
            "gone": 0,
            "code": failure.code if failure else None,
            "message": failure.message if failure else None,
        }
        names = ", ".join(values)
        known = self._one(f"SELECT {names} FROM files WHERE path = ? AND start = ?", path, start)
        if known == tuple(values.values()):
            return
        with self._writing():
            self._connection.execute(
                f"INSERT INTO files (path, start, {names}) VALUES (?, ?{', ?' * len(values)}) "
                f"ON CONFLICT (path, start) DO UPDATE SET {', '.join(f'{n} = excluded.{n}' for n in values)}",
                (path, start, *values.values()),
            )
            self._waiting += 1
            if self._waiting >= _BATCH:
                self._connection.commit()
                self._waiting = 0

    def placed(self, outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
        """The outcomes as they come, each placed before it is handed on."""
        for outcome in outcomes:
            self.place(outcome)
            yield outcome

    def _one(self, query: str, *values: Any) -> Any:
        with self._turn:
            return self._connection.execute(query, values).fetchone()

    @contextlib.contextmanager
    def _writing(self) -> Any:
        try:
            with self._turn:
                yield
        except sqlite3.OperationalError as error:
            raise CaptionerError(
                f"cannot write {self.path}: {error}; finished results are kept: "
                "make room and give the same command again"
            ) from error

    def _add(self, content: int, row: dict[str, Any]) -> None:
        columns, kept = columns_of(row), row["embedding"]
        number = self._connection.execute(
            f"INSERT INTO moments (content, {', '.join(columns)}) VALUES (?{', ?' * len(columns)})",
            (content, *columns.values()),
        ).lastrowid
        assert number is not None
        texts = (columns[name] for name in ("caption", "others", "seen"))
        self._connection.execute(
            "INSERT INTO words (rowid, caption, others, seen) VALUES (?, ?, ?, ?)", (number, *texts)
        )
        self._put_vector(number, base64.b64decode(kept["vector"]))
        if kept["thumbnail"]:
            webp = base64.b64decode(kept["thumbnail"])
            self._connection.execute("INSERT INTO thumbnails VALUES (?, ?)", (number, webp))
        if kept.get("features"):
            self._connection.execute(FEATURES_TABLE)
            self._connection.execute("INSERT INTO features VALUES (?, ?)", (number, base64.b64decode(kept["features"])))

    def _put_vector(self, number: int, vector: bytes) -> None:
        """At the moment's place in its block; an empty vector as zeros."""
        size = 2 * self.facts.width
        block, place = divmod(number - 1, BLOCK)
        self._connection.execute("INSERT OR IGNORE INTO vectors VALUES (?, zeroblob(?))", (block, BLOCK * size))
        with self._connection.blobopen("vectors", "numbers", block) as blob:
            blob.seek(place * size)
            blob.write(vector or bytes(size))

    def _mark_gone(self) -> None:
        """Which files are there; one that went where its content is found under another name is forgotten.

        Objects of stores count as there: asking for each would take too long.
        """
        states = self._connection.execute("SELECT id, path, gone FROM files").fetchall()
        changed = [
            (not there, number)
            for number, path, gone in states
            if gone == (there := bool(protocol(path)) or os.path.lexists(path))
        ]
        self._connection.executemany("UPDATE files SET gone = ? WHERE id = ?", changed)
        self._connection.execute(
            "DELETE FROM files WHERE gone AND content IN (SELECT content FROM files WHERE NOT gone)"
        )

    def _drop_unused(self) -> None:
        """The contents that no file has any more, since it has changed."""
        unused = "SELECT id FROM contents WHERE id NOT IN (SELECT content FROM files WHERE content IS NOT NULL)"
        rows = self._connection.execute(
            f"SELECT id, caption, others, seen FROM moments WHERE content IN ({unused})"
        ).fetchall()
        for number, *texts in rows:
            self._connection.execute(
                "INSERT INTO words (words, rowid, caption, others, seen) VALUES ('delete', ?, ?, ?, ?)",
                (number, *texts),
            )
            self._put_vector(number, b"")
        of_moments = ["thumbnails", *(["features"] if has_features(self._connection) else [])]
        for table, column in (*((name, "moment") for name in of_moments), ("moments", "id")):
            self._connection.executemany(f"DELETE FROM {table} WHERE {column} = ?", [(row[0],) for row in rows])
        self._connection.execute(f"DELETE FROM contents WHERE id IN ({unused})")


def _absolute(path: str) -> str:
    return path if protocol(path) else os.path.abspath(path)  # noqa: PTH100 - links stay as they are


def _modified(path: str) -> float:
    try:
        return Path(path).stat().st_mtime
    except OSError:
        return 0.0
