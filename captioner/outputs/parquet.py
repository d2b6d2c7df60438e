"""Captions as Parquet (extra captioner[parquet]): one row a caption, its words nested.

Rows are written in groups as they come, so that memory does not grow with their number.
"""

from __future__ import annotations

import contextlib
import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from captioner.errors import CaptionerError
from captioner.io.extras import import_extra
from captioner.outputs.rows import COLUMNS, row
from captioner.safe.whole import encode, is_regular, whole_folder, whole_path

if TYPE_CHECKING:
    from captioner.caption.result import Caption

FORMAT = "parquet"
"""What ``-f`` takes."""
GROUP_ROWS = 4096
"""Rows of a group: they are in memory until it is full."""
PARTITIONS = ("folder", "day")
Partition = Literal["folder", "day"]

_CHUNK_ROWS = 64  # rows as Python values, before they become columns
_OPEN_FILES = 16
_LONGEST_NAME = 200
_UNKNOWN = "__HIVE_DEFAULT_PARTITION__"  # what Hive, Spark, DuckDB and pyarrow read as NULL


def import_pyarrow() -> Any:
    """The library, with ``parquet``; raises CaptionerError where it is not installed."""
    arrow, _ = (import_extra(name, extra="parquet", what="Parquet") for name in ("pyarrow", "pyarrow.parquet"))
    return arrow


class RowGroups:
    """A Parquet file that is written a group of rows at a time. Use it in a ``with`` block."""

    def __init__(self, path: Path, schema: Any) -> None:
        self._arrow = import_pyarrow()
        self._schema = schema
        self._writer = self._arrow.parquet.ParquetWriter(path, schema, compression="zstd")
        self._rows: list[dict[str, Any]] = []
        self._columns: list[Any] = []
        self.waiting = 0
        """Rows that are not in the file yet."""

    def __enter__(self) -> RowGroups:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self.flush()
        finally:
            self._writer.close()

    def add(self, values: dict[str, Any]) -> None:
        """One more row, by the names of the schema."""
        self._rows.append(values)
        self.waiting += 1
        if len(self._rows) >= _CHUNK_ROWS:
            self._convert()
        if self.waiting >= GROUP_ROWS:
            self.flush()

    def flush(self) -> None:
        """End the group that is being filled."""
        self._convert()
        if self._columns:
            self._writer.write_table(self._arrow.Table.from_batches(self._columns), row_group_size=self.waiting)
        self._columns, self.waiting = [], 0

    def _convert(self) -> None:
        if self._rows:
            self._columns.append(self._arrow.RecordBatch.from_pylist(self._rows, schema=self._schema))
            self._rows = []


def write_parquet(captions: Iterable[Caption], target: str | Path, *, overwrite: bool = False) -> None:
    """Write one file, which is there when it is whole; raises CaptionerError."""
    with whole_table(target, caption_schema(), overwrite=overwrite) as table:
        for caption in captions:
            table.add(_values(caption))


def write_partitions(
    captions: Iterable[Caption], folder: str | Path, *, by: Partition, overwrite: bool = False
) -> None:
    """Write a folder of files in Hive's layout, ``day=2026-05-01/part-0.parquet``, which is there when it is whole.

    ``folder`` is that of the video, ``day`` the one on which the video last changed (UTC). Raises CaptionerError.
    """
    schema = caption_schema()
    value_of = _folder if by == "folder" else _day
    with (
        whole_folder(folder, overwrite=overwrite, ours=_partitions) as temporary,
        contextlib.closing(_Parts(temporary, schema)) as parts,
    ):
        for caption in captions:
            parts.add(f"{by}={_directory(value_of(caption.path))}", _values(caption))
        parts.end()


@contextlib.contextmanager
def whole_table(target: str | Path, schema: Any, *, overwrite: bool = False) -> Iterator[RowGroups]:
    """A Parquet file that gets its name when the block ends well; raises CaptionerError."""
    if not is_regular(target):
        raise CaptionerError(f"{target} is not a regular file, which Parquet needs")
    with whole_path(target, overwrite=overwrite) as temporary, RowGroups(temporary, schema) as table:
        yield table


def caption_schema() -> Any:
    """The columns of a caption: the keys of a JSON row, each always there."""
    arrow = import_pyarrow()
    return arrow.schema({name: kind.arrow(arrow) for name, kind in COLUMNS.items()})


class _Parts:
    """The files of a partitioned folder, of which a few are open."""

    def __init__(self, folder: Path, schema: Any) -> None:
        self._folder, self._schema = folder, schema
        self._open: OrderedDict[str, RowGroups] = OrderedDict()
        self._begun: dict[str, int] = {}

    def add(self, name: str, values: dict[str, Any]) -> None:
        if name not in self._open:
            if len(self._open) >= _OPEN_FILES:
                self._finish(next(iter(self._open)))
            number = self._begun[name] = self._begun.get(name, -1) + 1
            place = self._folder / name
            place.mkdir(exist_ok=True)
            self._open[name] = RowGroups(place / f"part-{number}.parquet", self._schema)
        self._open.move_to_end(name)
        self._open[name].add(values)
        if sum(part.waiting for part in self._open.values()) >= GROUP_ROWS:
            max(self._open.values(), key=lambda part: part.waiting).flush()

    def end(self) -> None:
        """Write what waits."""
        for name in list(self._open):
            self._finish(name)

    def close(self) -> None:
        """Close the files as they are."""
        for part in self._open.values():
            part.__exit__(KeyboardInterrupt, None, None)

    def _finish(self, name: str) -> None:
        with self._open.pop(name):
            pass


def _values(caption: Caption) -> dict[str, Any]:
    return {key: _utf8(value) for key, value in row(caption).items()}


def _utf8(value: Any) -> Any:
    """Text without halves of characters, which names of files may have."""
    if isinstance(value, str):
        return encode(value).decode()
    return [_utf8(each) for each in value] if isinstance(value, list) and value and isinstance(value[0], str) else value


def _folder(path: str) -> str:
    return os.path.dirname(path) or "."  # noqa: PTH120 - as it is given


def _day(path: str) -> str:
    try:
        return datetime.fromtimestamp(Path(path).stat().st_mtime, UTC).date().isoformat()
    except (OSError, ValueError, OverflowError):
        return _UNKNOWN


def _directory(value: str) -> str:
    """A value in the name of a directory: as in an address, and where that is too long, a digest of it."""
    name = quote(os.fsencode(value), safe="")
    return name if len(name) <= _LONGEST_NAME else blake2b(os.fsencode(value), digest_size=16).hexdigest()


def _partitions(folder: Path) -> list[str]:
    """What of a folder is ours."""
    return [path.name for path in folder.iterdir() if path.name.partition("=")[0] in PARTITIONS and path.is_dir()]
