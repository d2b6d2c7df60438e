"""The rows of an index with their vectors as Parquet, for DuckDB, LanceDB, Spark or a vector database."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from captioner.errors import CaptionerError
from captioner.index.rows import separate_others, unpack
from captioner.index.schema import BLOCK, connect, read_facts
from captioner.outputs.parquet import import_pyarrow, whole_table
from captioner.safe.whole import encode

_ROWS = (
    "SELECT m.id, f.path, f.modified, m.start, m.stop, m.caption, m.confidence, m.unsure, m.others, m.seen, m.marks "
    "FROM moments m JOIN files f ON f.content = m.content WHERE NOT f.gone ORDER BY m.id, f.path"
)


def write_table(index: str | Path, target: str | Path, *, overwrite: bool = False) -> int:
    """Write a row for each clip or shot of each file that is there; returns how many. Raises CaptionerError."""
    index = Path(index)
    if index.exists() and Path(target).exists() and index.samefile(target):
        raise CaptionerError(f"writing {target} would destroy the index; give another name")
    with contextlib.closing(connect(index)) as connection:
        width = read_facts(connection).width
        with whole_table(target, _schema(width), overwrite=overwrite) as table:
            count = 0
            for values in _rows(connection, width):
                table.add(values)
                count += 1
    return count


def _schema(width: int) -> Any:
    arrow = import_pyarrow()
    seen = arrow.struct({"word": arrow.string(), "probability": arrow.float32(), "peak_seconds": arrow.float32()})
    return arrow.schema(
        {
            "row": arrow.int64(),
            "path": arrow.string(),
            "modified": arrow.timestamp("us", "UTC"),
            "start_seconds": arrow.float64(),
            "end_seconds": arrow.float64(),
            "caption": arrow.string(),
            "confidence": arrow.float64(),
            "abstained": arrow.bool_(),
            "alternatives": arrow.list_(arrow.string()),
            "words": arrow.list_(seen),
            "vector": arrow.list_(arrow.float32(), width),
        }
    )


def _rows(connection: sqlite3.Connection, width: int) -> Iterator[dict[str, Any]]:
    held, numbers = -1, np.empty((0, width), np.float16)
    for row, path, modified, start, stop, caption, confidence, unsure, others, seen, marks in connection.execute(_ROWS):
        block, place = divmod(row - 1, BLOCK)
        if block != held:
            [(data,)] = connection.execute("SELECT numbers FROM vectors WHERE block = ?", (block,))
            held, numbers = block, np.frombuffer(data, np.float16).reshape(BLOCK, width)
        yield {
            "row": row,
            "path": encode(path).decode(),
            "modified": datetime.fromtimestamp(modified, UTC),
            "start_seconds": start,
            "end_seconds": stop,
            "caption": caption,
            "confidence": confidence,
            "abstained": bool(unsure),
            "alternatives": separate_others(others),
            "words": [
                {"word": sight.noun, "probability": sight.probability, "peak_seconds": sight.peak_seconds}
                for sight in unpack(seen, marks)
            ],
            "vector": numbers[place].astype(np.float32),
        }
