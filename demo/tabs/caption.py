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
from demo.components.tools import kept, tools, wire_burn, wire_corrections
from demo.components.wiring import QUIET, area, columns
from demo.engine import Engine, Seen
from demo.limits import Refusal
from demo.visit.correction import Corrections, Told
from demo.visit.shelf import Clip, Kept, Shelf, Tab

ID = "caption"
PLAYER = "caption-player"


def caption_tab(engine: Engine, *, samples: Sequence[Sample], shelf: Shelf, corrections: gr.State) -> Tab:
    """Draw the tab inside the running Blocks."""
    first, example, greeting = _example(engine, samples)
    left, right, more = columns(ID, more=True)
    with left:
        video = player(PLAYER, engine, samples=samples, first=first)
        run = gr.Button(strings.RUN_CAPTION, variant="primary", elem_id="caption-run")
    with right:
        said = area(greeting, events=("corrected", "burn"))
        made, why = area(elem_id="caption-made"), area("".join(example.reasons))
    with more:
        chosen = panel(engine)
        side_by_side = gr.Button(strings.RUN_WAYS, elem_id="ways-run")
        compared = area(elem_id="ways-result")
    result = gr.State(example)
    work = _Work(engine, shelf)
    request = [video.held, corrections, *chosen.components]
    outputs = [video.note, said, made, why, compared, result]
    video.opened.then(work.dropped, request, outputs, **QUIET)
    run.click(work.again, request, outputs, **QUIET)
    side_by_side.click(work.ways, [video.held, *chosen.components], [video.note, compared], **QUIET)
    wire_corrections(said, work.keep, shelf, states=[result, corrections], held=video.held, shown=[said])
    wire_burn(said, made, engine, result=result, held=video.held)
    return Tab(ID, [video.held, video.stage, said, why, result], request=chosen.components)


class _Work:
    """What the tab does."""

    def __init__(self, engine: Engine, shelf: Shelf) -> None:
        self._engine, self._shelf = engine, shelf
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
            now = _told(seen, name=self._shelf.name())
            return *self.keep(visitor, now, corrected, held), "", *now.reasons, "", now

        blank = (empty(strings.EMPTY_CAPTION), "", "", "", Told())
        with self._stops.run(visitor) as overtaken:
            yield from turn(self._engine.clips, held, work, blank=blank, pressed=pressed)

    def keep(self, visitor: str, now: Told, corrected: Corrections, held: str) -> tuple[str]:
        """Put the result on the shelf; returns what the page shows of it."""
        html = sentence(now, player=PLAYER) + tools(now, corrected) + kept(now, strings.TAB_CAPTION)
        values, clips = (held, shown(held), html, *now.reasons, now), (Clip(file=held, captions=now.captions),)
        self._shelf.put(now.name, Kept(tab=ID, values=values, visitor=visitor, clips=clips, corrections=corrected))
        return (html,)

    def ways(self, held: str, *values: Any) -> Iterator[tuple[Any, ...]]:
        """Greedy, beam and diverse side by side."""

        def work() -> tuple[str]:
            return (ways(self._engine.ways(held, settings(*values))),)

        yield from turn(self._engine.clips, held, work, blank=("",))


def _example(engine: Engine, samples: Sequence[Sample]) -> tuple[Sample | None, Told, str]:
    """The first sample that can be captioned, its caption and what is said of it, there before anything is dropped."""
    for sample in samples:
        with contextlib.suppress(CaptionerError, Refusal):
            now = _told(engine.caption(str(sample.path), engine.defaults()))
            note = f'<p class="cap-note">{escape(strings.EXAMPLE.format(name=sample.name))}</p>'
            return sample, now, note + sentence(now, player=PLAYER) + tools(now, {})
    return None, Told(), empty(strings.EMPTY_CAPTION)


def _told(seen: Seen, *, name: str = "") -> Told:
    why = reasons(seen, player=PLAYER)
    return Told(captions=(seen.caption,), reasons=(why,), meaning=seen.meaning, name=name)
