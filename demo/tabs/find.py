"""The Find tab: a query in; a gallery of the clips that fit, each with its moment and why; a choice plays it."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from captioner.caption.result import UNSURE
from captioner.errors import counted
from captioner.index.archive import Found
from captioner.index.writers import why
from captioner.io.signals import STOPPED
from demo import strings
from demo.child import Child
from demo.components.player import player, shown
from demo.components.result import empty, line, progress, refused, said_aloud, working
from demo.components.runs import LongRun
from demo.components.wiring import area, columns
from demo.components.words import clock
from demo.engine import Engine
from demo.finder import Answer, Finder
from demo.limits import Refusal, told

PLAYER = "find-player"
ENDING_SECONDS = 30.0
"""That a run which is cancelled has, to write what it knows."""


def find_tab(finder: Finder, engine: Engine) -> list[Any]:
    """Draw the tab inside the running Blocks; returns the query and what a search fills, for links to a query."""
    left, right = columns("find")
    with left:
        query = gr.Textbox(label=strings.QUERY, info=strings.QUERY_INFO, elem_id="find-query", max_lines=1)
        run = gr.Button(strings.RUN_FIND, variant="primary", elem_id="find-run")
        gallery = area(empty(strings.EMPTY_FIND), elem_id="find-result", events=("chosen",))
    with right:
        video = player(PLAYER, engine, drops=False)
        about = area(elem_id="find-why")
        if folder := finder.source.folder:
            build = LongRun(
                finder.line, strings.RUN_INDEX.format(name=folder.name), elem_id="index", variant="secondary"
            )
            build.status()
            build.wire(partial(index_folder, finder), [], [])
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


def index_folder(finder: Finder, _: str, stopped: threading.Event) -> Iterator[tuple[str]]:
    """Index the server's folder, and say how far that is."""
    with finder.indexing() as child:
        for seconds in child.wait(stopped, ending_seconds=ENDING_SECONDS):
            yield (working(strings.INDEXING, seconds, child.progress, ending=stopped.is_set()),)
        failures = count_failures(child, stopped=stopped.is_set())
    said = (strings.INDEXING_STOPPED if stopped.is_set() else strings.INDEXED).format(
        clips=counted(finder.count(), "clip")
    )
    said += f" {strings.INDEX_FAILURES.format(count=failures)}" if failures else ""
    yield (progress(said, None),)


def count_failures(child: Child, *, stopped: bool) -> int:
    """How many files a run could not read. Raises Refusal for any other reason that it ended early.

    Raises RuntimeError where it was killed and nobody had ``stopped`` it.
    """
    if child.code < 0 and not stopped:
        raise RuntimeError(f"the indexing ended by signal {-child.code}")
    lines = child.said.splitlines()
    failures = [line for line in lines if line.endswith("]")]  # [code]
    if child.code not in (0, STOPPED) and len(failures) < len(lines):
        raise Refusal(next(line for line in lines if line not in failures))
    return len(failures)


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
    note = strings.FOUND_COUNT.format(clips=counted(len(results), "clip")) if results else strings.NOTHING_FOUND
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
    said, place = (
        _said(found),
        strings.FOUND_AT.format(name=Path(found.path).name, time=clock(found.seconds), score=found.score),
    )
    return (
        f'<p class="cap-sentence"{said_aloud(said)}>{escape(said)}</p><p class="cap-note">{escape(place)}</p>'
        f'<p class="cap-note">{escape(why(found))}</p>'
    )
