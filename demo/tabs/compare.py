"""The Compare tab: two checkpoints, or two settings, on the same clip."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from demo import strings
from demo.components.panel import panel, settings
from demo.components.player import player, samples_of
from demo.components.result import confidence, empty, result
from demo.engine import Engine, Seen
from demo.limits import refusals

PLAYER = "compare-player"


def compare_tab(engine: Engine, *, samples: dict[str, Path]) -> None:
    """Draw the tab inside the running Blocks."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=320):
            video = player(PLAYER)
            samples_of(video, samples, elem_id="compare-samples")
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
        shown = []
        for side in ("a", "b"):
            with gr.Column(min_width=320):  # one under the other on a phone
                shown.append(gr.HTML(elem_id=f"compare-{side}", js_on_load=None, apply_default_css=False))

    def compare(upload: str | None, *values: Any) -> tuple[str, str, str]:
        with refusals():
            half = len(values) // 2
            a, b = (engine.caption(upload, settings(*part)) for part in (values[:half], values[half:]))
            return difference(a, b), result(a, player=PLAYER), result(b, player=PLAYER)

    run.click(
        compare,
        [video, *left.components, *right.components],
        [said, *shown],
        concurrency_id="clips",
        concurrency_limit=engine.limits.clips_at_once,
        api_visibility="private",
    )


def difference(a: Seen, b: Seen) -> str:
    """Both sentences with the words underlined that only one of them has."""
    same = a.caption.text == b.caption.text
    cards = "".join(
        f'<div class="cap-card"><h4>{side}</h4><p class="cap-said">{_marked(mine, other)}</p>'
        f'<p class="cap-facts">{confidence(mine.caption)}</p></div>'
        for side, mine, other in ((strings.SIDE_A, a, b), (strings.SIDE_B, b, a))
    )
    return (
        f'<p role="status" aria-live="polite">{strings.SAME if same else strings.DIFFERENT}</p>'
        f'<div class="cap-cards">{cards}</div>'
    )


def _marked(mine: Seen, other: Seen) -> str:
    theirs = {word.text for word in other.caption.words}
    words = (word.text for word in mine.caption.words)
    return " ".join(escape(word) if word in theirs else f"<mark>{escape(word)}</mark>" for word in words)
