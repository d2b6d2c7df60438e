"""Reads text that strangers made, whatever its line ends, its byte-order mark and its encoding (UTF-8 or UTF-16)."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import Path

from captioner.errors import DataError

LARGEST_BYTES = 2**30
"""What one text file may hold."""


def read_text(path: str | Path, *, what: str = "", largest: int = LARGEST_BYTES) -> str:
    """A whole text file; ``what`` it is, such as ``the manifest``, is for errors.

    Raises DataError where it cannot be read, is no text or too large.
    """
    try:
        with Path(path).open("rb") as file:
            raw = file.read(largest + 1)
    except (OSError, ValueError) as error:
        raise DataError(
            f"cannot read {what}{' ' * bool(what)}{path}: {getattr(error, 'strerror', None) or error}"
        ) from error
    if len(raw) > largest:
        raise DataError(f"{path} has more than {largest / 2**20:,.0f} MB; larger text files are refused")
    return decode_text(raw, name=path)


def decode_text(raw: bytes, *, name: str | Path) -> str:
    """Bytes as text: UTF-16 where its byte-order mark says so, else UTF-8; the mark is dropped.

    ``name`` is for the error.
    """
    encoding = "utf-16" if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        kind = "UTF-16" if encoding == "utf-16" else "UTF-8"
        raise DataError(f"{name} is not {kind} text: {error.reason} at byte {error.start}") from error


def split_lines(text: str) -> list[str]:
    """The lines of a text, without their ends: LF, CR LF, or CR alone where more lines end so (old Mac, spreadsheets).

    Nothing else ends a line: captions hold the other separators (U+0085, U+2028, vertical tabs), and now and then a CR.
    """
    if "\r" in text and len(re.findall("\r(?!\n)", text)) > text.count("\n"):
        text = re.sub("\r\n?", "\n", text)
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return lines[:-1] if lines[-1] == "" else lines


def numbered_lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, each with its number (from 1)."""
    return ((number, line) for number, line in enumerate(split_lines(text), start=1) if line.strip())


def first_line_of(text: str) -> str:
    """The first line of a table, whatever ends it: a cell of a header holds no line end."""
    return re.split("[\r\n]", text.lstrip("\r\n"), maxsplit=1)[0]


def visible(text: str) -> str:
    """``text`` on one line, with nothing in it that a terminal would obey: a file's name may hold anything."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
