"""Captions that were made before (JSON Lines of ``captioner caption``) as records for an index."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from captioner.errors import DataError
from captioner.index.schema import Facts
from captioner.outputs.rows import from_row
from captioner.retrieval.queries import Queries
from captioner.safe.json_text import json_lines
from captioner.safe.text import read_text


def facts_of(queries: Queries) -> Facts:
    """What an index of captions is made with: no captioner looked at the clips, their vectors are the sentences'."""
    width = len(queries.vector(""))
    return Facts(model="", retriever=queries.fingerprint, width=width, vectors="captions")


def read_records(path: Path, queries: Queries) -> Iterator[dict[str, Any]]:
    """A record for each file that has captions, as the journal holds them; rows of one file follow each other.

    Raises DataError, with the line's number, for what is no caption.
    """
    for name, rows in groupby(_rows(path), key=lambda row: row["path"]):
        captions = [row | {"embedding": _embedding(row["caption"], queries)} for row in rows]
        told = json.dumps([[row["path"], row["caption"], row["start_seconds"]] for row in captions])
        key = hashlib.sha256(f"captions {queries.fingerprint} {told}".encode()).hexdigest()[:32]
        yield {"key": key, "path": name, "captions": captions}


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    return (_row(row, where) for where, row in json_lines(read_text(path, what="the captions"), name=path))


def _row(row: Any, where: str) -> dict[str, Any]:
    try:
        from_row(row)
    except (ValueError, TypeError, AttributeError, DataError) as error:
        raise DataError(f"{where} is not a caption ({error}); give what captioner caption -f jsonl wrote") from None
    return dict(row)


def _embedding(caption: str, queries: Queries) -> dict[str, Any]:
    vector = queries.vector(caption).astype(np.float16).tobytes()
    return {"vector": base64.b64encode(vector).decode(), "words": [], "thumbnail": ""}
