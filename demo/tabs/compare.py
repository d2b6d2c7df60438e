"""The Compare tab: two checkpoints, or two settings, on the same clip."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

import gradio as gr

from demo import strings
from demo.components.panel import panel, settings
from demo.components.player import player, shown
from demo.components.result import empty, reasons, said, said_aloud, sure
from demo.components.runs import turn
from demo.components.samples import Sample
from demo.components.tools import correct_button, kept, learnt, wire_corrections
from demo.components.wiring import QUIET, area
from demo.engine import Engine
from demo.visit.correction import Corrections, Told
from demo.visit.shelf import Kept, Shelf, Tab

ID = "compare"
PLAYER = "compare-player"
SIDES = (strings.SIDE_A, strings.SIDE_B)


def compare_tab(engine: Engine, *, samples: Sequence[Sample], shelf: Shelf, corrections: gr.State) -> Tab:
    """Draw the tab inside the running Blocks."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=320):
            video = player(PLAYER, engine, samples=samples, first=next(iter(samples), None))
        with gr.Column(scale=3, min_width=320):
            names = list(engine.captioners)
            left = panel(engine, opened=True, span=False, label=f"{strings.SIDE_A}: {strings.SETTINGS}")
            right = panel(
                engine,
                opened=True,
                span=False,
                label=f"{strings.SIDE_B}: {strings.SETTINGS}",
                model=names[1] if len(names) > 1 else "",
                strategy="beam" if len(names) > 1 else "greedy",
            )
            run = gr.Button(strings.RUN_COMPARE, variant="primary", elem_id="compare-run")
    said = area(empty(strings.EMPTY_COMPARE), elem_id="compare-said", events=("corrected",))
    with gr.Row(equal_height=False):
        sides = []
        for side in ("a", "b"):
            with gr.Column(min_width=320):  # one under the other on a phone
                sides.append(area(elem_id=f"compare-{side}"))
    result = gr.State(Told())
    work = _Work(engine, shelf)
    request = [video.held, corrections, *left.components, *right.components]
    shown = [said, *sides, result]
    run.click(work.compare, request, [video.note, *shown], **QUIET)
    wire_corrections(said, work.keep, shelf, states=[result, corrections], held=video.held, shown=[said])
    video.opened.then(lambda: NOTHING, None, shown, **QUIET)
    return Tab(ID, [video.held, video.stage, *shown])


NOTHING = (empty(strings.EMPTY_COMPARE), "", "", Told())


class _Work:
    """What the tab does."""

    def __init__(self, engine: Engine, shelf: Shelf) -> None:
        self._engine, self._shelf = engine, shelf

    def compare(
        self, visitor: gr.Request, held: str, corrected: Corrections, *values: Any
    ) -> Iterator[tuple[Any, ...]]:
        """Caption the video twice; the settings of both sides follow each other in ``values``."""

        def work() -> tuple[Any, ...]:
            half = len(values) // 2
            seen = [self._engine.caption(held, settings(*part)) for part in (values[:half], values[half:])]
            why = tuple(reasons(each, player=PLAYER, side=side) for each, side in zip(seen, SIDES, strict=True))
            now = Told(captions=tuple(each.caption for each in seen), reasons=why, name=self._shelf.name())
            return *self.keep(str(visitor.session_hash), now, corrected, held), *why, now

        yield from turn(self._engine.clips, held, work, blank=NOTHING)

    def keep(self, visitor: str, now: Told, corrected: Corrections, held: str) -> tuple[str]:
        """Put the result on the shelf; returns what the page shows of both sentences."""
        html = difference(now) + learnt(corrected) + kept(now, strings.TAB_COMPARE)
        self._shelf.put(
            now.name, Kept(tab=ID, values=(held, shown(held), html, *now.reasons, now), corrections=corrected)
        )
        return (html,)


def difference(now: Told) -> str:
    """Both sentences with the words underlined that only one of them has."""
    a, b = now.captions
    verdict = strings.SAME if a.text == b.text else strings.DIFFERENT
    cards = "".join(
        f'<div class="cap-card"><h2>{SIDES[i]}</h2><p class="cap-said">'
        f"{said(mine, text=_marked(mine.text, other.text))}</p>"
        f'<div class="cap-facts">{sure(now, i)}{correct_button(mine, i, of=SIDES[i])}</div></div>'
        for i, (mine, other) in enumerate(((a, b), (b, a)))
    )
    return f'<p{said_aloud(verdict)}>{verdict}</p><div class="cap-cards">{cards}</div>'


def _marked(mine: str, other: str) -> str:
    theirs = set(other.split())
    return " ".join(escape(word) if word in theirs else f"<mark>{escape(word)}</mark>" for word in mine.split())
