"""Results as files to keep: links that carry their content, so that nothing of it stays on the server."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from captioner.outputs.spreadsheet import csv_line

MEDIA_TYPES = {
    "vtt": "text/vtt",
    "srt": "application/x-subrip",
    "json": "application/json",
    "csv": "text/csv",
    "html": "text/html",
}


def links(files: Mapping[str, str], *, label: str) -> str:
    """A row of download links, ``{file name: text}``, as HTML."""
    items = "".join(_link(name, text) for name, text in files.items())
    return f'<p class="cap-downloads"><span>{escape(label)}</span>{items}</p>'


def _link(name: str, text: str) -> str:
    suffix = name.rpartition(".")[2]
    content = base64.b64encode(text.encode("utf-8", "backslashreplace")).decode("ascii")
    return (
        f'<a download="{escape(name)}" href="data:{MEDIA_TYPES[suffix]};charset=utf-8;base64,{content}">'
        f"{suffix.upper()}</a>"
    )


def stem(name: str) -> str:
    """The name of an upload, made harmless, for the name of what comes back."""
    kept = re.sub(r"[^\w-]+", "-", name.rpartition(".")[0] or name).strip("-")
    return kept[:60] or "clip"


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def as_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table that a spreadsheet takes for text."""
    return "".join(csv_line(values) for values in (columns, *rows))
