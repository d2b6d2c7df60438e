"""Results as files to keep: links that carry their content, so that nothing of it stays on the server."""

from __future__ import annotations

import base64
import io
import json
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from captioner.caption.result import Caption
from captioner.outputs.rows import row
from captioner.outputs.spreadsheet import csv_line
from captioner.outputs.writers import srt, vtt

MEDIA_TYPES = {
    "vtt": "text/vtt",
    "srt": "application/x-subrip",
    "json": "application/json",
    "csv": "text/csv",
    "html": "text/html",
    "jsonl": "application/jsonl",
    "zip": "application/zip",
}


def links(files: Mapping[str, str | bytes], *, label: str) -> str:
    """A row of download links, ``{file name: content}``, as HTML."""
    items = "".join(_link(name, text) for name, text in files.items())
    return f'<p class="cap-downloads"><span>{escape(label)}</span>{items}</p>'


def _link(name: str, text: str | bytes) -> str:
    suffix = name.rpartition(".")[2]
    content = base64.b64encode(text.encode("utf-8", "backslashreplace") if isinstance(text, str) else text).decode()
    return (
        f'<a download="{escape(name)}" href="data:{MEDIA_TYPES[suffix]};charset=utf-8;base64,{content}">'
        f"{suffix.upper()}</a>"
    )


def files_of(captions: Sequence[Caption]) -> dict[str, str]:
    """Captions of one video as subtitles and rows, by file name."""
    name = stem(captions[0].path)
    return {
        f"{name}.vtt": "".join(vtt(captions)),
        f"{name}.srt": "".join(srt(captions)),
        f"{name}.json": as_json([row(caption) for caption in captions]),
    }


def subtitles_of(captions: Iterable[Caption]) -> bytes:
    """Both kinds of subtitles of each of several videos, as one ZIP; files of one name are numbered."""
    out, names = io.BytesIO(), Counter[str]()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for caption in captions:
            name = stem(caption.path)
            names[name] += 1
            name += f"-{names[name]}" * (names[name] > 1)
            archive.writestr(f"{name}.vtt", "".join(vtt([caption])))
            archive.writestr(f"{name}.srt", "".join(srt([caption])))
    return out.getvalue()


def stem(name: str) -> str:
    """The name of an upload, made harmless, for the name of what comes back."""
    kept = re.sub(r"[^\w-]+", "-", name.rpartition(".")[0] or name).strip("-")
    return kept[:60] or "clip"


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def as_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table that a spreadsheet takes for text."""
    return "".join(csv_line(values) for values in (columns, *rows))
