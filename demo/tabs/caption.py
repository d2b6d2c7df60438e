"""The Caption tab: a video in, a sentence out, and why."""

from __future__ import annotations

import contextlib
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from captioner.errors import CaptionerError
from demo import strings
from demo.components.panel import panel, settings
from demo.components.player import player, samples_of
from demo.components.result import empty, result, ways
from demo.engine import Engine
from demo.limits import Refusal, refusals

PLAYER = "caption-player"


def caption_tab(engine: Engine, *, samples: dict[str, Path]) -> list[Any]:
    """Draw the tab inside the running Blocks; returns the components of a request, the video first."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=320):
            video = player(PLAYER)
            run = gr.Button(strings.RUN_CAPTION, variant="primary", elem_id="caption-run")
            taken = samples_of(video, samples, elem_id="caption-samples")
            chosen = panel(engine)
            side_by_side = gr.Button(strings.RUN_WAYS, elem_id="ways-run")
        with gr.Column(scale=3, min_width=320):
            shown = gr.HTML(
                example(engine, samples) or empty(strings.EMPTY_CAPTION),
                elem_id="caption-result",
                js_on_load=None,
                apply_default_css=False,
            )
            compared = gr.HTML(elem_id="ways-result", js_on_load=None, apply_default_css=False)

    def show_caption(upload: str | None, *values: Any) -> str:
        with refusals():
            return result(engine.caption(upload, settings(*values)), player=PLAYER)

    def show_ways(upload: str | None, *values: Any) -> str:
        with refusals():
            return ways(engine.ways(upload, settings(*values)))

    request = [video, *chosen.components]
    wired = [(event, show_caption, shown) for event in (run.click, video.upload, taken) if event]
    for event, function, output in (*wired, (side_by_side.click, show_ways, compared)):
        event(
            function,
            request,
            output,
            concurrency_id="clips",
            concurrency_limit=engine.limits.clips_at_once,
            api_visibility="private",
        )
    video.clear(lambda: (empty(strings.EMPTY_CAPTION), ""), None, [shown, compared], api_visibility="private")
    return request


def example(engine: Engine, samples: dict[str, Path]) -> str:
    """What stands there before anything was dropped: the first sample's result; empty where there is no sample."""
    for name, path in samples.items():
        with contextlib.suppress(CaptionerError, Refusal):
            seen = engine.caption(str(path), engine.defaults())
            note = strings.EXAMPLE.format(name=name)
            return f'<p class="cap-note">{escape(note)}</p>{result(seen, player=PLAYER)}'
    return ""
