"""The Find tab: a query in; a gallery of the clips that fit, each with its moment and why; a choice plays it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from captioner.caption.result import UNSURE
from captioner.index.archive import Found, Results
from captioner.index.writers import why
from demo import strings
from demo.components.result import empty
from demo.components.wiring import area
from demo.components.words import clock
from demo.finder import Answer, Finder
from demo.limits import Limits, refusals

PLAYER = "find-player"
_PLAIN = (160, 90)


def find_tab(finder: Finder, limits: Limits) -> list[Any]:
    """Draw the tab inside the running Blocks; returns the query and what a search fills, for links to a query."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=320):
            query = gr.Textbox(label=strings.QUERY, info=strings.QUERY_INFO, elem_id="find-query", max_lines=1)
            run = gr.Button(strings.RUN_FIND, variant="primary", elem_id="find-run")
            note = area(empty(strings.EMPTY_FIND), elem_id="find-note")
            gallery = gr.Gallery(
                label=strings.FOUND,
                elem_id="find-gallery",
                columns=3,
                height="auto",
                object_fit="contain",
                allow_preview=False,
                interactive=False,
                buttons=[],
            )
        with gr.Column(scale=2, min_width=320):
            video = gr.Video(label=strings.FOUND_CLIP, elem_id=PLAYER, height=320, interactive=False)
            told = area(elem_id="find-why")
    held, moment = gr.State([]), gr.Number(visible=False)

    def search(visitor: gr.Request, text: str) -> tuple[Any, ...]:
        return linked(finder, text, visitor=str(visitor.session_hash))[1:]

    def choose(event: gr.SelectData, held: Sequence[Found]) -> tuple[Any, ...]:
        with refusals():
            found = held[int(event.index)]
            return str(finder.playable(found)), reasons(found), found.seconds

    queue: dict[str, Any] = {
        "concurrency_id": "clips",
        "concurrency_limit": limits.clips_at_once,
        "api_visibility": "private",
    }
    for event in (run.click, query.submit):
        event(search, query, [gallery, note, held], **queue)
    chosen = gallery.select(choose, held, [video, told, moment], **queue)
    seek = f"(seconds) => window.captioner.play({PLAYER!r}, seconds)"
    chosen.success(None, moment, None, js=seek, queue=False, api_visibility="private")
    return [query, gallery, note, held]


def linked(finder: Finder, text: str, *, visitor: str) -> tuple[Any, ...]:
    """What a link to a query fills: the query, the gallery, the note and what is held."""
    with refusals():
        answer = finder.search(text, visitor=visitor)
        return text, gallery_of(answer), summary(answer.results), list(answer.results)


def gallery_of(answer: Answer) -> list[tuple[Image.Image, str]]:
    """A picture of each, with its moment and caption."""
    shown = zip(answer.results, answer.pictures, strict=True)
    return [(_picture(picture), f"{clock(found.seconds)}  {_said(found)}") for found, picture in shown]


def _picture(webp: bytes) -> Image.Image:
    return Image.open(io.BytesIO(webp)) if webp else Image.new("RGB", _PLAIN, "#888")


def summary(results: Results) -> str:
    """How many were found, and which words are not known."""
    said = strings.FOUND_COUNT.format(count=len(results)) if results else strings.NOTHING_FOUND
    unknown = strings.UNKNOWN_WORDS.format(words=", ".join(results.unknown)) if results.unknown else ""
    return f'<p class="cap-note" role="status">{escape(said)} {escape(unknown)}</p>'


def _said(found: Found) -> str:
    return UNSURE * found.unsure + found.caption


def reasons(found: Found) -> str:
    """A result in words."""
    place = strings.FOUND_AT.format(name=Path(found.path).name, time=clock(found.seconds), score=found.score)
    return (
        f'<p class="cap-sentence">{escape(_said(found))}</p><p class="cap-note">{escape(place)}</p>'
        f'<p class="cap-note">{escape(why(found))}</p>'
    )
