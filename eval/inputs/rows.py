"""Reads rows of captions from JSON Lines, JSON in several shapes, and tables; the content tells the format."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from captioner.errors import DataError
from captioner.outputs.spreadsheet import unguarded
from captioner.safe.json_text import json_lines, parse_json
from captioner.safe.text import first_line_of, read_text

ID_KEYS = ("id", "image_id", "video_id", "videoid", "path", "file", "clip", "video", "name")
"""Where a row's clip may be named, in any case of letters; the first that is there."""
CAPTION_KEYS = ("caption", "text", "sentence", "prediction", "encap")
"""Where its caption, or its captions, may be."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Rows:
    """The rows of a file, each with the place to name in an error, under the keys ``id`` and ``caption``."""

    taken_for: str
    """What the file was taken for, in a few words."""
    found: Iterator[tuple[str, Row]]


def read_rows(path: Path) -> Rows:
    """The rows of a file. Raises DataError, perhaps after some rows, with the line or entry.

    JSON is one object a line, a list of objects, or an object by ids, perhaps under the key ``predictions``. An id has
    a caption, a list of captions or a list of objects with captions (pycocoevalcap). Tables have commas, semicolons or
    tabs, in UTF-8 or UTF-16, with or without a ``sep=`` line. They have a header, or two columns without one.
    """
    text = read_text(path)
    start = text.lstrip()[:1]
    if start == "[":
        return Rows("a JSON list of captions", _of_list(parse_json(text, name=path), str(path)))
    if start == "{":
        document = document_of(text)
        if document is None or (_key(document, ID_KEYS) and (_key(document, CAPTION_KEYS) or "error" in document)):
            return Rows("JSON Lines", _of_lines(text, path))
        return _of_document(document, path)
    return _of_table(text, path) if start else Rows("an empty file", iter(()))


def document_of(text: str) -> Row | None:
    """The file as one JSON object; None where it is none."""
    try:
        document = parse_json(text, name="")
    except DataError:
        return None
    return document if isinstance(document, dict) else None


def _key(row: Row, names: tuple[str, ...]) -> str | None:
    """The row's own spelling of the first of ``names`` that it has."""
    spelt = {str(key).strip().lower(): key for key in reversed(list(row))}
    return next((spelt[name] for name in names if name in spelt), None)


def normal(row: Row) -> Row:
    """The row with its clip under ``id`` and its caption under ``caption``, whatever they were called."""
    renamed = dict(row)
    for name, names in (("id", ID_KEYS), ("caption", CAPTION_KEYS)):
        if (key := _key(row, names)) is not None:
            del renamed[key]
            renamed = {name: row[key]} | renamed
    return renamed


def _of_list(rows: list[Any], where: str) -> Iterator[tuple[str, Row]]:
    for number, row in enumerate(rows, start=1):
        place = f"{where}, entry {number}"
        if not isinstance(row, dict):
            raise DataError(f"{place}: expected an object with image_id and caption, not {short(row)}")
        yield place, normal(row)


def _of_lines(text: str, path: Path) -> Iterator[tuple[str, Row]]:
    for where, row in json_lines(text, name=path):
        if not isinstance(row, dict):
            raise DataError(f"{where}: expected an object with id and caption, not {short(row)}")
        yield where, normal(row)


def _of_document(document: Row, path: Path) -> Rows:
    inner = document.get("predictions")
    if isinstance(inner, list):
        return Rows("a JSON list under 'predictions'", _of_list(inner, f"{path}, predictions"))
    by_id, what = (inner, "'predictions' by id") if isinstance(inner, dict) else (document, "captions by id")
    first = next(iter(by_id.values()), None)
    if isinstance(first, (str, list)) or (isinstance(first, dict) and _key(first, CAPTION_KEYS)):
        return Rows(f"a JSON object with {what}", _of_ids(by_id, path))
    raise DataError(
        f"{path} is one JSON object with the keys {', '.join(list(document)[:5])}; captions are a list of "
        '{"image_id", "caption"}, one {"id", "caption"} a line, or one object {id: caption}'
    )


def _of_ids(by_id: Row, path: Path) -> Iterator[tuple[str, Row]]:
    for clip, value in by_id.items():
        where = f"{path}, {clip!r}"
        captions = captions_of(value)
        if captions is None:
            raise DataError(f"{where}: expected a caption or a list of captions, not {short(value)}")
        if captions:
            yield where, {"id": clip, "caption": captions[0], "alternatives": captions}


def captions_of(value: Any) -> list[str] | None:
    """A caption, a list of captions, or of objects with a caption, as a list; None where it is none of them."""
    several = value if isinstance(value, list) else [value]
    found = [other.get(_key(other, CAPTION_KEYS) or "") if isinstance(other, dict) else other for other in several]
    captions = [caption for caption in found if isinstance(caption, str)]
    return captions if len(captions) == len(found) else None


def _of_table(text: str, path: Path) -> Rows:
    first, delimiter = first_line_of(text), None
    if first.strip().lower().startswith("sep=") and len(first.strip()) == 5:
        delimiter, text = first.strip()[4], text.lstrip("\r\n")[len(first) :].lstrip("\r\n")
        first = first_line_of(text)
    if delimiter is None:
        delimiter = next((d for d in ("\t", ",", ";") if d in first), ",")
        if delimiter == "," and first.count(";") > first.count(","):
            delimiter = ";"
    name = {"\t": "tabs", ",": "commas", ";": "semicolons"}.get(delimiter, repr(delimiter))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header = dict.fromkeys(cell.strip() for cell in next(csv.reader([first], delimiter=delimiter), []))
    if is_header(header):
        names = " and ".join(key for key in (_key(header, ID_KEYS), _key(header, CAPTION_KEYS)) if key)
        return Rows(f"a table with {name}, columns {names}", _of_cells(reader, path))
    if len(header) != 2 or any(cell.lower() in (*ID_KEYS, *CAPTION_KEYS) for cell in header):
        raise DataError(
            f"{path}, line 1: not JSON, and as CSV its header must name 'id' and 'caption'; it is {short(first)}"
        )
    return Rows(f"a table with {name}, no header: id and caption", _of_cells(reader, path, ["id", "caption"]))


def is_header(cells: Iterable[str]) -> bool:
    """Whether the first line of a table names the columns of a clip and its caption."""
    header = dict.fromkeys(cell.strip() for cell in cells)
    return bool(_key(header, ID_KEYS) and (_key(header, CAPTION_KEYS) or "error" in header))


def _of_cells(reader: Any, path: Path, header: list[str] | None = None) -> Iterator[tuple[str, Row]]:
    """The rows of a table; without a ``header`` its first line is one."""
    try:
        names = header or [cell.strip() for cell in next(reader)]
        for cells in reader:
            if not cells:
                continue
            where = f"{path}, line {reader.line_num}"
            if len(cells) != len(names):
                raise DataError(f"{where}: expected {len(names)} values ({', '.join(names)}), not {len(cells)}")
            row = normal({name: unguarded(cell) for name, cell in zip(names, cells, strict=True)})
            failed = row.get("error") and not row.get("caption")
            yield where, {k: v for k, v in row.items() if k != ("caption" if failed else "error")}
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: not valid CSV ({error})") from error


def short(value: Any) -> str:
    """``value`` in at most 60 characters, for an error."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
