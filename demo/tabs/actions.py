"""The Actions tab: a video in; what is done in it, how sure, and when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

import gradio as gr

from captioner.actions.recognizer import Action
from captioner.caption.result import Caption
from captioner.outputs import svg
from demo import strings
from demo.components.downloads import files_of, links
from demo.components.player import player, shown
from demo.components.result import bar, cue, empty, said_aloud
from demo.components.runs import Stops, turn
from demo.components.samples import Sample
from demo.components.tools import kept
from demo.components.wiring import QUIET, area, columns
from demo.components.words import clock, percent
from demo.engine import Engine
from demo.visit.correction import Told
from demo.visit.shelf import Kept, Shelf, Tab

ID = "actions"
PLAYER = "actions-player"
WIDTH, HEIGHT = 320, 48


def actions_tab(engine: Engine, *, samples: Sequence[Sample], shelf: Shelf) -> Tab:
    """Draw the tab inside the running Blocks."""
    left, right = columns(ID)
    with left:
        video = player(PLAYER, engine, samples=samples, first=next(iter(samples), None))
        run = gr.Button(strings.RUN_ACTIONS, variant="primary", elem_id="actions-run")
    with right:
        listed = area(empty(strings.EMPTY_ACTIONS), elem_id="actions-result")
    stops = Stops()

    def show(visitor: gr.Request, held: str, pressed: bool = True) -> Iterator[tuple[Any, ...]]:
        def work() -> tuple[str] | None:
            found, caption = engine.actions(held)
            if overtaken.is_set():
                return None
            now = Told(captions=(caption,), name=shelf.name())
            html = result(found, caption) + kept(now, strings.TAB_ACTIONS)
            shelf.put(now.name, Kept(tab=ID, values=(held, shown(held), html)))
            return (html,)

        with stops.run(str(visitor.session_hash)) as overtaken:
            yield from turn(engine.clips, held, work, blank=(empty(strings.EMPTY_ACTIONS),), pressed=pressed)

    def dropped(visitor: gr.Request, held: str) -> Iterator[tuple[Any, ...]]:
        yield from show(visitor, held, pressed=False)

    video.opened.then(dropped, video.held, [video.note, listed], **QUIET)
    run.click(show, video.held, [video.note, listed], **QUIET)
    return Tab(ID, [video.held, video.stage, listed])


def result(actions: Sequence[Action], caption: Caption) -> str:
    """The actions as a list, each with its probability and its course over time; a choice seeks the player."""
    times = caption.times_seconds
    rows = "".join(
        f'<li><button type="button" class="cap-jump cap-action" data-seek="{action.peak_seconds:.3f}">'
        f"<strong>{escape(action.label)}</strong>{bar(action.probability, percent(action.probability))}"
        f"{_course(action.over_time)}<span class='cap-when'>"
        f"{strings.ACTION_PEAK.format(time=clock(action.peak_seconds))}</span></button></li>"
        for action in actions
    )
    note = strings.ACTIONS_NOTE.format(first=clock(times[0]), last=clock(times[-1]))
    return (
        f'<div data-cues="{PLAYER}"{said_aloud(caption.text)}><span hidden {cue(caption)}></span></div>'
        f'<ol class="cap-timeline" data-player="{PLAYER}">{rows}</ol><p class="cap-note">{escape(note)}</p>'
        + links(files_of([caption]), label=strings.DOWNLOAD)
    )


def _course(course: Sequence[float]) -> str:
    """Probability over the frames as a small curve."""
    last = max(1, len(course) - 1)
    points = [(WIDTH * i / last, 2 + (HEIGHT - 4) * (1 - p)) for i, p in enumerate(course)]
    if len(course) == 1:
        points.append((WIDTH, points[0][1]))
    line = svg.polyline(points)
    return svg.picture(WIDTH, HEIGHT, line, class_="cap-course", preserveAspectRatio="none", aria_hidden="true")
