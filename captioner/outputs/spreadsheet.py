"""Tables that a spreadsheet takes for text, and runs nothing of (OWASP, CSV injection)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Any

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_line(values: Iterable[Any]) -> str:
    """One line of CSV, every text in it guarded."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow([guarded(v) if isinstance(v, str) else v for v in values])
    return line.getvalue()


def guarded(text: str) -> str:
    """``text`` with an apostrophe before what a spreadsheet would run; :func:`unguarded` gives back what it was."""
    return f"'{text}" if text.lstrip("'").startswith(_FORMULA) else text


def unguarded(text: str) -> str:
    """What :func:`guarded` made ``text`` from: names such as YouTube's ``-wa0umYJVGg`` must be found again."""
    return text[1:] if text.startswith("'") and text.lstrip("'").startswith(_FORMULA) else text
