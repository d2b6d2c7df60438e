"""The Compare tab: two checkpoints, or two settings, on the same clip."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

import gradio as gr

from demo import strings
from demo.components.panel import panel, settings
from demo.components.player import player, shown
from demo.components.result import confidence, empty, reasons, refused, said_aloud, waiting
from demo.components.samples import Sample
from demo.components.tools import kept
from demo.engine import Engine, Seen
from demo.limits import told
from demo.visit.correction import Told
from demo.visit.shelf import Kept, Shelf, Tab

ID = "compare"
PLAYER = "compare-player"


def compare_tab(engine: Engine, *, samples: Sequence[Sample], shelf: Shelf) -> Tab:
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
    said = gr.HTML(empty(strings.EMPTY_COMPARE), elem_id="compare-said", js_on_load=None, apply_default_css=False)
    with gr.Row(equal_height=False):
        sides = []
        for side in ("a", "b"):
            with gr.Column(min_width=320):  # one under the other on a phone
                sides.append(gr.HTML(elem_id=f"compare-{side}", js_on_load=None, apply_default_css=False))

    def compare(held: str, *values: Any) -> Iterator[tuple[Any, ...]]:
        nothing, half = (empty(strings.EMPTY_COMPARE), "", ""), len(values) // 2
        if not held:
            yield refused(strings.NO_FILE), *nothing
            return
        try:
            with engine.clips.join() as places:
                for place in waiting(places):
                    yield gr.skip(), place, "", ""
                a, b = (engine.caption(held, settings(*part)) for part in (values[:half], values[half:]))
        except Exception as error:
            yield refused(told(error)), *nothing
            return
        now = Told(captions=(a.caption, b.caption), name=shelf.name())
        html = (
            difference(a, b) + kept(now, strings.TAB_COMPARE),
            reasons(a, player=PLAYER, side=strings.SIDE_A),
            reasons(b, player=PLAYER, side=strings.SIDE_B),
        )
        shelf.put(now.name, Kept(tab=ID, values=(held, shown(held), *html)))
        yield gr.skip(), *html

    always: dict[str, Any] = {"concurrency_limit": None, "show_progress": "hidden", "api_visibility": "private"}
    request = [video.held, *left.components, *right.components]
    run.click(compare, request, [video.note, said, *sides], **always)
    video.opened.then(lambda: (empty(strings.EMPTY_COMPARE), "", ""), None, [said, *sides], **always)
    return Tab(ID, [video.held, video.stage, said, *sides])


def difference(a: Seen, b: Seen) -> str:
    """Both sentences with the words underlined that only one of them has."""
    verdict = strings.SAME if a.caption.text == b.caption.text else strings.DIFFERENT
    cards = "".join(
        f'<div class="cap-card"><h2>{side}</h2><p class="cap-said">{_marked(mine, other)}</p>'
        f'<p class="cap-facts">{confidence(mine.caption)}</p></div>'
        for side, mine, other in ((strings.SIDE_A, a, b), (strings.SIDE_B, b, a))
    )
    return f'<p{said_aloud(verdict)}>{verdict}</p><div class="cap-cards">{cards}</div>'


def _marked(mine: Seen, other: Seen) -> str:
    theirs = {word.text for word in other.caption.words}
    words = (word.text for word in mine.caption.words)
    return " ".join(escape(word) if word in theirs else f"<mark>{escape(word)}</mark>" for word in words)
