"""The Actions tab: a video in; what is done in it, how sure, and when."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from captioner.actions.recognizer import Action
from demo import strings
from demo.components.player import player, samples_of
from demo.components.result import bar, empty
from demo.components.words import clock, percent
from demo.engine import Engine
from demo.limits import refusals

PLAYER = "actions-player"
WIDTH, HEIGHT = 320, 48


def actions_tab(engine: Engine, *, samples: dict[str, Path]) -> None:
    """Draw the tab inside the running Blocks."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=320):
            video = player(PLAYER)
            run = gr.Button(strings.RUN_ACTIONS, variant="primary", elem_id="actions-run")
            taken = samples_of(video, samples, elem_id="actions-samples")
        with gr.Column(scale=3, min_width=320):
            shown = gr.HTML(
                empty(strings.EMPTY_ACTIONS), elem_id="actions-result", js_on_load=None, apply_default_css=False
            )

    def show(upload: str | None) -> str:
        with refusals():
            found, times = engine.actions(upload)
            return result(found, times)

    for event in (run.click, video.upload, *([taken] if taken else [])):
        event(
            show,
            [video],
            shown,
            concurrency_id="clips",
            concurrency_limit=engine.limits.clips_at_once,
            api_visibility="private",
        )
    video.clear(lambda: empty(strings.EMPTY_ACTIONS), None, shown, api_visibility="private")


def result(actions: Sequence[Action], times: Sequence[float]) -> str:
    """The actions as a list, each with its probability and its course over time; a choice seeks the player."""
    rows = "".join(
        f'<li><button type="button" class="cap-jump cap-action" data-seek="{action.peak_seconds:.3f}">'
        f"<strong>{escape(action.label)}</strong>{bar(action.probability, percent(action.probability))}"
        f"{_course(action.over_time)}<span class='cap-when'>"
        f"{strings.ACTION_PEAK.format(time=clock(action.peak_seconds))}</span></button></li>"
        for action in actions
    )
    note = strings.ACTIONS_NOTE.format(first=clock(times[0]), last=clock(times[-1]))
    return f'<ol class="cap-timeline" data-player="{PLAYER}">{rows}</ol><p class="cap-note">{escape(note)}</p>'


def _course(course: Sequence[float]) -> str:
    """Probability over the frames as a small curve."""
    last = max(1, len(course) - 1)
    points: Any = " ".join(f"{WIDTH * i / last:.1f},{2 + (HEIGHT - 4) * (1 - p):.1f}" for i, p in enumerate(course))
    if len(course) == 1:
        points += f" {WIDTH},{points.split(',')[1]}"
    return (
        f'<svg class="cap-course" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" aria-hidden="true">'
        f'<polyline points="{points}"/></svg>'
    )
