"""The Caption tab: a video in, a sentence out, and why."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

import gradio as gr

from captioner.errors import CaptionerError
from demo import strings
from demo.components.panel import panel, settings
from demo.components.player import player, shown
from demo.components.result import empty, reasons, sentence, ways
from demo.components.runs import Stops, turn
from demo.components.samples import Sample
from demo.components.tools import burn, correct, kept, tools
from demo.components.wiring import QUIET, area, columns
from demo.engine import Engine, Seen
from demo.limits import Refusal
from demo.visit.correction import Corrections, Told
from demo.visit.shelf import Clip, Kept, Shelf, Tab

ID = "caption"
PLAYER = "caption-player"


def caption_tab(engine: Engine, *, samples: Sequence[Sample], shelf: Shelf, corrections: gr.State) -> Tab:
    """Draw the tab inside the running Blocks."""
    first, seen = _example(engine, samples)
    below = reasons(seen, player=PLAYER) if seen else ""
    left, right, more = columns(ID, more=True)
    with left:
        video = player(PLAYER, engine, samples=samples, first=first)
        run = gr.Button(strings.RUN_CAPTION, variant="primary", elem_id="caption-run")
    with right:
        said = area(_greeting(first, seen), events=("corrected", "burn"))
        made, why = area(elem_id="caption-made"), area(below)
    with more:
        chosen = panel(engine)
        side_by_side = gr.Button(strings.RUN_WAYS, elem_id="ways-run")
        compared = area(elem_id="ways-result")
    result = gr.State(Told(captions=(seen.caption,), meaning=seen.meaning) if seen else Told())
    work = _Work(engine, shelf, below)
    request = [video.held, corrections, *chosen.components]
    outputs = [video.note, said, made, why, compared, result]
    video.opened.then(work.dropped, request, outputs, **QUIET)
    run.click(work.again, request, outputs, **QUIET)
    side_by_side.click(work.ways, [video.held, *chosen.components], [video.note, compared], **QUIET)
    said.corrected(work.correct, [video.held, result, corrections], [said, result, corrections], **QUIET)
    said.burn(work.draw, [result, video.held], made, **QUIET)
    return Tab(ID, [video.held, video.stage, said, why, result], request=chosen.components)


class _Work:
    """What the tab does."""

    def __init__(self, engine: Engine, shelf: Shelf, below: str) -> None:
        """``below``: the reasons of the caption that stands there from the start."""
        self._engine, self._shelf, self._below = engine, shelf, below
        self._stops = Stops()

    def dropped(self, visitor: gr.Request, held: str, *values: Any) -> Iterator[tuple[Any, ...]]:
        """A video has come into the player; one that was refused has said why already."""
        yield from self._show(str(visitor.session_hash), held, *values, pressed=False)

    def again(self, visitor: gr.Request, held: str, *values: Any) -> Iterator[tuple[Any, ...]]:
        """The button was pressed."""
        yield from self._show(str(visitor.session_hash), held, *values, pressed=True)

    def _show(
        self, visitor: str, held: str, corrected: Corrections, *values: Any, pressed: bool
    ) -> Iterator[tuple[Any, ...]]:
        def work() -> tuple[Any, ...] | None:
            seen = self._engine.caption(held, settings(*values))
            if overtaken.is_set():
                return None
            now = Told(captions=(seen.caption,), meaning=seen.meaning, name=self._shelf.name())
            html, below = _said(now, corrected), reasons(seen, player=PLAYER)
            self._keep(visitor, held, html, below, now)
            return html, "", below, "", now

        blank = (empty(strings.EMPTY_CAPTION), "", "", "", Told())
        with self._stops.run(visitor) as overtaken:
            yield from turn(self._engine.clips, held, work, blank=blank, pressed=pressed)

    def _keep(self, visitor: str, held: str, html: str, below: str, now: Told) -> None:
        values, clips = (held, shown(held), html, below, now), (Clip(file=held, captions=now.captions),)
        self._shelf.put(now.name, Kept(tab=ID, values=values, visitor=visitor, clips=clips))

    def correct(
        self, visitor: gr.Request, event: gr.EventData, held: str, now: Told, corrected: Corrections
    ) -> tuple[Any, ...]:
        """Put the visitor's sentence in place of the caption's."""
        kept = self._shelf.get(now.name)
        below = kept.values[3] if kept else "" if now.name else self._below
        now, corrected = correct(now, event, corrected, self._shelf)
        html = _said(now, corrected)
        self._keep(str(visitor.session_hash), held, html, below, now)
        return html, now, corrected

    def ways(self, held: str, *values: Any) -> Iterator[tuple[Any, ...]]:
        """Greedy, beam and diverse side by side."""

        def work() -> tuple[str]:
            return (ways(self._engine.ways(held, settings(*values))),)

        yield from turn(self._engine.clips, held, work, blank=("",))

    def draw(self, now: Told, held: str) -> Iterator[str]:
        """Make a clip with the captions in the picture."""
        yield from burn(now, held, self._engine)


def _example(engine: Engine, samples: Sequence[Sample]) -> tuple[Sample | None, Seen | None]:
    """The first sample that can be captioned, and its caption: they are there before anything was dropped."""
    for sample in samples:
        with contextlib.suppress(CaptionerError, Refusal):
            return sample, engine.caption(str(sample.path), engine.defaults())
    return None, None


def _greeting(sample: Sample | None, seen: Seen | None) -> str:
    if sample is None or seen is None:
        return empty(strings.EMPTY_CAPTION)
    note = strings.EXAMPLE.format(name=sample.name)
    return f'<p class="cap-note">{escape(note)}</p>' + _told(Told(captions=(seen.caption,), meaning=seen.meaning), {})


def _said(now: Told, corrected: Corrections) -> str:
    return _told(now, corrected) + kept(now, strings.TAB_CAPTION)


def _told(now: Told, corrected: Corrections) -> str:
    return sentence(now, player=PLAYER) + tools(now, corrected)
