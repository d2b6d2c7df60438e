"""What an index file holds, and how it is opened.

One SQLite file with six tables. ``files`` has a name, or a part of a file, and what became of it. ``contents`` has what
files hold, by a key of content, model and settings. ``moments`` has a row for each clip or shot of a content, and
``words`` full text over these. ``vectors`` (float16) has :data:`BLOCK` moments a blob, each at the place of its number.
The sixth is ``thumbnails``. A run that keeps features adds a seventh, ``features``.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from captioner.errors import CaptionerError

FORMAT = 1
"""Of the file; a newer one is not read."""
BLOCK = 4096
"""Moments in a blob of vectors."""
_MARK = 0x43617078  # PRAGMA application_id: "Capx"
_MAGIC, _MARK_PLACE = b"SQLite format 3\0", 68  # https://sqlite.org/fileformat.html
_PAGE_BYTES = 16384

_TABLES = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE contents (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE);
CREATE TABLE files (
    id INTEGER PRIMARY KEY, path TEXT NOT NULL, start REAL NOT NULL, key BLOB NOT NULL,
    content INTEGER REFERENCES contents, modified REAL NOT NULL, gone INTEGER NOT NULL DEFAULT 0,
    code TEXT, message TEXT, UNIQUE (path, start)
);
CREATE INDEX files_content ON files (content);
CREATE TABLE moments (
    id INTEGER PRIMARY KEY, content INTEGER NOT NULL REFERENCES contents, start REAL NOT NULL, stop REAL,
    caption TEXT NOT NULL, confidence REAL NOT NULL, unsure INTEGER NOT NULL, others TEXT NOT NULL,
    seen TEXT NOT NULL, marks BLOB NOT NULL
);
CREATE INDEX moments_content ON moments (content);
CREATE VIRTUAL TABLE words USING fts5 (
    caption, others, seen, content='moments', content_rowid='id', tokenize='porter unicode61'
);
CREATE TABLE vectors (block INTEGER PRIMARY KEY, numbers BLOB NOT NULL);
CREATE TABLE thumbnails (moment INTEGER PRIMARY KEY, webp BLOB NOT NULL);
"""

GET_FEATURES = "index anew with --features, and --overwrite"

_TOUCH = "SELECT count(*) FROM sqlite_master"
"""SQLite opens the file only when something is asked."""

FEATURES_TABLE = "CREATE TABLE IF NOT EXISTS features (moment INTEGER PRIMARY KEY, numbers BLOB NOT NULL)"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What an index was made with; all of it holds for every row."""

    model: str
    """Fingerprint of the captioner; empty for captions that were read from a file."""
    retriever: str
    """Fingerprint of the retriever."""
    width: int
    """Numbers of a vector."""
    vectors: str
    """``clips``: of what is seen; ``captions``: of the sentences alone."""


def create(path: Path, facts: Facts) -> None:
    """Make an empty index at ``path``, which is not there or an empty file."""
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        connection.execute(f"PRAGMA application_id = {_MARK}")  # first: a file that is left half-made is known as ours
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(f"BEGIN; {_TABLES} COMMIT;")
        values = [(name, str(value)) for name, value in vars(facts).items()]
        connection.executemany("INSERT INTO facts VALUES (?, ?)", values)
        connection.execute(f"PRAGMA user_version = {FORMAT}")
    connection.close()


def check_ours(path: Path) -> None:
    """Raise CaptionerError for a file with something in it that is no index, of whatever format."""
    try:
        with path.open("rb") as file:
            head = file.read(_MARK_PLACE + 4)
    except FileNotFoundError:
        return
    except OSError as error:
        raise CaptionerError(f"cannot read {path}: {error.strerror}") from error
    if head and not (head.startswith(_MAGIC) and head[_MARK_PLACE:] == _MARK.to_bytes(4, "big")):
        raise CaptionerError(f"{path} is not an index, and --overwrite replaces only an index; give another output")


def connect(path: Path, *, write: bool = False) -> sqlite3.Connection:
    """Open an index. Raises CaptionerError for a file that is no index, and for a newer format."""
    if not path.is_file():
        raise CaptionerError(f"there is no index {path}; make one with captioner index FOLDER -r -o {path.name}")
    try:
        connection = _open(path, "rw" if write else "ro")
        [(mark,)] = connection.execute("PRAGMA application_id")
        [(version,)] = connection.execute("PRAGMA user_version")
    except sqlite3.OperationalError as error:
        raise CaptionerError(f"cannot read the index {path}: {error}") from None
    except sqlite3.DatabaseError:
        raise CaptionerError(f"{path} is not an index of captioner: it is not an SQLite file") from None
    if mark != _MARK:
        connection.close()
        raise CaptionerError(f"{path} is not an index of captioner but another SQLite file")
    if version != FORMAT:
        connection.close()
        raise CaptionerError(f"{path} has index format {version}; this version of captioner reads format {FORMAT}")
    return connection


def _open(path: Path, mode: str) -> sqlite3.Connection:
    name = path.absolute().as_uri()
    factory = sqlite3.Connection if mode == "rw" else _Reader
    connection = sqlite3.connect(f"{name}?mode={mode}", uri=True, timeout=10, check_same_thread=False, factory=factory)
    if isinstance(connection, _Reader):
        connection.path = path.absolute()
    try:
        connection.execute(_TOUCH).fetchone()
    except sqlite3.OperationalError:
        connection.close()
        if mode != "ro" or os.access(path.parent, os.W_OK):
            raise
        # A folder that cannot be written to has no room for SQLite's shared memory, and no run can write there.
        return sqlite3.connect(f"{name}?immutable=1", uri=True, check_same_thread=False)
    return connection


class _Reader(sqlite3.Connection):
    """Closed, it leaves no -wal and no -shm beside the index, unless another connection needs them.

    SQLite makes both for a reader, and removes them with the last connection that may write.
    """

    path: Path

    def close(self) -> None:
        super().close()
        with contextlib.suppress(OSError, sqlite3.Error):
            if self.path.with_name(f"{self.path.name}-wal").stat().st_size:
                return  # of a run that writes, or was killed
            with contextlib.closing(sqlite3.connect(f"{self.path.as_uri()}?mode=rw", uri=True, timeout=0)) as last:
                last.execute(_TOUCH).fetchone()


def has_features(connection: sqlite3.Connection) -> bool:
    """Whether a run kept features in this index."""
    return bool(connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'features'").fetchone())


def without_features(connection: sqlite3.Connection, rows: Sequence[int] | None = None) -> int:
    """Of how many of the rows no run kept features; by default of all rows of files that are there."""
    query = "SELECT count(*) FROM moments WHERE "
    if rows is None:
        query += "content IN (SELECT content FROM files WHERE NOT gone)"
    else:
        query += f"id IN ({', '.join('?' * len(rows))})"
    if has_features(connection):
        query += " AND id NOT IN (SELECT moment FROM features)"
    return int(connection.execute(query, rows or ()).fetchone()[0])


def read_facts(connection: sqlite3.Connection) -> Facts:
    """What the index was made with."""
    values = dict(connection.execute("SELECT name, value FROM facts"))
    return Facts(**values | {"width": int(values["width"])})
