"""What was found, in the formats of ``captioner find``: one function a format, each yielding text."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from captioner.index.archive import Found
from captioner.index.evidence import Reason
from captioner.outputs.spreadsheet import csv_line
from captioner.outputs.subtitles import clock, wrap
from captioner.safe.text import visible

Writer = Callable[[Sequence[Found]], Iterator[str]]

CSV_FIELDS = (
    *("row", "path", "seconds", "start_seconds", "end_seconds", "caption", "confidence", "score", "similarity"),
    *("likelihood", "reasons"),
)
_SPOKEN = {"caption": "the caption", "others": "another sentence"}


def moment(seconds: float) -> str:
    """``0:14``, ``1:02:03``: the whole second."""
    minutes, second = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{second:02}" if minutes >= 60 else f"{minutes}:{second:02}"


def why(found: Found) -> str:
    """The reasons in words: "dog 92 % at 0:14; beach in the caption"; without reasons, the similarity."""
    said = [_reason(reason) for reason in found.reasons]
    return "; ".join(said) or f"similarity {found.similarity:.2f}"


def _reason(reason: Reason) -> str:
    if reason.probability is None or reason.seconds is None:
        return f"{reason.word} in {_SPOKEN[reason.source]}"
    return f"{reason.word} {100 * reason.probability:.0f} % at {moment(reason.seconds)}"


def shown_path(path: str) -> str:
    """Relative to the current folder where the file lies below it."""
    try:
        return os.fspath(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path


def row(found: Found) -> dict[str, Any]:
    """As plain values: what JSON and JSON Lines hold."""
    return {
        "row": found.row,
        "path": found.path,
        "seconds": round(found.seconds, 3),
        "start_seconds": round(found.start_seconds, 3),
        "end_seconds": None if found.end_seconds is None else round(found.end_seconds, 3),
        "caption": found.caption,
        "confidence": round(found.confidence, 4),
        "unsure": found.unsure,
        "score": round(found.score, 4),
        "similarity": round(found.similarity, 4),
        "likelihood": None if found.likelihood is None else round(found.likelihood, 4),
        "reasons": [
            {"word": reason.word, "source": reason.source}
            | ({} if reason.probability is None else {"probability": round(reason.probability, 4)})
            | ({} if reason.seconds is None else {"seconds": round(reason.seconds, 3)})
            for reason in found.reasons
        ],
    }


def txt(found: Sequence[Found]) -> Iterator[str]:
    """For people: what they are sorted by, file and moment, then the caption and why it was found."""
    for each in found:
        yield f"{each.order:.2f}  {visible(shown_path(each.path))}  {moment(each.seconds)}\n"
        yield f"      {each.caption}\n      {why(each)}\n"


def jsonl(found: Sequence[Found]) -> Iterator[str]:
    """One JSON object a line."""
    yield from (json.dumps(row(each), ensure_ascii=False) + "\n" for each in found)


def as_json(found: Sequence[Found]) -> Iterator[str]:
    """One JSON list."""
    yield json.dumps([row(each) for each in found], ensure_ascii=False, indent=1) + "\n"


def as_csv(found: Sequence[Found]) -> Iterator[str]:
    """A table that is safe to open in a spreadsheet."""
    yield csv_line(CSV_FIELDS)
    for each in found:
        values = row(each) | {"reasons": why(each)}
        yield csv_line(values[name] for name in CSV_FIELDS)


def m3u(found: Sequence[Found]) -> Iterator[str]:
    """A playlist that starts each clip at its moment, as VLC and mpv read it."""
    yield "#EXTM3U\n"
    for each in found:
        length = -1 if each.end_seconds is None else round(each.end_seconds - each.start_seconds)
        yield f"#EXTINF:{length},{' '.join(visible(each.caption).split())}\n"
        yield f"#EXTVLCOPT:start-time={each.seconds:.3f}\n{visible(each.path)}\n"


def vtt(found: Sequence[Found]) -> Iterator[str]:
    """WebVTT: a cue for each, in the order of the files and of their times, each file's name before its first."""
    yield "WEBVTT\n\n"
    path = None
    for each in sorted(found, key=lambda each: (each.path, each.start_seconds)):
        if each.path != path:
            path = each.path
            yield f"NOTE {visible(path).replace('-->', '->')}\n\n"
        end = each.start_seconds + 1 if each.end_seconds is None else each.end_seconds
        start, stop = (clock(round(1000 * seconds), ".") for seconds in (each.start_seconds, end))
        text = "\n".join(wrap(each.caption)).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        yield f"{start} --> {stop}\n{text}\n\n"


WRITERS: dict[str, Writer] = {"txt": txt, "json": as_json, "jsonl": jsonl, "csv": as_csv, "m3u": m3u, "vtt": vtt}


def page(query: str, found: Iterable[tuple[Found, bytes]]) -> str:
    """One HTML page with a thumbnail each, which needs no server: a click opens the file at its moment."""
    from base64 import b64encode
    from html import escape

    cards = []
    for each, webp in found:
        picture = f'<img alt="" src="data:image/webp;base64,{b64encode(webp).decode()}">' if webp else "<i></i>"
        link = escape(f"{Path(each.path).as_uri()}#t={each.seconds:.3f}", quote=True)
        cards.append(
            f'<li><a href="{link}">{picture}<b>{escape(each.caption)}</b></a>'
            f"<span>{escape(visible(each.path))}, {moment(each.seconds)}</span><span>{escape(why(each))}</span></li>"
        )
    title = escape(query)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        f"<h1>{title}</h1><ol>{''.join(cards)}</ol></html>\n"
    )


_STYLE = (
    "body{font:16px/1.4 system-ui,sans-serif;margin:2rem;color:#222;background:#fff}"
    "ol{display:grid;grid-template-columns:repeat(auto-fill,minmax(14rem,1fr));gap:1.5rem;padding:0;list-style:none}"
    "img,i{display:block;width:100%;aspect-ratio:16/9;object-fit:contain;background:#eee}"
    "a{color:inherit;text-decoration:none}b,span{display:block;margin-top:.3rem}span{font-size:.85rem;color:#555;"
    "overflow-wrap:anywhere}@media(prefers-color-scheme:dark){body{background:#161616;color:#eee}span{color:#aaa}"
    "img,i{background:#2a2a2a}}"
)
