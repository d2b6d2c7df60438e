"""The Find tab: a query in; a gallery of the clips that fit, each with its moment and why; a choice plays it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from captioner.caption.result import UNSURE
from captioner.index.archive import Found
from captioner.index.writers import why
from demo import strings
from demo.components.player import player, shown
from demo.components.result import empty, line, refused
from demo.components.wiring import area
from demo.components.words import clock
from demo.engine import Engine
from demo.finder import Answer, Finder
from demo.limits import told

PLAYER = "find-player"


def find_tab(finder: Finder, engine: Engine) -> list[Any]:
    """Draw the tab inside the running Blocks; returns the query and what a search fills, for links to a query."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=320):
            query = gr.Textbox(label=strings.QUERY, info=strings.QUERY_INFO, elem_id="find-query", max_lines=1)
            run = gr.Button(strings.RUN_FIND, variant="primary", elem_id="find-run")
            gallery = area(empty(strings.EMPTY_FIND), elem_id="find-result", events=("chosen",))
        with gr.Column(scale=2, min_width=320):
            video = player(PLAYER, engine, drops=False)
            about = area(elem_id="find-why")
    held = gr.State([])

    def search(visitor: gr.Request, text: str) -> tuple[Any, ...]:
        return linked(finder, text, visitor=str(visitor.session_hash))[1:]

    def choose(event: gr.EventData, held: Sequence[Found]) -> tuple[str, str, str, str]:
        try:
            found = held[int(event._data["index"])]
            path = str(finder.playable(found))
        except Exception as error:
            return "", shown(""), refused(told(error)), ""
        return path, shown(path, at=found.seconds), "", reasons(found)

    queue: dict[str, Any] = {
        "concurrency_id": "clips",
        "concurrency_limit": engine.limits.clips_at_once,
        "api_visibility": "private",
    }
    for event in (run.click, query.submit):
        event(search, query, [gallery, held], **queue)
    gallery.chosen(choose, held, [video.held, video.stage, video.note, about], **queue)
    return [query, gallery, held]


def linked(finder: Finder, text: str, *, visitor: str) -> tuple[Any, ...]:
    """What a link to a query fills: the query, what was found, and what is held of it."""
    try:
        answer = finder.search(text, visitor=visitor)
    except Exception as error:
        return text, refused(told(error)), []
    return text, listed(answer), list(answer.results)


def listed(answer: Answer) -> str:
    """What was found as a gallery, each clip with its moment, its caption and why it was found (HTML)."""
    results = answer.results
    note = strings.FOUND_COUNT.format(count=len(results)) if results else strings.NOTHING_FOUND
    unknown = strings.UNKNOWN_WORDS.format(words=", ".join(results.unknown)) if results.unknown else ""
    items = "".join(
        f'<li><button type="button" class="cap-hit" data-index="{index}">{_picture(picture)}'
        f'<span class="cap-when">{clock(found.seconds)}</span><strong>{escape(_said(found))}</strong>'
        f'<span class="cap-note">{escape(why(found))}</span></button></li>'
        for index, (found, picture) in enumerate(zip(results, answer.pictures, strict=True))
    )
    return (
        f'{line(f"{note} {unknown}".strip())}<ul class="cap-hits" data-rove=".cap-hit" aria-label="{strings.FOUND}">'
        f"{items}</ul>"
    )


def _picture(webp: bytes) -> str:
    """One without a picture, which an index may lack, is a grey place."""
    source = f' src="data:image/webp;base64,{base64.b64encode(webp).decode()}"' if webp else ""
    return f'<img alt=""{source}>'


def _said(found: Found) -> str:
    return UNSURE * found.unsure + found.caption


def reasons(found: Found) -> str:
    """A result in words."""
    place = strings.FOUND_AT.format(name=Path(found.path).name, time=clock(found.seconds), score=found.score)
    return (
        f'<p class="cap-sentence">{escape(_said(found))}</p><p class="cap-note">{escape(place)}</p>'
        f'<p class="cap-note">{escape(why(found))}</p>'
    )
